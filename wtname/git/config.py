"""The settings of one repository, read and written in its own config file."""

from __future__ import annotations

from collections.abc import Mapping

from wtname.errors import GitError
from wtname.git.refs import act, patiently
from wtname.git.repository import Repository


def local(repo: Repository) -> dict[str, list[str]]:
    """The wtname.* keys that this repository's own config sets, each with its values."""
    values: dict[str, list[str]] = {}
    for entry in repo.act("config", "--local", "-z", "--get-regexp", r"^wtname\.").output(empty=1).split("\0"):
        key, _, value = entry.partition("\n")
        if key:
            values.setdefault(key, []).append(value)
    return values


def write(repo: Repository, wanted: Mapping[str, str], before: Mapping[str, list[str]]) -> None:
    """Set keys in this repository's own config: all of them, or none. `before` is what `local` says.

    Raises GitError where git cannot write the file.
    """
    done: list[str] = []
    try:
        for key, value in wanted.items():
            done.append(key)
            patiently(repo, "config", "--local", "--replace-all", key, value)
    except BaseException:
        for key in done:
            _put_back(repo, key, before.get(key, []))
        raise


def _put_back(repo: Repository, key: str, values: list[str]) -> None:
    try:
        repo.act("config", "--local", "--unset-all", key).output(empty=5)
        for value in values:
            act(repo, "config", "--local", "--add", key, value)
    except GitError:  # what could not be written cannot be taken back, and need not be
        return
