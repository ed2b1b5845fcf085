"""The word pieces of a pretrained encoder that our texts need, so that it reads on as it has learnt to read."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, Tokenizer

from training.vocabulary import MARKERS
from wtname import naming

GOES_ON = "##"  # before a piece that does not begin a word
AT_ONCE = 10_000


def counted(pretrained: Tokenizer, lines: Iterable[str]) -> Counter[str]:
    """How often each piece is used in the lines."""
    pieces: Counter[str] = Counter()
    lines = iter(lines)
    while part := list(itertools.islice(lines, AT_ONCE)):
        for encoded in pretrained.encode_batch(part, add_special_tokens=False):
            pieces.update(encoded.tokens)
    return pieces


def trim(pretrained: Tokenizer, lines: Iterable[str], vocab_size: int) -> tuple[Tokenizer, float]:
    """A tokenizer of so many pieces, and the share of the lines' pieces that it has as they were.

    It has our markers, the types, every ASCII character, and of the pretrained ones those that the lines use most: a
    word that loses its piece is spelt with shorter ones. Raises ValueError where the pretrained one is not BERT's kind
    or there is no room.
    """
    spec: dict[str, Any] = json.loads(pretrained.to_str())
    model = spec["model"]
    if model["type"] != "WordPiece" or model["continuing_subword_prefix"] != GOES_ON:
        raise ValueError("its tokenizer has no word pieces")
    known = model["vocab"]
    unknown = model["unk_token"]
    letters = sorted(p for p in known if len(p.removeprefix(GOES_ON)) == 1 and p.isascii())
    fixed = [unknown, *MARKERS, *naming.TYPES, naming.NONE, *letters]
    if len(fixed) > vocab_size:
        raise ValueError(f"there is no room for the {len(fixed)} characters, markers and types")
    counts = counted(pretrained, lines)
    special = {token["content"] for token in spec["added_tokens"]}
    used = [p for p, _ in counts.most_common() if p in known and p not in special and p not in set(fixed)]
    pieces = [*fixed, *used][:vocab_size]
    model["vocab"] = {piece: i for i, piece in enumerate(pieces)}
    spec.update(added_tokens=[], post_processor=None, padding=None, truncation=None)
    spec["decoder"] = {"type": "WordPiece", "prefix": GOES_ON, "cleanup": False}
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.add_special_tokens([AddedToken(marker, special=True, normalized=False) for marker in MARKERS])
    held = set(pieces)
    return tokenizer, sum(n for p, n in counts.items() if p in held) / max(1, counts.total())


def is_word_pieces(tokenizer: Tokenizer) -> bool:
    """Whether a tokenizer is of this kind."""
    return bool(json.loads(tokenizer.to_str())["model"]["type"] == "WordPiece")


def begins(tokenizer: Tokenizer) -> dict[str, bool]:
    """For each token, markers left out, whether a word begins with it: by ## in word pieces, else by a space, which
    byte-level and SentencePiece vocabularies write in their ways."""
    pieces = is_word_pieces(tokenizer)
    return {
        token: not token.startswith(GOES_ON) if pieces else token.startswith(("Ġ", "▁"))
        for token in tokenizer.get_vocab()
        if token not in MARKERS
    }
