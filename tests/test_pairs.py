"""Models of two files: the encoder reads, the namer writes; what does not fit together, and how both are installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("gguf")
pytest.importorskip("tokenizers")

import pairs
from conftest import Run

from wtname import gguf_header, models, naming
from wtname.engine import Engine
from wtname.errors import ModelError
from wtname.namer import Namer

PROMPTS = [
    "Fix crash on zero-width columns",
    "can u make the csv export not choke on emoji in customer names",
    "Rename UserManager to AccountService, no behaviour change",
    "fix " + "a very long story about the login page " * 60,
]
TASK = "Add a dark mode toggle"
WORDS = "feat-dark-mode-toggle"
ENCODER, GGUF = models.ENCODER, models.GGUF


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pair that nobody changes."""
    return pairs.make(tmp_path_factory.mktemp("good")).parent


@pytest.fixture(scope="module")
def single(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A namer that needs no encoder."""
    return pairs.namer(tmp_path_factory.mktemp("single") / GGUF, encoder=None, pair=None)


@pytest.fixture
def pair(good: Path, tmp_path: Path) -> Path:
    """A folder with the pair, and one like it above: what a name with `..` would reach."""
    shutil.copy(good / ENCODER, tmp_path / ENCODER)
    return Path(shutil.copytree(good, tmp_path / "pair"))


def contents(folder: Path) -> dict[str, bytes | None]:
    return {path.name: path.read_bytes() if path.is_file() else None for path in folder.iterdir()}


def scores(gguf: Path) -> list[list[float]]:
    engine = Engine(gguf)
    try:
        ids = [engine.tokenize(naming.render(naming.clean(prompt).text)) for prompt in PROMPTS[:3]]
        return [list(engine.read(one, set(one))[: pairs.TOKENS]) for one in ids]
    finally:
        engine.close()


def test_names_are_made_of_the_prompt(good: Path) -> None:
    namer = Namer(good / GGUF, deadline=60)
    for prompt in PROMPTS:
        named = namer.names(prompt, 3)
        assert {one.source for one in named} == {"model"}, named
        assert all(one.name and naming.gate(one.name, naming.clean(prompt)) for one in named)
        assert namer.name(prompt).name == named[0].name


def test_the_encoder_reads(good: Path, pair: Path) -> None:
    """The scores come from the encoder's states, read both ways or not, and from nothing that was read before."""
    first = scores(good / GGUF)
    assert scores(pair / GGUF) == first
    assert first[0] != first[1] != first[2]
    pairs.encoder(pair / ENCODER, seed=9)
    assert all(one != other for one, other in zip(scores(pair / GGUF), first, strict=True))
    shutil.copy(good / ENCODER, pair)
    pairs.namer(pair / GGUF, prefix=False)
    assert all(one != other for one, other in zip(scores(pair / GGUF), first, strict=True))
    engine = Engine(good / GGUF)
    ids = engine.tokenize(naming.render(naming.clean(PROMPTS[0]).text))
    again = [list(engine.read(one, set(one))[: pairs.TOKENS]) for one in (ids, ids[:3], ids)]
    assert again[0] == again[2] == first[0]


def test_a_namer_of_one_file_minds_no_encoder(single: Path, pair: Path) -> None:
    alone = Namer(single, deadline=60).name(TASK)
    assert alone.source == "model"
    shutil.copy(single, pair)
    assert models.parts(pair / GGUF) == (pair / GGUF, None)
    assert Namer(pair / GGUF, deadline=60).name(TASK).name == alone.name


def test_links_to_files_of_other_names(good: Path, tmp_path: Path) -> None:
    for name in (GGUF, ENCODER):
        try:
            (tmp_path / name).symlink_to(shutil.copy(good / name, tmp_path / f"blob-{name[-9]}"))
        except OSError:
            pytest.skip("no symbolic links here")
    assert Namer(tmp_path / GGUF, deadline=60).name(TASK)[:2] == Namer(good / GGUF, deadline=60).name(TASK)[:2]


def cut(path: Path, part: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])


def swap(folder: Path) -> None:
    (folder / GGUF).rename(folder / "x")
    (folder / ENCODER).rename(folder / GGUF)
    (folder / "x").rename(folder / ENCODER)


def instead(folder: Path) -> None:
    (folder / ENCODER).unlink()
    (folder / ENCODER).mkdir()


Damage = Callable[[Path], object]
# What is done to the pair, and what is said of it.
WRONG: dict[str, tuple[Damage, str]] = {
    "missing": (lambda f: (f / ENCODER).unlink(), rf"{ENCODER} is missing, which {GGUF} needs"),
    "a folder": (instead, f"{ENCODER} is missing"),
    "empty": (lambda f: (f / ENCODER).write_bytes(b""), f"{ENCODER} is not a GGUF file"),
    "text": (lambda f: (f / ENCODER).write_bytes(b"version https://git-lfs"), f"{ENCODER} is not a GGUF file"),
    "header cut": (lambda f: cut(f / ENCODER, 0.0001), f"{ENCODER} is (not a model|damaged)"),
    "half": (lambda f: cut(f / ENCODER, 0.5), f"{ENCODER} is (not a model|damaged)"),
    "namer cut": (lambda f: cut(f / GGUF, 0.5), f"{GGUF} is (not a model|damaged)"),
    "swapped": (swap, f"{GGUF} is no namer: it has no vocabulary"),
    "another's": (lambda f: pairs.encoder(f / ENCODER, pair="bb22"), f"{ENCODER} belongs to another model"),
    "nobody's": (lambda f: pairs.encoder(f / ENCODER, pair=None), f"{ENCODER} belongs to another model"),
    "pair of an unknown namer": (lambda f: pairs.namer(f / GGUF, pair=None), f"{ENCODER} belongs to another model"),
    "both unknown": (lambda f: pairs.make(f, None), "belongs to another model"),
    "both empty": (lambda f: pairs.make(f, ""), "belongs to another model"),
    "another width": (lambda f: pairs.encoder(f / ENCODER, width=32), f"{ENCODER} is 32 wide and {GGUF} 64"),
    "short": (lambda f: pairs.encoder(f / ENCODER, context=128), f"{ENCODER} reads 128 tokens"),
    "few words": (lambda f: pairs.encoder(f / ENCODER, tokens=999), f"{ENCODER} does not fit {GGUF}"),
    "a Llama": (lambda f: pairs.namer(f / ENCODER, encoder=None), f"{ENCODER} is no encoder, .* of the kind 'llama'"),
}
NAMES = [
    "..", ".", "", ".gguf", "...gguf", "../branch-name-encoder.gguf", "..\\branch-name-encoder.gguf",
    "pair/../branch-name-encoder.gguf", "./branch-name-encoder.gguf", "/dev/zero.gguf", "C:branch-name-encoder.gguf",
    "branch-name-encoder.gguf:stream.gguf", GGUF, GGUF.replace("branch", "Branch"), "branch-name-encoder.bin",
    "tokenizer.json", "two\nlines.gguf", "\x1b[31mred.gguf", "-branch.gguf", "x" * 300 + ".gguf", 7,
]  # fmt: skip
for _name in NAMES:
    WRONG[f"asks for {_name!r:.40}"] = (
        lambda f, name=_name: pairs.namer(f / GGUF, encoder=name),  # type: ignore[misc]
        "can be no encoder of its own",
    )


@pytest.mark.parametrize("how", ["nothing", *WRONG])
def test_what_does_not_fit_leaves_the_words(run: Run, pair: Path, how: str) -> None:
    if how == "nothing":
        assert Namer(pair / GGUF, deadline=60).name(TASK).source == "model"
        assert models.parts(pair / GGUF) == (pair / GGUF, pair / ENCODER)
        return
    damage, says = WRONG[how]
    damage(pair)
    with pytest.raises(ModelError, match=says) as failed:
        Engine(pair / GGUF)
    assert str(failed.value).isprintable() and len(str(failed.value)) < 600
    done = run("suggest", "--model", str(pair), TASK)
    assert (done.exit_code, done.stdout) == (0, f"{WORDS}\n")
    assert done.stderr.count("\n") == 1 and "picked from the words" in done.stderr


@pytest.mark.parametrize("how", ["nothing", *WRONG])
def test_what_does_not_fit_is_not_installed(run: Run, pair: Path, single: Path, how: str) -> None:
    home = models.home()
    home.mkdir(parents=True)
    shutil.copy(single, home)
    (home / models.TOKENIZER).write_text("{}")
    before = contents(home)
    if how == "nothing":
        assert run("model", "install", str(pair)).exit_code == 0
        assert contents(home) == contents(pair) != before
        return
    damage, says = WRONG[how]
    damage(pair)
    done = run("model", "install", str(pair))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("wtname: ") and done.stderr.count("\n") == 1
    assert str(pair) in done.stderr and str(home) not in done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert contents(home) == before


def test_install_tells_of_both(run: Run, pair: Path) -> None:
    said = json.loads(run("model", "install", str(pair), "--json").stdout)
    home = models.home()
    assert said["path"] == str(home / GGUF) and said["sha256"] == models.sha256(pair / GGUF)
    assert said["encoder"] == {"path": str(home / ENCODER), "sha256": models.sha256(pair / ENCODER)}
    assert naming.NAME.fullmatch(said["trial"])
    again = run("model", "install", str(home))
    assert again.stdout == "".join(f"{models.sha256(home / name)}  {home / name}\n" for name in (GGUF, ENCODER))
    assert contents(home) == contents(pair)
    assert models.find() == (home / GGUF, "user")


def test_each_model_takes_all_of_the_one_before(run: Run, pair: Path, single: Path, tmp_path: Path) -> None:
    home = models.home()
    other = pairs.namer(tmp_path / "other.gguf", encoder="reads.gguf", pair="cc")
    pairs.encoder(tmp_path / "reads.gguf", pair="cc", seed=5)
    (tmp_path / ENCODER).unlink()
    wanted = {
        single: {GGUF: single.read_bytes()},
        pair: contents(pair),
        other: {GGUF: other.read_bytes(), "reads.gguf": (tmp_path / "reads.gguf").read_bytes()},
    }
    for source in (pair, single, other, pair, other, single, pair):
        assert run("model", "install", str(source)).exit_code == 0
        assert contents(home) == wanted[source], source


@pytest.mark.parametrize("before", ["nothing", "an encoder", "a pair"])
def test_an_install_that_breaks_off_changes_nothing(run: Run, pair: Path, before: str) -> None:
    home = models.home()
    home.mkdir(parents=True)
    if before != "nothing":
        pairs.encoder(home / ENCODER, pair="old", seed=7)
    # The last of the moves fails in the first two cases at the namer, in the third at the tokenizer.
    blocked = GGUF
    if before == "a pair":
        pairs.namer(home / GGUF, pair="old")
        (pair / models.TOKENIZER).write_text("{}")
        blocked = models.TOKENIZER
    (home / blocked).mkdir()
    (home / blocked / "kept").write_text("by somebody")
    was = contents(home)
    done = run("model", "install", str(pair))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "cannot install" in done.stderr
    assert contents(home) == was and (home / blocked / "kept").is_file()
    shutil.rmtree(home / blocked)
    assert run("model", "install", str(pair)).exit_code == 0
    assert contents(home) == contents(pair)


def test_facts_are_of_both(run: Run, good: Path, single: Path) -> None:
    told = json.loads(run("model", "info", "--json", "--model", str(good)).stdout)
    sizes = {name: (good / name).stat().st_size for name in (GGUF, ENCODER)}
    counts = {name: gguf_header.read(good / name).parameters for name in (GGUF, ENCODER)}
    assert (told["bytes"], told["parameters"]) == (sum(sizes.values()), sum(counts.values()))
    assert (told["sha256"], told["architecture"], told["layers"]) == (models.sha256(good / GGUF), "llama", 2)
    assert told["encoder"] == {
        "path": str(good / ENCODER), "bytes": sizes[ENCODER], "sha256": models.sha256(good / ENCODER), "layers": 3,
        "width": 64,
    }  # fmt: skip
    text = run("model", "info", "--model", str(good)).stdout
    assert f"\nencoder       {good / ENCODER}\n  bytes       {sizes[ENCODER]}\n" in text
    alone = json.loads(run("model", "info", "--json", "--model", str(single)).stdout)
    assert "encoder" not in alone and alone["bytes"] == single.stat().st_size


def test_doctor_tells_of_both(run: Run, pair: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    model = next(line for line in run("doctor", "--model", str(pair)).stdout.splitlines() if " model: " in line)
    assert model.startswith("ok") and ", names: " in model
    assert models.sha256(pair / GGUF) in model and f"{ENCODER} sha256 {models.sha256(pair / ENCODER)}" in model
    (pair / ENCODER).unlink()
    lines = run("doctor", "--model", str(pair)).stdout.splitlines()
    at = next(i for i, line in enumerate(lines) if " model: " in line)
    assert lines[at].startswith("fail") and lines[at].endswith(f"{ENCODER} is missing, which {GGUF} needs")
    assert "put it there, or install the whole model again" in lines[at + 1]


def test_a_deadline_stops_both(good: Path) -> None:
    with pytest.raises(ModelError, match="too long to load"):
        Engine(good / GGUF, deadline=time.monotonic() - 1)
    engine = Engine(good / GGUF)
    prompt = naming.clean(PROMPTS[0])
    name = engine.suggest(prompt)[0].name
    with pytest.raises(ModelError, match="ran out of its time"):
        engine.suggest(prompt, deadline=time.monotonic() - 1)
    assert engine.suggest(prompt)[0].name == name


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells what is mapped")
def test_what_is_closed_or_never_came_up_is_given_back(pair: Path) -> None:
    def mapped() -> int:
        return Path("/proc/self/maps").read_bytes().count(os.fsencode(pair))

    prompt = naming.clean(TASK)
    names = []
    for _ in range(2):
        engine = Engine(pair / GGUF)
        assert mapped() > 1
        names.append(engine.suggest(prompt)[0].name)
        engine.close()
        engine.close()
        assert mapped() == 0
    assert names[0] and names[0] == names[1]
    for damage in ("another's", "few words", "half", "missing"):
        WRONG[damage][0](pair)
        with pytest.raises(ModelError):
            Engine(pair / GGUF)
        assert mapped() == 0, damage
