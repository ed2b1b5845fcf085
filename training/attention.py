"""Attention written out: PyTorch's fused kernel is slow on a CPU for sequences as short as ours."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

LONG = 192


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Softmax attention over (batch, heads, length, size); `mask` is added to the scores, `causal` hides the future."""
    if q.shape[-2] > LONG or q.is_cuda:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    scores = (q / math.sqrt(q.shape[-1])) @ k.transpose(-1, -2)
    if causal:
        length = q.shape[-2]
        scores = scores + scores.new_full((length, length), -1e4).triu(1)
    if mask is not None:
        scores = scores + mask
    return scores.float().softmax(-1).to(v.dtype) @ v
