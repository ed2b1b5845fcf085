"""What other systems do, as far as it can be had on this one."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, git
from wtname import journal
from wtname.git import Repository, process


@pytest.mark.skipif(os.name == "nt", reason="what it is like there")
def test_an_entry_that_somebody_has_open_on_windows(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, it stays when the operation is over, and must not be taken for one that was broken off."""

    def in_use(path: Path) -> None:
        raise PermissionError(13, "The process cannot access the file", str(path))

    facts = {"branch": "wt-x", "commit": git("rev-parse", "HEAD", cwd=repo), "path": str(repo.parent / "x")}
    with Repository() as repository, journal.entry(repository, "new", dict(facts)) as entry:
        with monkeypatch.context() as windows:
            windows.setattr(sys, "platform", "win32")
            windows.setattr(Path, "unlink", in_use)
            entry.remove()
        assert entry.file.exists() and entry.descriptor == -1
        assert journal.recover(repository) == [] and not entry.file.exists()


@pytest.mark.parametrize(("platform", "found"), [("win32", True), ("linux", False)])
def test_quotes_in_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, platform: str, found: bool) -> None:
    name = "git.exe" if platform == "win32" else "git"
    (tmp_path / "Git for all").mkdir()
    (tmp_path / "Git for all" / name).touch(mode=0o755)
    monkeypatch.setenv("PATH", f'"{tmp_path / "Git for all"}"')
    process.executable.cache_clear()
    try:
        with monkeypatch.context() as windows:
            windows.setattr(sys, "platform", platform)
            if found:
                assert process.executable() == tmp_path / "Git for all" / name
            else:
                with pytest.raises(process.WtnameError, match="not found on PATH"):
                    process.executable()
    finally:
        process.executable.cache_clear()


@pytest.mark.parametrize("branch", ["aux", "Con", "com1.x"])
def test_devices_of_windows_are_no_folders(run: Run, repo: Path, branch: str) -> None:
    git("config", "wtname.template", "{name}", cwd=repo)
    done = run("new", "--name", branch)
    stem, dot, rest = branch.partition(".")
    assert done.stdout == f"{repo.with_name('demo.worktrees') / (stem + '-' + dot + rest)}\n"
    assert git("branch", "--list", "--format=%(refname:short)", branch, cwd=repo) == branch
