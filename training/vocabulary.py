"""The tokens that the engine insists on: our markers and the types, each one token, in any byte-level BPE."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from training.stage import whole
from wtname import naming

MARKERS = (naming.USER, naming.ASSISTANT, naming.END)
WORDS = tuple(f" {word}" for word in (*naming.TYPES, naming.NONE))


def complete(tokenizer: Tokenizer) -> tuple[Tokenizer, dict[int, list[int]]]:
    """The tokenizer with every marker and type as one token, and each new token's id with the ids it was spelt with.

    A type becomes one by merges that come after all others: other words keep their tokens, but where the same pieces
    are left side by side, and llama.cpp's BPE agrees, which knows nothing of words added whole.
    Raises ValueError where the tokenizer is no byte-level BPE, which is all that the engine's files can hold.
    """
    spec: dict[str, Any] = json.loads(tokenizer.to_str())
    if spec["model"]["type"] != "BPE" or "ByteLevel" not in json.dumps([spec["pre_tokenizer"], spec["decoder"]]):
        raise ValueError("its tokenizer is no byte-level BPE")
    vocab: dict[str, int] = spec["model"]["vocab"]
    merges: list[list[str]] = spec["model"]["merges"]
    # What was added later gets its place in the vocabulary, so that a new token cannot take its number.
    vocab.update({token["content"]: token["id"] for token in spec["added_tokens"]})
    special = {token["content"] for token in spec["added_tokens"] if token["special"]}
    pieces = {text: tokenizer.encode(text, add_special_tokens=False) for text in (*MARKERS, *WORDS)}
    new: dict[int, list[int]] = {}

    def add(token: str, ids: list[int]) -> None:
        if token not in vocab:
            vocab[token] = max(vocab.values()) + 1
            new[vocab[token]] = ids

    for word in WORDS:
        encoded = pieces[word]
        left = encoded.tokens[0]
        for i, right in enumerate(encoded.tokens[1:], 2):
            add(left + right, encoded.ids[:i])
            if [left, right] not in merges:
                merges.append([left, right])
            left += right
    for marker in MARKERS:
        if marker not in special:
            add(marker, pieces[marker].ids)
            spec["added_tokens"].append(_marker(marker, vocab[marker]))
    # Ids are ours to lay out: no first token of its own accord, no padding, no cutting.
    spec.update(post_processor=None, padding=None, truncation=None)
    return Tokenizer.from_str(json.dumps(spec)), new


def _marker(content: str, at: int) -> dict[str, Any]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return {"id": at, "content": content, **flags, "special": True}


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write `path`, a tokenizer.json, and beside it the tokenizer_config.json that transformers wants."""
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": naming.END,
        "pad_token": naming.END,
        "clean_up_tokenization_spaces": False,
    }
    with whole(path.with_name("tokenizer_config.json")) as temp:
        temp.write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
    with whole(path) as temp:
        tokenizer.save(str(temp))
