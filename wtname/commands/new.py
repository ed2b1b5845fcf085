"""`wtname new`: a branch and a worktree for a task."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wtname.commands.shared import (
    PromptCommand,
    explain,
    folder_option,
    json_option,
    make_namer,
    model_option,
    name_facts,
    print_json,
    print_path,
    read_prompt,
    say,
    unwound_by_signals,
)


@click.command(cls=PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("--base", metavar="REF", help="Start from REF (default: wtname.base, or else HEAD).")
@click.option("--name", metavar="NAME", help="Use NAME instead of one made from the PROMPT.")
@click.option(
    "--path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Put the worktree into DIR, which must not be there yet.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@folder_option
@json_option
@model_option
def new(
    prompt: tuple[str, ...],
    base: str | None,
    name: str | None,
    path: Path | None,
    dry_run: bool,
    cwd: Path | None,
    as_json: bool,
    model: str | None,
) -> None:
    """Make a branch and a worktree for a task, and print the worktree's path."""
    from wtname import git, settings, worktree

    text = "" if name and not prompt else read_prompt(prompt)
    if path:
        path = Path(os.path.normpath(Path.cwd() / (cwd or "") / path))
    start = base or os.environ.get("WTNAME_BASE") or "HEAD"
    with unwound_by_signals(), git.Repository(cwd, start) as repo:
        facts: dict[str, object] = {"name": name, "source": "user"}
        ticket = ""
        if not name:
            named = make_namer(model).name(text)
            explain(named)
            facts, name, ticket = name_facts(named), named.name, named.ticket or ""
        chosen = settings.load(repo.config, os.environ, base)
        make = worktree.plan if dry_run else worktree.create
        made = make(repo, chosen, name, ticket=ticket, path=path)
    click.echo(made.said, err=True, nl=False)
    if as_json:
        where = {"branch": made.branch, "path": str(made.path), "base": chosen.base, "commit": made.commit}
        print_json({**facts, "name": made.name, **where, "dry_run": dry_run})
        return
    if dry_run:
        say(f"nothing is made; it would be branch {made.branch}, from {chosen.base}, in this folder:")
    print_path(made.path)
