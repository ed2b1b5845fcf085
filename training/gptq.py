"""Put a student on ggml's grid without training it: what rounding a column of a matrix changes, the columns after it
make up for (GPTQ, Frantar et al. 2023).

python -m training.gptq --student-dir models/student --rows data/train.jsonl --out models/rounded
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from torch import Tensor, nn

from training import outliers
from training.corpus import encode
from training.grid import BITS, BLOCK, bits_of, snapped
from training.llama_folder import TOKENIZER, tokenizer_at
from training.model import EncoderDecoder, Student, load, save
from training.objective import distance, scores
from training.rows import examples
from training.stage import bar, report, stage_command, writable

# Added to the diagonal of the second moments, as a share of its mean: the paper's.
DAMPING = 0.01
# How much of a block's farthest value its scale may reach: a value less far is cut off where that costs less.
REACHES = torch.linspace(0.75, 1.05, 13).tolist()


class Readers(NamedTuple):
    """Matrices that read the same vectors: what `source` is given, or gives where `after`. `writers`: the matrices that
    nobody else reads, if the vectors are made from these channel by channel."""

    linears: list[nn.Linear]
    source: nn.Module
    after: bool = False
    writers: tuple[nn.Linear, ...] = ()


def readers(student: Student) -> Iterator[Readers]:
    """All matrices of the student's layers, in the order in which a prompt meets them."""
    layer: Any  # nn.ModuleList and nn.ModuleDict forget what they hold
    if isinstance(student, EncoderDecoder):
        for layer in student.encoder.layers:
            yield from (Readers([part], part) for part in (layer.qkv, layer.out, layer.up))
            yield Readers([layer.down], layer.down, writers=(layer.up,))
    for layer in student.layers:
        attn, mlp = layer.self_attn, layer.mlp
        yield Readers([attn[f"{n}_proj"] for n in "qkv"], layer.input_layernorm, after=True)
        yield Readers([attn["o_proj"]], attn["o_proj"])
        yield Readers([mlp["gate_proj"], mlp["up_proj"]], layer.post_attention_layernorm, after=True)
        yield Readers([mlp["down_proj"]], mlp["down_proj"], writers=(mlp["gate_proj"], mlp["up_proj"]))


def compensated(weight: Tensor, moments: Tensor, bits: int = BITS) -> Tensor:
    """A matrix (out, in) on the grid of `grid.snap`, close in what it gives for inputs of these second moments (in, in)
    rather than in its values. Raises torch.linalg.LinAlgError where the moments are no finite numbers."""
    left, moments = weight.double(), moments.double()
    width = moments.shape[0]
    unread = moments.diagonal() == 0
    moments = moments + torch.diag(unread.double())
    moments = moments + DAMPING * moments.diagonal().mean() * torch.eye(width, dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    passed_on = torch.linalg.cholesky(inverse, upper=True)
    half = 1 << (bits - 1)
    out = torch.zeros_like(left)
    for first in range(0, width, BLOCK):
        here = slice(first, first + BLOCK)
        block, own = left[:, here].clone(), passed_on[here, here]
        farthest = block.abs().argmax(1, keepdim=True)
        scale = _scale(block, block.gather(1, farthest) / -half, own.diagonal() ** -2, half)
        errors = torch.zeros_like(block)
        for column in range(BLOCK):
            steps = _steps(block[:, column], scale, half)
            # ggml takes the scale from the farthest value: that one must stay so when it is rounded there again.
            steps = torch.where(farthest[:, 0] == column, -half, steps)
            out[:, first + column] = steps * scale
            errors[:, column] = (block[:, column] - steps * scale) / own[column, column]
            block[:, column:] -= errors[:, column, None] * own[column, column:]
        left[:, first + BLOCK :] -= errors @ passed_on[here, first + BLOCK :]
    return out.float()


def _steps(values: Tensor, scale: Tensor, half: int) -> Tensor:
    """How many times its scale each value is, to the nearest that the grid has; 0 where the scale is 0."""
    return (values / scale).nan_to_num(0.0).round().clamp(-half, half - 1)


def _scale(block: Tensor, widest: Tensor, cost: Tensor, half: int) -> Tensor:
    """The f16 scale of each row (rows) of a block (rows, 32) that rounds it best, errors counted by column (32)."""
    best = torch.zeros(len(block), dtype=block.dtype)
    least = torch.full_like(best, torch.inf)
    for reach in REACHES:
        scale = (widest * reach).half().double()
        steps = _steps(block, scale, half)
        error = ((steps * scale - block).square() * cost).sum(1)
        best, least = torch.where(error < least, scale[:, 0], best), torch.minimum(error, least)
    return best


def held(student: Student) -> dict[str, Tensor]:
    """The weights that a file of Q4_0 has on the grid: all beside an encoder, else those of the layers, as the tokens'
    vectors are finer there."""
    every = isinstance(student, EncoderDecoder)
    return {name: p for name, p in student.named_parameters() if every or name.startswith("layers.")}


class Row(NamedTuple):
    """A prompt and its name as tokens (1, length), and how many of these are the prompt's (1)."""

    ids: Tensor
    prompt: Tensor


@torch.inference_mode()
def moments_of(student: Student, group: Readers, rows: list[Row]) -> Tensor:
    """Second moments (in, in), not centred, of what the group reads while the student reads the rows."""
    width = group.linears[0].in_features
    total = torch.zeros(width, width)

    def add(vectors: Tensor) -> None:
        flat = vectors.flatten(0, -2)
        total.add_(flat.T @ flat)

    if group.after:
        hook = group.source.register_forward_hook(lambda _module, _given, got: add(got))
    else:
        hook = group.source.register_forward_pre_hook(lambda _module, given: add(given[0]))
    try:
        for row in rows:
            student(row.ids, row.prompt)
    finally:
        hook.remove()
    return total


@torch.inference_mode()
def logits_of(student: Student, rows: list[Row]) -> list[Tensor]:
    """The scores (tokens, vocabulary) of each row's name."""
    return [
        scores(student, row.ids, row.prompt, torch.arange(int(row.prompt) - 1, row.ids.shape[1] - 1)) for row in rows
    ]


def apart(student: Student, want: list[Tensor], rows: list[Row]) -> float:
    """KL(want || student) in nats, the mean over the rows' name tokens."""
    return float(distance(torch.cat(logits_of(student, rows)), torch.cat(want), 1.0))


@torch.no_grad()
def put_on_grid(student: Student, rows: list[Row]) -> None:
    """Change the student's weights; each matrix is fitted to what it reads once those before it have been rounded, and
    channels that it reads stand apart from those that they would drown."""
    vectors = {name: p for name, p in held(student).items() if "layers." not in name}
    student.load_state_dict(snapped(vectors), strict=False)
    groups = list(readers(student))
    for group in bar(groups, "round", len(groups)):
        moments = moments_of(student, group, rows)
        if group.writers and (order := outliers.order(moments.diagonal(), group.linears[0].weight)) is not None:
            outliers.reorder(group.writers, group.linears, order)
            moments = moments[order][:, order]
        for linear in group.linears:
            if bits_of("", linear.weight):
                linear.weight.copy_(compensated(linear.weight, moments))


def read_rows(paths: tuple[Path, ...], tokenizer: Path, limit: int, context: int, seed: int) -> list[Row]:
    """About `limit` rows, as many of each file. Raises click.ClickException where there are fewer than two."""
    rng = np.random.default_rng(seed)
    texts = []
    for path in paths:
        found = examples(path)
        texts += [found[i] for i in rng.permutation(len(found))[: -(-limit // len(paths))]]
    rows = []
    if texts:
        packed = encode(tokenizer_at(tokenizer), texts)
        for a, b, prompt in zip(packed.start, packed.start[1:], packed.prompt):
            if b - a <= context:
                rows.append(Row(torch.from_numpy(packed.ids[a:b].astype(np.int64))[None], torch.tensor([int(prompt)])))
    if len(rows) < 2:
        raise click.ClickException("fewer than two rows fit the model's context; give --rows more of them")
    return rows


@stage_command()
@click.option("--student-dir", type=click.Path(path_type=Path, exists=True), default=Path("models/student"))
@click.option(
    "--rows", "paths", multiple=True, required=True, type=click.Path(path_type=Path, exists=True),
    help="Prompts and names to read meanwhile, such as it was trained on; repeatable.",
)  # fmt: skip
@click.option("--limit", default=400, type=click.IntRange(2), help="How many; a tenth of them measures.")
@click.option("--seed", default=0)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("models/rounded"))
def main(*, student_dir: Path, paths: tuple[Path, ...], limit: int, seed: int, out: Path) -> None:
    """Write OUT, the student with its matrices on the grid of Q4_0, for training.export_gguf --type Q4_0."""
    writable(out.parent)
    student = load(student_dir).eval()
    rows = read_rows(paths, student_dir / TOKENIZER, limit, student.shape.context, seed)
    measuring = rows[::10]
    want = logits_of(student, measuring)
    plain = {name: p.detach().clone() for name, p in held(student).items()}
    student.load_state_dict(snapped(plain), strict=False)
    nearest = apart(student, want, measuring)
    student.load_state_dict(plain, strict=False)
    put_on_grid(student, [row for i, row in enumerate(rows) if i % 10])
    save(student, out, tokenizer=student_dir / TOKENIZER)
    kl = apart(student, want, measuring)
    report("gptq", rows=len(rows), kl_nearest=round(nearest, 5), kl=round(kl, 5), out=str(out))


if __name__ == "__main__":
    main()
