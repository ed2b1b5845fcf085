"""`wtname restore`: removed worktrees come back."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from wtname import completion
from wtname.commands.shared import (
    folder_option,
    json_option,
    print_json,
    print_path,
    say,
    unwound_by_signals,
)


@click.command()
@click.argument("name", required=False, shell_complete=completion.removed)
@click.option("--list", "listed", is_flag=True, help="Say what can be restored, the latest first.")
@folder_option
@json_option
def restore(name: str | None, listed: bool, cwd: Path | None, as_json: bool) -> None:
    """Bring back a worktree that was removed. Prints its folder.

    NAME is a branch or a line of --list; without it, it is the one removed last.
    """
    from wtname import git, journal, restoring, settings
    from wtname.display import visible
    from wtname.git import trash

    with unwound_by_signals(), git.Repository(cwd) as repo:
        if listed:
            found = trash.find(repo)
            if as_json:
                print_json([restoring.facts(kept) for kept in found])
            else:
                for kept in found:
                    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(kept.time))
                    click.echo(f"{visible(kept.name)}\t{when}\t{visible(kept.path)}")
            return
        journal.put_in_order(repo, say)
        kept = restoring.find(repo, name)
        done = restoring.restore(repo, kept, settings.load(repo.config, os.environ))
    click.echo(done.said, err=True, nl=False)
    if (done.branch, str(done.path)) != (kept.branch, kept.path):
        say(f"{visible(kept.name)} is back as {visible(done.branch or 'a detached HEAD')} in another place or name")
    if as_json:
        print_json({"branch": done.branch, "path": str(done.path), "kept": done.kept})
        return
    print_path(done.path)
