"""Real repositories in temporary folders, sealed off from the machine they are made on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

ROOT = Path(__file__).parent.parent
Run = Callable[..., Result]
# Prompts with the names they should get.
NAMED = [
    ("Fix crash on zero-width columns", "fix-zero-width-crash"),
    ("Add dark mode toggle to the settings page", "feat-dark-mode-toggle"),
    ("Update the README for Python 3.10", "docs-readme-python-3-10"),
    ("Bump webpack to 5.90.1", "chore-bump-webpack-5-90-1"),
    ("Rename UserManager to AccountService", "refactor-rename-user-manager"),
    ("hello", "none"),
]


@pytest.fixture(autouse=True)
def hermetic(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, no configuration of the machine's, nothing inherited from git or wtname, fixed dates."""
    home = tmp_path_factory.mktemp("home")
    for variable in list(os.environ):
        if variable.startswith(("GIT_", "WTNAME_", "XDG_")):
            monkeypatch.delenv(variable)
    for variable in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(home))
    (home / ".gitconfig").write_text(
        "[user]\n\tname = Ada\n\temail = ada@example.org\n[init]\n\tdefaultBranch = main\n"
        '[protocol "file"]\n\tallow = always\n'
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_EDITOR", "false")
    monkeypatch.setenv("GIT_AUTHOR_DATE", "2026-01-02T03:04:05Z")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
    monkeypatch.setenv("WTNAME_DEADLINE", "60")  # a busy machine must not change a name
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]))
    return home


def git(*args: str | Path, cwd: Path | None = None, code: int = 0) -> str:
    """Run git beside wtname, not through it."""
    done = subprocess.run(["git", *map(str, args)], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


def make_repository(path: Path, *args: str) -> Path:
    """A repository with one commit of one file."""
    git("init", "-q", *args, path)
    (path / "README").write_text("hello\n")
    git("add", "README", cwd=path)
    git("commit", "-q", "-m", "first", cwd=path)
    return path


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository, and we stand in it."""
    path = make_repository(tmp_path / "demo")
    monkeypatch.chdir(path)
    return path


def snapshot(folder: Path, repository: Path) -> tuple[str, dict[str, bytes]]:
    """Every reference, and every file and folder below a folder with its contents, git's own included."""
    files = {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"/" for path in folder.rglob("*")}
    return git("for-each-ref", cwd=repository), files


def invoke(command: click.Command, *args: object, input: str | bytes | None = None) -> Result:
    """A command line in this process; what it does not catch is raised."""
    return CliRunner().invoke(command, [str(arg) for arg in args], input=input, catch_exceptions=False)


@pytest.fixture
def run() -> Run:
    """The command line in this process: `run("suggest", "Fix it")`."""
    from wtname.cli import main

    return partial(invoke, main)


def start(*args: str | bytes, cwd: Path) -> subprocess.Popen[bytes]:
    """The command line in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "wtname", *args],
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
