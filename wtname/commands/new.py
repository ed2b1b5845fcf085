"""`wtname new`: a branch and a worktree for a task."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing
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
    put_in_order,
    read_prompt,
    say,
    unwound_by_signals,
)


@click.command(cls=PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("--base", metavar="REF", help="Start from REF (default: wtname.base, the remote's default branch, HEAD).")
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
    """Make a branch and a worktree for a task, and print the worktree's path."""
    from wtname import git, settings, template, tickets, worktree
    from wtname.commands.furnish import furnish
    from wtname.git.base import Gap, choose

    text = "" if name and not prompt else read_prompt(prompt)
    if path:
        path = Path(os.path.normpath(Path.cwd() / (cwd or "") / path))
    asked = base or os.environ.get("WTNAME_BASE") or "HEAD"
    with unwound_by_signals(), git.Repository(cwd, asked) as repo, ExitStack() as stack:
        namer = None if name else make_namer(model)
        chosen = settings.load(repo.config, os.environ, base)
        flags = {"fetch": fetch, "recursesubmodules": recurse_submodules, "copy": copy, "run": run}
        steps = settings.steps(repo.config, os.environ, **flags)
        fetching = None
        if steps.fetch and not dry_run:
            from wtname.git.fetch import Fetch

            fetching = stack.enter_context(closing(Fetch(repo, choose(repo, chosen.base), steps.fetch_seconds)))
        facts: dict[str, object] = {"name": name, "source": "user"}
        if namer:
            named = namer.name(text)
            explain(named)
            facts, name = name_facts(named), named.name
        # After the naming, so that git goes on listing the references while the model is at work.
        if ticket and not template.asks_for("ticket", chosen.template):
            say(f"wtname.template has no {{ticket}}, so {ticket} will not be in the branch: {chosen.template}")
        ticket = tickets.choose(chosen, ticket, text, [name or "", repo.refs.current.removeprefix("refs/heads/")])
        facts["ticket"] = ticket or None
        if fetching and (warning := fetching.warning()):
            say(warning)
        start = choose(repo, chosen.base)
        gap = stack.enter_context(closing(Gap(repo, start)))
        chosen = chosen._replace(base=start.ref)
        if dry_run:
            made = worktree.plan(repo, chosen, name, ticket=ticket, path=path)
        else:
            put_in_order(repo)
            made = worktree.create(repo, chosen, name, ticket=ticket, path=path, description=text)
        click.echo(made.said, err=True, nl=False)
        if warning := gap.warning():
            say(warning)
        where = {"branch": made.branch, "path": str(made.path), "base": start.name, "commit": made.commit}
        facts.update({"name": made.name, **where, "behind": gap.commits()})
        furnished = {} if dry_run else furnish(repo, made.branch, made.path, steps)
    if as_json:
        print_json({**facts, "dry_run": dry_run, **furnished})
        return
    if dry_run:
        say(f"nothing is made; it would be branch {made.branch}, from {start.name}, in this folder:")
    print_path(made.path)
