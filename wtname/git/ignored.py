"""Which files of a worktree git ignores, and which of them a list of patterns names."""

from __future__ import annotations

from pathlib import Path

from wtname.git.repository import Repository

_OTHERS = ("ls-files", "-z", "--others", "--ignored")


def matching(repo: Repository, root: Path, patterns: Path) -> list[str]:
    """The ignored files below a worktree's root that match a file of patterns (in the syntax of .gitignore): paths
    from the root. What lies in another repository or worktree in its midst is not among them."""
    matched = repo.ask_in(root, *_OTHERS, f"--exclude-from={patterns}")
    ignored = repo.ask_in(root, *_OTHERS, "--exclude-standard", "--directory")  # folders as a whole end in /
    wanted = [path for path in matched.output().split("\0") if path and not path.endswith("/")]
    known = set(ignored.output().split("\0"))
    return [path for path in wanted if path in known or any(folder in known for folder in _folders(path))]


def _folders(path: str) -> list[str]:
    return [path[: i + 1] for i, char in enumerate(path) if char == "/"]
