"""What was done in a worktree, read so that it can be named: subjects of its commits, and its changes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from wtname.git.repository import Repository

_COMMITS = 20
_FILES = 20
_SEEN = 200_000  # characters of a diff; the first say enough
# A definition or an assignment that a line adds, in most languages that there are.
_DEFINES = re.compile(
    r"^\+.*?\b(?:def|class|func|fn|function|interface|struct|enum|trait|type|const|let|var|public|private|void|export)"
    r"\s+(?:\w+\s+)?([A-Za-z_]\w{3,40})",
    re.M,
)
_SAFE = ("--no-ext-diff", "--no-textconv", "--no-renames", "--no-color")
_HUNK = re.compile(r"^@@[^@]*@@ .*?([A-Za-z_]\w{3,40})\s*[({:]", re.M)


class Changes(NamedTuple):
    """Files of a diff by what happened to them, and names out of it: what is added, and where something is changed."""

    added: list[str]
    changed: list[str]
    deleted: list[str]
    defines: list[str]
    within: list[str]


def start(repo: Repository, path: Path, trunk: str | None) -> str:
    """The commit where the work in a worktree began: where it left the branch that work is merged into, or its HEAD."""
    base = repo.ask_in(path, "merge-base", trunk, "HEAD").output(empty=1).strip() if trunk else ""
    return base or "HEAD"


def subjects(repo: Repository, path: Path, start: str) -> list[str]:
    """The subjects of the commits since then, the first one first."""
    how = ("--no-merges", "--no-show-signature", "--no-color", "--reverse", f"--max-count={_COMMITS}", "--format=%s")
    return repo.ask_in(path, "log", "-s", *how, f"{start}..HEAD", "--").output().splitlines()


def changes(repo: Repository, path: Path, start: str) -> Changes:
    """What differs from then in a worktree: committed, staged, changed, and files that nobody tracks yet."""
    status = repo.ask_in(path, "diff", *_SAFE, "--name-status", "-z", start, "--")
    untracked = repo.ask_in(path, "ls-files", "-z", "--others", "--exclude-standard")
    patch = repo.ask_in(path, "diff", *_SAFE, "-U0", start, "--").output()[:_SEEN]
    new = [name for name in untracked.output().split("\0") if name]
    patch += "".join(_as_added(path / name) for name in new[:_FILES])
    found = _read(status.output(), patch)
    return found._replace(added=found.added + new)


class Staged:
    """What the commit in the making changes, asked for while something else is done; where a hook asks, in its
    environment: `commit -a` and `commit FILE` have an index of their own."""

    def __init__(self, repo: Repository) -> None:
        self._status = repo.ask("diff", *_SAFE, "--cached", "--name-status", "-z")
        self._patch = repo.ask("diff", *_SAFE, "--cached", "-U0")

    def changes(self) -> Changes:
        """It, read."""
        return _read(self._status.output(), self._patch.output()[:_SEEN])


def _read(status: str, patch: str) -> Changes:
    fields = status.split("\0")
    files: dict[str, list[str]] = {"A": [], "D": []}
    changed: list[str] = []
    for what, name in zip(fields[::2], fields[1::2], strict=False):
        files.get(what, changed).append(name)
    return Changes(files["A"], changed, files["D"], _unique(_DEFINES.findall(patch)), _unique(_HUNK.findall(patch)))


def _as_added(file: Path) -> str:
    if file.is_symlink() or not file.is_file():
        return ""
    try:
        with file.open("rb") as text:
            lines = text.read(_SEEN // _FILES).decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return "".join(f"+{line}\n" for line in lines)


def _unique(names: list[str]) -> list[str]:
    return list(dict.fromkeys(names))[:8]
