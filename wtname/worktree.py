"""Make worktrees as transactions: all of it is there in the end, or nothing is."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from wtname import naming, settings
from wtname.errors import GitError, WtnameError
from wtname.git import Repository, is_busy
from wtname.namer import random_branch
from wtname.settings import Settings

_TRIES = 1000
_PATIENCE = 5.0  # seconds with another git at work


class Worktree(NamedTuple):
    """A branch and its folder; `said` is what git and its hooks had to say while they were made."""

    name: str | None
    branch: str
    path: Path
    commit: str
    said: str = ""


class _Taken(Exception):
    """Somebody was faster."""


class Taken:
    """The branch names that a new one must stay clear of: equal in any case, or a folder of refs for one another."""

    def __init__(self, branches: Iterable[str]) -> None:
        self._branches = {branch.casefold() for branch in branches}
        self._folders = {folder for branch in self._branches for folder in _folders(branch)}

    def __contains__(self, branch: str) -> bool:
        branch = branch.casefold()
        return branch in self._branches or branch in self._folders or self.above(branch) is not None

    def above(self, branch: str) -> str | None:
        """A branch called like a folder that this one would lie in."""
        return next((folder for folder in _folders(branch.casefold()) if folder in self._branches), None)


def _folders(branch: str) -> list[str]:
    return [branch[:i] for i, char in enumerate(branch) if char == "/"]


def numbered(name: str) -> Iterator[str]:
    """The name, then the name with -2, -3, ...: cut where that would make a legal name too long."""
    yield name
    limit = max(naming.MAX_NAME, len(name))
    for i in itertools.count(2):
        yield naming.fit(name, limit - len(f"-{i}")) + f"-{i}"


def _branches(name: str | None, ticket: str, chosen: Settings) -> Iterator[tuple[str | None, str]]:
    if name is None:
        while True:
            yield None, random_branch()
    for candidate in numbered(name):
        yield candidate, naming.branch_from(chosen.template, candidate, ticket, chosen.user)


def plan(
    repo: Repository,
    chosen: Settings,
    name: str | None,
    *,
    ticket: str = "",
    path: Path | None = None,
    avoid: Iterable[str] = (),
) -> Worktree:
    """The first free branch and folder for a name (None: a random one), nothing made yet."""
    commit = repo.commit(chosen.base)
    taken = Taken([*repo.branches(), *avoid])
    for candidate, branch in itertools.islice(_branches(name, ticket, chosen), _TRIES):
        if not repo.allows(branch):
            raise WtnameError(f"{branch!r} is no legal branch name; change --name or wtname.template")
        folder = (
            path.absolute() if path else settings.folder(chosen.path, repo=repo.name, main=repo.main, branch=branch)
        )
        if branch not in taken and (path or not _is_there(folder)):
            return Worktree(candidate, branch, folder, commit)
    why = f"there is a branch {above!r}" if (above := taken.above(branch)) else "all numbers are taken"
    raise WtnameError(f"no branch like {branch!r} can be made: {why}; change --name or wtname.template")


def create(
    repo: Repository, chosen: Settings, name: str | None, *, ticket: str = "", path: Path | None = None
) -> Worktree:
    """Make a branch and its worktree; if that fails at any point, what was made is taken back."""
    waited = 0.0
    lost: list[str] = []
    for _ in range(_TRIES):
        wanted = plan(repo, chosen, name, ticket=ticket, path=path, avoid=lost)
        try:
            return _make(repo, wanted, fixed=path is not None)
        except _Taken:
            lost.append(wanted.branch)
        except GitError as error:
            if wanted.branch in Taken(repo.branches()):
                continue
            if not is_busy(error) or waited > _PATIENCE:
                raise
            pause = random.uniform(0.01, 0.1)
            waited += pause
            time.sleep(pause)
    raise WtnameError(f"no free name after {_TRIES} tries; pass another --name")


def _make(repo: Repository, wanted: Worktree, fixed: bool) -> Worktree:
    with ExitStack() as undo:
        repo.make_branch(wanted.branch, wanted.commit)
        undo.callback(_delete_branch, repo, wanted)
        try:
            _make_folder(wanted.path, undo)
            undo.callback(_clear, repo, wanted.path)
            said = repo.add_worktree(wanted.path, wanted.branch)
        except FileExistsError as error:
            if fixed:
                raise WtnameError(f"{wanted.path} is there already; pass another --path") from error
            raise _Taken from error
        except OSError as error:
            hint = "pass another --path or set wtname.path"
            raise WtnameError(f"cannot make {wanted.path}: {error.strerror}; {hint}") from error
        except GitError as error:
            if not fixed and _recorded(repo, wanted):
                raise _Taken from error
            raise
        undo.pop_all()
    return wanted._replace(said=said)


def _delete_branch(repo: Repository, made: Worktree) -> None:
    with suppress(GitError):  # it has moved on, so it is somebody's by now
        repo.delete_branch(made.branch, made.commit)


def _is_there(path: Path) -> bool:
    return path.exists() or path.is_symlink()  # a link to nowhere is there, too


def _make_folder(path: Path, undo: ExitStack) -> None:
    """Make a folder that is not there yet, and what is missing above it; who makes it owns the place."""
    while not path.parent.is_dir():
        try:
            _make_folder(path.parent, undo)
        except FileExistsError as error:
            if not path.parent.is_dir():  # else somebody was faster, and that is fine
                raise NotADirectoryError(error.errno, f"{path.parent} is not a folder") from error
    path.mkdir()
    undo.callback(_remove_if_empty, path)


def _remove_if_empty(path: Path) -> None:
    with suppress(OSError):  # gone, or in use by somebody else by now
        path.rmdir()


def _clear(repo: Repository, path: Path) -> None:
    """Remove a worktree that we made and git's record of it."""
    import shutil

    for _ in range(50):  # a checkout that was interrupted may go on writing for a moment
        shutil.rmtree(path, ignore_errors=True)
        if not _is_there(path):
            break
        time.sleep(0.1)
    repo.forget_worktree(path)


def _recorded(repo: Repository, wanted: Worktree) -> bool:
    """Whether git holds the place or the branch for a worktree whose folder is missing."""
    place, ref = wanted.path.resolve(), "refs/heads/" + wanted.branch
    return any(Path(known["worktree"]).resolve() == place or known.get("branch") == ref for known in repo.worktrees())
