"""Each line of `wtname doctor`: what it says where all is well, and where not."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, git, make_repository
from wtname import doctor
from wtname.git import process

ORDER = ["git", "python", "engine", "model", "log", "repository", "commands", "hook", "journal"]
SKIPPED = {"engine", "model"}  # they take a process each, and say nothing about a repository


def report(run: Run, *args: object) -> dict[str, dict[str, Any]]:
    done = run("doctor", "--json", *args)
    found = json.loads(done.stdout)
    assert done.exit_code == (1 if any(check["status"] == "fail" for check in found) else 0)
    for check in found:
        assert set(check) == {"what", "status", "found", "fix"} and check["found"]
        assert bool(check["fix"]) is (check["status"] != "ok"), check
        assert "\n" not in check["found"] + check["fix"]
    return {check["what"]: check for check in found}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the engine and the model, which other tests look at."""
    for name in SKIPPED:
        monkeypatch.setattr(doctor, f"_{name}", lambda *_, what=name: doctor.Check(what, "ok", "left out"))


def test_all_is_well(run: Run, repo: Path) -> None:
    found = report(run)
    assert list(found) == ORDER and {check["status"] for check in found.values()} == {"ok"}
    assert str(process.executable()) in found["git"]["found"] and sys.executable in found["python"]["found"]
    assert found["engine"]["found"].startswith("llama-cpp-python ") and "names: " in found["model"]["found"]
    told = f"{repo}, new worktrees in {repo}.worktrees/BRANCH, from HEAD ({git('rev-parse', 'HEAD')[:10]}), branches "
    assert found["repository"]["found"] == told + "wt-{name}"
    assert found["commands"]["found"] == "none to run in new worktrees"
    lines = run("doctor").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", f"{what}:"] for what in ORDER]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("version", "status"),
    [("git version 2.16.6", "fail"), ("git version 2.17.0", "ok"), ("git version 2.50.1 (Apple Git-154)", "ok")],
)
@pytest.mark.skipif(os.name == "nt", reason="a script of POSIX")
def test_git(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, status: str) -> None:
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    fake.write_text(
        f'#!/bin/sh\n[ "$1" = --version ] && {{ echo "{version}"; exit; }}\nexec {process.executable()} "$@"\n'
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(fake.parent), prepend=os.pathsep)
    process.executable.cache_clear()
    try:
        found = report(run)["git"]
    finally:
        process.executable.cache_clear()
    assert (found["status"], found["fix"]) == (status, "install git 2.17 or later" if status == "fail" else "")


@pytest.mark.usefixtures("quick")
def test_no_git(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    process.executable.cache_clear()
    try:
        found = report(run)
    finally:
        process.executable.cache_clear()
    assert {what for what, check in found.items() if check["status"] == "fail"} == {
        "git",
        "repository",
        "commands",
        "hook",
        "journal",
    }
    assert "install it from" in found["git"]["fix"]


def test_engine_and_model(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "llama_cpp.py").write_text("raise OSError('libllama.so: wrong machine')\n")
    (tmp_path / "bad.gguf").write_text("nothing")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    found = report(run, "--model", tmp_path / "bad.gguf")
    assert found["engine"]["status"] == found["model"]["status"] == "fail"
    assert "wrong machine" in found["engine"]["found"] and "names are picked" in found["engine"]["fix"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("kind", ["file in the place of its folder", "folder in the place of the file"])
def test_log(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    from wtname import log

    if kind.startswith("file"):
        log.path().parent.parent.mkdir(parents=True)
        log.path().parent.touch()
        found = report(run)["log"]
        assert (found["status"], "make" in found["fix"]) == ("warn", True)
    else:
        log.path().parent.mkdir(parents=True)
        assert report(run)["log"]["status"] == "ok"


Make = Callable[[Path], object]


def config(key: str, value: str) -> Make:
    return lambda repo: git("config", key, value, cwd=repo)


# What is wrong with a repository, by what `wtname new` says of it and doctor, too.
WRONG: dict[str, tuple[Make, str]] = {
    "template": (config("wtname.template", "{nope}"), "has an unknown field {nope}"),
    "template for one": (config("wtname.template", "x"), "gives every task the same branch"),
    "illegal template": (config("wtname.template", "a..b-{name}"), "is no legal branch name"),
    "path": (config("wtname.path", "../x"), "wtname.path is '../x', without {branch}"),
    "type": (config("wtname.type.zzz", "x"), "wtname.type.zzz is for no type"),
    "maxlength": (config("wtname.maxlength", "long"), "wtname.maxlength is 'long'"),
    "too short": (config("wtname.maxlength", "5"), "wtname.maxlength is 5"),
    "base": (config("wtname.base", "nowhere"), "no single commit is called 'nowhere'"),
    "step": (config("wtname.fetch", "maybe"), "wtname.fetch is 'maybe'"),
    "in the way": (lambda repo: repo.with_name("demo.worktrees").touch(), "demo.worktrees"),
    "unborn": (lambda repo: git("checkout", "-q", "--orphan", "x", cwd=repo), "no commit to start from yet"),
    "prefix": (
        lambda repo: git("branch", "wt", cwd=repo) + git("config", "wtname.template", "wt/{name}"),
        "a branch 'wt'",
    ),
}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("case", WRONG)
def test_repository(run: Run, repo: Path, case: str) -> None:
    make, says = WRONG[case]
    make(repo)
    done = run("new", "--name", "fix-x")
    assert done.exit_code == 1 and says in done.stderr
    found = report(run)["repository"]
    assert found["status"] == "fail" and says in f"{found['found']}; {found['fix']}"


@pytest.mark.usefixtures("quick")
def test_what_git_says(run: Run, repo: Path) -> None:
    with (repo / ".git" / "config").open("a") as file:
        file.write("[\n")
    found = report(run)["repository"]
    assert found["status"] == "fail" and "bad config" in found["found"]


@pytest.mark.usefixtures("quick")
def test_days_of_the_trash(run: Run, repo: Path) -> None:
    git("config", "wtname.trashdays", "soon", cwd=repo)
    found = report(run)["repository"]
    assert (found["status"], found["found"]) == ("fail", "wtname.trashdays is 'soon'")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("template", ["{ticket}-{name}", "{name}"])
def test_ticket(run: Run, repo: Path, template: str) -> None:
    git("config", "wtname.ticket", "(", cwd=repo)
    git("config", "wtname.template", template, cwd=repo)
    asked = "{ticket}" in template  # else nobody looks at it
    assert run("new", "--name", "x").exit_code == asked
    found = report(run)["repository"]
    assert found["status"] == ("fail" if asked else "ok") and ("wtname.ticket" in found["found"]) is asked


@pytest.mark.usefixtures("quick")
def test_no_repository(run: Run, tmp_path: Path) -> None:
    found = report(run, "-C", tmp_path)
    assert found["repository"]["status"] == "warn" and "cd into a repository" in found["repository"]["fix"]
    assert found["commands"]["status"] == found["journal"]["status"] == "ok"


@pytest.mark.usefixtures("quick")
def test_a_strangers_repository(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    found = report(run)["repository"]
    assert found["status"] == "fail" and "safe.directory" in found["fix"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("bare", [True, False])
def test_in_a_git_folder(run: Run, repo: Path, tmp_path: Path, bare: bool) -> None:
    if bare:
        git("clone", "-q", "--bare", repo, tmp_path / "hub.git")
    found = report(run, "-C", tmp_path / "hub.git" if bare else repo / ".git")
    assert {check["status"] for check in found.values()} == {"ok"}


@pytest.mark.usefixtures("quick")
def test_commands(run: Run, repo: Path) -> None:
    git("config", "--global", "wtname.postcreate", "true")
    assert report(run)["commands"]["found"] == "1 to run in new worktrees"
    git("config", "wtname.postcreate", "make", cwd=repo)
    (repo / ".wtname").write_text("npm ci\nnpm start &\n")
    found = report(run)["commands"]
    assert (found["status"], found["fix"]) == ("warn", "wtname trust")
    assert found["found"] == "3 of git config and .wtname not trusted, so they do not run"
    assert run("trust", "--yes").exit_code == 0
    assert report(run)["commands"]["found"] == "4 to run in new worktrees"
    (repo / ".wtname").write_bytes(b"\0")
    assert report(run)["commands"]["status"] == "fail"


@pytest.mark.usefixtures("quick")
def test_journal(run: Run, repo: Path) -> None:
    file = repo / ".git" / "wtname" / "journal" / "20260102T030405Z-0a1b2c3d.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"operation": 1}\n')
    found = report(run)["journal"]
    assert (found["status"], found["fix"]) == ("warn", "wtname doctor --repair")
    assert "cannot be read" in run("doctor", "--repair").stdout
    found = report(run)["journal"]
    assert found["status"] == "warn" and "delete it" in found["fix"]
    repaired = json.loads(run("doctor", "--repair", "--json").stdout)
    assert [check["what"] for check in repaired] == ["journal"]


@pytest.mark.usefixtures("quick")
def test_a_check_that_breaks_is_a_failed_check(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> doctor.Check:
        os.stat("/nowhere/at/all")
        raise AssertionError

    monkeypatch.setattr(doctor, "_log", broken)
    found = report(run)["log"]
    assert found["status"] == "fail" and "/nowhere/at/all" in found["found"] and "can be read" in found["fix"]


@pytest.mark.usefixtures("quick")
def test_a_place_that_cannot_be_written(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repository(tmp_path / "demo")
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and Path(path) == tmp_path))
    found = report(run, "-C", repo)["repository"]
    assert (found["status"], found["found"]) == ("fail", f"nothing can be made in {tmp_path}")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("change", "status", "found"),
    [
        ((), "ok", "prepare-commit-msg"),
        ((sys.executable, "/nowhere/python"), "warn", "does nothing, as /nowhere/python is not there any more"),
        (("exit 0", "exit 1"), "warn", "is changed, or of another version"),
    ],
)
def test_hook(run: Run, repo: Path, change: tuple[str, str] | tuple[()], status: str, found: str) -> None:
    assert report(run)["hook"]["found"] == "not installed"
    hook = Path(run("hook", "install").stdout.strip())
    if change:
        hook.write_text(hook.read_text().replace(*change))
    told = report(run)["hook"]
    assert told["status"] == status and found in told["found"]
