"""A deeper student that names as the one it was grown from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from conftest import invoke  # noqa: E402

from training import grow, model  # noqa: E402
from training.model import Shape, Student  # noqa: E402

SHAPE = Shape(vocab=61, hidden=32, layers=2, heads=4, inner=48)
IDS = torch.arange(24).reshape(2, 12)


@pytest.fixture
def student() -> Student:
    torch.set_num_threads(1)
    torch.manual_seed(7)
    out = Student(SHAPE).eval()
    for p in out.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return out


@pytest.mark.parametrize("repeat", [1, 2, 3])
def test_a_grown_student_scores_as_before(student: Student, repeat: int) -> None:
    with torch.inference_mode():
        deeper = grow.deeper(student, repeat, prefix=False).eval()
        assert torch.allclose(deeper(IDS), student(IDS), atol=1e-6)
    assert deeper.shape.layers == 2 * repeat


def test_what_was_added_learns(student: Student) -> None:
    deeper = grow.deeper(student, 2, prefix=False)
    deeper(IDS).square().mean().backward()
    added = deeper.layers[1].mlp["down_proj"].weight
    assert not added.any() and added.grad is not None and added.grad.any()


def test_a_prefix_lm_lets_the_prompt_see_ahead(student: Student, tmp_path: Path) -> None:
    model.save(student, tmp_path / "student")
    tokenizer = Path(__file__).parent.parent / "wtname" / "model" / "tokenizer.json"
    (tmp_path / "student" / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    args = ("--student", tmp_path / "student", "--prefix", "--out", tmp_path / "deeper")
    figures = json.loads(invoke(grow.main, *args).stdout.splitlines()[-1])
    assert figures["layers"] == 4
    deeper = model.load(tmp_path / "deeper").eval()
    other = IDS.clone()
    other[:, 5] = 60
    prompt = torch.tensor([6, 6])
    with torch.inference_mode():
        same = torch.isclose(deeper(IDS, prompt), deeper(other, prompt), atol=1e-6).all(-1)
    assert not same[:, :6].any()  # the change is seen from before it
