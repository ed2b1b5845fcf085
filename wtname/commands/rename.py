"""`wtname rename`: a better name for the branch, once its task is known."""

from __future__ import annotations

import os
from pathlib import Path

import click

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
    read_prompt,
    say,
    unwound_by_signals,
)


@click.command(cls=PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("--name", metavar="NAME", help="Use NAME instead of one made from the PROMPT.")
@click.option("--ticket", metavar="ID", help="The ticket for {ticket} (default: the prompt's, the old branch's).")
@click.option("--force", "-f", is_flag=True, help="Also a branch that is pushed; the remote's keeps its name.")
@click.option("--move", is_flag=True, help="Move the folder, too.")
@click.option("--undo", is_flag=True, help="Go back to the name and the folder before the last renaming.")
@click.option("--dry-run", is_flag=True, help="Say what it would be called, and rename nothing.")
@folder_option
@json_option
@model_option
def rename(
    prompt: tuple[str, ...],
    name: str | None,
    ticket: str | None,
    force: bool,
    move: bool,
    undo: bool,
    dry_run: bool,
    cwd: Path | None,
    as_json: bool,
    model: str | None,
) -> None:
    """Rename the branch of the worktree you are in. Prints its new name.

    Without PROMPT the name comes from its commits, or else from what is changed; - reads it from stdin. Settings and
    reflog of the branch are kept; its folder keeps its name.
    """
    from wtname import git, journal, tasks

    if undo and (prompt or name or ticket or move):
        raise click.UsageError("--undo takes the old name and place; pass nothing but --force with it.")
    text = read_prompt(prompt) if prompt else ""
    with unwound_by_signals(), git.Repository(cwd) as repo:
        if not dry_run:
            journal.put_in_order(repo, say)
        done = tasks.rename(
            repo,
            text,
            lambda: make_namer(model),
            explain,
            os.environ,
            name=name,
            ticket=ticket,
            force=force,
            move=move,
            undo=undo,
            dry_run=dry_run,
        )
    wanted = done.renaming
    where = wanted.path if wanted.to is None or dry_run else wanted.to
    if as_json:
        facts = name_facts(done.named) if done.named else given_facts(name)
        told = {"branch": wanted.new, "old": wanted.old, "path": str(where), "moved": wanted.to is not None}
        print_json({**facts, "name": wanted.name, **told, "undo": undo, "dry_run": dry_run})
        return
    if wanted.new == wanted.old:
        say(wanted.kept)
    elif dry_run:
        say(f"nothing is renamed; {wanted.old} would be called:")
    elif wanted.to:
        say(f"the folder is {where} now; cd there")
    elif not done.worktree.main:
        say(f"the folder keeps its name: {where}" + ("" if undo else "; wtname rename --undo goes back"))
    click.echo(wanted.new)
