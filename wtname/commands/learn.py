"""`wtname learn`: how this repository's branches are called, and the settings that follow it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wtname.commands.shared import folder_option, json_option, print_json, say

if TYPE_CHECKING:
    from wtname.convention import Convention


@click.command()
@click.option("--write", is_flag=True, help="Set what is found in this repository's git config.")
@click.option("--force", is_flag=True, help="With --write: also where this repository sets something else.")
@folder_option
@json_option
def learn(write: bool, force: bool, cwd: Path | None, as_json: bool) -> None:
    """Find out how branches are called here, with the evidence.

    It prints the settings for it. It reads the branches, local and remote, those that merge commits name, and
    CONTRIBUTING, AGENTS.md and CLAUDE.md. A convention is what 60 % of the names and five at least have in common, or
    else what a document says.
    """
    from wtname import convention, documents, git, settings
    from wtname.git import config
    from wtname.git.history import History

    with git.Repository(cwd) as repo, closing(History(repo)) as past:
        chosen = settings.load(repo.config, os.environ)
        branches, top = repo.branches(), past.top()
        said = documents.statements(documents.read(top) if top else [])
        found = convention.learn(branches, past.commits(), said, chosen, repo.config.get("user.email", ""))
        wanted = convention.changes(found.config, repo.config)
        local = config.local(repo) if write else {}
        kept = {key: local[key][-1] for key in wanted if key in local and not force}
        written = {key: value for key, value in wanted.items() if key not in kept} if write else {}
        config.write(repo, written, local)
        changed = [{"key": key, "old": repo.config.get(key), "new": value} for key, value in written.items()]
    if as_json:
        facts = found._asdict()
        for key in ("shares", "documents"):
            facts[key] = [one._asdict() for one in facts[key]]
        print_json({**facts, "unset": wanted, "written": changed, "kept": kept})
        return
    for line in _report(found):
        click.echo(_harmless(line))
    click.echo()
    for one in changed:
        click.echo(_harmless(f"{one['key']}: {one['old'] or '(not set)'} -> {one['new']}"))
    for key, value in kept.items():
        say(f"{key} is {_harmless(value)!r} in this repository and stays; --force sets {wanted[key]!r}")
    if not write:
        _print_commands(wanted)
    if not wanted and found.template:
        click.echo("set so already")


def _report(found: Convention) -> list[str]:
    from wtname.evidence import LEAST, MAJORITY

    def percent(share: object) -> str:
        return f"{float(str(share)):.0%}"

    if found.source == "branches":
        lines = [f"template   {found.template}, {percent(found.share)} of {found.names} names of branches"]
    elif found.source:
        lines = [f"template   {found.template}, as {found.documents[0].file} says"]
    else:
        lines = [f"no convention: nothing is common to {MAJORITY:.0%} of {found.names} names, and {LEAST} at least"]
    lines += [
        f"{'names' if not i else '':11}{percent(one.share):>4} {one.template}: {', '.join(one.examples)}"
        for i, one in enumerate(found.shares[:6])
    ]
    prefixes = [f"{one['prefix']} {percent(one['share'])}" for one in found.prefixes[:8]]
    styles, users = found.tickets["styles"], found.users["most"]
    assert isinstance(styles, list) and isinstance(users, list)
    lines += [f"prefixes   {', '.join(prefixes)}"] if prefixes else []
    lines += [f"tickets    {', '.join(styles)}: {percent(found.tickets['share'])}"] if styles else []
    lines += [f"users      {', '.join(users)}: {percent(found.users['share'])}"] if users else []
    if found.length:
        words = f"{found.case} case" + (f", joined by {found.separator}" if found.separator else "")
        lines.append(f"words      {words}; {found.length['median']} characters, {found.length['longest']} at most")
    lines += [f"document   {said.file}:{said.line}: {said.quote}" for said in found.documents[:6]]
    if found.ignored:
        lines.append(f"ignored    {found.ignored}: branches that live long, robots', random ones")
    return lines


def _print_commands(wanted: dict[str, str]) -> None:
    import shlex

    for key, value in wanted.items():
        click.echo(f"git config {key} {shlex.quote(value)}")


def _harmless(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
