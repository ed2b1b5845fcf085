"""Train the byte-level BPE tokenizer on cleaned prompts and names.

python -m training.train_tokenizer --data ../shared/data --out models/tokenizer.json
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import click
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.corpus import read_jsonl
from wtname import naming

SPECIAL = [naming.USER, naming.ASSISTANT, naming.END]


def texts(data: Path, limit: int) -> Iterator[str]:
    """Cleaned prompts of the files to learn from; careful names too, so that their words weigh in."""
    for stem in ("titles_gold.jsonl.gz", "bodies_gold.jsonl.gz", "written.jsonl"):
        for row in read_jsonl(data / stem):
            yield " " + naming.clean(row["prompt"]).text
            yield " " + row["name"].replace("-", " ")
    for row in itertools.islice(read_jsonl(data / "titles_raw.jsonl.gz"), limit):
        yield " " + naming.clean(row["prompt"]).text
    for row in itertools.islice(read_jsonl(data / "commits_raw.jsonl.gz"), limit // 6):
        yield " " + naming.clean(row["body"]).text


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of the data files.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("models/tokenizer.json"))
@click.option("--vocab-size", default=8192)
@click.option("--limit", default=430_000, help="Raw titles to read; a sixth as many commit bodies.")
def main(data: Path, out: Path, vocab_size: int, limit: int) -> None:
    """Train a BPE whose pre-tokenizer is GPT-2's, which llama.cpp knows under that name."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
    )
    tokenizer.train_from_iterator(texts(data, limit), trainer)
    out.parent.mkdir(parents=True, exist_ok=True)
    temp = out.with_name(out.name + ".tmp")
    tokenizer.save(str(temp))
    os.replace(temp, out)
    print(json.dumps({"stage": "train_tokenizer", "vocab": tokenizer.get_vocab_size(), "out": str(out)}))


if __name__ == "__main__":
    main()
