"""Submodules of a worktree: git leaves their folders empty until told to fill them."""

from __future__ import annotations

from pathlib import Path

from wtname.errors import GitError
from wtname.git.process import one_line, run
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
    argv: list[str | Path] = ["submodule", "update", "--init", "--recursive", "--progress" if show else "--quiet"]
    code, said = run(argv, folder, repo.environment, show)
    if code:
        raise GitError(one_line(said) or "git submodule update failed", max(code, 1))
