from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.conftest import Run
from wtname import gguf_header, models, naming
from wtname.errors import ModelError

# What the model in the package is made of, one file or two.
PARTS = [part for part in models.parts(models.PACKAGED) if part]
BESIDE = {part.name: part.read_bytes() for part in PARTS[1:]}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packaged model under a name of its own; its encoder, where it has one, keeps its."""
    for name, data in BESIDE.items():
        (tmp_path / name).write_bytes(data)
    path = tmp_path / "copy.gguf"
    path.write_bytes(models.PACKAGED.read_bytes())
    return path


def damage(path: Path, how: str) -> Path:
    data = models.PACKAGED.read_bytes()
    path.write_bytes(
        {
            "empty": b"",
            "no GGUF": b"PK\3\4" + data[4:],
            "text": b"<!DOCTYPE html>\n<title>404</title>\n" * 50,
            "only magic": b"GGUF",
            "another version": b"GGUF" + b"\xff" * 4 + data[8:],
            "endless counts": data[:8] + b"\xff" * 16 + data[24:],
            "header cut": data[:1000],
            "words cut": data[: len(data) // 50],
            "half": data[: len(data) // 2],
            "last byte cut": data[:-200],
            "zeros in the header": data[:24] + bytes(200) + data[224:],
        }[how]
    )
    return path


BROKEN = [
    "empty",
    "no GGUF",
    "text",
    "only magic",
    "another version",
    "endless counts",
    "header cut",
    "words cut",
    "half",
    "last byte cut",
    "zeros in the header",
]


def install_other(home: Path) -> Path:
    """Another model is installed: the packaged one, one word of its header changed."""
    home.mkdir(parents=True)
    (home / models.GGUF).write_bytes(models.PACKAGED.read_bytes() + b"\0" * 64)
    (home / models.TOKENIZER).write_text("{}")
    return home


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_order(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert models.find() == (models.PACKAGED, "package")
    install_other(models.home())
    assert models.find() == (models.home() / models.GGUF, "user")
    monkeypatch.setenv("WTNAME_MODEL_DIR", str(copy.parent))
    assert models.find() == (copy.parent / models.GGUF, "environment")
    assert models.find(str(copy)) == (copy, "flag")
    assert models.find(str(models.PACKAGED.parent)) == (models.PACKAGED, "flag")


@pytest.mark.skipif(os.name == "nt" or os.uname().sysname == "Darwin", reason="the folder of Linux")
def test_home(hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tail = "com.godly.terminal/models/branch-name-gen"
    assert models.home() == hermetic / ".local/share" / tail
    monkeypatch.setenv("XDG_DATA_HOME", str(hermetic / "x"))
    assert models.home() == hermetic / "x" / tail


def test_path(run: Run, tmp_path: Path) -> None:
    assert run("model", "path").stdout == f"{models.PACKAGED}\n"
    missing = run("model", "path", "--model", str(tmp_path / "nowhere"))
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert "is missing; give a GGUF file" in missing.stderr


def test_info(run: Run) -> None:
    facts = json.loads(run("model", "info", "--json").stdout)
    assert facts["path"] == str(models.PACKAGED)
    assert facts["bytes"] == sum(part.stat().st_size for part in PARTS) < 12.6e6
    assert facts["sha256"] == hashlib.sha256(models.PACKAGED.read_bytes()).hexdigest()
    assert facts["architecture"] == "llama"
    assert 1e6 < facts["parameters"] < 20.5e6
    assert facts["vocabulary"] >= 1000
    assert facts["layers"] >= 1
    assert f"sha256        {facts['sha256']}" in run("model", "info").stdout


@pytest.mark.parametrize("from_folder", [True, False])
def test_install(run: Run, copy: Path, from_folder: bool) -> None:
    source = copy
    if from_folder:
        source = copy.parent
        copy.rename(copy.parent / models.GGUF)
        (source / models.TOKENIZER).write_text('{"version": "1.0"}')
    done = run("model", "install", str(source), "--json")
    said = json.loads(done.stdout)
    place = models.home() / models.GGUF
    assert said["path"] == str(place)
    assert said["sha256"] == models.sha256(place) == models.sha256(models.PACKAGED)
    assert naming.NAME.fullmatch(said["trial"])
    assert contents(models.home()).keys() == {models.GGUF, *BESIDE, *([models.TOKENIZER] if from_folder else [])}
    assert models.find().by == "user"


def test_install_the_packaged_one(run: Run) -> None:
    done = run("model", "install")
    assert done.stdout == "".join(f"{models.sha256(part)}  {models.home() / part.name}\n" for part in PARTS)
    assert contents(models.home()) == {
        name: (models.PACKAGED.parent / name).read_bytes() for name in (models.GGUF, *BESIDE, models.TOKENIZER)
    }


def test_install_again_over_itself(run: Run) -> None:
    run("model", "install")
    before = contents(models.home())
    assert run("model", "install", str(models.home())).exit_code == 0
    assert contents(models.home()) == before


def test_tokenizer_of_another_model_goes(run: Run, copy: Path) -> None:
    install_other(models.home())
    run("model", "install", str(copy))
    assert contents(models.home()) == {models.GGUF: models.PACKAGED.read_bytes(), **BESIDE}


@pytest.mark.parametrize("how", BROKEN)
def test_bad_file_leaves_the_installed_model(run: Run, tmp_path: Path, how: str) -> None:
    bad = damage(tmp_path / "bad.gguf", how)
    before = contents(install_other(models.home()))
    done = run("model", "install", str(bad))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("wtname: ") and done.stderr.count("\n") == 1
    assert str(bad) in done.stderr
    assert contents(models.home()) == before


def test_missing_file_leaves_no_folder(run: Run, tmp_path: Path) -> None:
    assert run("model", "install", str(tmp_path / "nowhere.gguf")).exit_code == 1
    assert not models.home().exists()


def test_install_where_nothing_can_be_written(run: Run, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hermetic / "file").touch()
    for variable in ("XDG_DATA_HOME", "APPDATA"):
        monkeypatch.setenv(variable, str(hermetic / "file"))
    done = run("model", "install")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot install" in done.stderr


@pytest.mark.parametrize("how", [*BROKEN, "missing", "a folder without one"])
def test_a_name_in_spite_of_a_bad_model(run: Run, tmp_path: Path, how: str) -> None:
    bad = tmp_path if how[:2] == "a " else tmp_path / "bad.gguf"
    if how in BROKEN:
        damage(bad, how)
    done = run("suggest", "--model", str(bad), "Fix crash on zero-width columns")
    assert done.exit_code == 0
    assert naming.NAME.fullmatch(done.stdout.strip())
    assert "picked from the words" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("how", BROKEN)
def test_header_of_a_bad_file(tmp_path: Path, how: str) -> None:
    with pytest.raises(ModelError, match=r"bad\.gguf"):
        gguf_header.read(damage(tmp_path / "bad.gguf", how))
