"""Students made on the spot, tiny and with random weights."""

from __future__ import annotations

import torch

from training.encoder import EncoderShape
from training.model import EncoderDecoder, Shape, Student


def model_of(vocab: int, seed: int = 1, pointer: int = 0, encoder: bool = True) -> Student:
    """Random weights, large enough to tell names apart."""
    torch.manual_seed(seed)
    shape = Shape(vocab + 2 * pointer, 64, 2, 4, 96, 256, prefix=encoder, pointer=pointer)
    model = EncoderDecoder(shape, EncoderShape(2, 4, 128)) if encoder else Student(shape)
    for p in model.eval().parameters():
        torch.nn.init.normal_(p, std=0.2) if p.dim() == 2 else None
    return model
