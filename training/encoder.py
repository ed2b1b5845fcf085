"""An encoder that reads the prompt for a student: BERT's layers, and the files that they are kept in."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from training.copy_model import EncoderLayer
from training.llama_folder import ENCODER, Shape
from training.stage import whole


@dataclass(frozen=True)
class EncoderShape:
    """Sizes of an encoder; vocabulary, width and context are the decoder's."""

    layers: int = 6
    heads: int = 12
    inner: int = 1536


class Encoder(nn.Module):
    """BERT (Devlin et al. 2019) without its pooler: token ids in, hidden states out."""

    def __init__(self, shape: EncoderShape, vocab: int, hidden: int, context: int) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = 0.0
        self.words = nn.Embedding(vocab, hidden)
        self.positions = nn.Embedding(context, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        # llama.cpp's GELU is the one with tanh.
        self.layers = nn.ModuleList(
            EncoderLayer(hidden, shape.heads, shape.inner, gelu="tanh") for _ in range(shape.layers)
        )

    def forward(self, ids: Tensor, end: Tensor, blank: Tensor | None = None) -> Tensor:
        """Hidden states (batch, length, hidden) of prompts that end before column `end` (batch) and begin at column
        `blank` (batch; 0 without it). What is in other columns has no influence."""
        columns = torch.arange(ids.shape[1], device=ids.device)
        outside = columns >= end[:, None]
        positions = columns[None]
        if blank is not None:
            outside = outside | (columns < blank[:, None])
            positions = (columns - blank[:, None]).clamp(min=0)
        mask = torch.zeros(outside.shape, device=ids.device).masked_fill_(outside, -1e4)[:, None, None, :]
        x = self.norm(self.words(ids) + self.positions(positions))
        if torch.is_autocast_enabled(ids.device.type):
            mask, x = mask.bfloat16(), x.bfloat16()
        for layer in self.layers:
            x = layer(x, mask, self.dropout if self.training else 0.0)
        return x


def save_encoder(encoder: Encoder, state: dict[str, Tensor], folder: Path) -> None:
    """Put the encoder's weights, those named encoder.* in `state`, and its sizes beside a Llama's config.json."""
    prefix = "encoder."
    weights = {k.removeprefix(prefix): v.contiguous() for k, v in state.items() if k.startswith(prefix)}
    with whole(folder / ENCODER) as temp:
        save_file(weights, temp, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with whole(folder / "config.json") as temp:
        temp.write_text(json.dumps({**config, "encoder": asdict(encoder.shape)}, indent=1) + "\n")


def encoder_at(folder: Path, shape: Shape) -> Encoder:
    """The encoder in the folder of a model of this shape. Raises click.ClickException where it is damaged."""
    try:
        sizes = EncoderShape(**json.loads((folder / "config.json").read_text(encoding="utf-8"))["encoder"])
        encoder = Encoder(sizes, shape.tokens, shape.hidden, shape.context)
        encoder.load_state_dict(load_file(folder / ENCODER))
    except (OSError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        told = str(error).splitlines()[0]
        raise click.ClickException(
            f"{folder / ENCODER} is not the encoder of this model ({told}); train it again"
        ) from error
    return encoder
