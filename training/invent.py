"""Let a language model write prompts for given names: more of the kind of prompt that is hard to come by.

    python -m training.finetune_teacher --inverse --train training/written.jsonl --out models/inventor
    python -m training.invent --model models/inventor --names data/train/judged_titles.jsonl --out invented.jsonl
    python -m training.consensus --model models/teacher-merged --out named.jsonl invented.jsonl
    python -m training.teach --titles named.jsonl --out taught.jsonl

The names give sense to the prompts (back-translation, Sennrich et al. 2016); the teacher then names what came of them,
and `teach` leaves out what it names otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import torch

from training.causal import continued, load_causal
from training.corpus import Example, write_jsonl
from training.finetune_teacher import inverted
from training.rows import examples
from training.stage import report, stage_command
from wtname import naming

FEWEST = 3  # words that a prompt has


def kept(asked: list[Example], written: Iterator[tuple[int, list[str | None]]]) -> Iterator[dict[str, str]]:
    """Rows of {text, asked}: clean texts that came to an end, each once, and none of those that the names came with."""
    known = {row.text for row in asked}
    for i, texts in written:
        text = naming.clean(texts[0] or "").text
        if len(text.split()) >= FEWEST and "�" not in text and text not in known:
            known.add(text)
            yield {"text": text, "asked": asked[i].name}


@stage_command()
@click.option("--model", "folder", type=click.Path(path_type=Path, exists=True), required=True,
              help="What finetune_teacher --inverse made.")  # fmt: skip
@click.option("--names", type=click.Path(path_type=Path, exists=True, dir_okay=False), multiple=True, required=True,
              help="Rows with names; repeatable.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--limit", default=0, help="Take so many names at most; 0: all.")
@click.option("--temperature", "heat", default=0.9, type=click.FloatRange(min=0, min_open=True))
@click.option("--most", default=96, type=click.IntRange(min=1), help="Tokens of a prompt; a longer one is given up.")
@click.option("--batch-tokens", default=4096, type=click.IntRange(min=1))
@click.option("--seed", default=1)
@click.option("--cpu", is_flag=True, help="Stay on the CPU where a GPU is at hand.")
def main(
    *, folder: Path, names: tuple[Path, ...], out: Path, limit: int, heat: float, most: int, batch_tokens: int,
    seed: int, cpu: bool,
) -> None:  # fmt: skip
    """Write rows of {text, asked}."""
    rows = [row for path in names for row in examples(path) if row.name != naming.NONE]
    asked = rows[: limit or None]
    if not asked:
        raise click.ClickException(f"{names[0]} names no task; give rows with names")
    torch.manual_seed(seed)
    model, tokenizer = load_causal(folder, "cuda" if torch.cuda.is_available() and not cpu else "cpu")
    words = [row.text for row in inverted(asked)]
    written = continued(model, tokenizer, words, most=most, heat=heat, batch_tokens=batch_tokens)
    report("invent", names=len(asked), rows=write_jsonl(out, kept(asked, written)), out=str(out))


if __name__ == "__main__":
    main()
