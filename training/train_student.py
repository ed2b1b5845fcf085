"""Train the student on named prompts, for a number of minutes; the loss is on the name alone.

    python -m training.train_student --tokenizer models/tokenizer.json --out models/student --minutes 30 \\
        --mix data/train/gold.jsonl:3 --mix data/train/rules.jsonl:1
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
from pathlib import Path

import click
import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from training.corpus import Example, Packed, encode, mix_part, read_jsonl
from training.model import Shape, Student, load, parameters, save
from wtname import naming

PAD = 2
IGNORED = -100


def packed(path: Path, tokenizer: Tokenizer) -> Packed:
    """The tokens of a file of {"text", "name"} rows, kept beside it from one run to the next."""
    # Another tokenizer, or another way to render, is another cache.
    how = tokenizer.to_str() + naming.render("a") + naming.render_name("fix-a")
    cache = path.with_suffix(f".{hashlib.sha256(how.encode()).hexdigest()[:12]}.npz")
    if not cache.exists() or cache.stat().st_mtime < path.stat().st_mtime:
        done = encode(tokenizer, [Example(r["text"], r["name"]) for r in read_jsonl(path)])
        temp = cache.with_name(cache.name + ".tmp.npz")
        np.savez(temp, ids=done.ids, start=done.start, prompt=done.prompt)
        os.replace(temp, cache)
    z = np.load(cache)
    return Packed(z["ids"], z["start"], z["prompt"])


class Mix:
    """Batches of about `tokens` tokens drawn from several files by weight, rows of like length together."""

    def __init__(self, parts: list[tuple[Packed, float]], tokens: int, context: int, rng: np.random.Generator) -> None:
        self.parts = parts
        self.tokens = tokens
        self.context = context
        self.rng = rng
        self.rows = sum(int(len(p.prompt) * w) for p, w in parts)

    def epoch(self) -> list[list[tuple[int, int]]]:
        """One pass: each batch a list of (part, row). A weight of 2.5 takes a row two times, or three."""
        rows: list[np.ndarray] = []
        for i, (part, weight) in enumerate(self.parts):
            n = len(part.prompt)
            whole, rest = int(weight), weight - int(weight)
            take = [self.rng.permutation(n) for _ in range(whole)]
            take.append(self.rng.permutation(n)[: int(n * rest)])
            index = np.concatenate(take)
            length = part.start[index + 1] - part.start[index]
            keep = length <= self.context
            rows.append(np.stack([np.full(keep.sum(), i), index[keep], length[keep]], axis=1))
        every = np.concatenate(rows)
        every = every[self.rng.permutation(len(every))]
        batches: list[list[tuple[int, int]]] = []
        # Sorting within pools of 20,000 keeps padding small and batches varied.
        for at in range(0, len(every), 20_000):
            pool = every[at : at + 20_000]
            pool = pool[np.argsort(pool[:, 2], kind="stable")]
            batch: list[tuple[int, int]] = []
            for part, row, length in pool:
                if batch and (len(batch) + 1) * (-(-length // 8) * 8) > self.tokens:
                    batches.append(batch)
                    batch = []
                batch.append((int(part), int(row)))
            batches.append(batch)
        self.rng.shuffle(batches)  # type: ignore[arg-type]
        return batches

    def tensors(self, batch: list[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Ids (rows, length), flat positions whose next token is wanted, and those tokens."""
        seqs = [self.parts[p][0].ids[self.parts[p][0].start[r] : self.parts[p][0].start[r + 1]] for p, r in batch]
        # A few fixed shapes: kernels are made for each, and memory grows with every new one.
        length = -(-(max(map(len, seqs)) - 1) // 8) * 8
        ids = np.full((len(seqs), length), PAD, dtype=np.int64)
        where, want = [], []
        for i, ((p, r), seq) in enumerate(zip(batch, seqs)):
            ids[i, : len(seq) - 1] = seq[:-1]
            first = self.parts[p][0].prompt[r]
            where.append(i * length + np.arange(first - 1, len(seq) - 1))
            want.append(seq[first:])
        spare = -sum(map(len, want)) % 256
        return (
            torch.from_numpy(ids),
            torch.from_numpy(np.concatenate([*where, np.zeros(spare, dtype=np.int64)])),
            torch.from_numpy(np.concatenate([*want, np.full(spare, IGNORED)]).astype(np.int64)),
        )


def loss_of(model: Student, ids: Tensor, where: Tensor, want: Tensor, smooth: float = 0.0) -> Tensor:
    """Mean cross-entropy over the wanted tokens."""
    with torch.autocast(ids.device.type, dtype=torch.bfloat16):
        hidden = model(ids).flatten(0, 1)[where]
        logits = model.logits(hidden)
    return F.cross_entropy(logits.float(), want, label_smoothing=smooth, ignore_index=IGNORED)


def optimizers(model: Student, lr: float, muon_lr: float, decay: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for embedding and norms."""
    matrices = [p for n, p in model.layers.named_parameters() if p.dim() == 2]
    ids = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in ids]
    return [
        torch.optim.Muon(matrices, lr=muon_lr, weight_decay=decay, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=lr, betas=(0.9, 0.98), weight_decay=decay, fused=True),
    ]


@click.command(context_settings={"show_default": True})
@click.option("--tokenizer", "tokenizer_path", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--mix", multiple=True, required=True, metavar="FILE:WEIGHT", help="Rows of {text, name}; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--init", type=click.Path(path_type=Path, exists=True), help="Start from this model.")
@click.option("--embeddings", type=click.Path(path_type=Path, exists=True), help="Start from these vectors (.npy).")
@click.option("--minutes", default=30.0, help="Training time; pauses of the process do not count.")
@click.option("--batch-tokens", default=4096)
@click.option("--lr", default=2e-3, help="Peak, for the embedding.")
@click.option("--muon-lr", default=4e-3, help="Peak, for the matrices.")
@click.option("--decay", default=0.02)
@click.option("--dropout", default=0.0)
@click.option("--smooth", default=0.0)
@click.option("--warmup", default=0.03, help="Share of the time to warm up in.")
@click.option("--cooldown", default=0.6, help="Share of the time over which the rate falls to nothing.")
@click.option("--ema", default=0.998)
@click.option("--hidden", default=256)
@click.option("--layers", default=4)
@click.option("--heads", default=4)
@click.option("--inner", default=1024)
@click.option("--seed", default=1)
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
def main(
    *, tokenizer_path: Path, mix: tuple[str, ...], out: Path, init: Path | None, embeddings: Path | None,
    minutes: float, batch_tokens: int, lr: float, muon_lr: float, decay: float, dropout: float, smooth: float,
    warmup: float, cooldown: float, ema: float, hidden: int, layers: int, heads: int, inner: int, seed: int,
    device: str,
) -> None:  # fmt: skip
    """Train, and keep the running average of the weights in --out."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    tokenizer = Tokenizer.from_file(str(tokenizer_path))
    if init:
        model = load(init, dropout)
    else:
        shape = Shape(tokenizer.get_vocab_size(), hidden, layers, heads, inner)
        model = Student(shape, dropout)
        if embeddings:
            with torch.no_grad():
                model.embed_tokens.weight.copy_(torch.from_numpy(np.load(embeddings)))
    model.to(device).train()
    parts = [(packed(path, tokenizer), weight) for path, weight in map(mix_part, mix)]
    data = Mix(parts, batch_tokens, model.shape.context, rng)
    opts = optimizers(model, lr, muon_lr, decay)
    peak = [muon_lr, lr]
    average = {k: v.detach().clone() for k, v in model.state_dict().items()}
    print(f"{parameters(model.shape):,} parameters, {data.rows:,} rows an epoch", flush=True)

    spent, step, seen, epoch, shown, saved = 0.0, 0, 0, 0, 0.0, 0.0
    running = None
    budget = minutes * 60
    while spent < budget:
        epoch += 1
        for batch in data.epoch():
            began = time.monotonic()
            share = spent / budget
            rate = min(1.0, share / warmup) if share < warmup else min(1.0, (1 - share) / cooldown)
            for opt, top in zip(opts, peak):
                opt.param_groups[0]["lr"] = max(top * rate, top * 0.002)
            ids, where, want = (t.to(device) for t in data.tensors(batch))
            loss = loss_of(model, ids, where, want, smooth)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for opt in opts:
                opt.step()
                opt.zero_grad(set_to_none=True)
            step += 1
            seen += ids.numel()
            with torch.no_grad():
                keep = min(ema, step / (step + 10))
                for k, v in model.state_dict().items():
                    average[k].lerp_(v, 1 - keep)
            running = loss.item() if running is None else running * 0.98 + loss.item() * 0.02
            # A step stopped by the user or a busy machine does not use up the budget.
            spent += min(time.monotonic() - began, 10.0)
            if spent - shown > 30:
                shown = spent
                print(
                    f"{spent / 60:6.1f} min  step {step:6}  epoch {epoch}  loss {running:.3f}  "
                    f"{seen / spent:,.0f} tokens/s  rate {rate:.2f}",
                    flush=True,
                )
            if spent - saved > 300:
                saved = spent
                save(model, out, average)
            if spent >= budget:
                break
    save(model, out, average)
    print(json.dumps({"stage": "train_student", "steps": step, "tokens": seen, "loss": round(running or math.nan, 4),
                      "minutes": round(spent / 60, 1), "out": str(out)}))  # fmt: skip


if __name__ == "__main__":
    main()
