"""Average the weights of students that began as one: often better than any of them (Wortsman et al. 2022).

python -m training.average --out models/student models/c models/d
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from training.model import load, save
from training.stage import report, stage_command


@stage_command()
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.argument("students", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(out: Path, students: tuple[Path, ...]) -> None:
    """Write the mean of the students' weights, with the tokenizer of the first."""
    models = [load(folder) for folder in students]
    if len({model.shape for model in models}) > 1:
        raise click.UsageError("the students differ in shape; average those that began as one")
    states = [model.state_dict() for model in models]
    mean = {key: torch.stack([state[key] for state in states]).mean(0) for key in states[0]}
    save(models[0], out, mean, students[0] if (students[0] / "tokenizer.json").exists() else None)
    report("average", students=len(models), out=str(out))


if __name__ == "__main__":
    main()
