"""`wtname suggest`: names for a task."""

from __future__ import annotations

import sys

import click

from wtname.commands.shared import (
    PromptCommand,
    explain,
    json_option,
    make_namer,
    model_option,
    name_facts,
    print_json,
    read_prompt,
)


@click.command(cls=PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("-n", "count", type=click.IntRange(1, 20), help="Print the N best names, one a line.")
@click.option("--jsonl", is_flag=True, help='Read {"id", "prompt"} lines from stdin, write one JSON line for each.')
@json_option
@model_option
def suggest(prompt: tuple[str, ...], count: int | None, jsonl: bool, as_json: bool, model: str | None) -> None:
    """Print a name for a task: fix-zero-width-column-crash. Without PROMPT, or with -, the task is read from stdin."""
    if jsonl and (prompt or count or as_json):
        raise click.UsageError("--jsonl reads prompts from stdin and takes no PROMPT, -n or --json.")
    from wtname.namer import random_branch

    namer = make_namer(model)
    if jsonl:
        from wtname import lines

        for answer in lines.answers(sys.stdin.buffer, namer, name_facts, explain):
            print_json(answer)
        return
    named = namer.names(read_prompt(prompt), count or 1)
    explain(named[0])
    if as_json:
        print_json([name_facts(one) for one in named] if count else name_facts(named[0]))
        return
    for one in named:
        click.echo(one.name or random_branch())
