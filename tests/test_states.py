"""The copying teacher's states as a second thing to learn, on tiny models of random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import copying  # noqa: E402
from click.testing import Result  # noqa: E402
from conftest import invoke  # noqa: E402
from copying import ROWS  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from training import distill  # noqa: E402
from training.batches import Mix  # noqa: E402
from training.copy_model import MAX_SOURCE, load_teacher  # noqa: E402
from training.corpus import Example, encode  # noqa: E402
from training.model import Shape, Student, load  # noqa: E402
from training.objective import Objective, optimizers  # noqa: E402
from training.states import States  # noqa: E402
from wtname import naming  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, a tokenizer for the student, and a copying teacher of random weights that has its own."""
    folder = tmp_path_factory.mktemp("states")
    copying.make(folder)
    return folder


def states(here: Path, weight: float = 1.0, layers: int = 2) -> tuple[States, Tokenizer]:
    tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
    torch.manual_seed(1)
    student = Student(Shape(tokenizer.get_vocab_size(), 32, layers, 4, 48, context=512))
    return States(Objective(student), tokenizer, *load_teacher(here / "copy"), weight).train(), tokenizer


def batch(tokenizer: Tokenizer, rows: list[Example]) -> tuple[Any, ...]:
    mix = Mix([(encode(tokenizer, rows), 1.0)], 8192, 512, 0, tokenizer.token_to_id(naming.END))
    return mix.tensors(next(iter([[(0, i) for i in range(len(rows))]])))  # type: ignore[arg-type]


def test_first_tokens_of_words_meet_the_means_of_their_pieces(here: Path) -> None:
    module, tokenizer = states(here)
    texts = ["fix parsers under pressure", "don't fix", "the logins", "the \N{NO-BREAK SPACE} cache"]
    ids, prompt, *_ = batch(tokenizer, [Example(text, "fix-it") for text in texts])
    words = module.words(ids, prompt)
    # The last has a word of which no piece is left.
    assert words is not None and words.rows == 3
    starts = words.starts.tolist()
    said = [tokenizer.decode(ids.flatten()[at : at + 8].tolist()) for at in starts]
    firsts = [f" {word}"[:5] for text in texts[:3] for word in text.split()]
    assert all(text.startswith(first) for text, first in zip(said, firsts, strict=True)), said
    pieces = [module.pieces.id_to_token(i) for i in words.source.flatten()[words.pieces].tolist()]
    held = [
        [p for p, owner in zip(pieces, words.owners.tolist(), strict=True) if owner == i] for i in range(len(starts))
    ]
    assert held == [
        ["fix"], ["parser", "##s"], ["un", "##der"], ["press", "##ure"], ["don", "'", "t"], ["fix"],
        ["the"], ["login", "##s"],
    ]  # fmt: skip
    assert [at // ids.shape[1] for at in starts] == [0, 0, 0, 0, 1, 1, 2, 2]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        memory = module.teacher.encode(words.source)[0].float()
    wanted = module.wanted(words)
    assert torch.allclose(wanted[1], memory[0, 2:4].mean(0)) and torch.allclose(wanted[7], memory[2, 2:4].mean(0))


def test_a_word_cut_off_by_the_teachers_length_is_left_out(here: Path) -> None:
    module, tokenizer = states(here)
    long = " ".join(["the", *["logins"] * (MAX_SOURCE // 2 + 3)])
    words = module.words(*batch(tokenizer, [Example(long, "fix-it")])[:2])
    assert words is not None
    assert len(words.starts) == MAX_SOURCE // 2 and torch.bincount(words.owners).tolist() == [1, *[2] * 63]


@pytest.mark.parametrize(("layers", "index"), [(1, 0), (2, 1), (4, 2), (8, 5)])
def test_two_thirds_of_the_layers_are_what_is_seen(layers: int, index: int, here: Path) -> None:
    module, tokenizer = states(here, layers=layers)
    seen = {}
    for i, layer in enumerate(module.objective.student.layers):
        layer.register_forward_hook(lambda _m, _i, out, i=i: seen.update({i: out}))
    ids, prompt, *_ = batch(tokenizer, ROWS[:2])
    module.objective.student(ids, prompt)
    assert module.seen is seen[index]


def test_the_error_falls_and_no_weight_is_the_objective_alone(here: Path) -> None:
    module, tokenizer = states(here)
    given = batch(tokenizer, ROWS)
    alone = module.objective(*given)
    assert torch.equal(states(here, weight=0.0)[0](*given), alone)
    first = module(*given).item()
    assert first - alone.item() == pytest.approx((states(here, 2.0)[0](*given).item() - alone.item()) / 2, rel=1e-3)
    assert first - alone.item() > 0.8
    learning = [*optimizers(module.objective.student, 5e-3, 1e-2, 0.0), module.optimizer()]
    for _ in range(60):
        loss = module(*given)
        loss.backward()
        for opt in learning:
            opt.step()
            opt.zero_grad()
    assert all(p.grad is None for p in module.teacher.parameters())
    module.objective(*given)
    assert module.error(*given[:2]).item() < 0.5 * (first - alone.item())
    assert module.share() == 1.0


def test_rows_without_a_match_leave_the_loss_and_the_heads_gradients(here: Path) -> None:
    module, tokenizer = states(here)
    given = batch(tokenizer, [Example("the \N{NO-BREAK SPACE} cache", "fix-cache")])
    loss = module(*given)
    assert loss.item() == module.objective(*given).item() and module.share() == 0.0
    loss.backward()
    assert module.head.weight.grad is not None and not module.head.weight.grad.any()


# --- the command -----------------------------------------------------------------------------------------------------


def run(here: Path, *args: object) -> Result:
    small = ["--student-layers", 2, "--student-hidden", 32, "--student-inner", 48, "--cpu", "--lr", 5e-3]
    return invoke(
        distill.main, "--tokenizer", here / "tokenizer.json", "--mix", f"{here / 'rows.jsonl'}:1", *small, *args
    )


def done(here: Path, *args: object) -> dict[str, Any]:
    result = run(here, *args)
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def test_the_command_says_whose_states_and_saves_the_student_alone(here: Path, tmp_path: Path) -> None:
    plain = done(here, "--epochs", 3, "--out", tmp_path / "plain")
    assert "states" not in plain
    off = done(here, "--epochs", 3, "--out", tmp_path / "off", "--states", here / "copy", "--states-weight", 0)
    assert off["loss"] == plain["loss"] and "states" not in off
    figures = done(here, "--epochs", 3, "--out", tmp_path / "on", "--states", here / "copy")
    assert figures["states"] == str(here / "copy") and figures["states_rows"] == 1.0
    assert figures["loss"] > plain["loss"] + 0.3
    saved = [load_file(tmp_path / out / "model.safetensors") for out in ("plain", "on")]
    assert saved[0].keys() == saved[1].keys()
    assert load(tmp_path / "on").shape.layers == 2


def test_a_run_cut_off_goes_on_with_its_head_and_other_states_start_anew(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args = ["--epochs", 4, "--states", here / "copy"]
    whole = done(here, *args, "--out", tmp_path / "whole")
    out = ["--out", tmp_path / "cut", "--save-minutes", 1e-9]
    inner = distill.Mix.tensors
    steps = 0

    def three(mix: Mix, rows: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise KeyboardInterrupt
        return inner(mix, rows)

    with monkeypatch.context() as patch:
        patch.setattr(distill.Mix, "tensors", three)
        assert run(here, *args, *out).exit_code
    (state,) = (tmp_path / "cut.checkpoints").glob("*/state.pt")
    kept = torch.load(state, weights_only=True)
    assert kept["progress"]["step"] == 3 and kept["weights"]["head.weight"].shape == (384, 32)
    with monkeypatch.context() as patch:
        steps = 0
        patch.setattr(distill.Mix, "tensors", three)
        assert run(here, *args, "--states-weight", 0.5, *out).exit_code
    assert len(list((tmp_path / "cut.checkpoints").iterdir())) == 2
    assert done(here, *args, *out)["loss"] == pytest.approx(whole["loss"], abs=1e-3)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("cut", "whole"))
    assert all(torch.allclose(ours[name], theirs[name], atol=1e-4) for name in theirs)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--states-weight 0.5", "give --states"),
        ("--states {copy} --states-weight -1", "--states-weight is 0 or more"),
        ("--states {here}", "holds no copying teacher"),
    ],
)
def test_bad_input_gets_one_line(args: str, says: str, here: Path, tmp_path: Path) -> None:
    result = run(here, *args.format(copy=here / "copy", here=here).split(), "--out", tmp_path / "out")
    assert result.exit_code in (1, 2) and says in result.stderr, result.output
    assert not (tmp_path / "out").exists()
