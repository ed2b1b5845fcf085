"""Train the byte-level BPE tokenizer on cleaned prompts and names, or take the word pieces they need from an encoder's.

python -m training.train_tokenizer --data DATA --out models/tokenizer
python -m training.train_tokenizer --data DATA --pieces MINILM --out models/tokenizer
python -m training.train_tokenizer --rows data/train.jsonl --vocab-size 4096 --out models/tokenizer
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

import click
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training.corpus import data_file, held_out, rows_with
from training.llama_folder import TOKENIZER, tokenizer_at
from training.stage import bar, report, stage_command
from training.vocabulary import MARKERS, complete, save_tokenizer
from training.word_pieces import trim
from wtname import naming

# The data folder's files of rows with a name, and of rows without with what is read of them.
CAREFUL = ("titles_gold", "bodies_gold", "written")
RAW = {"titles_raw": "prompt", "commits_raw": "body"}


def named(path: Path, held: Set[str] = frozenset()) -> Iterator[str]:
    """Cleaned prompts and the names of a file of {prompt, name}, so that a name's words weigh in; none held out."""
    for row in rows_with(path, "prompt", "name"):
        if (text := naming.clean(row["prompt"]).text) not in held:
            try:
                row["name"].encode()
            except UnicodeEncodeError as error:
                raise click.ClickException(f"{path}: the name {row['name']!r} is no text; mend that row") from error
            yield " " + text
            yield " " + row["name"].replace("-", " ")


def texts(data: Path, held: Set[str], limit: int) -> Iterator[str]:
    """Cleaned prompts and careful names of the data folder, none held out; of its raw files the first ones."""
    for stem in CAREFUL:
        yield from named(data_file(data, stem), held)
    for (stem, key), count in zip(RAW.items(), (limit, limit // 6)):
        for row in itertools.islice(rows_with(data_file(data, stem), key), count):
            if (text := naming.clean(row[key]).text) not in held:
                yield " " + text


def train(lines: Iterable[str], vocab_size: int) -> Tokenizer:
    """A BPE whose pre-tokenizer is GPT-2's, which llama.cpp knows under that name.

    Types too rare in the lines to become tokens of their own are added: then it is a few tokens larger.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(MARKERS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        min_frequency=2,
        show_progress=False,
    )
    tokenizer.train_from_iterator(lines, trainer)
    return complete(tokenizer)[0]


@stage_command()
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of the data files; the prompts of its val_*.jsonl are left out.",
)
@click.option(
    "--rows", multiple=True, type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file of {prompt, name}; repeatable.",
)  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("models/tokenizer"),
    help="A folder for tokenizer.json and tokenizer_config.json, or a path that ends in .json.",
)  # fmt: skip
@click.option("--pieces", type=click.Path(path_type=Path, exists=True),
              help="A pretrained encoder's folder: keep of its word pieces those that are used most.")  # fmt: skip
@click.option("--vocab-size", default=8192)
@click.option("--limit", default=430_000, help="Raw titles of --data to read; a sixth as many commit bodies.")
def main(
    data: Path | None, rows: tuple[Path, ...], out: Path, pieces: Path | None, vocab_size: int, limit: int
) -> None:  # fmt: skip
    """Train on --data, --rows or both. The same text gives the same ids here, in transformers and in llama.cpp."""
    if not data and not rows:
        raise click.UsageError("give --rows FILE or --data FOLDER to learn from")
    least = len(MARKERS) + 256
    if vocab_size < least:
        raise click.UsageError(f"--vocab-size {vocab_size} has no room for the {least} bytes and markers")
    if data and (missing := [f"{stem}.jsonl" for stem in (*CAREFUL, *RAW) if not data_file(data, stem).exists()]):
        raise click.ClickException(f"{data} has no {', '.join(missing)}, gzipped or not; give rows of yours by --rows")
    held = held_out(data) if data else set()
    lines: Iterable[str] = itertools.chain.from_iterable(named(path, held) for path in rows)
    if data:
        lines = itertools.chain(lines, texts(data, held, limit))
    lines, covered = iter(bar(lines, "texts")), None
    if (first := next(lines, None)) is None:
        read = ", ".join(map(str, filter(None, (*rows, data))))
        raise click.ClickException(f"no rows to learn from in {read}; give prompts and names")
    lines = itertools.chain([first], lines)
    if pieces:
        try:
            tokenizer, covered = trim(tokenizer_at(pieces / TOKENIZER), lines, vocab_size)
        except ValueError as error:
            raise click.ClickException(f"--pieces {pieces} cannot be used: {error}") from error
    else:
        tokenizer = train(lines, vocab_size)
    path = out if out.suffix == ".json" else out / "tokenizer.json"
    save_tokenizer(tokenizer, path)
    kept = {} if covered is None else {"kept": round(covered, 4)}
    report("train_tokenizer", vocab=tokenizer.get_vocab_size(), **kept, out=str(path))


if __name__ == "__main__":
    main()
