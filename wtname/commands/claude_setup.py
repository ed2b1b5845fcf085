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
    for line in _advice(scope, place, project):
        say(line)
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
    changed = _change(scope, place, install=False)
    if left := _shared(place):
        say(f"{left} calls wtname and does more, so that it stays; take wtname out of it yourself")
    elif not changed:
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
        facts = {"events": one.ours, "shared": one.shared, "others": one.others}
        rows.append({"where": one.where, "file": file, **facts})
    if as_json:
        print_json({"installed": any(one.events for one in found), "places": rows, "problems": problems})
    else:
        for one in found:
            told = [*one.ours, *(f"{event} as part of: {' '.join(line.split())}" for event, line in _lines(one))]
            click.echo(visible(f"{one.where}: {', '.join(told) or 'not installed'}"))
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


def _lines(one: Found) -> list[tuple[str, str]]:
    """Somebody's lines that call wtname and do more, each with its event."""
    return [(event, line) for event, lines in one.shared.items() for line in lines]


def _shared(place: Path) -> str:
    """The same, of settings, for people."""
    from wtname import claude_settings

    found = claude_settings.look("", claude_settings.read(place))
    return " and ".join(f"{event}: {line}" for event, line in _lines(found))


def _advice(scope: Scope, place: Path, project: Path) -> list[str]:
    """What somebody has to know who has just installed it there."""
    told = []
    if shared := _shared(place):
        told.append(f"{shared} calls wtname already and does more, so that it stays as it is and no other is added")
    if scope == "project":
        told.append(
            "who has no wtname on the PATH cannot make any worktree with Claude Code in this repository (exit code 127 "
            "has no fallback); tell the team to install wtname first, or use --user or --local instead"
        )
    if scope == "local" and (line := _unignored(place, project)):
        told.append(line)
    return told


def _unignored(place: Path, project: Path) -> str:
    """What to do about settings that hold this machine's paths and may be committed; nothing where git ignores them."""
    from wtname import git
    from wtname.git.ignored import is_ignored

    with git.Repository(project) as repo:
        try:
            if is_ignored(repo, place):
                return ""
        except WtnameError:  # outside a repository, or behind a link
            return ""
        line, file = place.relative_to(project).as_posix(), repo.common_dir / "info" / "exclude"
    return f"git does not ignore {line}, which holds a path of this machine; add the line {line} to {file}"


def _problems(found: list[Found]) -> list[str]:
    from wtname import claude_settings

    told = []
    ours = [one for one in found if one.events]
    if len(ours) > 1:
        places = " and ".join(one.where for one in ours)
        told.append(f"installed in {places}: each prompt and worktree calls wtname {len(ours)} times; keep one of them")
    if ours and (other := claude_settings.conflict(found)):
        told.append(f"another tool makes worktrees as well: {other}; keep one of the two")
    for one in ours:
        if one.missing:
            told.append(f"{one.where} calls {one.missing[0]}, which is not there; run wtname hook claude install again")
        if twice := [event for event in claude_settings.EVENTS if event in one.ours and event in one.shared]:
            told.append(f"{one.where}: {', '.join(twice)} calls wtname twice, once in a line that does more; keep one")
        if missing := [event for event in claude_settings.EVENTS if event not in one.events]:
            told.append(f"{one.where}: {', '.join(missing)} is not there; run wtname hook claude install again")
    if ours and any(one.disabled for one in found):
        told.append("disableAllHooks is set, so Claude Code calls nobody; take it out of its settings")
    return told
