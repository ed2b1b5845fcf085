"""Branches that are called something for the time being, and what agents call their worktrees: notes beside a branch's
other settings, which go along when it is renamed. Who renames or copies one by hand has given it a name: the note says
which one was for the time being."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wtname.errors import GitError
from wtname.git.booleans import NO
from wtname.git.process import Running

if TYPE_CHECKING:
    from wtname.git.repository import Repository

PROVISIONAL, _CALLED = "wtnameprovisional", "wtnamecalled"
_NOT_SET = 5  # what git config says of a key that is not there


def note(repo: Repository, branch: str, called: str, *, provisional: bool) -> None:
    """Keep what an agent calls a branch's worktree, and that the branch gets its name once the task is known."""
    from wtname.git import refs

    if called:
        refs.put_setting(repo, branch, _CALLED, [called])
    if provisional:
        refs.put_setting(repo, branch, PROVISIONAL, [branch])


def settle(repo: Repository, branch: str) -> None:
    """The branch keeps this name."""
    from wtname.git import refs

    try:
        refs.patiently(repo, "config", "--local", "--unset-all", f"branch.{branch}.{PROVISIONAL}")
    except GitError as error:
        if error.code != _NOT_SET:
            raise


def called(repo: Repository, name: str) -> list[str]:
    """The branches whose worktrees an agent calls so."""
    told = repo.act("config", "--local", "-z", "--get-regexp", rf"^branch\..*\.{_CALLED}$").output(empty=1)
    entries = (entry.partition("\n") for entry in told.split("\0") if entry)
    return [key[len("branch.") : -len(_CALLED) - 1] for key, _, value in entries if value == name]


class Look:
    """The branch of a folder, whether it is called so for the time being, and whether it may be renamed unasked;
    asked without the questions that changes need, as most often the answer is no."""

    def __init__(self, folder: Path) -> None:
        self._head = Running("symbolic-ref", "--quiet", "HEAD", cwd=folder)
        keys = rf"^(wtname\.autorename|branch\..*\.{PROVISIONAL})$"
        self._config = Running("config", "-z", "--get-regexp", keys, cwd=folder)
        self.branch = ""
        self.provisional = False
        self.autorename = True

    def answer(self) -> bool:
        """Wait for git; tells whether the folder is in a repository."""
        try:
            head = self._head.output(empty=1).strip()
            told = self._config.output(empty=1)
        except GitError:
            self._config.close()
            return False
        self.branch = head.removeprefix("refs/heads/") if head.startswith("refs/heads/") else ""
        entries = [entry.partition("\n") for entry in told.split("\0") if entry]
        found = {key: value if line else "true" for key, line, value in entries}
        self.provisional = bool(self.branch) and found.get(f"branch.{self.branch}.{PROVISIONAL}") == self.branch
        self.autorename = found.get("wtname.autorename", "").lower() not in NO
        return True
