"""Submodules of a worktree: git leaves their folders empty until told to fill them."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from wtname.errors import GitError
from wtname.git.process import executable, one_line
from wtname.git.repository import Repository


def has_submodules(folder: Path) -> bool:
    """Whether a worktree says that it has submodules."""
    try:
        return (folder / ".gitmodules").stat().st_size > 0
    except OSError:
        return False


def fill(repo: Repository, folder: Path, show: bool) -> None:
    """Fetch and check out a worktree's submodules and theirs; `show`: let git write its progress to stderr.
    Raises GitError with git's words."""
    argv: list[str | Path] = [
        executable(),
        "submodule",
        "update",
        "--init",
        "--recursive",
        "--progress" if show else "--quiet",
    ]
    with tempfile.TemporaryFile() as said:  # not a pipe: a hook may leave a daemon behind that holds it open
        out = None if show else said
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=said, stderr=out, cwd=folder, env=repo.environment
        )
        try:
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        said.seek(0)
        if code:
            raise GitError(one_line(os.fsdecode(said.read())) or "git submodule update failed", max(code, 1))
