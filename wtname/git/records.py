"""git's records of worktrees, read where git keeps them: a killed git leaves what no command of its own tells."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from wtname.git.process import Running
from wtname.git.refs import patiently
from wtname.git.repository import Repository


def record(repo: Repository, path: Path) -> Path | None:
    """The folder in which git keeps the worktree at this path: the one that its .git file names, if it is one of this
    repository's, or else the one that names the path."""
    with contextlib.suppress(OSError):
        if found := _named(path):
            return found if found.parent.samefile(repo.common_dir / "worktrees") else None
    place = Path(os.path.realpath(path))
    for found in _records(repo):
        with contextlib.suppress(OSError):
            named = os.fsdecode((found / "gitdir").read_bytes()).rstrip("\r\n")
            if Path(os.path.realpath(found / named)).parent == place:
                return found
    return None


def _named(path: Path) -> Path | None:
    """The record that a folder's .git file names. Raises OSError where there is no such file."""
    text = os.fsdecode((path / ".git").read_bytes())
    if not text.startswith("gitdir: "):
        return None
    return Path(os.path.normpath(path / text[len("gitdir: ") :].rstrip("\r\n")))


def _records(repo: Repository) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted((repo.common_dir / "worktrees").iterdir())
    return []


def is_whole(record: Path) -> bool:
    """Whether git got to the end of `worktree add`: till then it holds the record locked."""
    with contextlib.suppress(OSError):
        return (record / "locked").read_bytes().strip() != b"initializing"
    return (record / "HEAD").exists()


def unlock_unfinished(record: Path | None) -> None:
    """Let a worktree that git did not finish count as one, as somebody went on with it."""
    if record and not is_whole(record):
        with contextlib.suppress(OSError):
            (record / "locked").unlink()


def branch(record: Path) -> str | None:
    """The branch that the worktree is on by its record."""
    with contextlib.suppress(OSError):
        head = os.fsdecode((record / "HEAD").read_bytes()).strip()
        if head.startswith("ref: refs/heads/"):
            return head[len("ref: refs/heads/") :]
    return None


def head(repo: Repository, record: Path) -> str | None:
    """The commit that the worktree is at by its record."""
    told = Running(f"--git-dir={record}", "rev-parse", "--verify", "--quiet", "HEAD", cwd=record, env=repo.environment)
    return told.output(empty=1).strip() or None


def relocate(record: Path, path: Path) -> None:
    """Have the record say that the worktree is at this path, as a killed `worktree move` left unsaid."""
    new = record / "gitdir.wtname"
    new.write_bytes(os.fsencode(path / ".git") + b"\n")
    new.replace(record / "gitdir")


def is_linked(record: Path, path: Path) -> bool:
    """Whether the folder at this path says that it is the worktree of this record."""
    with contextlib.suppress(OSError):
        if named := _named(path):
            return named.name == record.name and named.parent.samefile(record.parent)
    return False


def forget(repo: Repository, path: Path) -> None:
    """Drop git's record of a worktree whose folder is gone, if there is one. Raises GitError."""
    if not os.path.lexists(path) and (found := record(repo, path)) and found.exists():
        patiently(repo, "worktree", "remove", "--force", "--force", "--", str(path))
    with contextlib.suppress(OSError):  # git leaves it behind where `worktree add` failed
        (repo.common_dir / "worktrees").rmdir()
