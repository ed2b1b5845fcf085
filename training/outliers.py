"""Channels that drown those they share a block with, and an order in which they do not.

ggml multiplies a quantised matrix by vectors of Q8_0: 32 values share a scale, which the farthest of them sets. A
channel far larger than all others (massive activations, Sun et al. 2024) so rounds its neighbours to nothing. Channels
between two matrices can stand in any order (RPTQ, Yuan et al. 2023); each such channel gets the neighbours that count
least.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.grid import BLOCK

# Times the median size: of the 127 steps that Q8_0 has on either side, a channel like others is left four or fewer.
FAR = 32


def order(size: Tensor, weight: Tensor) -> Tensor | None:
    """An order of the channels that a matrix (out, in) reads, from their mean squares (in); None where it may stay.

    Each outlier is the first of a block; the channels that add nothing to speak of fill it up.
    """
    blocks = len(size) // BLOCK
    largest = size.argsort(descending=True, stable=True)[:blocks]
    outliers = largest[size[largest] > FAR**2 * size.median()]
    if not len(outliers):
        return None
    counts = size * weight.detach().square().sum(0)
    counts[outliers] = torch.inf
    ordered = counts.argsort(stable=True)
    fill = (BLOCK - 1) * len(outliers)
    full = torch.cat([outliers[:, None], ordered[:fill].reshape(len(outliers), -1)], 1).flatten()
    rest = ordered[fill : len(ordered) - len(outliers)].sort().values
    return torch.cat([full, rest])


@torch.no_grad()
def reorder(writers: tuple[nn.Linear, ...], readers: list[nn.Linear], order: Tensor) -> None:
    """Put the channels that `writers` give and `readers` read in an order; what comes out of both stays the same."""
    for linear in writers:
        linear.weight.copy_(linear.weight[order])
        if linear.bias is not None:
            linear.bias.copy_(linear.bias[order])
    for linear in readers:
        linear.weight.copy_(linear.weight[:, order])
