"""Rows of prompts and names as the torch stages read them, and their tokens, kept beside the file for the next run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
from tokenizers import Tokenizer

from training.corpus import Example, Packed, encode, mix_part, rows_in
from training.stage import whole
from wtname import naming, words
from wtname.models import sha256


def text_of(row: dict[str, Any], field: str | None = None) -> str:
    """The row's clean text. Raises ValueError where it has none.

    That is its `field`, or else "text" as it is, "prompt" cleaned, or a commit's "subject" and "body" as one prompt.
    """
    if not field and not {"text", "prompt"} & row.keys() and "subject" in row:
        field, row = "prompt", {"prompt": "\n\n".join(text_of(row, part) for part in ("subject", "body"))}
    field = field or ("text" if "text" in row else "prompt")
    text = row.get(field)
    if not isinstance(text, str):
        raise ValueError(f"no {field!r}")
    return naming.clean(text).text if field == "prompt" else text


def texts_in(path: Path, field: str | None = None) -> Iterator[tuple[dict[str, Any], str]]:
    """Each row and its clean text. Raises ClickException, with the row's number, where it has none."""
    for number, row in rows_in(path):
        try:
            yield row, text_of(row, field)
        except ValueError as error:
            raise click.ClickException(f"{path}, row {number}: {error}; mend or remove that row") from None


def examples(path: Path) -> list[Example]:
    """The rows of {"text", "name"} or {"prompt", "name"}; those with nothing left to read once clean are dropped."""
    out = []
    for number, (row, text) in enumerate(texts_in(path), 1):
        name = row.get("name")
        if not isinstance(name, str) or not name:
            raise click.ClickException(f"{path}, row {number}: no 'name'; mend or remove that row")
        if text:
            out.append(Example(text, name))
    return out


def mixed(parts: Iterable[str]) -> list[tuple[Path, float]]:
    """The files and weights of FILE:WEIGHT parts. Raises UsageError where one has no weight or is not there."""
    out = []
    for part in parts:
        try:
            path, weight = mix_part(part)
        except ValueError:
            raise click.UsageError(f"--mix {part} has no weight; give FILE:WEIGHT, as {part}:1") from None
        if not path.exists():
            raise click.UsageError(f"{path} is not there; give a file of rows")
        out.append((path, weight))
    return out


def packed(path: Path, tokenizer: Tokenizer) -> Packed:
    """The tokens of `examples`, kept beside the file. Raises ClickException where the file has no rows."""
    # Another tokenizer, another way to clean or to render is another cache.
    code = b"".join(Path(module.__file__ or "").read_bytes() for module in (naming, words))
    key = hashlib.sha256(tokenizer.to_str().encode() + code).hexdigest()[:12]
    cache = path.with_name(f"{path.name}.{key}.npz")
    # By content: a file that is put back or copied brings an old date along.
    source = sha256(path)
    if cache.exists() and str((kept := np.load(cache)).get("source")) == source:
        return Packed(kept["ids"], kept["start"], kept["prompt"])
    rows = examples(path)
    if not rows:
        raise click.ClickException(f"{path} has no rows; give a file of prompts and names")
    done = encode(tokenizer, rows)
    with suppress(OSError), whole(cache) as temp, open(temp, "wb") as file:
        np.savez(file, ids=done.ids, start=done.start, prompt=done.prompt, source=source)
    return done
