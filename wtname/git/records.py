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
    repository's, or else the one that names the path. What the first names may be gone."""
    with contextlib.suppress(OSError):
        if (found := _named(path)) and is_same(found.parent, repo.common_dir / "worktrees"):
            return found
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


def is_same(path: Path, other: Path) -> bool:
    """Whether two paths lead to one place."""
    return os.path.realpath(path) == os.path.realpath(other)


def _records(repo: Repository) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted((repo.common_dir / "worktrees").iterdir())
    return []


def is_whole(record: Path) -> bool:
    """Whether git got to the end of `worktree add`: till then it holds the record locked, and where a checkout fails it
    unlocks it before it takes it away again, but there is no index yet."""
    return not _is_begun(record) and all((record / name).exists() for name in ("gitdir", "commondir", "HEAD", "index"))


def is_usable(record: Path) -> bool:
    """Whether git can work with what is in the record."""
    return all((record / name).exists() for name in ("commondir", "HEAD"))


def _is_begun(record: Path) -> bool:
    with contextlib.suppress(OSError):
        return (record / "locked").read_bytes().strip() == b"initializing"
    return False


def unlock_unfinished(record: Path | None) -> None:
    """Let a worktree that git did not finish count as one, as somebody went on with it."""
    if record and _is_begun(record):
        with contextlib.suppress(OSError):
            (record / "locked").unlink()


def has_modules(record: Path | None) -> bool:
    """Whether submodules were filled in the worktree: their commits are in its record, and go with it."""
    return record is not None and (record / "modules").exists()


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
    new.write_bytes(os.fsencode((path / ".git").as_posix()) + b"\n")  # git knows no backslashes here
    new.replace(record / "gitdir")


def was_moved(record: Path, path: Path) -> bool:
    """Whether the worktree of this record belongs somewhere else than at this path."""
    with contextlib.suppress(OSError):
        named = os.fsdecode((record / "gitdir").read_bytes()).rstrip("\r\n")
        return not is_same((record / named).parent, path)
    return False


def is_linked(record: Path, path: Path) -> bool:
    """Whether the folder at this path says that it is the worktree of this record."""
    with contextlib.suppress(OSError):
        if named := _named(path):
            return named.name == record.name and is_same(named.parent, record.parent)
    return False


def forget(repo: Repository, path: Path, known: Path | None = None) -> None:
    """Drop git's record of a worktree whose folder was taken away from this path, if there is one: `known`, or else the
    one that names the path. Whatever lies at the path by now is somebody else's. Raises GitError."""
    nowhere = path.with_name(f".{path.name}.gone")
    found = known or record(repo, path) or record(repo, nowhere)
    if found and found.exists() and not is_linked(found, path):
        if os.path.lexists(path) or not (found / "gitdir").exists():  # git would not remove it
            relocate(found, path := nowhere)
        patiently(repo, "worktree", "remove", "--force", "--force", "--", str(path))
    with contextlib.suppress(OSError):  # git leaves it behind where `worktree add` failed
        (repo.common_dir / "worktrees").rmdir()
