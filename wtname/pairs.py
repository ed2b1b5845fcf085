"""A model of two files: its namer says which encoder reads the prompts, and each of the two knows the other."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from wtname.errors import ModelError

GGUF = "branch-name-generator.gguf"
ENCODER = "branch-name-encoder.gguf"
# Metadata of a namer: the file name of its encoder, which lies in the same folder.
ENCODER_KEY = "wtname.encoder"
# Metadata of both, the same in both: what they were made from.
PAIR_KEY = "wtname.pair"
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.gguf")
_AGAIN = "install the whole model again: wtname model install"

# A GGUF's metadata as text, None where it does not have the key.
Metadata = Callable[[str], str | None]


def encoder(namer: Path, its: Metadata) -> Path | None:
    """The encoder of a namer, None where it has none; ModelError where it is not there, or may not be what is asked."""
    name = its(ENCODER_KEY)
    if name is None:
        return None
    # A file comes from anywhere: it may name nothing but what lies beside it, and nothing that an install puts there.
    if not _PLAIN.fullmatch(name) or ".." in name or name.casefold() in (namer.name.casefold(), GGUF):
        raise ModelError(f"{namer} asks for {name[:80]!r}, which can be no encoder of its own; {_AGAIN}")
    file = namer.with_name(name)
    if not file.is_file():
        raise ModelError(f"{file} is missing, which {namer.name} needs; put it there, or {_AGAIN}")
    return file


def check(namer: Path, its: Metadata, encoder: Path, told: Metadata) -> None:
    """Raise ModelError unless an encoder and a namer were made for each other."""
    from wtname.search import MOST_TOKENS

    if not its(PAIR_KEY) or told(PAIR_KEY) != its(PAIR_KEY):
        raise ModelError(f"{encoder} belongs to another model than {namer.name}; {_AGAIN}")
    if (kind := told("general.architecture")) != "bert":
        raise ModelError(f"{encoder} is no encoder, but a model of the kind {kind!r}; {_AGAIN}")
    width, wanted = told("bert.embedding_length"), its(f"{its('general.architecture')}.embedding_length")
    if width != wanted:
        raise ModelError(f"{encoder} is {width} wide and {namer.name} {wanted}; {_AGAIN}")
    context = told("bert.context_length") or ""
    if not context.isdecimal() or int(context) < MOST_TOKENS:
        raise ModelError(f"{encoder} reads {context or 'no'} tokens, and a prompt has up to {MOST_TOKENS}; {_AGAIN}")
