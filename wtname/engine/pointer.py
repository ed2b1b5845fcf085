"""A namer that may copy: how well the word to come suits each token of the prompt adds to that token's score.

CopyNet (Gu et al. 2016, eq. 4-9) with what any llama.cpp can compute: the last rows of the vocabulary are no tokens,
their scores are a query (of the state that comes next) and a key (of the state at a prompt's token).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from pathlib import Path
from typing import Any

from wtname.errors import ModelError

# Metadata of a namer: how many numbers a query has, and a key.
POINTER_KEY = "wtname.pointer"
MOST = 512


class Pointer:
    """Keys of the prompt that was read last. Raises ModelError where the vocabulary has no room for them."""

    def __init__(self, size: str, vocab: int, file: Path | str) -> None:
        numbers = int(size) if size.isdecimal() and len(size) <= len(str(MOST)) else 0
        # What is before the first row is somebody else's memory.
        if not 0 < numbers <= MOST or 2 * numbers >= vocab:
            raise ModelError(f"{file} has no pointer of {size[:20]} numbers; install it again: wtname model install")
        self.tokens = vocab - 2 * numbers
        self._queries = slice(self.tokens, self.tokens + numbers)
        self._keys = slice(self.tokens + numbers, vocab)
        self._prompt: dict[int, list[Sequence[float]]] = {}

    def read(self, prompt: Sequence[tuple[int, Any]]) -> None:
        """Remember the keys of a prompt's (token, scores)."""
        self._prompt = {}
        for token, scores in prompt:
            self._prompt.setdefault(token, []).append(scores[self._keys])

    def add(self, scores: Any) -> None:
        """Add to the scores of the prompt's tokens, in place, that each may be copied from where it stands."""
        query = scores[self._queries]
        for token, keys in self._prompt.items():
            ways = [scores[token], *(sum(map(mul, query, key)) for key in keys)]
            top = max(ways)
            scores[token] = top + math.log(sum(math.exp(way - top) for way in ways))
