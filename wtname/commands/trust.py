"""`wtname trust`: look at the commands of a repository, and let them run."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from wtname.commands.shared import folder_option, json_option, print_json, say
from wtname.display import visible
from wtname.errors import WtnameError


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Show the commands, and trust nothing.")
@click.option("--revoke", is_flag=True, help="Trust no command of this repository any more.")
@click.option("--yes", is_flag=True, help="Trust the commands without being asked.")
@folder_option
@json_option
def trust(only_list: bool, revoke: bool, yes: bool, cwd: Path | None, as_json: bool) -> None:
    """Trust the commands that a repository has for new worktrees.

    They are shown first: wtname.postcreate in its git config, and the file .wtname. From then on `wtname new` runs
    them, until one of them changes.
    """
    from wtname import git, postcreate, trust

    if revoke and (only_list or yes):
        raise click.UsageError("--revoke takes no --list or --yes.")
    with git.Repository(cwd) as repo:
        if revoke:
            count = trust.revoke(repo.common_dir.resolve())
            print_json({"revoked": count}) if as_json else say(f"revoked {count}; its commands run no more")
            return
        batches = postcreate.commands(repo, repo.worktree()).theirs
    new = [batch for batch in batches if not trust.is_trusted(batch)]
    if not as_json:
        for batch in batches:
            click.echo(f"{batch.source} ({'not trusted' if batch in new else 'trusted'}):")
            click.echo("".join(f"  {visible(command)}\n" for command in batch.commands), nl=False)
    if not batches:
        say("this repository has no commands for new worktrees")
    elif new and not only_list and (yes or not as_json):  # nobody is asked about what he does not see
        if not yes:
            _ask()
        for batch in new:
            trust.add(batch)
        new = []
    if as_json:
        print_json([{"source": b.source, "commands": b.commands, "trusted": b not in new} for b in batches])


def _ask() -> None:
    if not sys.stdin.isatty():
        raise WtnameError("nothing is trusted: there is no terminal to ask on; look at the commands and pass --yes")
    if not click.confirm("They may do whatever you may do. Trust them?", err=True):
        raise WtnameError("nothing is trusted; the commands stay as they are and do not run")
