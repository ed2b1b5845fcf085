"""The student: a LlamaForCausalLM in plain PyTorch, laid out as transformers does, with an encoder or without."""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from training.attention import attention
from training.encoder import Encoder, EncoderShape, encoder_at, save_encoder
from training.llama_folder import ENCODER, LlamaFolder, Shape, config_of, copy_tokenizer, has_encoder
from training.pointer import Copies, with_copies
from training.stage import whole

# Each layer's keys and values, each (batch, heads, length, size); an empty list before the first call.
Known = list[list[Tensor]]


def rotary(shape: Shape, length: int) -> tuple[Tensor, Tensor]:
    """Cosine and sine tables, each (length, head size / 2), of rotary embedding (Su et al. 2021)."""
    inv = 1.0 / shape.theta ** (torch.arange(0, shape.size, 2, dtype=torch.float32) / shape.size)
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
        self.keys = shape.keys
        self.dropout = dropout
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.eps)
        linear = lambda i, o: nn.Linear(i, o, bias=False)  # noqa: E731
        wide, narrow = shape.size * shape.heads, shape.size * shape.keys
        self.self_attn = nn.ModuleDict(
            {
                "q_proj": linear(shape.hidden, wide),
                "k_proj": linear(shape.hidden, narrow),
                "v_proj": linear(shape.hidden, narrow),
                "o_proj": linear(wide, shape.hidden),
            }
        )
        self.mlp = nn.ModuleDict(
            {
                "gate_proj": linear(shape.hidden, shape.inner),
                "up_proj": linear(shape.hidden, shape.inner),
                "down_proj": linear(shape.inner, shape.hidden),
            }
        )

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, known: list[Tensor] | None = None) -> Tensor:
        batch, length, _ = x.shape
        y = self.input_layernorm(x)
        # One product instead of three: on a CPU the casts and the small shapes cost more than the arithmetic.
        qkv = F.linear(y, torch.cat([self.self_attn[f"{n}_proj"].weight for n in "qkv"]))
        every = qkv.view(batch, length, self.heads + 2 * self.keys, -1).transpose(1, 2)
        q, k, v = every.split((self.heads, self.keys, self.keys), dim=1)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        if known is not None:
            if known:
                k, v = torch.cat((known[0], k), 2), torch.cat((known[1], v), 2)
            known[:] = k, v
        y = attention(q, k, v, mask)
        y = self.self_attn["o_proj"](y.transpose(1, 2).reshape(batch, length, -1))
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
        self.lm_head = None if shape.tied else nn.Linear(shape.hidden, shape.vocab, bias=False)
        cos, sin = rotary(shape, shape.context)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for name, p in self.named_parameters():
            if p.dim() == 2:
                scale = 0.02 if "embed" in name else (p.shape[1] ** -0.5) * 0.6
                nn.init.normal_(p, std=scale)
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.zeros_(p)

    def forward(
        self, ids: Tensor, prompt: Tensor | None = None, known: Known | None = None, blank: Tensor | None = None
    ) -> Tensor:
        """Hidden states (batch, length, hidden).

        `prompt` (batch): in how many columns each prompt ends, which a prefix LM needs to know. `known`: what earlier
        calls read, one list a layer, extended in place. `blank` (batch): columns of padding on the left of each row;
        positions are relative, so that they need no shift.
        """
        x = F.dropout(self.embed(ids, prompt, known, blank), self.dropout, self.training)
        before = known[0][0].shape[2] if known and known[0] else 0
        end = before + ids.shape[1]
        if end > self.shape.context:
            raise ValueError(f"{end} tokens do not fit a context of {self.shape.context}")
        keys = torch.arange(end, device=ids.device)
        unseen = keys > keys[before:, None]
        if self.shape.prefix and prompt is not None:
            unseen = unseen & (keys >= prompt[:, None])[:, None, None, :]
        if blank is not None:
            unseen = unseen | (keys < blank[:, None])[:, None, None, :]
        mask = torch.zeros(unseen.shape, device=ids.device).masked_fill_(unseen, -1e4)
        if torch.is_autocast_enabled(ids.device.type):
            mask = mask.bfloat16()
        cos, sin = self.cos[before:end], self.sin[before:end]
        for i, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, None if known is None else known[i])
        return self.norm(x)

    def embed(self, ids: Tensor, prompt: Tensor | None, known: Known | None, blank: Tensor | None) -> Tensor:
        """What the first layer reads (batch, length, hidden); see `forward` for what is given."""
        vectors: Tensor = self.embed_tokens(ids)
        return vectors

    @property
    def output(self) -> Tensor:
        """The output layer (vocabulary, hidden)."""
        return self.embed_tokens.weight if self.lm_head is None else self.lm_head.weight

    def copies(self, ids: Tensor, prompt: Tensor, hidden: Tensor, blank: Tensor | None = None) -> Copies | None:
        """What names may copy from prompts that have been read, None in a model that does not copy; given is what
        `forward` was, and what it gave."""
        if not self.shape.pointer:
            return None
        length = int(prompt.max())
        columns = torch.arange(length, device=ids.device)
        first = 0 if blank is None else blank[:, None]
        words = (columns > first) & (columns < prompt[:, None] - 1)  # the markers around them are none
        return Copies(ids[:, :length], F.linear(hidden[:, :length], self.output[-self.shape.pointer :]), words)

    def logits(self, hidden: Tensor, copies: Copies | None = None) -> Tensor:
        """Scores over the vocabulary for hidden states of any leading shape; (rows, hidden) with `copies` for each."""
        scores = F.linear(hidden, self.output)
        return with_copies(scores, copies) if copies else scores


class EncoderDecoder(Student):
    """A student that reads the encoder's states where the prompt is, and the name's tokens after it."""

    def __init__(self, shape: Shape, encoder: EncoderShape, dropout: float = 0.0) -> None:
        super().__init__(shape, dropout)
        self.encoder = Encoder(encoder, shape.tokens, shape.hidden, shape.context)
        self.encoder.dropout = dropout
        self.frozen = False  # whether the encoder stays as it is, while the decoder learns to read it

    def embed(self, ids: Tensor, prompt: Tensor | None, known: Known | None, blank: Tensor | None) -> Tensor:
        """The encoder's states in the prompt's columns, the tokens' vectors in those after them."""
        vectors = super().embed(ids, prompt, known, blank)
        if prompt is None:
            return vectors
        length = int(prompt.max())
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            self.encoder.train(self.training and not self.frozen)
            states = self.encoder(ids[:, :length], prompt, blank).to(vectors.dtype)
        states = F.pad(states, (0, 0, 0, ids.shape[1] - length))
        read = torch.arange(ids.shape[1], device=ids.device) < prompt[:, None]
        return torch.where(read[..., None], states, vectors)


def save(model: Student, folder: Path, state: dict[str, Tensor] | None = None, tokenizer: Path | None = None) -> None:
    """Write config.json and model.safetensors as transformers reads a LlamaForCausalLM, and the encoder beside them
    where there is one, each file whole.

    `state`: other weights than the model's own. `tokenizer`: a tokenizer.json, or a folder with one, to copy along.
    """
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    end = copy_tokenizer(tokenizer, folder, model.shape.context) if tokenizer else 2
    state = {k: v.detach().cpu().float().contiguous().clone() for k, v in (state or model.state_dict()).items()}
    tensors = {
        k if k.startswith("lm_head") else f"model.{k}": v for k, v in state.items() if not k.startswith("encoder.")
    }
    with whole(folder / "config.json") as temp:
        temp.write_text(json.dumps(config_of(model.shape, end), indent=1) + "\n")
    with whole(folder / "model.safetensors") as temp:
        save_file(tensors, temp, metadata={"format": "pt"})
    if isinstance(model, EncoderDecoder):
        save_encoder(model.encoder, state, folder)
    else:
        (folder / ENCODER).unlink(missing_ok=True)  # of a model that was here before


def load(folder: Path, dropout: float = 0.0) -> Student:
    """A model in float32 from a folder that `save` or transformers wrote.

    Raises click.ClickException, one line, where the folder holds no plain Llama.
    """
    source = LlamaFolder(folder)
    weights = {name.removeprefix("model."): torch.from_numpy(w) for name, w in source.tensors()}
    if not has_encoder(folder):
        model = Student(source.shape, dropout)
        model.load_state_dict(weights)
        return model
    encoder = encoder_at(folder, source.shape)
    both = EncoderDecoder(source.shape, encoder.shape, dropout)
    both.load_state_dict({**weights, **{f"encoder.{name}": w for name, w in encoder.state_dict().items()}})
    return both
