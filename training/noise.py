"""Prompts as people type them: politeness, slips and strangers' sentences around a task, a few of its words left out;
the name stays right. Pure text in, text out; `Noise` draws it anew each time that a row comes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from training.corpus import Example, encode
from wtname import naming
from wtname.words import stem

BEFORE = (
    "please", "can you", "could you", "pls", "hey can u", "i want to", "we need to", "we should", "lets", "hi",
    "todo :", "next :", "task :", "would be nice to", "you should", "help me", "hey", "ok so", "new task :",
    "in this repo", "ticket :",
)  # fmt: skip
AFTER = ("please", "thanks", "thx", "pls", "asap", ". thanks", ". keep it small", ". dont touch anything else", "today")
# How many of the words that its name does not use a prompt may lose.
LOST = 0.08


def noisy(text: str, name: str, rng: random.Random) -> str:
    """The text with what people type around a task, or with a slip in a word that the name does not use."""
    dice = rng.random()
    if dice < 0.4:
        return f"{rng.choice(BEFORE)} {text}"
    if dice < 0.55:
        return f"{text} {rng.choice(AFTER)}"
    if dice < 0.75:
        words = [w for w in text.split() if w.isalnum()]
        return " ".join(words)
    words = text.split()
    said = _said(name)
    long = [i for i, w in enumerate(words) if len(w) > 4 and w.isalpha() and stem(w) not in said]
    if long:
        i = rng.choice(long)
        at = rng.randrange(1, len(words[i]) - 1)
        w = words[i]
        words[i] = rng.choice(
            (w[:at] + w[at + 1 :], w[: at - 1] + w[at] + w[at - 1] + w[at + 1 :], w[:at] + w[at] + w[at:])
        )
    return " ".join(words)


def shorter(text: str, name: str, rng: random.Random) -> str:
    """The text without some of the words that the name does not use."""
    said = _said(name)
    return " ".join(w for w in text.split() if stem(w) in said or rng.random() >= LOST)


def in_context(text: str, sentences: list[str], rng: random.Random) -> str:
    """The task of a title after, or before, a sentence about something else."""
    other = rng.choice(sentences)
    if rng.random() < 0.3:
        return f"{text} . {other}"
    return f"{other} {rng.choice(('.', '.', '|', '?'))} {rng.choice((*BEFORE, '', '', ''))} {text}".replace("  ", " ")


class Noised(NamedTuple):
    """A row's tokens, and how many of them are the prompt's."""

    ids: np.ndarray
    prompt: int


class Noise:
    """Says a `share` of the rows otherwise each time they come, `rows` being those of each part of a mix."""

    def __init__(self, tokenizer: Tokenizer, rows: Sequence[Sequence[Example]], share: float) -> None:
        self.share = share
        self._tokenizer = tokenizer
        self._rows = rows

    def seeds(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """For so many rows what each is said by, 0 for as it is."""
        return rng.integers(1, 2**31, count) * (rng.random(count) < self.share)

    def of(self, part: int, row: int, seed: int) -> Noised:
        """A row said otherwise; the same for the same seed. One that is to go unnamed stays as it is."""
        text, name = self._rows[part][row]
        rng = random.Random(seed)
        if name != naming.NONE:
            text = rng.choice((noisy, shorter))(text, name, rng) or text
        done = encode(self._tokenizer, [Example(text, name)])
        return Noised(done.ids, int(done.prompt[0]))


def _said(name: str) -> set[str]:
    return {stem(w) for w in name.split("-")}
