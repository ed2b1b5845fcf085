"""Where values of git config come from: the user himself, or the repository he is in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wtname.errors import GitError
from wtname.git.repository import Repository

_OWN_SCOPES = {"system", "global", "command"}
_WRONG_USAGE = 129


class Value(NamedTuple):
    """A value, and whether it is the user's own: of his system, his home or his command line, and in no file that
    belongs to the repository, which may have changed with the last pull."""

    text: str
    own: bool


def values(repo: Repository, key: str) -> list[Value]:
    """All values of a key, in git's order: system, home, repository, worktree, command line."""
    if key not in repo.config:
        return []
    try:
        told = repo.ask("config", "-z", "--show-scope", "--show-origin", "--get-all", key).output(empty=1)
    except GitError as error:
        if error.code != _WRONG_USAGE:
            raise
        return list(_without_scopes(repo, key))
    fields = told.split("\0")
    places = _places(repo)
    return [
        Value(text, scope in _OWN_SCOPES and _is_outside(origin, places))
        for scope, origin, text in zip(fields[0::3], fields[1::3], fields[2::3], strict=False)
    ]


def _without_scopes(repo: Repository, key: str) -> Iterator[Value]:
    """For git before 2.26: what the two files of the user's hold is his, the rest is not."""
    places = _places(repo)
    own: Counter[str] = Counter()
    for level in ("--system", "--global"):
        fields = repo.ask("config", "-z", level, "--show-origin", "--get-all", key).output(empty=1).split("\0")
        own.update(t for origin, t in zip(fields[0::2], fields[1::2], strict=False) if _is_outside(origin, places))
    for text in repo.ask("config", "-z", "--get-all", key).output(empty=1).split("\0")[:-1]:
        yield Value(text, own[text] > 0)
        own[text] -= 1


def _places(repo: Repository) -> list[Path]:
    folders = [Path(known["worktree"]) for known in repo.worktrees()]
    return [folder.resolve() for folder in (repo.common_dir, repo.main, *folders)]


def _is_outside(origin: str, places: list[Path]) -> bool:
    kind, _, name = origin.partition(":")
    if kind != "file":
        return kind == "command line"
    file = Path(name)
    if not file.is_absolute():  # relative to the repository
        return False
    real = file.resolve()
    return not any(place in (file, real, *file.parents, *real.parents) for place in places)
