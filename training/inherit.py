"""A student that begins with the encoder of a copying teacher, moved to the student's own tokens."""

from __future__ import annotations

import click
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.copy_model import CLS, SEP, CopyTeacher, EncoderLayer
from training.encoder import EncoderShape
from training.llama_folder import Shape
from training.model import EncoderDecoder
from training.word_pieces import GOES_ON, begins
from wtname import naming

UNKNOWN = 100  # BERT's piece for what it has no pieces for


def vectors(teacher: CopyTeacher, pieces: Tokenizer, tokenizer: Tokenizer) -> Tensor:
    """A vector (vocabulary, hidden) for each token of ours: the mean of its word pieces' in the teacher."""
    table = teacher.words.weight.detach().float()
    known = pieces.get_vocab()
    tokens = tokenizer.get_vocab()
    out = table[UNKNOWN].repeat(max(tokens.values()) + 1, 1)
    for marker, piece in ((naming.USER, CLS), (naming.ASSISTANT, SEP), (naming.END, SEP)):
        out[tokens[marker]] = table[piece]
    for token, first in begins(tokenizer).items():
        word = token.removeprefix("Ġ").removeprefix(GOES_ON)
        if word and word.isascii():
            inside = known.get(GOES_ON + word)
            split = pieces.encode(word, add_special_tokens=False).ids if first or inside is None else [inside]
            if split:
                out[tokens[token]] = table[split].mean(0)
    return out


def inherit(
    teacher: CopyTeacher, pieces: Tokenizer, tokenizer: Tokenizer, shape: Shape, dropout: float
) -> EncoderDecoder:
    """A student with the teacher's encoder, for the tokens of another tokenizer, and a new decoder of this shape.

    Raises click.UsageError where the decoder is not as wide as the encoder.
    """
    hidden = teacher.words.weight.shape[1]
    if shape.hidden != hidden:
        raise click.UsageError(f"the encoder is {hidden} wide: give --student-hidden {hidden}")
    first = teacher.encoder[0]
    assert isinstance(first, EncoderLayer)
    model = EncoderDecoder(shape, EncoderShape(len(teacher.encoder), first.heads, first.up.out_features), dropout)
    with torch.no_grad():
        table = vectors(teacher, pieces, tokenizer)
        model.encoder.words.weight.copy_(table)
        model.encoder.positions.weight.copy_(teacher.positions.weight[: shape.context] + teacher.kinds.weight[0])
        model.encoder.norm.load_state_dict(teacher.norm.state_dict())
        model.encoder.layers.load_state_dict(teacher.encoder.state_dict())
        centred = table - table.mean(0)
        # Small, and equal rows part.
        model.embed_tokens.weight[: len(centred)] = 0.04 * centred / centred.std() + 0.004 * torch.randn_like(centred)
    return model
