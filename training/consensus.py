"""Name prompts by what several models, or several samples of one, agree on most.

    python -m training.consensus --model models/copy-teacher --model models/teacher --out named.jsonl titles.jsonl

The name is the sample that is most like all of them by the measure that scores names (minimum Bayes risk, Kumar and
Byrne 2004), which training/LOG.md compares with the likeliest. A student that learns it needs no samples of its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np
import torch
from tokenizers import Tokenizer

from training.batches import by_length
from training.copy_model import CopyTeacher, load_teacher
from training.copy_names import rows_of, samples
from training.labels import FIELD, Named, Namer, label
from training.likeness import WORDS, agreed
from training.llama_folder import TOKENIZER, is_llama
from training.stage import report, stage_command
from wtname.models import sha256

# Draws so many names for each clean text.
Drawer = Callable[[Sequence[str], int], list[Counter[str]]]


def by_copying(model: CopyTeacher, tokenizer: Tokenizer, batch_tokens: int = 5000) -> Drawer:
    """What draws names by a copying teacher, in batches of so many tokens where it draws 24."""

    def draw(texts: Sequence[str], count: int) -> list[Counter[str]]:
        drawn: list[Counter[str]] = [Counter() for _ in texts]
        asked = rows_of(tokenizer, texts)
        # Memory goes with the samples.
        for batch in by_length(np.array([len(row.source) for row in asked]), max(1, batch_tokens * 24 // count)):
            for i, names in zip(batch, samples(model, tokenizer, [asked[i] for i in batch], count)):
                drawn[i] = names
        return drawn

    return draw


def drawer(folder: Path, batch_tokens: int, device: str) -> Drawer:
    """What draws names by the model of a folder: a Llama on the device, with an encoder or without, another causal
    language model there, or a copying teacher, on the CPU in any case."""
    if not (folder / "config.json").exists():
        return by_copying(*load_teacher(folder), batch_tokens)
    if is_llama(folder):
        return Namer(folder, device, batch_tokens * 24).draw
    from training.causal import by_causal  # transformers takes seconds to load

    return by_causal(folder, device, batch_tokens * 24)


def drawn_by(drawers: Sequence[Drawer], texts: Sequence[str], count: int, seed: int) -> list[Counter[str]]:
    """The names drawn for each clean text, `count` by each, and how often each came; the same for the same seed."""
    torch.manual_seed(seed)
    drawn: list[Counter[str]] = [Counter() for _ in texts]
    for draw in drawers:
        for names, more in zip(drawn, draw(texts, count)):
            names.update(more)
    return drawn


@stage_command()
@click.option(
    "--model", "models", type=click.Path(path_type=Path, exists=True), multiple=True, required=True,
    help="A copying teacher, or what finetune_teacher or distill made; repeatable.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--samples", "count", default=24, type=click.IntRange(min=2), help="Names to draw from each teacher.")
@click.option("--field", help=FIELD)
@click.option("--limit", default=0, help="Stop after so many rows; 0 takes all.")
@click.option("--batch-tokens", default=5000, help="For 24 samples; fewer where there are more.")
@click.option("--words", "words_path", type=click.Path(path_type=Path, exists=True), default=WORDS)
@click.option("--seed", default=1)
@click.option("--jobs", default=1, type=click.IntRange(min=1), help="Processes that compare what was drawn; for a GPU.")
@click.option("--cpu", is_flag=True, help="Stay on the CPU where a GPU is at hand.")
@click.argument("rows", type=click.Path(path_type=Path, exists=True))
def main(
    *, models: tuple[Path, ...], out: Path, count: int, field: str | None, limit: int, batch_tokens: int,
    words_path: Path, seed: int, jobs: int, cpu: bool, rows: Path,
) -> None:  # fmt: skip
    """Add "name" and "sure" (log of its mean likeness to all samples) to the rows of a file."""
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    drawers = [drawer(folder, batch_tokens, device) for folder in models]
    agree = partial(agreed, words_path)
    with ProcessPoolExecutor(jobs, get_context("spawn")) if jobs > 1 else nullcontext() as pool:

        def name_all(texts: Sequence[str]) -> list[Named]:
            drawn = drawn_by(drawers, texts, count, seed)
            found = pool.map(agree, texts, drawn, chunksize=64) if pool else map(agree, texts, drawn)
            return [Named(name, round(math.log(max(like, 1e-9)), 4)) for name, like in found]

        files = [path for folder in models for path in [*sorted(folder.glob("*.safetensors")), folder / TOKENIZER]]
        key = "-".join([*map(sha256, [*files, words_path]), str(count), str(batch_tokens), str(seed)])
        report("consensus", **label(rows, out, field, limit, name_all, key))


if __name__ == "__main__":
    main()
