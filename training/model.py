"""The student: a LlamaForCausalLM in plain PyTorch, its weights named and laid out as transformers does."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.attention import attention


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; `vocab` rows of embedding are shared with the output layer."""

    vocab: int = 8192
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    inner: int = 1024
    context: int = 256
    theta: float = 10_000.0
    eps: float = 1e-5


def rotary(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, each (length, head size / 2), of rotary embedding (Su et al. 2021)."""
    size = shape.hidden // shape.heads
    inv = 1.0 / shape.theta ** (torch.arange(0, size, 2, dtype=torch.float32) / size)
    angle = torch.outer(torch.arange(length, dtype=torch.float32), inv)
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turn the halves of each head (batch, heads, length, size) by its position."""
    a, b = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Block(nn.Module):
    """Pre-norm attention and gated feed-forward."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.heads = shape.heads
        self.dropout = dropout
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        linear = lambda i, o: nn.Linear(i, o, bias=False)  # noqa: E731
        self.self_attn = nn.ModuleDict({f"{k}_proj": linear(shape.hidden, shape.hidden) for k in "qkvo"})
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": linear(shape.hidden, shape.inner),
                "up_proj": linear(shape.hidden, shape.inner),
                "down_proj": linear(shape.inner, shape.hidden),
            }
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, hidden = x.shape
        y = self.input_layernorm(x)
        # One product instead of three: on a CPU the casts and the small shapes cost more than the arithmetic.
        qkv = F.linear(y, torch.cat([self.self_attn[f"{n}_proj"].weight for n in "qkv"]))
        q, k, v = qkv.view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = attention(rotate(q, cos, sin), rotate(k, cos, sin), v, causal=True)
        y = self.self_attn["o_proj"](y.transpose(1, 2).reshape(batch, length, hidden))
        x = x + F.dropout(y, self.dropout, self.training)
        y = self.post_attention_layernorm(x)
        gate, up = F.linear(y, torch.cat([self.mlp["gate_proj"].weight, self.mlp["up_proj"].weight])).chunk(2, -1)
        y = self.mlp["down_proj"](F.silu(gate) * up)
        return x + F.dropout(y, self.dropout, self.training)


class Student(nn.Module):
    """Token ids (batch, length) in, hidden states out; `logits` turns those that matter into scores."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.embed_tokens = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Block(shape, dropout) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        cos, sin = rotary(shape, shape.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 if "embed" in name else (p.shape[1] ** -0.5) * 0.6
                nn.init.normal_(p, std=scale)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(p)

    def forward(self, ids: Tensor) -> Tensor:
        x = F.dropout(self.embed_tokens(ids), self.dropout, self.training)
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        for layer in self.layers:
            x = layer(x, cos, sin)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary for hidden states of any leading shape."""
        return F.linear(hidden, self.embed_tokens.weight)


def save(model: Student, folder: Path, state: dict[str, Tensor] | None = None) -> None:
    """Write config.json and model.safetensors as transformers reads a LlamaForCausalLM with tied embeddings."""
    from safetensors.torch import save_file

    s = model.shape
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"model.{k}": v.detach().float().contiguous().clone() for k, v in (state or model.state_dict()).items()}
    save_file(tensors, folder / "model.safetensors.tmp", metadata={"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocab,
        "hidden_size": s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.heads,
        "intermediate_size": s.inner,
        "max_position_embeddings": s.context,
        "rope_theta": s.theta,
        "rms_norm_eps": s.eps,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": 2,
        "pad_token_id": 2,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    os.replace(folder / "model.safetensors.tmp", folder / "model.safetensors")


def load(folder: Path, dropout: float = 0.0) -> Student:
    """A student from a folder that `save` wrote."""
    from safetensors.torch import load_file

    c = json.loads((folder / "config.json").read_text())
    shape = Shape(
        vocab=c["vocab_size"], hidden=c["hidden_size"], layers=c["num_hidden_layers"], heads=c["num_attention_heads"],
        inner=c["intermediate_size"], context=c["max_position_embeddings"], theta=c["rope_theta"],
        eps=c["rms_norm_eps"],
    )  # fmt: skip
    model = Student(shape, dropout)
    tensors = load_file(folder / "model.safetensors")
    model.load_state_dict({k.removeprefix("model."): v for k, v in tensors.items()})
    return model


def parameters(shape: Shape) -> int:
    """How many parameters a model of this shape has."""
    block = 4 * shape.hidden**2 + 3 * shape.hidden * shape.inner + 2 * shape.hidden
    return shape.vocab * shape.hidden + shape.layers * block + shape.hidden
