"""Train on the numbers that a quantised file can hold, so that quantising afterwards changes nothing.

The forward pass sees each matrix rounded to GGML's grid, the gradient passes through as if it were not (the
straight-through estimator, Bengio et al. 2013; quantisation-aware training, Jacob et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

BLOCK = 32  # values that share a scale
# Bits a value; the matrix that is the output layer too gets one more, as llama.cpp itself is finer there.
BITS, OUTPUT_BITS = 4, 5
OUTPUT = "embed_tokens.weight"


def snap(weight: Tensor, bits: int = BITS) -> Tensor:
    """The nearest values in ggml's Q4_0 or Q5_0 (quantize_row_q4_0_ref): blocks of 32 along the rows, of which the one
    farthest from 0 becomes -8 (or -16) times an f16 scale."""
    half = 1 << (bits - 1)
    blocks = weight.float().reshape(-1, BLOCK)
    farthest = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
    scale = farthest / -half
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    steps = torch.floor(blocks * inverse + half + 0.5).clamp_(0, 2 * half - 1) - half
    return (steps * scale.half().float()).reshape(weight.shape)


def bits_of(name: str, weight: Tensor) -> int | None:
    """Bits for a weight of a student; None for norms, biases and positions, which stay as they are."""
    if weight.dim() != 2 or weight.shape[1] % BLOCK or name.endswith("positions.weight"):
        return None
    return OUTPUT_BITS if name.endswith(OUTPUT) or name.endswith("lm_head.weight") else BITS


@torch.no_grad()
def snapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """All weights on the grid."""
    return {name: snap(w, bits) if (bits := bits_of(name, w)) else w for name, w in state.items()}


class OnGrid(nn.Module):
    """A loss whose `student` is seen on the grid while `active`, and learns as if it were not."""

    def __init__(self, loss: nn.Module, student: nn.Module) -> None:
        super().__init__()
        self.loss = loss
        self.active: bool | None = None  # None: not said yet
        ours = {id(p) for p in student.parameters()}
        self._names = {
            name: bits for name, p in loss.named_parameters() if id(p) in ours and (bits := bits_of(name, p))
        }

    def forward(self, *given: Tensor) -> Tensor:
        """The loss."""
        if not self.active:
            plain: Tensor = self.loss(*given)
            return plain
        weights = dict(self.loss.named_parameters())
        held = {name: weights[name] + (snap(weights[name], bits) - weights[name]).detach()
                for name, bits in self._names.items()}  # fmt: skip
        out: Tensor = functional_call(self.loss, held, given)
        return out
