"""Deepen a student: layers that do nothing at first are put between those it has, and learn (Chen et al. 2016).

python -m training.grow --student models/student --repeat 2 --prefix --out models/deeper
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
import torch

from training.llama_folder import parameters
from training.model import Student, load, save
from training.stage import report, stage_command


def deeper(student: Student, repeat: int, prefix: bool) -> Student:
    """A student with `repeat` layers for each: the layer, then copies of it whose outputs are zero."""
    shape = replace(student.shape, layers=student.shape.layers * repeat, prefix=prefix)
    out = Student(shape)
    rest = {k: v for k, v in student.state_dict().items() if not k.startswith("layers.")}
    out.load_state_dict(rest, strict=False)
    for i, layer in enumerate(out.layers):
        layer.load_state_dict(student.layers[i // repeat].state_dict())
        if i % repeat:
            torch.nn.init.zeros_(layer.self_attn["o_proj"].weight)  # type: ignore[index,union-attr]
            torch.nn.init.zeros_(layer.mlp["down_proj"].weight)  # type: ignore[index,union-attr]
    return out


@stage_command()
@click.option("--student", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option("--repeat", type=click.IntRange(1), default=2, help="Layers for each that the student has.")
@click.option("--prefix/--causal", default=None, help="Whether the prompt's tokens see one another both ways.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(*, student: Path, repeat: int, prefix: bool | None, out: Path) -> None:
    """Write the deeper student. It names as the student does, until it is trained on or made a prefix LM."""
    before = load(student)
    after = deeper(before, repeat, before.shape.prefix if prefix is None else prefix)
    save(after, out, tokenizer=student)
    report("grow", layers=after.shape.layers, parameters=parameters(after.shape), out=str(out))


if __name__ == "__main__":
    main()
