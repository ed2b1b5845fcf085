"""The commands that training/README.md shows, and the recipe that stages follow where nothing else is asked for."""

from __future__ import annotations

import importlib
import re
import shlex
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest

for needed in ("accelerate", "datasketch", "git", "torch"):
    pytest.importorskip(needed, reason="comes with the extra `training`")

from training import splits  # noqa: E402
from training.corpus import read_jsonl  # noqa: E402
from training.presets import PRESETS, Job  # noqa: E402
from wtname import naming  # noqa: E402

TRAINING = Path(__file__).parent.parent / "training"
SHOWN = re.findall(
    r"(?:python -m|accelerate launch -m) (training\.\w+)([^`#\n]*)",
    "".join((TRAINING / file).read_text("utf-8") for file in ("README.md", "MODEL_CARD.md")),
)


def command(module: str) -> click.Command:
    main: click.Command = importlib.import_module(module).main
    return main


def defaults(stage: str) -> dict[str, Any]:
    return {param.opts[0]: param.default for param in command(f"training.{stage}").params}


def test_every_stage_is_shown() -> None:
    assert {module.removeprefix("training.") for module, _ in SHOWN} >= {
        "run", "generate_data", "mine_history", "train_tokenizer", "finetune_teacher", "distill", "export_gguf",
        "benchmark", "evaluate",
    }  # fmt: skip


@pytest.mark.parametrize(("module", "args"), SHOWN)
def test_the_commands_shown_have_their_options(module: str, args: str) -> None:
    if "…" in args:
        args = re.sub(r"\s--?\w[\w-]*(?= …)", "", args).replace("…", "")
    parser = command(module).make_parser(click.Context(command(module)))
    parser.parse_args(shlex.split(args))  # NoSuchOption, or an option without its value


@pytest.mark.parametrize(
    ("stage", "recipe"),
    [
        ("generate_data", {"--augment": 500, "--api": 1200, "--model": "gpt-4o-mini"}),
        ("finetune_teacher", {
            "--base": "HuggingFaceTB/SmolLM2-135M-Instruct", "--rank": 16, "--alpha": 32, "--epochs": 5,
            "--out": Path("models/teacher-merged"),
        }),
        ("distill", {
            "--alpha": 0.7, "--temperature": 2, "--epochs": 15, "--student-layers": 4, "--student-hidden": 256,
            "--student-heads": 4, "--student-inner": 1024, "--out": Path("models/student"),
        }),
        ("export_gguf", {
            "--student-dir": Path("models/student"), "--format": "gguf", "--type": ("f16", "Q8_0", "Q4_K_M"),
            "--compare": 200, "--least-agree": 0.95,
        }),
        ("benchmark", {"--n": 50}),
    ],
)  # fmt: skip
def test_the_recipe(stage: str, recipe: dict[str, Any]) -> None:
    assert {option: defaults(stage)[option] for option in recipe} == recipe


def test_the_rows_that_come_along() -> None:
    kinds = Counter(row["name"].split("-")[0] for row in read_jsonl(TRAINING / "seeds.jsonl"))
    assert sum(kinds.values()) >= 201 and {*naming.TYPES} <= kinds.keys()
    assert len({*(TRAINING / "categories.txt").read_text("utf-8").split("\n")} - {""}) == 60
    assert splits.SHARES == {"train": 0.8, "val": 0.1, "test": 0.1}


def test_no_stage_needs_a_file_outside_the_repository() -> None:
    stages = [path.stem for path in TRAINING.glob("*.py") if "@stage_command" in path.read_text("utf-8")]
    assert len(stages) > 10
    for stage in stages:
        paths = [value for value in defaults(stage).values() if isinstance(value, Path)]
        ours = (TRAINING, Path(naming.__file__).parent)
        assert all(any(map(path.is_relative_to, ours)) or not path.is_absolute() for path in paths), stage
        assert not any(".." in path.parts for path in paths), stage
    assert not [path.name for path in TRAINING.glob("*.py") if re.search(r"\.\./\w", path.read_text("utf-8"))]


@pytest.mark.parametrize("scorer", [None, Path("other.py")])
def test_a_run_ends_with_scores(scorer: Path | None, tmp_path: Path) -> None:
    last = Job(PRESETS["tiny"], tmp_path, scorer=scorer).stages()[-1]
    assert last.name == "evaluate" and last.args[-1] == str(tmp_path / "data" / "test.jsonl")
    given = [value for option, value in pairwise(last.args) if option == "--scorer"]
    assert given == ([str(scorer)] if scorer else [])
    assert (Path("other.py") in last.reads) == bool(scorer)
