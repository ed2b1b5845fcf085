"""`wtname hook claude`: the hooks in Claude Code's settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wtname.commands.shared import F, folder_option, json_option, print_json, say
from wtname.errors import WtnameError

if TYPE_CHECKING:
    from wtname.claude_settings import Found, Scope


def _scope_options(command: F) -> F:
    for flag, text in (
        ("local", "Yours, in this repository alone: .claude/settings.local.json."),
        ("project", "The team's, in this repository: .claude/settings.json."),
        ("user", "Yours, everywhere: ~/.claude/settings.json (default)."),
    ):
        command = click.option(f"--{flag}", "scope", flag_value=flag, help=text)(command)
    return command


@click.command()
@_scope_options
@click.option("--force", "-f", is_flag=True, help="Also where another tool makes Claude Code's worktrees already.")
@folder_option
def install(scope: Scope | None, force: bool, cwd: Path | None) -> None:
    """Have Claude Code make, name and remove its worktrees with wtname. The rest of its settings stays as it is."""
    from wtname import claude_settings

    scope, project = scope or "user", _project(cwd)
    found = list(claude_settings.survey(project, os.environ))
    if not force and (other := claude_settings.conflict(found)):
        raise WtnameError(f"another tool makes Claude Code's worktrees: {other}; take it out, or pass --force")
    place = claude_settings.file(scope, project, os.environ)
    if _change(scope, place, install=True):
        say(f"Claude Code calls wtname from its next session on; `wtname hook claude uninstall --{scope}` ends it")
    else:
        say("it is installed already")
    found = list(claude_settings.survey(project, os.environ))
    for line in _problems(found):
        say(line)
    click.echo(place)


@click.command()
@_scope_options
@folder_option
def uninstall(scope: Scope | None, cwd: Path | None) -> None:
    """Take wtname's hooks, and no others, out of Claude Code's settings."""
    from wtname import claude_settings

    scope = scope or "user"
    place = claude_settings.file(scope, _project(cwd), os.environ)
    if not _change(scope, place, install=False):
        say("it is not installed there; `wtname hook claude status` says where it is")
    click.echo(place)


@click.command()
@folder_option
@json_option
def status(cwd: Path | None, as_json: bool) -> None:
    """Say which of Claude Code's settings and plugins call wtname, and what is wrong with that; exit code 1 then."""
    from wtname import claude_settings
    from wtname.display import visible

    project = _project(cwd)
    rows, unreadable = [], []
    for scope in claude_settings.SCOPES:
        place = claude_settings.file(scope, project, os.environ)
        try:
            claude_settings.look(scope, claude_settings.read(place))
        except WtnameError as error:
            unreadable.append(f"{place} {error}")
    found = list(claude_settings.survey(project, os.environ))
    problems = [*unreadable, *_problems(found)]
    for one in found:
        known = one.where in claude_settings.SCOPES
        file = str(claude_settings.file(one.where, project, os.environ)) if known else None  # type: ignore[arg-type]
        rows.append({"where": one.where, "file": file, "events": one.ours, "others": one.others})
    if as_json:
        print_json({"installed": any(one.ours for one in found), "places": rows, "problems": problems})
    else:
        for one in found:
            click.echo(f"{visible(one.where)}: {', '.join(one.ours) or 'not installed'}")
        for line in problems:
            say(line)
    if problems:
        raise SystemExit(1)


def _project(cwd: Path | None) -> Path:
    """The top of the worktree, or where we are."""
    from wtname import git

    with git.Repository(cwd) as repo:
        try:
            top = repo.worktree()
        except WtnameError:
            top = None
    return top or Path.cwd() / (cwd or "")


def _change(scope: Scope, place: Path, install: bool) -> bool:
    from wtname import claude_settings

    try:
        before = claude_settings.read(place)
        if install:
            after = claude_settings.install(before, claude_settings.command(scope))
        else:
            after = claude_settings.uninstall(before)
        if after != before:
            claude_settings.write(place, before, after)
    except WtnameError as error:
        raise WtnameError(f"{place} {error}") from error
    return after != before


def _problems(found: list[Found]) -> list[str]:
    from wtname import claude_settings

    told = []
    ours = [one for one in found if one.ours]
    if len(ours) > 1:
        places = " and ".join(one.where for one in ours)
        told.append(f"installed in {places}: each prompt and worktree calls wtname {len(ours)} times; keep one of them")
    if ours and (other := claude_settings.conflict(found)):
        told.append(f"another tool makes worktrees as well: {other}; keep one of the two")
    for one in ours:
        if one.missing:
            told.append(f"{one.where} calls {one.missing[0]}, which is not there; run wtname hook claude install again")
        if missing := [event for event in claude_settings.EVENTS if event not in one.ours]:
            told.append(f"{one.where}: {', '.join(missing)} is not there; run wtname hook claude install again")
    if ours and any(one.disabled for one in found):
        told.append("disableAllHooks is set, so Claude Code calls nobody; take it out of its settings")
    return told
