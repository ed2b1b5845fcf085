"""The whole chain for real: data, tokenizer, TRL, PEFT, the student, GGUF and ONNX, killed once in the middle."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import pytest

from tests.conftest import ROOT, git, invoke, make_repository
from training import presets
from training.corpus import read_jsonl, write_jsonl
from training.presets import PRESETS, Job, Stage
from training.run import EXAMPLES, Stamps, command, main, run
from wtname import models, naming
from wtname.engine import Engine

LONG = 1500  # of a machine that has other things to do
BODY = "The basket showed more digits than the invoice, and customers asked which of the two was right."


def start(*args: str | Path, **more: Any) -> subprocess.Popen[str]:
    """`python -m training.run ARGS` in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "training.run", *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, env=environment, **more,
    )  # fmt: skip


def finish(*args: str | Path, code: int = 0, **more: Any) -> tuple[dict[str, Any], str]:
    """The run's figures, empty where it failed, and its stderr."""
    process = start(*args, **more)
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == code, err
    return (json.loads(out) if code == 0 else {}), err


def clone(folder: Path) -> Path:
    """A repository whose merges tell title and branch, with a commit that explains itself."""
    repository = make_repository(folder, "-b", "main")
    for number, (title, branch) in enumerate(
        [("Fix login redirect loop", "fix-login-redirect"), ("Add export of invoices", "feat/invoice-export")], 1
    ):
        git("checkout", "-q", "-b", branch, cwd=repository)
        git("commit", "-q", "--allow-empty", "-m", title, cwd=repository)
        git("checkout", "-q", "main", cwd=repository)
        message = f"Merge pull request #{number} from ada/{branch}\n\n{title}"
        git("merge", "-q", "--no-ff", "-m", message, branch, cwd=repository)
    git("commit", "-q", "--allow-empty", "-m", f"Round prices to cents\n\n{BODY}", cwd=repository)
    return repository


Ran = tuple[Path, tuple[str | Path, ...], dict[str, Any], str]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A tiny run, killed while it trained its base model and started again: folder, arguments, figures, stderr."""
    pytest.importorskip("trl")
    if os.name == "nt":
        pytest.skip("no process groups to kill")
    folder = tmp_path_factory.mktemp("chain")
    with pytest.MonkeyPatch.context() as patch:
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "Ada")
            patch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
        repository = clone(folder / "shop")
    work = folder / "work"
    args = ("--preset", "tiny", "--work", work, "--clones", repository)
    killed = start(*args)
    end = time.monotonic() + LONG
    while not (work / "models" / "base.checkpoints").exists():
        assert killed.poll() is None and time.monotonic() < end, killed.communicate()[1]
        time.sleep(0.02)
    killed.kill()  # the run alone: its stage goes on, and keeps the folder for itself
    killed.wait()
    _, err = finish(*args, code=1)
    assert "another run works in" in err
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    time.sleep(0.5)
    figures, err = finish(*args)
    return work, args, figures, err


@pytest.mark.timeout(2 * LONG)
def test_a_run_that_was_killed_ends_whole(chain: Ran) -> None:
    work, _, figures, err = chain
    assert [stage["stage"] for stage in figures["stages"]][:5] == [
        "generate_data", "mine_history", "train_tokenizer", "make_base", "finetune_teacher"
    ]  # fmt: skip
    assert [stage["stage"] for stage in figures["stages"] if not stage["ran"]] == [
        "generate_data", "mine_history", "train_tokenizer"
    ]  # fmt: skip
    assert "mine_history: as it was" in err
    assert not list(work.rglob("*.tmp")) and not list(work.rglob("*.checkpoints"))


@pytest.mark.timeout(2 * LONG)
def test_the_model_that_it_writes_names(chain: Ran) -> None:
    _, _, figures, _ = chain
    assert list(figures["names"]) == list(EXAMPLES)
    engine = Engine(Path(figures["gguf"]))
    for prompt in EXAMPLES:
        (guess,) = engine.suggest(naming.clean(prompt))
        assert guess.name == figures["names"][prompt]
        assert guess.name is None or naming.gate(guess.name, naming.clean(prompt))
    engine.close()
    assert any(figures["names"].values())


@pytest.mark.timeout(2 * LONG)
def test_a_second_run_runs_nothing(chain: Ran) -> None:
    work, args, figures, _ = chain
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    again, err = finish(*args)
    assert not [stage for stage in again["stages"] if stage["ran"]], err
    assert again["names"] == figures["names"]
    assert {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()} == before


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage that has read a file and written a folder."""
    (tmp_path / "in").write_text("rows")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model").write_text("weights")
    return Stage("train", "train", ("--seed", "1"), (tmp_path / "in",), (tmp_path / "out",))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        (lambda folder, stage: stage, True),
        (lambda folder, stage: os.utime(folder / "in", (1, 1)) or stage, True),
        (lambda folder, stage: (folder / "in").write_text("other rows") and stage, False),
        (lambda folder, stage: (folder / "in").unlink() or stage, False),
        (lambda folder, stage: (folder / "out" / "model").write_text("half") and stage, False),
        (lambda folder, stage: (folder / "out" / "model").unlink() or stage, False),
        (lambda folder, stage: stage.__class__("train", "train", ("--seed", "2"), stage.reads, stage.writes), False),
        (lambda folder, stage: (folder / "stamps" / "train.json").write_text("{") and stage, False),
    ],
)
def test_a_stage_is_skipped_where_nothing_has_changed(tmp_path: Path, stage: Stage, change: Any, kept: bool) -> None:
    stamps = Stamps(tmp_path / "stamps")
    assert stamps.kept(stage) is None
    stamps.keep(stage, 1.5, {"loss": 2})
    stamp = stamps.kept(change(tmp_path, stage))
    assert bool(stamp) == kept
    if stamp:
        assert (stamp["seconds"], stamp["figures"]) == (1.5, {"loss": 2})


def test_a_stage_that_fails_says_what_to_do_and_goes_on_once_mended(tmp_path: Path) -> None:
    row = '{"prompt": "Fix crash on zero-width columns", "name": "fix-zero-width-crash"}\n'
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.jsonl").write_text(row)
    (tmp_path / "train.jsonl").write_text(row[:20])
    args = ("--preset", "tiny", "--data", tmp_path, "--work", tmp_path / "work", "--until", "train_tokenizer")
    _, err = finish(*args, code=1)
    assert "train.jsonl, after row 0" in err  # the stage's own words
    assert err.splitlines()[-1].startswith("Error: train_tokenizer failed with code 1")
    (tmp_path / "train.jsonl").write_text(row)
    figures, _ = finish(*args)
    assert [s["ran"] for s in figures["stages"]] == [True]
    assert figures["gguf"] is None
    figures, _ = finish(*args, "--from", "train_tokenizer")
    assert [s["ran"] for s in figures["stages"]] == [True]
    _, err = finish(*args[:-1], "distill", "--from", "distill", code=1)
    assert err.splitlines()[-1].endswith("which is not there; go on from an earlier stage")


@pytest.mark.skipif(os.name == "nt", reason="no signals, no pipes with names")
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_a_run_that_is_stopped_stops_its_stage_and_goes_on(sent: signal.Signals, code: int, tmp_path: Path) -> None:
    rows = tmp_path / "train.jsonl"
    os.mkfifo(rows)  # the stage waits for what it reads
    args = ("--preset", "tiny", "--data", tmp_path, "--work", tmp_path / "work", "--until", "train_tokenizer")
    # A shell starts what it runs in the background without SIGINT.
    stopped = start(*args, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    end = time.monotonic() + 60
    while True:
        try:
            pipe = os.open(rows, os.O_WRONLY | os.O_NONBLOCK)
            break
        except OSError:  # nobody reads
            assert stopped.poll() is None and time.monotonic() < end, stopped.communicate()[1]
            time.sleep(0.02)
    os.write(pipe, b"\n")
    os.kill(stopped.pid, sent)  # the run alone
    try:
        assert stopped.wait(timeout=60) == code
        with pytest.raises(BrokenPipeError):  # nobody reads any more
            while time.monotonic() < end:
                os.write(pipe, b"\n")
                time.sleep(0.02)
    finally:
        os.close(pipe)
        stopped.communicate(timeout=60)
    rows.unlink()
    rows.write_text('{"prompt": "Fix crash on zero-width columns", "name": "fix-zero-width-crash"}\n')
    figures, _ = finish(*args)
    assert [stage["ran"] for stage in figures["stages"]] == [True]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("words", "after", "way_on"),
    [
        (["--compare", "3", "--least-agree", "1"], "benchmark", ", or go on with what it wrote: --from benchmark"),
        (["--compare", "none"], "benchmark", ""),  # it has written nothing
    ],
)
def test_files_that_are_found_wanting_can_be_gone_on_with(
    words: list[str], after: str | None, way_on: str, tmp_path: Path
) -> None:
    """And the stage that is named reads nothing that those before it have not written."""
    pytest.importorskip("torch")
    from llamas import byte_level, make

    student = make(tmp_path / "models" / "student", byte_level())
    stages = {stage.name: stage for stage in Job(PRESETS["cpu"], tmp_path).stages()}
    args = ("--student-dir", student, *words, "--type", "Q4_K_M", "--out", tmp_path / "models")
    with pytest.raises(click.ClickException) as failed:
        run(presets.stage("export_gguf", *args, reads=[student]), [], after)
    assert failed.value.message.endswith(f"the same command goes on{way_on}")
    if way_on:
        assert after
        (tmp_path / "models" / "branch-name-generator-int8.onnx").touch()
        assert all(path.exists() for path in stages[after].reads)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--from", "distil"), "no stage 'distil'"),
        (("--from", "distill", "--until", "finetune_teacher"), "distill comes after finetune_teacher"),
    ],
)
def test_stages_are_checked_before_anything_runs(args: tuple[str, ...], says: str, tmp_path: Path) -> None:
    _, err = finish("--preset", "tiny", "--work", tmp_path / "work", *args, code=2)
    assert says in err
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize(
    ("files", "last", "says"),
    [
        ({"train": "", "val": "{}", "test": "{}"}, "evaluate", "train.jsonl is empty"),
        ({"train": "{}", "test": ""}, "evaluate", "val.jsonl is missing, test.jsonl is empty"),
        ({}, "evaluate", "train.jsonl is missing, val.jsonl is missing, test.jsonl is missing"),
        ({}, "train_tokenizer", "train.jsonl is missing"),  # the others are not read then
        ({"train": "{}", "test": ""}, "finetune_teacher", "val.jsonl is missing"),  # and nothing is scored
    ],
)
def test_a_folder_that_lacks_rows_is_said_before_anything_runs(
    files: dict[str, str], last: str, says: str, tmp_path: Path
) -> None:
    for name, text in files.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    result = invoke(main, "--preset", "tiny", "--data", tmp_path, "--work", tmp_path / "work", "--until", last)
    assert result.exit_code == 1
    assert result.stderr == f"Error: --data {tmp_path}: {says}; write rows of {{prompt, name}} there\n"
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("clones", [True, False])
def test_clones_will_do_where_a_folder_has_no_rows_to_learn_from(clones: bool, tmp_path: Path) -> None:
    for name, text in {"train": "", "val": "", "test": "{}"}.items():
        (tmp_path / f"{name}.jsonl").write_text(text)
    more = ["--clones", tmp_path] * clones
    result = invoke(main, "--preset", "tiny", "--data", tmp_path, "--work", tmp_path / "work", *more, "--dry-run")
    assert result.exit_code == (0 if clones else 1), result.output


def house(folder: Path, count: int) -> Path:
    """A repository with so many merges of branches that say what their titles do."""
    rows = (row for row in read_jsonl(ROOT / "training" / "seeds.jsonl") if row["name"] != naming.NONE)
    some = itertools.islice((row for row in rows if row["prompt"].isascii()), count)
    return merged(folder, [(row["prompt"].splitlines()[0], row["name"].replace("-", "/", 1)) for row in some])


def merged(folder: Path, rows: list[tuple[str, str]]) -> Path:
    """A repository with a merge for each title and branch."""
    repository = make_repository(folder, "-b", "main")
    for number, (title, branch) in enumerate(rows, 1):
        message = f"Merge pull request #{number} from ada/{branch}\n\n{title}"
        made = git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", title, cwd=repository)
        merge = git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-p", made, "-m", message, cwd=repository)
        git("update-ref", "HEAD", merge, cwd=repository)
    return repository


@pytest.mark.timeout(LONG)
def test_the_packaged_model_learns_a_house_s_names(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("git")
    args = ("--preset", "house", "--clones", house(tmp_path / "shop", 90), "--work", tmp_path / "work")
    figures, err = finish(*args)
    assert [stage["stage"] for stage in figures["stages"]] == [
        "mine_history", "split", "import_gguf", "distill", "export_gguf", "evaluate"
    ]  # fmt: skip
    parts = [[*read_jsonl(tmp_path / "work" / "data" / f"{part}.jsonl")] for part in ("train", "val", "test")]
    assert all(parts) and sum(map(len, parts)) >= presets.LEAST_NAMES
    facts = models.facts(models.Found(Path(figures["gguf"]), "flag"))
    assert facts["parameters"] == models.facts(models.Found(models.PACKAGED, "package"))["parameters"]
    assert all(figures["names"].values())
    # Before and after, side by side, on names that were not learnt.
    assert re.search(r"^wtname/model +test .*\nmodels/Q8_0 +test ", err, re.MULTILINE)


def test_too_few_names_are_not_learnt_from(tmp_path: Path) -> None:
    pytest.importorskip("git")
    _, err = finish("--preset", "house", "--clones", clone(tmp_path / "shop"), "--work", tmp_path / "work", code=1)
    assert "2 rows with a name are too few, 50 are wanted" in err and not (tmp_path / "work" / "models").exists()


@pytest.mark.parametrize(("branch", "says"), [("patch-{}", "0 rows with a name"), ("fix/round-price-{}", "much alike")])
def test_names_that_teach_nothing_are_not_learnt_from(branch: str, says: str, tmp_path: Path) -> None:
    """And ours are not taken in their place."""
    pytest.importorskip("git")
    pytest.importorskip("datasketch")
    rows = [("Round the price of an invoice to cents, number " + str(n), branch.format(n)) for n in range(100, 160)]
    repository = merged(tmp_path / "shop", rows)
    args = ("--preset", "house", "--clones", repository, "--work", tmp_path / "work")
    _, err = finish(*args, code=1)
    assert says in err and "split failed" in err.splitlines()[-1]
    assert not (tmp_path / "work" / "data" / "train.jsonl").exists()


def test_own_rows_that_are_none_are_not_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the rows of another chain, which distill takes where it is told of none."""
    pytest.importorskip("torch")
    for part in ("train", "val", "test"):
        (tmp_path / f"{part}.jsonl").touch()
    (tmp_path / "work" / "mined").mkdir(parents=True)
    (tmp_path / "work" / "mined" / "titles_human.jsonl").touch()
    job = Job(PRESETS["house"], tmp_path / "work", tmp_path, clones=(tmp_path,))
    (training,) = (stage for stage in job.stages() if stage.name == "distill")
    job.models.joinpath("packaged").mkdir(parents=True)
    done = subprocess.run(command(training), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "--replay goes beside new rows" in done.stderr


def test_a_worktree_s_commits_are_those_of_its_repository(tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "shop", "-b", "main")
    git("worktree", "add", "-q", "-b", "other", tmp_path / "other", cwd=repository)
    stood = [path.resolve() for path in presets.heads(tmp_path / "other")]
    assert repository / ".git" / "refs" in stood and repository / ".git" / "worktrees" / "other" / "HEAD" in stood
    assert {path.name for path in presets.heads(repository)} == {path.name for path in stood}


@pytest.mark.parametrize("name", [models.GGUF, models.ENCODER, models.TOKENIZER])
def test_a_packaged_file_that_is_missing_is_one_line(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presets, "PACKAGED", tmp_path / models.GGUF)
    for other in {models.GGUF, models.ENCODER, models.TOKENIZER} - {name}:
        (tmp_path / other).touch()
    job = Job(PRESETS["house"], tmp_path / "work", clones=(tmp_path,))
    (importing,) = (stage for stage in job.stages() if stage.name == "import_gguf")
    with pytest.raises(click.ClickException, match="which is not there"):
        run(importing, [])


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "learns from your names: give --clones, or --data"),
        (("--clones", ".", "--base", "x.gguf"), "leave out --base and --api"),
        (("--clones", ".", "--api"), "leave out --base and --api"),
    ],
)
def test_a_house_s_namer_starts_from_the_packaged_one(more: tuple[str, ...], says: str, tmp_path: Path) -> None:
    result = invoke(main, "--preset", "house", "--work", tmp_path / "work", *more)
    assert result.exit_code == 2 and says in result.stderr and not (tmp_path / "work").exists()


def test_a_house_s_own_rows_are_learnt_beside_its_clones(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        (tmp_path / f"{part}.jsonl").touch()
    both = Job(PRESETS["house"], tmp_path / "work", tmp_path, clones=(tmp_path,)).stages()
    stages = {stage.name: stage.args for stage in both}
    learnt = [value for option, value in itertools.pairwise(stages["distill"]) if option == "--train"]
    assert learnt == [str(tmp_path / "train.jsonl"), str(tmp_path / "work" / "mined" / "titles_human.jsonl")]
    assert "split" not in stages and stages["mine_history"].count("--held-out") == 2
    assert "mine_history" not in {stage.name for stage in Job(PRESETS["house"], tmp_path / "work", tmp_path).stages()}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("base", ["", "SmolLM2.gguf"])
def test_every_stage_has_the_options_that_it_is_given(preset: str, base: str, tmp_path: Path) -> None:
    """And every file that a stage reads is there, or one before it writes it."""
    pytest.importorskip("torch")
    job = Job(PRESETS[preset], tmp_path / "work", clones=(tmp_path,), base=base, scorer=tmp_path)
    stages = job.stages()
    made: list[Path] = []
    for stage in stages:
        params = importlib.import_module(f"training.{stage.module}").main.params
        known = {o for p in params for o in (*p.opts, *p.secondary_opts)}
        assert {word for word in stage.args if word.startswith("--")} <= known, stage.name
        assert all(path.exists() or path in made for path in stage.reads), stage
        made += stage.writes
    assert {job.gguf, job.gguf.parent} & {*made}


def test_the_original_s_figures_are_the_gpu_preset_s(tmp_path: Path) -> None:
    stages = {stage.name: " ".join(stage.args) for stage in Job(PRESETS["gpu"], tmp_path).stages()}
    assert "--base HuggingFaceTB/SmolLM2-135M-Instruct --epochs 5" in stages["finetune_teacher"]
    assert "--student-layers 4 --student-hidden 256 --epochs 15" in stages["distill"]


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("base", ["", "SmolLM2.gguf"])
def test_a_tokenizer_is_trained_where_something_reads_it(preset: str, base: str, tmp_path: Path) -> None:
    stages = Job(PRESETS[preset], tmp_path, base=base).stages()
    read = {path for stage in stages for path in stage.reads}
    trained = [path for stage in stages if stage.name == "train_tokenizer" for path in stage.writes]
    assert set(trained) <= read
    assert bool(trained) == (not base and preset in ("tiny", "cpu"))


def test_what_is_held_out_is_not_mined(tmp_path: Path) -> None:
    pytest.importorskip("git")
    held = {"val": "Fix the login redirect loop", "test": "Add export of invoices", "train": "Round prices to cents"}
    for name, prompt in held.items():
        write_jsonl(tmp_path / f"{name}.jsonl", [{"prompt": prompt.upper(), "name": "feat-x"}])
    write_jsonl(
        tmp_path / "val.jsonl", [{"prompt": p, "name": "feat-x"} for p in (held["val"], "fix LOGIN redirect loop")]
    )
    job = Job(PRESETS["tiny"], tmp_path / "work", tmp_path, clones=(clone(tmp_path / "shop"),))
    stages = {stage.name: stage for stage in job.stages()}
    (mining,) = (stage for stage in job.stages() if stage.name == "mine_history")
    assert {tmp_path / "val.jsonl", tmp_path / "test.jsonl"} <= set(mining.reads)
    assert run(mining, [])["dropped"]["held_out"] == 2
    rows = [row for path in mining.writes for row in read_jsonl(path)]
    assert [row.get("subject") for row in rows] == ["Round prices to cents"]
    # What is mined is learnt from, all of it.
    learnt = {word for name in ("finetune_teacher", "distill") for word in stages[name].args}
    assert {str(path) for path in mining.writes} <= learnt


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("--train {none} --train {some} --seed 1", "--train {some} --seed 1"),
        ("--scorer score.py {none}", "--scorer score.py {none}"),
        ("--scorer score.py --val {none} {none}", "--scorer score.py {none}"),
        ("{none} --seed 1", "{none} --seed 1"),
    ],
)
def test_options_of_empty_files_are_left_out(given: str, left: str, tmp_path: Path) -> None:
    (tmp_path / "none.jsonl").touch()
    (tmp_path / "some.jsonl").write_text("{}")
    files = {name: tmp_path / f"{name}.jsonl" for name in ("none", "some")}
    made = Stage("x", "x", tuple(given.format(**files).split()), tuple(files.values()), ())
    assert command(made)[3:] == left.format(**files).split()


def test_options_that_a_preset_leaves_empty_take_nothing_along(tmp_path: Path) -> None:
    made = presets.stage("x", "--n", 0, "", "--epochs 5 --batch 2", "", tmp_path)
    assert made.args == ("--n", "0", "--epochs", "5", "--batch", "2", str(tmp_path))


def test_dry_run_prints_the_commands_and_does_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training.run", "--preset", "cpu", "--work", tmp_path / "w", "--dry-run"],
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    lines = [re.search(r" -m (training\.\w+) ", line) for line in done.stdout.splitlines()]
    assert all(lines) and len(lines) >= 7
    assert not (tmp_path / "w").exists()
