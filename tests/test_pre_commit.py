from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run, git
from wtname import shim

pytest.importorskip("pre_commit", reason="pre-commit is not installed")
BIN = Path(sys.executable).parent
if not (BIN / "wtname").exists():
    pytest.skip("wtname is not installed here", allow_module_level=True)
TASK = "Fix crash on zero-width columns"
NAME = "fix-zero-width-column-crash"
SUGGESTED = f"wtname: wip could be called wt-{NAME}: wtname rename --name {NAME}\n"


@pytest.fixture
def place(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose configuration for pre-commit names our hook, by a repository that has the file with it."""
    monkeypatch.delenv("GIT_AUTHOR_DATE")
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tmp_path / "cache"))
    ours = tmp_path / "ours"
    git("init", "-q", ours)
    (ours / ".pre-commit-hooks.yaml").write_text((ROOT / ".pre-commit-hooks.yaml").read_text())
    git("add", ".", cwd=ours)
    git("commit", "-q", "-m", "hooks", cwd=ours)
    hook = {"id": "wtname-prepare-commit-msg"}
    source = {"repo": str(ours), "rev": git("rev-parse", "HEAD", cwd=ours), "hooks": [hook]}
    Path(".pre-commit-config.yaml").write_text(json.dumps({"repos": [source]}))
    git("add", ".")
    git("commit", "-q", "-m", "config", "--date=2026-01-03T00:00:00Z")  # one of now would pass for amended
    git("checkout", "-q", "-b", "wip")
    return repo


def pre_commit(*args: str) -> None:
    subprocess.run([sys.executable, "-m", "pre_commit", *args], check=True, stdout=subprocess.DEVNULL)


def make_commit(*args: str, env: dict[str, str] | None = None) -> str:
    step = ["git", "commit", "-q", "--allow-empty", *args]
    done = subprocess.run(step, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    assert done.returncode == 0, done
    return done.stderr


def test_pre_commit(place: Path) -> None:
    pre_commit("install", "-t", "prepare-commit-msg")
    assert SUGGESTED in make_commit("-m", TASK)
    assert git("log", "-1", "--format=%B") == TASK
    assert "wtname: " not in make_commit("--amend", "-m", TASK)
    git("checkout", "-q", "-b", "fix-login")
    said = make_commit("-m", TASK)
    assert "wtname: " not in said and "Passed" in said


def test_pre_commit_and_an_editor(place: Path, tmp_path: Path) -> None:
    pre_commit("install", "-t", "prepare-commit-msg")
    (tmp_path / "editor").write_text(f'#!/bin/sh\ncat "$1" >"$SEEN"\necho "{TASK}" >"$1"\n')
    (tmp_path / "editor").chmod(0o755)
    Path("report.py").write_text("def export_csv(rows):\n    return rows\n")
    git("add", ".")
    env = {"GIT_EDITOR": str(tmp_path / "editor"), "SEEN": str(tmp_path / "seen")}
    assert "wtname: " not in make_commit(env=env)
    assert "\n# wtname: wip could be called wt-" in (tmp_path / "seen").read_text()
    assert git("log", "-1", "--format=%B") == TASK


def test_beside_a_hook_of_ours(run: Run, place: Path) -> None:
    """Whoever is installed second keeps the other's hook and runs it first."""
    pre_commit("install", "-t", "prepare-commit-msg")
    theirs = Path(".git/hooks/prepare-commit-msg").read_bytes()
    assert run("hook", "install").exit_code == 0
    said = make_commit("-m", TASK)
    assert SUGGESTED in said and "Passed" in said
    run("hook", "uninstall")
    assert Path(".git/hooks/prepare-commit-msg").read_bytes() == theirs
    assert not Path(".git/hooks", shim.BEFORE).exists() and not Path(".git/wtname").exists()
