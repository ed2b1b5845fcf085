"""Attention written out: PyTorch's fused kernel is slow on a CPU for sequences as short as ours."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

LONG = 192


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention over (batch, heads, length, size); `mask` is added to the scores.

    Keys and values may have fewer heads than queries, each then serving as many in a row (Ainslie et al. 2023).
    """
    if (shared := q.shape[1] // k.shape[1]) > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    if q.shape[-2] > LONG or q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=None if mask is None else mask.to(q.dtype))
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    return scores.float().softmax(-1).to(v.dtype) @ v
