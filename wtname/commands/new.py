"""`wtname new`: a branch and a worktree for a task."""

from __future__ import annotations

import os
from pathlib import Path

import click

from wtname import completion
from wtname.commands.shared import (
    PromptCommand,
    explain,
    folder_option,
    given_facts,
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
@click.option(
    "--base",
    metavar="REF",
    shell_complete=completion.starts,
    help="Start from REF (default: wtname.base, the remote's default branch, HEAD).",
)
@click.option("--fetch/--no-fetch", default=None, help="Fetch that branch first, for 5 seconds at most.")
@click.option("--name", metavar="NAME", help="Use NAME instead of one made from the PROMPT.")
@click.option("--ticket", metavar="ID", help="The ticket for {ticket} (default: the prompt's, the current branch's).")
@click.option(
    "--path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Put the worktree into DIR, which must not be there yet.",
)
@click.option("--recurse-submodules/--no-recurse-submodules", default=None, help="Fill the submodules.")
@click.option("--copy/--no-copy", default=None, help="Copy the ignored files that .worktreeinclude names (default).")
@click.option("--run/--no-run", default=None, help="Run the commands for new worktrees (default).")
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@folder_option
@json_option
@model_option
def new(
    prompt: tuple[str, ...],
    base: str | None,
    fetch: bool | None,
    name: str | None,
    ticket: str | None,
    path: Path | None,
    recurse_submodules: bool | None,
    copy: bool | None,
    run: bool | None,
    dry_run: bool,
    cwd: Path | None,
    as_json: bool,
    model: str | None,
) -> None:
    """Make a branch and a worktree for a task. Prints the worktree's path."""
    from wtname import git, tasks
    from wtname.commands.furnish import furnish, tell

    text = "" if name and not prompt else read_prompt(prompt)
    if path:
        path = Path(os.path.normpath(Path.cwd() / (cwd or "") / path))
    asked = base or os.environ.get("WTNAME_BASE") or "HEAD"
    with unwound_by_signals(), git.Repository(cwd, asked) as repo:
        begun = tasks.begin(
            repo,
            text,
            lambda: make_namer(model),
            explain,
            os.environ,
            say,
            name=name,
            base=base,
            ticket=ticket,
            path=path,
            flags={"fetch": fetch, "recursesubmodules": recurse_submodules, "copy": copy, "run": run},
            dry_run=dry_run,
        )
        made, start = begun.worktree, begun.start
        tell(begun)
        furnished = {} if dry_run else furnish(repo, made.branch, made.path, begun.steps)
    if as_json:
        facts: dict[str, object] = name_facts(begun.named) if begun.named else given_facts(name)
        where = {"branch": made.branch, "path": str(made.path), "base": start.name, "commit": made.commit}
        facts |= {"ticket": begun.ticket or None, "name": made.name, **where, "behind": begun.behind}
        print_json({**facts, "dry_run": dry_run, **furnished})
        return
    if dry_run:
        say(f"nothing is made; it would be branch {made.branch}, from {start.name}, in this folder:")
    print_path(made.path)
