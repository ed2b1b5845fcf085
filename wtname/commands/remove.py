"""`wtname remove` and `wtname prune`: the end of worktrees and their branches."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from wtname.removal import Removed


@click.command()
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=completion.removable)
@click.option("--force", "-f", is_flag=True, help="Also what is changed, locked, not merged and not pushed.")
@click.option("--keep-branch", is_flag=True, help="Leave the branch where it is.")
@folder_option
@json_option
def remove(names: tuple[str, ...], force: bool, keep_branch: bool, cwd: Path | None, as_json: bool) -> None:
    """Remove worktrees with their branches. Prints the folders that are gone.

    NAME is a branch, the end of one, or a folder; without it, it is the worktree you are in.

    Changed files, things half done and commits that are neither merged nor pushed are refused without --force. Forced
    or not, everything but ignored files can be had again: wtname restore."""
    from wtname import git, journal, removal

    with unwound_by_signals(), git.Repository(cwd) as repo:
        journal.put_in_order(repo, say)
        report(removal.remove_all(repo, names, os.environ, force, keep_branch), as_json)


@click.command()
@click.option("--gone", is_flag=True, help="Also those whose upstream is gone.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
@folder_option
@json_option
def prune(gone: bool, dry_run: bool, cwd: Path | None, as_json: bool) -> None:
    """Remove the worktrees whose branches are merged, and the branches.

    Merged or squashed; with them go git's records of worktrees whose folders are gone, and what is in the trash for
    longer than wtname.trashdays (30).

    What is changed, locked, half done, new, or where you are, stays. wtname restore brings any of it back."""
    from wtname import git, journal, pruning

    with unwound_by_signals(), git.Repository(cwd) as repo:
        if not dry_run:
            journal.put_in_order(repo, say)
        swept = pruning.prune(repo, os.environ, gone=gone, dry_run=dry_run)
        for name in swept.expired:
            say(f"{'would go' if dry_run else 'gone'} from the trash for good: {name}")
        report(swept.worktrees, as_json, dry_run=dry_run)


def report(found: Iterable[Removed], as_json: bool, dry_run: bool = False) -> None:
    """Print what came of each as soon as it is known; exit code 1 where one was refused."""
    import shlex

    from wtname.display import visible

    done = []
    for one in found:
        done.append(one)
        name = visible(one.branch or one.path)
        if not one.removed:
            say(f"{name} stays: {visible(one.why)}")
            continue
        if not as_json:
            print_path(Path(one.path))
        if dry_run:
            say(f"{name} would be removed: {one.why}")
            continue
        what = "file or folder" if one.ignored == 1 else "files and folders"
        lost = f"; {one.ignored} ignored {what} went for good" if one.ignored else ""
        lost += "".join(f"; with the commits that only {visible(name)} had" for name in one.lost)
        stays = "" if one.branch_deleted or not one.branch else ", the branch stays"
        say(f"{name} is removed{stays}; wtname restore {visible(shlex.quote(one.kept or ''))} brings it back{lost}")
        if one.inside:
            say(f"you were in it: cd {visible(shlex.quote(one.inside))}")
    if as_json:
        print_json([{**one._asdict(), "dry_run": dry_run} for one in done])
    if any(not one.removed for one in done):
        sys.exit(1)
