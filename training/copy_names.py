"""Names that a copying teacher gives: the likeliest, or samples of what it holds possible."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import padded
from training.copy_model import CLS, MAX_NAME, MAX_SOURCE, SEP, CopyTeacher

MOST_PIECES = MAX_NAME - 4
# Of how many likeliest pieces a sample takes its next: a random number for each of 12,000 takes longer
# than the model itself.
LIKELY = 40


class Row(NamedTuple):
    """Word pieces of a prompt, [CLS] … [SEP], and of its name."""

    source: list[int]
    target: list[int]


def rows_of(tokenizer: Tokenizer, texts: Sequence[str], names: Sequence[str] | None = None) -> list[Row]:
    """Prompts (and names) as word pieces."""
    sources = [e.ids[:MAX_SOURCE] for e in tokenizer.encode_batch(list(texts), add_special_tokens=False)]
    targets: list[list[int]] = [[] for _ in texts]
    if names:
        spoken = [n.replace("-", " ") for n in names]
        targets = [e.ids[: MAX_NAME - 2] for e in tokenizer.encode_batch(spoken, add_special_tokens=False)]
    return [Row([CLS, *s, SEP], [CLS, *t, SEP]) for s, t in zip(sources, targets)]


class _Read(NamedTuple):
    """Prompts as the encoder has read them, a row each; `at`: each piece's place in the vocabulary, or -1."""

    source: Tensor
    at: Tensor
    mask: Tensor
    keys: Tensor
    layers: list[tuple[Tensor, Tensor]]

    def of(self, rows: Tensor) -> _Read:
        source, at, mask, keys = (t[rows] for t in self[:4])
        return _Read(source, at, mask, keys, [(k[rows], v[rows]) for k, v in self.layers])


def _read(model: CopyTeacher, rows: Sequence[Row]) -> _Read:
    source = padded([row.source for row in rows])
    memory, mask = model.encode(source)
    layers, keys = model.read(memory)
    return _Read(source, model.where[source], mask, keys, layers)


def _next(model: CopyTeacher, read: _Read, target: Tensor, goes_on: Tensor) -> tuple[Tensor, Tensor]:
    """How likely each piece is to come next, and how likely each of the prompt's that names never use.

    Both are probabilities, (rows, vocabulary) and (rows, length). No word after the type comes twice; pieces that go on
    (##x) may.
    """
    start = int(model.where[CLS])
    generate, copied = model.decode(target, (read.layers, read.keys), read.mask, last=True)
    scores, copy = generate[:, 0].exp_(), copied[:, 0].exp_()
    scores.scatter_add_(1, read.at.clamp(min=0), copy.masked_fill(read.at < 0, 0.0))
    scores[:, start] = 0.0
    said = target[:, 2:]
    if said.shape[1]:
        scores.scatter_(1, model.where[said].masked_fill(goes_on[said], start).clamp(min=0), 0.0)
    again = (read.source[:, :, None] == said[:, None]).any(-1) & ~goes_on[read.source]
    return scores, copy.masked_fill((read.at >= 0) | again, 0.0)


@torch.inference_mode()
def greedy(model: CopyTeacher, tokenizer: Tokenizer, rows: Sequence[Row]) -> tuple[list[str], list[float]]:
    """The likeliest name of each row, piece by piece, and the mean log-probability of its pieces."""
    goes_on = _goes_on_with(tokenizer)
    written: list[list[int]] = [[] for _ in rows]
    total = torch.zeros(len(rows))
    alive = torch.arange(len(rows))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = _read(model, rows)
        target = torch.full((len(rows), 1), CLS)
        for _ in range(MOST_PIECES):
            scores, copy = _next(model, read, target, goes_on)
            best, index = scores.max(-1)
            rare, place = copy.max(-1)
            pieces = torch.where(rare > best, read.source.gather(1, place[:, None])[:, 0], model.vocab[index])
            total[alive] += torch.maximum(best, rare).clamp(min=1e-9).log()
            for row, piece in zip(alive.tolist(), pieces.tolist()):
                written[row].append(piece)
            target = torch.cat((target, pieces[:, None]), 1)
            left = (pieces != SEP).nonzero()[:, 0]
            if not len(left):
                break
            if len(left) < len(alive):
                alive, target, read = alive[left], target[left], read.of(left)
    return [_name(tokenizer, ids) for ids in written], [t / max(1, len(w)) for t, w in zip(total.tolist(), written)]


@torch.inference_mode()
def samples(model: CopyTeacher, tokenizer: Tokenizer, rows: Sequence[Row], count: int) -> list[Counter[str]]:
    """So many names drawn for each row, and how often each came; a beginning that several share is computed once."""
    goes_on = _goes_on_with(tokenizer)
    drawn: list[Counter[str]] = [Counter() for _ in rows]
    row, times = torch.arange(len(rows)), [count] * len(rows)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        read = _read(model, rows)
        target = torch.full((len(rows), 1), CLS)
        for at in range(MOST_PIECES):
            known = read.of(row)
            scores, copy = _next(model, known, target, goes_on)
            likely, index = scores.topk(min(LIKELY, scores.shape[1]), sorted=False)
            pieces = torch.cat((model.vocab[index], known.source), 1)
            picks = torch.multinomial(torch.cat((likely, copy), 1).clamp(min=1e-12), count, replacement=True)
            grown: Counter[tuple[int, int]] = Counter()
            for i, (often, picked) in enumerate(zip(times, pieces.gather(1, picks).tolist())):
                grown.update((i, piece) for piece in picked[:often])
            ended = {(i, piece) for i, piece in grown if piece == SEP or at + 1 == MOST_PIECES}
            for i, piece in ended:
                drawn[int(row[i])][_name(tokenizer, [*target[i, 1:].tolist(), piece])] += grown.pop((i, piece))
            if not grown:
                break
            parents = torch.tensor([i for i, _ in grown])
            target = torch.cat((target[parents], torch.tensor([[piece] for _, piece in grown])), 1)
            row, times = row[parents], list(grown.values())
    return drawn


def _name(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    words: str = tokenizer.decode([i for i in ids if i != SEP])
    return words.replace(" ' ", "").replace(" ", "-")


_goes_on: dict[int, Tensor] = {}


def _goes_on_with(tokenizer: Tokenizer) -> Tensor:
    """For each word piece, whether it goes on with a word (##x)."""
    if id(tokenizer) not in _goes_on:
        vocab = tokenizer.get_vocab()
        out = torch.zeros(len(vocab), dtype=torch.bool)
        out[torch.tensor([i for piece, i in vocab.items() if piece.startswith("##") or i < 999])] = True
        _goes_on[id(tokenizer)] = out
    return _goes_on[id(tokenizer)]
