"""What a repository's past tells about how its people work."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wtname.errors import GitError
from wtname.git.process import Running
from wtname.git.repository import Repository

_MOST = 10_000  # commits: the latest ones tell how branches are called today


class Commit(NamedTuple):
    """A commit's subject and who wrote it."""

    subject: str
    email: str
    author: str


class History:
    """The latest commits of HEAD and of the remotes' default branches, and where the work tree lies; asked for at
    once. Plumbing all the way: `git log` would heed log.showSignature and run a program that the repository names."""

    def __init__(self, repo: Repository) -> None:
        form = "--format=%s%x00%ae%x00%an"
        tips = ("--ignore-missing", "HEAD", "--glob=refs/remotes/*/HEAD")
        self._commits = repo.ask("rev-list", f"--max-count={_MOST}", "--encoding=UTF-8", form, *tips, "--")
        self._top = repo.ask("rev-parse", "--show-toplevel")

    def commits(self) -> list[Commit]:
        """The commits, latest first; none on an unborn HEAD without remotes."""
        lines = _told(self._commits).split("\n")
        return [Commit(*parts) for line in lines if len(parts := line.split("\0")) == 3]

    def top(self) -> Path | None:
        """The folder of the worktree we stand in; None in a bare repository."""
        place = _told(self._top).removesuffix("\n")
        return Path(place) if place else None

    def close(self) -> None:
        """Let go of what nobody has asked for."""
        self._commits.close()
        self._top.close()


def _told(running: Running) -> str:
    try:
        return running.output()
    except GitError:
        return ""
