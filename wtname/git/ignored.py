"""Which files of a worktree git ignores, and which of them a list of patterns names."""

from __future__ import annotations

from pathlib import Path

from wtname.git.process import Running
from wtname.git.repository import Repository

_OTHERS = ("ls-files", "-z", "--others", "--ignored")


def listed(repo: Repository, root: Path) -> list[str]:
    """The files and folders below a worktree's root that git ignores: paths from the root, and folders end in /. What
    is in such a folder is not among them."""
    return _asked(repo, root).output().split("\0")[:-1]


def _asked(repo: Repository, root: Path) -> Running:
    return repo.ask_in(root, *_OTHERS, "--exclude-standard", "--directory")


def is_ignored(repo: Repository, path: Path) -> bool:
    """Whether git ignores a file, which need not be there. Raises GitError where it is in no worktree of ours."""
    return bool(repo.ask("check-ignore", "--", str(path)).read(empty=1))


def matching(repo: Repository, root: Path, patterns: Path) -> list[str]:
    """The ignored files below a worktree's root that match a file of patterns (in the syntax of .gitignore): paths
    from the root. What lies in another repository or worktree in its midst is not among them."""
    matched = repo.ask_in(root, *_OTHERS, f"--exclude-from={patterns}")
    ignored = _asked(repo, root)
    wanted = [path for path in matched.output().split("\0") if path and not path.endswith("/")]
    known = set(ignored.output().split("\0"))
    return [path for path in wanted if path in known or any(folder in known for folder in _folders(path))]


def _folders(path: str) -> list[str]:
    return [path[: i + 1] for i, char in enumerate(path) if char == "/"]
