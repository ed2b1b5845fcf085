"""Repositories inside of a worktree: submodules and clones. A commit keeps none of what they have."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from wtname.errors import GitError
from wtname.git.process import Running
from wtname.git.repository import Repository

_FOLDERS = 2000  # that git ignores, looked into
# Somebody else's configuration gets to run nothing: what is missing of a partial clone is not fetched.
_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}


def unsaved(repo: Repository, path: Path, record: Path | None, tree: str, head: str) -> str | None:
    """A folder in a worktree that is a repository of its own (a submodule, or one that was cloned into it) and has
    changes, or commits that are on no remote of it; None where there is none."""
    asked = [repo.act("ls-tree", "-r", "-z", "--full-tree", one) for one in (tree, head)]
    told = "".join(one.output() for one in asked)
    links = {line.partition("\t")[2] for line in told.split("\0") if line.startswith("160000 ")}
    if found := _unsaved(repo, path, links):
        return found
    modules = record / "modules" if record else path  # of submodules that are not filled any more, too
    return next((str(one.relative_to(modules)) for one in _modules(record) if _is_ahead(repo, one)), None)


def _unsaved(repo: Repository, path: Path, links: set[str]) -> str | None:
    for link in sorted(links):
        folder = path / link
        if not os.path.lexists(folder / ".git"):
            continue
        dirty = repo.ask_in(folder, "status", "--porcelain", "--ignore-submodules=none").output()
        ahead = repo.ask_in(folder, "rev-list", "--max-count=1", "--all", "--not", "--remotes", "--").output()
        listed = repo.ask_in(folder, "ls-files", "--stage", "-z").output().split("\0")
        inner = {line.partition("\t")[2] for line in listed if line.startswith("160000 ")}
        if dirty or ahead:
            return link
        if deeper := _unsaved(repo, folder, inner):
            return f"{link}/{deeper}"
    return None


def _modules(record: Path | None) -> Iterator[Path]:
    """The git folders of a worktree's submodules, which lie in git's record of it."""
    folders = deque([record / "modules"] if record else [])
    while folders:
        for one in _subfolders(folders.popleft()):
            if (one / "HEAD").is_file():
                yield one
                folders.append(one / "modules")
            else:
                folders.append(one)


def ahead(repo: Repository, path: Path, ignored: Iterable[str]) -> list[str]:
    """The repositories in these ignored folders of a worktree that have commits which are on no remote of theirs. Of
    very many folders, the uppermost are looked into."""
    found = []
    folders = deque(path / name for name in ignored if name.endswith("/"))
    for _ in range(_FOLDERS):
        if not folders:
            break
        folder = folders.popleft()
        if (folder / ".git").is_dir() and not (folder / ".git").is_symlink():
            if _is_ahead(repo, folder / ".git"):
                found.append(str(folder.relative_to(path)))
        else:
            folders.extend(_subfolders(folder))
    return found


def _is_ahead(repo: Repository, git_dir: Path) -> bool:
    env = {**repo.environment, **_OFFLINE}
    how = ("-c", "core.fsmonitor=false", "rev-list", "--max-count=1", "--all", "--not", "--remotes", "--")
    try:
        return bool(Running(f"--git-dir={git_dir}", *how, cwd=git_dir, env=env).output())
    except GitError:
        return True  # who knows


def _subfolders(folder: Path) -> list[Path]:
    with suppress(OSError), os.scandir(folder) as entries:
        return [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    return []
