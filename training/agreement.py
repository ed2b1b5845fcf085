"""How many names two ways of running one model have in common."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from training.backends import search_at
from training.corpus import rows_with
from training.stage import bar
from wtname import naming
from wtname.search import Search


def spread(path: Path, count: int) -> list[str]:
    """`count` prompts of a file of {prompt}, evenly spread over it; fewer where it has fewer.

    Raises click.ClickException where it has none, or a row that is none.
    """
    prompts = [row["prompt"] for row in rows_with(path, "prompt")]
    prompts = [prompt for prompt in prompts if naming.content(naming.clean(prompt))]
    if not prompts:
        raise click.ClickException(f"{path} has no prompt that names a task; give --prompts another file")
    count = min(count, len(prompts))
    return [prompts[i * len(prompts) // count] for i in range(count)]


def names(search: Search, prompts: list[str], what: str) -> list[str | None]:
    """The greedy name of each prompt; None where it names no task.

    Not the consensus that long ones are named by: where two names are as good, it may turn on the last digit.
    """
    guesses = [search.likeliest(naming.clean(prompt)) for prompt in bar(prompts, what, len(prompts))]
    return [found[0].name if found else "" for found in guesses]


def share(ours: list[str | None], theirs: list[str | None]) -> float:
    """The share of names that are equal."""
    return round(sum(a == b for a, b in zip(ours, theirs)) / len(ours), 4)


def measure(
    folder: Path, tokenizer: Path, files: dict[str, Path], prompts: list[str], *, threads: int
) -> dict[str, float]:
    """The share of names that each file has in common with torch on the folder."""
    with search_at(folder, tokenizer, threads=threads) as search:
        want = names(search, prompts, "torch")
    out = {}
    for kind, path in files.items():
        with search_at(path, tokenizer, threads=threads) as search:
            out[kind] = share(want, names(search, prompts, kind))
        same = round(out[kind] * len(prompts))
        print(f"{kind}: {same} of {len(prompts)} names are torch's ({out[kind]:.1%})", file=sys.stderr)
    return out
