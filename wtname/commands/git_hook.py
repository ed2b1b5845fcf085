"""`wtname hook install|uninstall|status`: the git hook; `wtname hook prepare-commit-msg` is what it calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wtname.commands.shared import folder_option, json_option, print_json, say

if TYPE_CHECKING:
    from wtname.git import Repository
    from wtname.git_hooks import Status

_everywhere = click.option("--global", "everywhere", is_flag=True, help="For all of your repositories.")
_force = click.option("--force", "-f", is_flag=True, help="Also where it takes a hook's place that others care for.")


@contextlib.contextmanager
def _subject(everywhere: bool, cwd: Path | None) -> Iterator[Repository | None]:
    from wtname import git

    if everywhere:
        yield None
        return
    with git.Repository(cwd) as repo:
        yield repo


@click.command()
@_everywhere
@_force
@folder_option
@json_option
def install(everywhere: bool, force: bool, cwd: Path | None, as_json: bool) -> None:
    """Suggest a better name at a commit on a branch that has none of its own (wt-3f9a1c2d, patch-1). Prints the hook.
    A hook that is there already is kept, and runs first."""
    from wtname import git_hooks

    with _subject(everywhere, cwd) as repo:
        now = git_hooks.install(repo, force=force)
    if as_json:
        print_json(_facts(now))
        return
    _tell_before(now)
    click.echo(now.path)


@click.command()
@_everywhere
@_force
@folder_option
@json_option
def uninstall(everywhere: bool, force: bool, cwd: Path | None, as_json: bool) -> None:
    """Take the hook away, and put back the one that was there before. Prints what went."""
    from wtname import git_hooks

    with _subject(everywhere, cwd) as repo:
        gone = git_hooks.uninstall(repo, force=force)
        left = git_hooks.status(repo)
    if as_json:
        print_json({"removed": [str(path) for path in gone], **_facts(left)})
        return
    if not gone:
        say("it is not installed here")
    if left.how:
        say(f"it is installed for all repositories: {left.path}; wtname hook uninstall --global takes it away")
    for path in gone:
        click.echo(path)


@click.command()
@_everywhere
@folder_option
@json_option
def status(everywhere: bool, cwd: Path | None, as_json: bool) -> None:
    """Say whether the hook is installed, and whether it works."""
    from wtname import git_hooks

    with _subject(everywhere, cwd) as repo:
        now = git_hooks.status(repo)
        off = git_hooks.switched_off(repo)
    if as_json:
        print_json(_facts(now))
        return
    click.echo(f"installed: {now.path}" if now.how else "not installed")
    _tell_before(now)
    if now.how and not now.works:
        missing = now.python or "wtname on PATH"
        say(f"it does nothing, as {missing} is not there any more; run wtname hook install again")
    elif now.how and not now.current:
        say("it is changed, or of another version; run wtname hook install again")
    if now.how and off:
        say(f"it is off here; git config {off} true turns it on")


def _tell_before(now: Status) -> None:
    if now.before and now.hindered:
        say(f"the hook that was there may not run, as {now.hindered}: {now.before}; wtname hook uninstall puts it back")
    elif now.before:
        say(f"the hook that was there runs first: {now.before}")


def _facts(now: Status) -> dict[str, object]:
    return {
        "installed": bool(now.how),
        "how": now.how or None,
        "global": now.everywhere,
        "path": str(now.path) if now.path else None,
        "python": now.python or None,
        "works": now.works,
        "current": now.current,
        "before": str(now.before) if now.before else None,
        "before_runs": bool(now.before and not now.hindered),
    }


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="FILE [SOURCE [COMMIT]]")
def prepare_commit_msg(arguments: tuple[str, ...]) -> None:
    """What git's hook of that name calls, with the arguments that git gives it: suggests a name for the branch.
    Whatever goes wrong, the commit goes on."""
    from wtname import hinting

    hinting.run(arguments)
