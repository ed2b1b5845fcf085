"""A student that may copy (CopyNet, Gu et al. 2016): the prompt's tokens compete with the vocabulary in one softmax.

The last rows of the output layer are no tokens. Their scores are a query, of the state that a name's next token is
taken from, and a key, of the state at each of the prompt's tokens; a token's score is the log of the sum of e to its
own and to query · key of every place where the prompt has it (their eq. 4-9).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

LEAST = 1e-30  # a float32 probability that still has a logarithm


class Copies(NamedTuple):
    """What may be copied: the prompts' tokens (rows, length), their keys (rows, length, size), and which are words."""

    tokens: Tensor
    keys: Tensor
    words: Tensor

    def of(self, rows: Tensor) -> Copies:
        """The prompts of these rows, in their order."""
        return Copies(*(part[rows] for part in self))


def with_copies(scores: Tensor, copies: Copies) -> Tensor:
    """Scores (rows, tokens) in float32 that copying is part of, from those of the whole output layer (rows, tokens +
    2 * size), each row with the prompt of the same row."""
    size = copies.keys.shape[-1]
    own, query, _ = scores.float().split((scores.shape[-1] - 2 * size, size, size), dim=-1)
    with torch.autocast(scores.device.type, enabled=False):
        copied = (copies.keys.float() @ query[:, :, None])[..., 0].masked_fill(~copies.words, -torch.inf)
    top = torch.maximum(own.amax(-1), copied.amax(-1))[:, None].detach()
    likely = (own - top).exp().scatter_add(-1, copies.tokens, (copied - top).exp())
    return likely.clamp(min=LEAST).log() + top
