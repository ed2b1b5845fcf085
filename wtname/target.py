"""The worktrees of a repository, and which of them somebody means."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from wtname.errors import GitError, WtnameError
from wtname.git import Repository, records


class Target(NamedTuple):
    """A worktree that git knows of."""

    path: Path
    branch: str | None
    head: str
    locked: bool
    main: bool

    @property
    def name(self) -> str:
        return self.branch or str(self.path)


def targets(repo: Repository) -> list[Target]:
    """All worktrees, the main one first."""
    found = []
    for i, known in enumerate(repo.worktrees()):
        branch = known.get("branch", "").removeprefix("refs/heads/") or None
        place = Path(known["worktree"])
        found.append(Target(place, branch, known.get("HEAD", ""), "locked" in known, i == 0))
    return found


def current(repo: Repository, known: list[Target]) -> Target | None:
    """The worktree that we stand in; None in a bare repository or in a git folder."""
    try:
        top = Path(repo.ask("rev-parse", "--show-toplevel").output().removesuffix("\n"))
    except GitError:
        return None
    return next((one for one in known if records.is_same(one.path, top)), None)


def find(repo: Repository, known: list[Target], name: str, branches: Collection[str | None] = ()) -> Target:
    """The worktree that a branch, a folder, or the end of a branch's name stands for. `branches`: what the template
    makes of the name."""
    place = Path(os.path.abspath(Path(repo.cwd or "", name)))
    tries: list[Callable[[Target], bool]] = [
        lambda one: one.branch == name,
        lambda one: bool(one.branch) and one.branch in branches,
        lambda one: records.is_same(one.path, place),
        lambda one: one.path.name == name,
        lambda one: bool(one.branch) and one.branch.endswith(("/" + name, "-" + name)),  # type: ignore[union-attr]
    ]
    for fits in tries:
        found = [one for one in known if fits(one)]
        if len(found) == 1:
            return found[0]
        if found:
            raise WtnameError(f"{name!r} may be {' or '.join(one.name for one in found)}; give the whole branch")
    raise WtnameError(f"no worktree is called {name!r}; `wtname list` shows them")
