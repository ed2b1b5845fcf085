"""A pretrained encoder with a decoder that writes the pieces of names or copies those of the prompt."""

from __future__ import annotations

import math
from pathlib import Path

import click
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.attention import attention
from training.llama_folder import TOKENIZER, tokenizer_at

CLS, SEP, PADDING = 101, 102, 0
MAX_SOURCE, MAX_NAME = 128, 16
# What loading weights raises where they are not there, damaged or another model's.
NO_MODEL = (OSError, KeyError, RuntimeError, SafetensorError)


class EncoderLayer(nn.Module):
    """One layer of BERT: attention and feed-forward, each followed by its norm."""

    def __init__(self, hidden: int, heads: int, inner: int, gelu: str = "none") -> None:
        super().__init__()
        self.heads = heads
        self.gelu = gelu  # how it is approximated
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.norm1 = nn.LayerNorm(hidden, eps=1e-12)
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden)
        self.norm2 = nn.LayerNorm(hidden, eps=1e-12)

    def forward(self, x: Tensor, mask: Tensor, drop: float) -> Tensor:
        b, n, h = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = attention(q, k, v, mask)
        x = self.norm1(x + F.dropout(self.out(y.transpose(1, 2).reshape(b, n, h)), drop, self.training))
        y = self.down(F.gelu(self.up(x), approximate=self.gelu))
        return self.norm2(x + F.dropout(y, drop, self.training))


class DecoderLayer(nn.Module):
    """Pre-norm self-attention, attention over the prompt, feed-forward."""

    def __init__(self, hidden: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(hidden) for _ in range(3))
        self.qkv = nn.Linear(hidden, 3 * hidden)
        self.out = nn.Linear(hidden, hidden)
        self.q = nn.Linear(hidden, hidden)
        self.kv = nn.Linear(hidden, 2 * hidden)
        self.out2 = nn.Linear(hidden, hidden)
        self.up = nn.Linear(hidden, inner)
        self.down = nn.Linear(inner, hidden)
        for last in (self.out, self.out2, self.down):
            nn.init.zeros_(last.weight)

    def read(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of the prompt's hidden states, each (batch, heads, length, size)."""
        b, n, _ = memory.shape
        k, v = self.kv(memory).view(b, n, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        return k, v

    def forward(self, x: Tensor, known: tuple[Tensor, Tensor], mask: Tensor, drop: float) -> Tensor:
        b, n, h = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = attention(q, k, v, q.new_full((n, n), -1e4).triu(1)).transpose(1, 2).reshape(b, n, h)
        x = x + F.dropout(self.out(y), drop, self.training)
        q = self.q(self.norm2(x)).view(b, n, self.heads, -1).transpose(1, 2)
        y = attention(q, *known, mask).transpose(1, 2).reshape(b, n, h)
        x = x + F.dropout(self.out2(y), drop, self.training)
        y = self.down(F.gelu(self.up(self.norm3(x))))
        return x + F.dropout(y, drop, self.training)


Known = tuple[list[tuple[Tensor, Tensor]], Tensor]


class CopyTeacher(nn.Module):
    """Scores for the next word piece of a name: `vocab` pieces that names use, and any piece of the prompt."""

    def __init__(self, words: int, vocab: list[int], hidden: int = 384, heads: int = 12, inner: int = 1536) -> None:
        super().__init__()
        self.dropout = 0.0
        self.words = nn.Embedding(words, hidden)
        self.positions = nn.Embedding(512, hidden)
        self.kinds = nn.Embedding(2, hidden)
        self.norm = nn.LayerNorm(hidden, eps=1e-12)
        self.encoder = nn.ModuleList(EncoderLayer(hidden, heads, inner) for _ in range(6))
        self.decoder = nn.ModuleList(DecoderLayer(hidden, 6, hidden * 3) for _ in range(2))
        self.target_positions = nn.Embedding(MAX_NAME, hidden)
        self.last = nn.LayerNorm(hidden)
        self.to_words = nn.Linear(hidden, hidden)
        self.to_copy = nn.Linear(hidden, hidden)
        self.from_prompt = nn.Linear(hidden, hidden)
        self.gate = nn.Linear(hidden, 1)
        self.pieces = nn.Embedding(len(vocab), hidden)
        self.bias = nn.Parameter(torch.zeros(len(vocab)))
        self.register_buffer("vocab", torch.tensor(vocab))
        where = torch.full((words,), -1)
        where[torch.tensor(vocab)] = torch.arange(len(vocab))
        self.register_buffer("where", where)
        nn.init.normal_(self.target_positions.weight, std=0.02)

    def encode(self, source: Tensor, drop: float = 0.0) -> tuple[Tensor, Tensor]:
        """Hidden states (batch, length, hidden) of the prompt and the additive mask of its padding."""
        mask = torch.zeros(source.shape, dtype=torch.float32, device=source.device)
        mask = mask.masked_fill(source == PADDING, -1e4)[:, None, None, :]
        x = self.norm(self.words(source) + self.positions.weight[: source.shape[1]] + self.kinds.weight[0])
        if torch.is_autocast_enabled("cpu") or torch.is_autocast_enabled("cuda"):
            mask, x = mask.bfloat16(), x.bfloat16()
        for layer in self.encoder:
            x = layer(x, mask, drop)
        return x, mask

    def read(self, memory: Tensor) -> Known:
        """What the decoder keeps of a prompt: each layer's keys and values, and the pointer's keys."""
        return [layer.read(memory) for layer in self.decoder], self.from_prompt(memory).transpose(1, 2)  # type: ignore

    def decode(
        self, target: Tensor, known: Known, mask: Tensor, drop: float = 0.0, last: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the vocabulary and of copying each prompt piece, weighed by the gate."""
        x = self.words(target) * 4.0 + self.target_positions.weight[: target.shape[1]]
        for layer, kv in zip(self.decoder, known[0]):
            x = layer(x, kv, mask, drop)
        x = self.last(x[:, -1:] if last else x)
        scores = F.linear(self.to_words(x), self.pieces.weight, self.bias)
        copy = self.to_copy(x) @ known[1] / math.sqrt(x.shape[-1])
        gate = self.gate(x).float()
        generate = F.log_softmax(scores.float(), -1) + F.logsigmoid(gate)
        copied = F.log_softmax(copy.float() + mask[:, 0].float(), -1) + F.logsigmoid(-gate)
        return generate, copied

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Mean negative log-likelihood of the name's pieces, copied or generated."""
        with torch.autocast(source.device.type, dtype=torch.bfloat16):
            memory, mask = self.encode(source, self.dropout)
            generate, copied = self.decode(target[:, :-1], self.read(memory), mask, self.dropout)
        want = target[:, 1:]
        index = self.where[want]
        known = generate.gather(-1, index.clamp(min=0)[..., None])[..., 0].masked_fill(index < 0, -1e4)
        same = source[:, None, :] == want[:, :, None]
        from_prompt = copied.masked_fill(~same, -1e4).logsumexp(-1)
        likely = torch.logaddexp(known, from_prompt)
        counted = (want != PADDING) & (likely > -1e3)
        return -(likely * counted).sum() / counted.sum()


def load_encoder(model: CopyTeacher, folder: Path) -> None:
    """Copy the weights of a BERT checkpoint of the same sizes into the model's encoder. Raises ClickException where the
    folder holds none."""
    try:
        _copy_encoder(model, load_file(folder / "model.safetensors"))
    except NO_MODEL as error:
        raise click.ClickException(
            f"{folder} holds no encoder of these sizes; give the folder of all-MiniLM-L6-v2 or its like"
        ) from error


def _copy_encoder(model: CopyTeacher, t: dict[str, Tensor]) -> None:
    with torch.no_grad():
        model.words.weight.copy_(t["embeddings.word_embeddings.weight"])
        model.pieces.weight.copy_(model.words.weight[model.vocab])
        model.words.weight.requires_grad_(False)
        model.positions.weight.copy_(t["embeddings.position_embeddings.weight"])
        model.kinds.weight.copy_(t["embeddings.token_type_embeddings.weight"])
        model.norm.weight.copy_(t["embeddings.LayerNorm.weight"])
        model.norm.bias.copy_(t["embeddings.LayerNorm.bias"])
        for i, layer in enumerate(model.encoder):
            at = f"encoder.layer.{i}."
            for kind in ("weight", "bias"):
                qkv = [t[f"{at}attention.self.{n}.{kind}"] for n in ("query", "key", "value")]
                getattr(layer.qkv, kind).copy_(torch.cat(qkv))  # type: ignore[union-attr]
                for ours, theirs in (
                    ("out", "attention.output.dense"), ("norm1", "attention.output.LayerNorm"),
                    ("up", "intermediate.dense"), ("down", "output.dense"), ("norm2", "output.LayerNorm"),
                ):  # fmt: skip
                    getattr(getattr(layer, ours), kind).copy_(t[f"{at}{theirs}.{kind}"])


def word_pieces(folder: Path) -> Tokenizer:
    """The encoder's tokenizer, without padding or truncation."""
    return tokenizer_at(folder / TOKENIZER)


def load_teacher(folder: Path) -> tuple[CopyTeacher, Tokenizer]:
    """A trained copying teacher and its tokenizer. Raises ClickException where the folder holds none."""
    try:
        tensors = load_file(folder / "model.safetensors")
        model = CopyTeacher(tensors["words.weight"].shape[0], tensors["vocab"].tolist())
        model.load_state_dict(tensors)
    except NO_MODEL as error:
        raise click.ClickException(
            f"{folder} holds no copying teacher; train one with training.copy_teacher"
        ) from error
    return model.eval(), word_pieces(folder)
