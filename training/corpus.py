"""Read the data folder and turn prompts and names into the model's tokens; val_* files are only ever excluded."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from tokenizers import Tokenizer

from training.stage import whole
from wtname import naming


class Example(NamedTuple):
    """A cleaned prompt's text and the name wanted for it."""

    text: str
    name: str


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON Lines file, gzipped or not. Raises ValueError or OSError where it is none."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                if line.strip():
                    yield json.loads(line)
    except (EOFError, zlib.error) as error:  # click takes an EOFError for a person who has gone
        raise ValueError(f"the file is cut off or damaged ({error})") from error


def rows_in(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The file's rows, numbered from 1. Raises ClickException where one is no JSON object."""
    number = 0
    try:
        for number, row in enumerate(read_jsonl(path), 1):
            if not isinstance(row, dict):
                raise ValueError("not an object")
            yield number, row
    except (ValueError, gzip.BadGzipFile) as error:
        raise click.ClickException(f"{path}, after row {number}: {error}; mend or remove that row") from None


def rows_with(path: Path, *fields: str) -> Iterator[dict[str, Any]]:
    """The file's rows. Raises ClickException where one is no JSON object or lacks a field, which is to be a string."""
    for number, row in rows_in(path):
        for field in fields:
            if not isinstance(row.get(field), str):
                raise click.ClickException(f"{path}, row {number}: no {field!r}; mend or remove that row")
        yield row


def data_file(folder: Path, stem: str) -> Path:
    """The file of that stem, gzipped or plain; the plain one where neither is there."""
    zipped = folder / f"{stem}.jsonl.gz"
    return zipped if zipped.exists() else folder / f"{stem}.jsonl"


def write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> int:
    """Write the rows atomically and return how many there were; a file that exists is whole."""
    count = 0
    with whole(path) as temp, open(temp, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def mix_part(text: str) -> tuple[Path, float]:
    """A file and its weight from FILE:WEIGHT. Raises ValueError where the weight is no number."""
    path, _, weight = text.rpartition(":")
    return Path(path), float(weight)


def held_out(place: Path) -> set[str]:
    """The cleaned texts of prompts that no training file may hold: those of a folder's val_*.jsonl, or of one file.
    Raises ClickException where a row has no prompt."""
    files = sorted(place.glob("val_*.jsonl")) if place.is_dir() else [place]
    return {naming.clean(row["prompt"]).text for path in files for row in rows_with(path, "prompt")}


class Packed(NamedTuple):
    """Token sequences end to end: `ids` int32, `start` int64 (n + 1), `prompt` int32 (n) tokens before the name."""

    ids: np.ndarray
    start: np.ndarray
    prompt: np.ndarray


def encode(tokenizer: Tokenizer, examples: list[Example]) -> Packed:
    """The examples as tokens, prompt and name rendered as the engine renders them."""
    ids: list[np.ndarray] = []
    prompt_length = []
    for at in range(0, len(examples), 10_000):
        part = examples[at : at + 10_000]
        prompts = tokenizer.encode_batch([naming.render(e.text) for e in part], add_special_tokens=False)
        names = tokenizer.encode_batch([naming.render_name(e.name) for e in part], add_special_tokens=False)
        for p, n in zip(prompts, names):
            ids.append(np.array(p.ids + n.ids, dtype=np.int32))
            prompt_length.append(len(p.ids))
    start = np.concatenate([[0], np.cumsum([len(i) for i in ids])]).astype(np.int64)
    return Packed(np.concatenate(ids), start, np.array(prompt_length, dtype=np.int32))
