"""The training loop and what it learns from, for real on tiny models: distillation, labels, resume, processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from click.testing import Result  # noqa: E402
from conftest import ROOT, invoke  # noqa: E402
from safetensors.torch import load_file, save  # noqa: E402
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: E402

from training import distill, labels, train_tokenizer  # noqa: E402
from training.batches import IGNORED, Mix, by_length, drawn  # noqa: E402
from training.corpus import Example, encode, read_jsonl, write_jsonl  # noqa: E402
from training.loop import Plan, share_out  # noqa: E402
from training.model import Shape, Student, load  # noqa: E402
from training.objective import Objective, distance  # noqa: E402
from wtname import naming  # noqa: E402

ROWS = [
    {"prompt": f"{kind} the {how} {what}, please!", "name": f"{kind}-{how}-{what}"}
    for kind in naming.TYPES
    for how in ("slow", "broken", "empty", "stale")
    for what in ("parser", "cache", "login", "table", "widget", "menu")
]
SMALL = [
    "--student-layers", "1", "--student-hidden", "64", "--student-inner", "128", "--batch-tokens", "512",
    "--lr", "5e-3", "--muon-lr", "2e-2", "--ema", "0.9", "--cpu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tokenizer_of(folder: Path, size: int = 400) -> Path:
    """A byte-level BPE of the rows' words with the three markers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    markers = [naming.USER, naming.ASSISTANT, naming.END]
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=markers, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([f" {r['prompt']} {r['name'].replace('-', ' ')}" for r in ROWS], trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def run(*args: object) -> Result:
    return invoke(distill.main, *args)


def done(*args: object) -> dict[str, Any]:
    """The figures of a run that has to end well."""
    result = run(*args)
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)  # one line, nothing else
    return figures


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with rows, a tokenizer, and a teacher that knows them."""
    folder = tmp_path_factory.mktemp("distill")
    write_jsonl(folder / "train.jsonl", (r for i, r in enumerate(ROWS) if i % 5))
    write_jsonl(folder / "val.jsonl", (r for i, r in enumerate(ROWS) if not i % 5))
    tokenizer_of(folder)
    figures = done(
        "--tokenizer", folder / "tokenizer.json", "--train", folder / "train.jsonl", "--val", folder / "val.jsonl",
        "--out", folder / "teacher", *SMALL, "--epochs", "20", "--prefix",
    )  # fmt: skip
    assert figures["exact"] > 0.8, figures
    return folder


def rows_args(here: Path) -> list[object]:
    return ["--train", here / "train.jsonl", "--val", here / "val.jsonl"]


# --- what is learnt --------------------------------------------------------------------------------------------------


def test_distance_is_hintons() -> None:
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(5, 7)), rng.normal(size=(5, 7))
    soft = lambda x: np.exp(x / 2) / np.exp(x / 2).sum(-1, keepdims=True)  # noqa: E731
    p, q = soft(teacher), soft(student)
    want = 4 * (p * np.log(p / q)).sum(-1).mean()
    assert float(distance(torch.tensor(student), torch.tensor(teacher), 2.0)) == pytest.approx(want)
    assert float(distance(torch.tensor(teacher), torch.tensor(teacher), 2.0)) == pytest.approx(0)


def objective_parts() -> tuple[Student, Student, tuple[Any, ...]]:
    torch.manual_seed(1)
    student, teacher = (Student(Shape(64, 32, 1, 4, 48)) for _ in range(2))
    for p in (*student.parameters(), *teacher.parameters()):
        torch.nn.init.normal_(p, std=0.3)
    ids = torch.randint(64, (2, 8))
    where, want = torch.tensor([4, 5, 6, 11, 12, 0, 0]), torch.tensor([1, 2, 3, 4, 5, IGNORED, IGNORED])
    return student, teacher, (ids, torch.tensor([5, 4]), where, want)


def test_the_loss_is_alpha_of_the_teacher_and_the_rest_of_the_label_over_the_name_alone() -> None:
    student, teacher, given = objective_parts()
    student.requires_grad_(False)
    ids, prompt, where, want = given
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        s, t = (m.logits(m(ids, prompt).flatten(0, 1)[where])[:5].float() for m in (student, teacher))
    ce = torch.nn.functional.cross_entropy(s, want[:5])
    for alpha in (0.0, 0.7, 1.0):
        both = alpha * distance(s, t, 2.0) + (1 - alpha) * ce
        assert float(Objective(student, teacher, alpha, 2.0)(*given)) == pytest.approx(float(both), rel=1e-3)
    assert float(Objective(student)(*given)) == pytest.approx(float(ce), rel=1e-3)
    level = s.exp().sum(-1).log().square().mean()
    assert float(Objective(student, z=0.5)(*given)) == pytest.approx(float(ce + 0.5 * level), rel=1e-3)
    both = 0.7 * distance(s, t, 2.0) + 0.3 * (ce + 0.5 * level)
    assert float(Objective(student, teacher, 0.7, 2.0, z=0.5)(*given)) == pytest.approx(float(both), rel=1e-3)


def test_the_teacher_does_not_learn() -> None:
    student, teacher, given = objective_parts()
    Objective(student, teacher)(*given).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


def test_a_teacher_may_have_rows_of_embedding_to_spare() -> None:
    student, _, given = objective_parts()
    wide = Student(Shape(70, 32, 1, 4, 48))
    wide.load_state_dict(
        {k: torch.cat((v, torch.full((6, 32), 9.0))) if "embed" in k else v for k, v in student.state_dict().items()}
    )
    assert Objective(student, wide, 1.0)(*given).item() == pytest.approx(0, abs=1e-5)


# --- batches and budget ----------------------------------------------------------------------------------------------


def test_by_length_puts_each_row_in_one_batch_of_few_tokens() -> None:
    lengths = np.random.default_rng(1).integers(1, 60, 500)
    for rng in (None, np.random.default_rng(2)):
        batches = by_length(lengths, 256, rng)
        assert sorted(np.concatenate(batches).tolist()) == list(range(500))
        assert all(len(b) * (-(-max(lengths[b]) // 8) * 8) <= 256 for b in batches)
        assert len(batches) < 1.3 * lengths.sum() / 256
    assert [b.tolist() for b in by_length(np.array([300]), 256)] == [[0]]


@pytest.mark.parametrize(("weight", "least", "most"), [(1.0, 10, 10), (2.5, 25, 25), (0.3, 3, 3), (0.0, 0, 0)])
def test_a_weight_says_how_often_a_row_comes(weight: float, least: int, most: int) -> None:
    rows = drawn([(10, weight), (4, 1.0)], np.random.default_rng(1))
    counts = np.bincount(rows[rows[:, 0] == 0, 1], minlength=10)
    assert least <= counts.sum() <= most and counts.max() - counts.min() <= 1
    assert (rows[:, 0] == 1).sum() == 4


def test_a_mix_wants_the_name_and_its_end_and_nothing_of_the_prompt(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_of(tmp_path)))
    rows = [Example("fix the slow cache", "fix-slow-cache"), Example("hi", "none"), Example("menu " * 90, "fix-menu")]
    mix = Mix([(encode(tokenizer, rows), 1.0)], 4096, 60, 1, 2)
    assert mix.too_long() == 1
    (batch,) = mix.epoch(0)
    ids, prompt, where, want = mix.tensors(batch)
    wanted = want[want != IGNORED]
    assert len(want) % 256 == 0 and ids.shape[1] % 8 == 0
    assert tokenizer.decode(wanted.tolist(), skip_special_tokens=False) in (
        f" none{naming.END} fix slow cache{naming.END}", f" fix slow cache{naming.END} none{naming.END}",
    )  # fmt: skip
    before = ids.flatten()[where[: len(wanted)]]
    assert (before[1:][wanted[:-1] != 2] == wanted[:-1][wanted[:-1] != 2]).all()  # each token's own place is before it
    shown = [tokenizer.decode(row[:n].tolist(), skip_special_tokens=False) for row, n in zip(ids, prompt, strict=True)]
    assert sorted(shown) == sorted(naming.render(r.text) for r in rows[:2])


def test_epochs_are_the_same_for_the_same_seed_and_differ_from_one_another(tmp_path: Path) -> None:
    part = encode(Tokenizer.from_file(str(tokenizer_of(tmp_path))), [Example(r["name"], r["name"]) for r in ROWS])
    first, again, other = (Mix([(part, 1.0)], 256, 60, seed, 2) for seed in (1, 1, 2))
    flat = lambda batches: np.concatenate(batches).tolist()  # noqa: E731
    assert flat(first.epoch(3)) == flat(again.epoch(3))
    assert flat(first.epoch(3)) != flat(first.epoch(4))
    assert flat(first.epoch(3)) != flat(other.epoch(3))


def test_noise_changes_what_is_learnt_from(here: Path, tmp_path: Path) -> None:
    args = ("--tokenizer", here / "tokenizer.json", *rows_args(here), *SMALL, "--epochs", "1")
    figures = [done(*args, "--out", tmp_path / str(share), "--noise", share) for share in (0, 0.5)]
    assert figures[0]["loss"] != figures[1]["loss"] and figures[0]["rows"] == figures[1]["rows"]


def test_rates_rise_stay_and_fall() -> None:
    plan = Plan(warmup=0.1, cooldown=0.5, floor=0.01)
    rates = [plan.rate(share) for share in (0.0, 0.05, 0.1, 0.3, 0.5, 0.75, 1.0, 1.1)]
    assert rates == pytest.approx([0.01, 0.5, 1, 1, 1, 0.5, 0.01, 0.01])


@pytest.mark.parametrize(("batches", "world"), [(7, 1), (7, 2), (6, 2), (1, 4)])
def test_processes_get_as_many_batches_and_every_batch_goes_to_one(batches: int, world: int) -> None:
    shares = [list(share_out(range(batches), rank, world)) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert {b for share in shares for b in share} == set(range(batches))
    assert sum(map(len, shares)) < batches + world


# --- the stage -------------------------------------------------------------------------------------------------------


def test_a_student_learns_from_a_teacher_and_loads_everywhere(here: Path, tmp_path: Path) -> None:
    out = tmp_path / "student"
    figures = done("--teacher", here / "teacher", *rows_args(here), "--out", out, *SMALL, "--epochs", "15")
    assert figures["stage"] == "distill" and figures["exact"] > 0.7 and figures["val_loss"] < 0.5, figures
    assert figures["rows"] == 134 and figures["too_long"] == 0 and figures["processes"] == 1
    assert sorted(p.name for p in out.iterdir()) == [
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(out)
    text = naming.render("fix the slow cache") + naming.render_name("fix-slow-cache")
    plain = Tokenizer.from_file(str(here / "tokenizer.json"))
    assert tokenizer(text, add_special_tokens=False).input_ids == plain.encode(text, add_special_tokens=False).ids
    assert tokenizer.eos_token == naming.END
    llama = transformers.AutoModelForCausalLM.from_pretrained(out)
    ids = torch.tensor([plain.encode(naming.render("fix the slow cache"), add_special_tokens=False).ids])
    written = llama.generate(ids, max_new_tokens=20, do_sample=False)[0, ids.shape[1] :]
    assert written[-1] == llama.config.eos_token_id
    (named,) = labels.Namer(out)(["fix the slow cache"])
    assert "-".join(tokenizer.decode(written[:-1]).split()) == named.name


def test_the_teacher_names_what_has_no_name_once(here: Path, tmp_path: Path) -> None:
    known = [{"prompt": r["prompt"], "name": "fix-nothing-at-all"} for r in ROWS[:30]]
    write_jsonl(tmp_path / "train.jsonl", known)
    unlabelled = [{"text": f"docs the {how} cursor please"} for how in ("slow", "stale")]
    write_jsonl(tmp_path / "more.jsonl", [*unlabelled, {"prompt": "Test the slow menu, please!"}])
    args = ["--teacher", here / "teacher", "--train", tmp_path / "train.jsonl", "--unlabelled", tmp_path / "more.jsonl",
            *SMALL, "--epochs", "1"]  # fmt: skip
    counts = {
        how: done(*args, "--labels", how, "--out", tmp_path / "student", "--least-sure", -0.3)["rows"]
        for how in ("teacher", "both")
    }
    kept = list((tmp_path / "student-labels").glob("*.jsonl"))
    assert len(kept) == 1
    named = list(read_jsonl(kept[0]))
    assert len(named) == 33
    texts = (
        [naming.clean(r["prompt"]).text for r in ROWS[:30]]
        + [r["text"] for r in unlabelled]
        + ["test the slow menu please"]
    )
    gated = [
        n for n, text in zip(named, texts, strict=True)
        if n["sure"] >= -0.3 and naming.gate(n["name"], naming.Prompt(text, ()))
        and set(n["name"].split("-")[1:]) <= set(text.split())
    ]  # fmt: skip
    assert counts["teacher"] == len(gated) >= 20
    assert counts["both"] == 30 + len(gated)
    before = kept[0].stat().st_mtime_ns
    done(*args, "--labels", "teacher", "--out", tmp_path / "student")
    assert kept[0].stat().st_mtime_ns == before


def test_without_files_the_chains_own_are_taken(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run()
    assert result.exit_code == 2 and "models/teacher-merged is not there" in result.stderr
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "teacher-merged").symlink_to(here / "teacher")
    write_jsonl(tmp_path / "data" / "train.jsonl", ROWS[:16])
    write_jsonl(tmp_path / "data" / "val.jsonl", ROWS[:4])
    figures = done()
    assert figures["steps"] == 15 and figures["val_loss"] is not None
    made = load(tmp_path / "models" / "student").shape
    assert (made.layers, made.hidden, made.heads, made.inner) == (4, 256, 4, 1024)
    result = run("--student-layers", 6, "--epochs", 1, "--least-exact", 1.01)
    assert result.exit_code == 0 and load(tmp_path / "models" / "student").shape.layers == 6
    assert "try --student-layers 8" in result.stderr


def test_a_student_starts_from_vectors_or_from_another(here: Path, tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(335, 64)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    still = ["--lr", "0", "--muon-lr", "0", "--epochs", "1", "--dropout", "0.1", "--smooth", "0.1"]
    base = ["--tokenizer", here / "tokenizer.json", "--train", here / "train.jsonl"]
    done(*base, *SMALL, *still, "--embeddings", tmp_path / "vectors.npy", "--out", tmp_path / "a")
    assert np.allclose(load(tmp_path / "a").state_dict()["embed_tokens.weight"], vectors)
    rest = ["--batch-tokens", "512", "--cpu", *still]
    done("--train", here / "train.jsonl", *rest, "--init", tmp_path / "a", "--prefix", "--out", tmp_path / "b")
    a, b = load(tmp_path / "a"), load(tmp_path / "b")
    assert not a.shape.prefix and b.shape.prefix
    assert all(torch.equal(p, q) for p, q in zip(a.parameters(), b.parameters(), strict=True))
    done("--train", here / "train.jsonl", *rest, "--init", tmp_path / "b", "--out", tmp_path / "c")
    assert load(tmp_path / "c").shape.prefix


def test_replay_keeps_what_was_known(here: Path, tmp_path: Path) -> None:
    """As many known rows as new ones, so that both are known in the end."""
    new = [{"prompt": f"tidy the {row['prompt'].split()[-1]} cupboard", "name": "chore-cupboard"} for row in ROWS[:12]]
    write_jsonl(tmp_path / "new.jsonl", new)
    args = ["--init", here / "teacher", "--train", tmp_path / "new.jsonl", "--out", tmp_path / "out", "--epochs", "40"]
    args += ["--batch-tokens", "128"]
    figures = {}
    for replay in ([], ["--replay", here / "train.jsonl"]):
        for val in (tmp_path / "new.jsonl", here / "train.jsonl"):
            figures[len(replay), val.name] = done(*args, *replay, "--val", val, "--fresh")
    assert [row["rows"] for row in figures.values()] == [12, 12, 24, 24]
    assert figures[0, "new.jsonl"]["exact"] == figures[2, "new.jsonl"]["exact"] == 1
    assert figures[0, "train.jsonl"]["exact"] < 0.5 < figures[2, "train.jsonl"]["exact"]


def test_minutes_take_the_place_of_epochs(here: Path, tmp_path: Path) -> None:
    figures = done(
        "--tokenizer", here / "tokenizer.json", "--mix", f"{here / 'train.jsonl'}:0.5", *SMALL, "--minutes", "0.02",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert figures["rows"] == 67 and 0.02 <= figures["minutes"] < 0.2


def weights(folder: Path) -> dict[str, Any]:
    return load_file(folder / "model.safetensors")


def step_in(state: Path) -> int:
    step: int = torch.load(state, weights_only=True)["progress"]["step"]
    return step


def test_a_killed_run_goes_on_and_ends_as_if_it_had_not_been(here: Path, tmp_path: Path) -> None:
    args = ["--teacher", here / "teacher", *rows_args(here), *SMALL, "--epochs", "4", "--dropout", "0.1"]
    args += ["--noise", "0.3"]
    whole = done(*args, "--out", tmp_path / "whole")
    assert done(*args, "--out", tmp_path / "again")["loss"] == whole["loss"]  # the same seed, the same result
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "training.distill", *map(str, args), "--out", str(out), "--save-minutes", "0.0001"]
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)
    # Late enough for the average of the weights to be worth something.
    while process.poll() is None and not (
        (states := list(tmp_path.glob("killed.checkpoints/*/state.pt"))) and step_in(states[0]) > whole["steps"] * 0.6
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / "model.safetensors").exists()
    (state,) = states
    assert step_in(state) < whole["steps"]
    assert load(state.parent).shape.layers == 1
    figures = done(*args, "--out", out)
    assert figures["steps"] == whole["steps"] and figures["tokens"] == whole["tokens"]
    assert figures["loss"] == pytest.approx(whole["loss"], abs=2e-3)
    ours, theirs = weights(out), weights(tmp_path / "whole")
    for name in theirs:
        assert torch.allclose(ours[name], theirs[name], atol=1e-4), name
    assert not (tmp_path / "killed.checkpoints").exists()


@pytest.fixture
def cut_off(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The arguments of a run that was trained to its end, cut off before it was measured, and has all of its files
    somewhere else by now, with another date."""
    for name in ("train.jsonl", "val.jsonl", "teacher"):
        copy = shutil.copytree if (here / name).is_dir() else shutil.copy
        copy(here / name, tmp_path / name)
    options = [*SMALL, "--epochs", "0.5", "--out", tmp_path / "s"]
    with monkeypatch.context() as patch:
        patch.setattr(distill, "measured", lambda *_: sys.exit(143))
        assert run("--teacher", here / "teacher", *rows_args(here), *options).exit_code == 143
    os.utime(tmp_path / "teacher" / "model.safetensors", (1, 1))
    return ["--teacher", tmp_path / "teacher", *rows_args(tmp_path), *options]


class TrainedAgain(Exception):
    """In place of a step."""


def again(*_: Any) -> None:
    raise TrainedAgain


def test_a_run_cut_off_while_it_is_measured_is_not_trained_again(
    cut_off: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "backward", again)
    before = (tmp_path / "s" / "model.safetensors").read_bytes()
    assert done(*cut_off)["exact"] is not None
    assert (tmp_path / "s" / "model.safetensors").read_bytes() == before
    assert not (tmp_path / "s.checkpoints").exists()


@pytest.mark.parametrize("change", ["options", "rows", "teacher", "fresh"])
def test_another_run_starts_anew_and_clears_up(
    change: str, cut_off: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if change == "rows":
        write_jsonl(tmp_path / "train.jsonl", ROWS[:20])
    if change == "teacher":
        (tmp_path / "teacher" / "model.safetensors").write_bytes(safetensors(tmp_path / "teacher"))
    more = {"options": ["--seed", 2], "fresh": ["--fresh"]}.get(change, [])
    with monkeypatch.context() as patch, pytest.raises(TrainedAgain):
        patch.setattr(torch.Tensor, "backward", again)
        run(*cut_off, *more)
    done(*cut_off, *more)
    assert not (tmp_path / "s.checkpoints").exists()


def safetensors(folder: Path) -> bytes:
    """The folder's weights with a little more to them."""
    found = load_file(folder / "model.safetensors")
    found["model.norm.weight"] += 0.25
    return save(found, {"format": "pt"})


def test_two_processes_share_the_batches_and_write_once(here: Path, tmp_path: Path) -> None:
    args = ["--teacher", here / "teacher", *rows_args(here), *SMALL, "--epochs", "4", "--labels", "both"]
    alone = done(*args, "--out", tmp_path / "alone")
    # The launcher starts several processes for GPUs alone; the stage's own --cpu keeps them off those.
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
               "--main_process_port", "0", "-m", "training.distill"]  # fmt: skip
    result = subprocess.run(
        [*command, *map(str, args), "--out", str(tmp_path / "two")], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)  # one line: the second process says nothing
    assert figures["processes"] == 2
    assert alone["steps"] / 2 <= figures["steps"] < alone["steps"] * 0.7
    assert sorted(p.name for p in (tmp_path / "two").iterdir()) == sorted(
        p.name for p in (tmp_path / "alone").iterdir()
    )
    assert np.isfinite(figures["val_loss"]) and figures["rows"] == alone["rows"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ("--train {empty}", "empty.jsonl has no rows"),
        ("--train {broken}", "broken.jsonl, after row 1"),
        ("--train {nameless}", "nameless.jsonl, row 2: no 'name'"),
        ("--mix {empty}", "has no weight; give FILE:WEIGHT"),
        ("--mix gone.jsonl:1", "gone.jsonl is not there"),
        ("--train {good} --alpha 0.5", "--alpha is the weight of a teacher"),
        ("--train {good} --labels teacher", "need a --teacher"),
        ("--train {good} --teacher {teacher} --unlabelled {good}", "--unlabelled needs --labels"),
        ("--train {good} --teacher {teacher} --tokenizer {other}", "use --labels teacher --alpha 0"),
        ("--train {good} --teacher {here}", "holds no model that can be used"),
        ("--train {good} --init {teacher} --tokenizer {other}", "has a vocabulary of 335, the tokenizer one of 300"),
        ("--train {good} --init {teacher} --student-layers 6", "--init brings its own shape"),
        ("--train {good} --student-hidden 100 --student-heads 3", "no even multiple"),
        ("--train {good} --embeddings {vectors}", "vectors.npy is (3, 4)"),
        ("--train {good} --tokenizer {good}", "is no tokenizer"),
        ("--train {good} --val {empty}", "empty.jsonl has no rows"),
        ("--train {good} --init {teacher} --replay {empty}", "empty.jsonl has no rows"),
        ("--train {good} --init {teacher} --replay {nameless}", "nameless.jsonl, row 2: no 'name'"),
        ("--train {good} --replay {good}", "--replay is of what a model knows already"),
        ("--init {teacher} --replay {good}", "--replay goes beside new rows"),
        ("--train {good} --context 8", "no row fits the model's context"),
        ("--train {good} --epochs 0", "--epochs and --minutes are over 0"),
        ("--train {good} --teacher {teacher} --labels teacher --least-sure 1", "the teacher was sure of no name"),
    ],
)
def test_bad_input_gets_one_line(args: str, says: str, here: Path, tmp_path: Path) -> None:
    files = {
        "empty": "", "broken": json.dumps(ROWS[0]) + '\n{"prompt": ', "good": json.dumps(ROWS[0]),
        "nameless": json.dumps(ROWS[0]) + '\n{"prompt": "x"}',
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    np.save(tmp_path / "vectors.npy", np.zeros((3, 4)))
    paths: dict[str, object] = {name: tmp_path / f"{name}.jsonl" for name in files}
    paths |= {"teacher": here / "teacher", "here": here, "vectors": tmp_path / "vectors.npy"}
    paths["other"] = tokenizer_of(tmp_path / "other", 300)
    more = (
        []
        if "--tokenizer" in args or "--teacher" in args or "--init" in args
        else ["--tokenizer", here / "tokenizer.json"]
    )
    if "--student" not in args and "--init" not in args and "--embed" not in args:
        more += SMALL
    result = run(*args.format(**paths).split(), *more, "--out", tmp_path / "out")
    assert result.exit_code in (1, 2), result.output
    assert says in result.stderr and result.stderr.splitlines()[-1].startswith("Error: ")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("out", "says"), [("val.jsonl", "is a file"), ("val.jsonl/out", "val.jsonl cannot be read or written")]
)
def test_a_folder_that_cannot_be_written_to_is_said_before_the_work(
    out: str, says: str, here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.Tensor, "backward", again)
    shutil.copy(here / "val.jsonl", tmp_path)
    args = ("--teacher", here / "teacher", *rows_args(here), *SMALL, "--labels", "both")
    result = run(*args, "--out", tmp_path / out)
    assert result.exit_code in (1, 2) and says in result.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["val.jsonl"]  # no labels, no checkpoint


def test_without_a_teacher_the_tokenizer_is_the_one_that_its_stage_writes(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not that of an export, which may be of another model."""
    monkeypatch.chdir(tmp_path)
    args = ("--train", here / "train.jsonl", *SMALL, "--epochs", "0.1")
    tokenizer_of(tmp_path / "models", 300)
    result = run(*args)
    assert result.exit_code == 2 and "no tokenizer at models/tokenizer; give --tokenizer" in result.stderr
    assert invoke(train_tokenizer.main, "--rows", here / "train.jsonl", "--vocab-size", 320).exit_code == 0
    done(*args)
    made = tmp_path / "models" / "student" / "tokenizer.json"
    assert made.read_bytes() == (tmp_path / "models" / "tokenizer" / "tokenizer.json").read_bytes()


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels_adds_name_and_surety_in_order(here: Path, tmp_path: Path) -> None:
    rows = [{"id": i, "prompt": r["prompt"]} for i, r in enumerate(ROWS[::9])] + [{"id": -1, "prompt": "menu " * 300}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    args = ["--model", here / "teacher", "--field", "prompt", "--cpu", "--out", tmp_path / "out.jsonl"]
    result = invoke(labels.main, *args, tmp_path / "rows.jsonl")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["rows"] == len(rows)
    named = list(read_jsonl(tmp_path / "out.jsonl"))
    assert [{"id": r["id"], "prompt": r["prompt"]} for r in named] == rows
    right = [r["name"] == ROWS[9 * r["id"]]["name"] for r in named[:-1]]
    assert sum(right) > 0.8 * len(right)
    assert all(-3 < r["sure"] <= 0 for r in named[:-1])
    assert named[-1]["name"] == "" or named[-1]["sure"] < 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.jsonl", "rows.jsonl"]
    before = (tmp_path / "out.jsonl").read_bytes()
    assert invoke(labels.main, *args[:2], *args[4:], tmp_path / "rows.jsonl").exit_code == 0
    assert (tmp_path / "out.jsonl").read_bytes() == before  # "prompt" is what these rows have
    result = invoke(labels.main, *args, "--field", "text", tmp_path / "rows.jsonl")
    assert result.exit_code == 1 and "row 1: no 'text'" in result.stderr


def test_parts_that_are_named_are_not_named_again(here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(labels, "PART", 10)
    namer = labels.Namer(here / "teacher")
    asked: list[int] = []
    write_jsonl(tmp_path / "rows.jsonl", ROWS[:35])

    def cut_off(texts: Any) -> list[labels.Named]:
        if len(asked) == 2:
            raise KeyboardInterrupt
        asked.append(len(texts))
        return namer(texts)

    def count(texts: Any) -> list[labels.Named]:
        asked.append(len(texts))
        return namer(texts)

    out = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt):
        labels.label(tmp_path / "rows.jsonl", out, "prompt", 0, cut_off, namer.key)
    assert not out.exists()
    labels.label(tmp_path / "rows.jsonl", out, "prompt", 0, count, namer.key)
    assert asked == [10, 10, 10, 5]
    texts = [naming.clean(r["prompt"]).text for r in ROWS[:35]]
    assert [r["name"] for r in read_jsonl(out)] == [n.name for n in namer(texts)]
    assert not (tmp_path / "out.jsonl.parts").exists()
    labels.label(tmp_path / "rows.jsonl", out, "prompt", 0, count, "another model")
    assert asked == [10, 10, 10, 5, 10, 10, 10, 5]
