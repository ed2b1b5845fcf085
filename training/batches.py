"""Rows in batches: drawn by weight, like lengths together, padded to few shapes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.corpus import Packed
from training.noise import Noise

IGNORED = -100
POOL = 20_000


def eights(length: int) -> int:
    """The length rounded up: kernels are made for each shape, and memory grows with every new one."""
    return -(-length // 8) * 8


def padded(seqs: Sequence[Sequence[int] | np.ndarray], fill: int = 0, left: bool = False) -> Tensor:
    """Sequences as one int64 tensor (rows, longest by eights), filled up on the right or on the left."""
    out = np.full((len(seqs), eights(max(map(len, seqs)))), fill, dtype=np.int64)
    for i, seq in enumerate(seqs):
        if left:
            out[i, out.shape[1] - len(seq) :] = seq
        else:
            out[i, : len(seq)] = seq
    return torch.from_numpy(out)


def by_length(lengths: np.ndarray, tokens: int, rng: np.random.Generator | None = None) -> list[np.ndarray]:
    """Row numbers in batches of at most `tokens` padded tokens, at least one row each, like lengths together.

    With `rng` rows and batches are shuffled; sorting within pools of 20,000 keeps padding small and batches varied.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    out: list[np.ndarray] = []
    for at in range(0, len(order), POOL):
        pool = order[at : at + POOL]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        first = 0
        for i, row in enumerate(pool):
            if i > first and (i - first + 1) * eights(int(lengths[row])) > tokens:
                out.append(pool[first:i])
                first = i
        out.append(pool[first:])
    return out if rng is None else [out[i] for i in rng.permutation(len(out))]


def drawn(parts: Sequence[tuple[int, float]], rng: np.random.Generator) -> np.ndarray:
    """One pass over parts given as (rows, weight): (part, row) pairs. A weight of 2.5 takes a row twice, or thrice."""
    out = [np.zeros((0, 2), dtype=np.int64)]
    for i, (rows, weight) in enumerate(parts):
        often, rest = int(weight), weight - int(weight)
        take = np.concatenate([*[np.arange(rows)] * often, rng.permutation(rows)[: round(rows * rest)]])
        out.append(np.stack([np.full(len(take), i), take.astype(np.int64)], axis=1))
    return np.concatenate(out)


class Mix:
    """Batches of prompts and names from several parts by weight; rows longer than `context` are left out.

    With `noise` a share of the rows comes in other words each time.
    """

    def __init__(
        self, parts: list[tuple[Packed, float]], tokens: int, context: int, seed: int, fill: int,
        noise: Noise | None = None,
    ) -> None:  # fmt: skip
        self.parts = parts
        self.tokens = tokens
        self.context = context
        self.seed = seed
        self.fill = fill
        self.noise = noise

    def epoch(self, number: int) -> list[np.ndarray]:
        """The batches of a pass, arrays of part and row (rows, 2), and of the seed of each row's noise where there is
        any (rows, 3); the same for the same seed and number."""
        rng = np.random.default_rng([self.seed, number])
        rows = drawn([(len(part.prompt), weight) for part, weight in self.parts], rng)
        lengths = np.concatenate(
            [np.diff(part.start)[rows[rows[:, 0] == i, 1]] for i, (part, _) in enumerate(self.parts)]
        )
        fits = lengths <= self.context
        rows, lengths = rows[fits], lengths[fits]
        if self.noise:
            rows = np.column_stack([rows, self.noise.seeds(len(rows), rng)])
        return [rows[batch] for batch in by_length(lengths, self.tokens, rng)]

    def too_long(self) -> int:
        """How many rows are left out for their length."""
        return sum(int((np.diff(part.start) > self.context).sum()) for part, _ in self.parts)

    def tensors(self, batch: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Ids (rows, length), each prompt's tokens (rows), flat positions whose next token is wanted, those tokens."""
        seqs, prompts = [], []
        for row in batch:
            ids, prompt = self._said(*map(int, row))
            seqs.append(ids)
            prompts.append(prompt)
        table = padded([seq[:-1] for seq in seqs], self.fill)
        where = [i * table.shape[1] + np.arange(p - 1, len(s) - 1) for i, (s, p) in enumerate(zip(seqs, prompts))]
        want = [seq[p:] for seq, p in zip(seqs, prompts)]
        # The output layer too sees few shapes.
        spare = -sum(map(len, want)) % 256
        return (
            table,
            torch.tensor(prompts),
            torch.from_numpy(np.concatenate([*where, np.zeros(spare, dtype=np.int64)])),
            torch.from_numpy(np.concatenate([*want, np.full(spare, IGNORED)]).astype(np.int64)),
        )

    def _said(self, part: int, row: int, seed: int = 0) -> tuple[np.ndarray, int]:
        """A row's tokens and how many are the prompt's, by noise where it has a seed and still fits."""
        if self.noise and seed:
            ids, prompt = self.noise.of(part, row, seed)
            if len(ids) <= self.context:
                return ids, prompt
        packed = self.parts[part][0]
        return packed.ids[packed.start[row] : packed.start[row + 1]], int(packed.prompt[row])
