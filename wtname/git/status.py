"""What state worktrees and their branches are in: changed files, things half done, merged or not."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from wtname.errors import GitError, WtnameError
from wtname.git import base, patches
from wtname.git.ancestry import Ancestry
from wtname.git.process import Running
from wtname.git.repository import Repository

Merged = Literal["merged", "squashed"]

_AT_ONCE = 8  # processes of git
_REFS = 200  # more do not go on a command line

_UNFINISHED = {
    "rebase-merge": "rebase",
    "rebase-apply/applying": "am",
    "rebase-apply": "rebase",
    "MERGE_HEAD": "merge",
    "CHERRY_PICK_HEAD": "cherry-pick",
    "REVERT_HEAD": "revert",
    "BISECT_LOG": "bisect",
}
# Entries of a branch's reflog that say that somebody worked on it, by their first word.
_WORK = ("commit", "cherry-pick", "revert", "am")


class Standing(NamedTuple):
    """How a branch stands to the default branch. `merged`: its commits are in; `squashed`: what they change is in
    (as one commit or several). `empty`: it has no commits of its own and never had, so there is nothing to merge."""

    ahead: int | None
    behind: int | None
    merged: Merged | None
    empty: bool


def trunk(repo: Repository) -> str | None:
    """The branch that work is merged into: the remote's default branch, else main or master, else what the main
    worktree is on."""
    if remote := base.default(repo):
        return remote
    usual = ["main", "master", repo.config.get("init.defaultbranch", "")]
    known = [name for name in dict.fromkeys(usual) if name and repo.refs.commit("refs/heads/" + name)]
    if len(known) == 1:
        return known[0]
    first = repo.worktrees()[0]
    current = first.get("branch", "").removeprefix("refs/heads/")
    if "bare" in first:
        current = repo.ask_in(repo.common_dir, "symbolic-ref", "--quiet", "--short", "HEAD").output(empty=1).strip()
    names = [current] if current in usual else [*known, current]
    return next((name for name in names if name and repo.refs.commit("refs/heads/" + name)), None)


def trunk_branch(repo: Repository, trunk: str | None) -> str:
    """The local branch that goes with the one that work is merged into: `release/1.0` for origin/release/1.0."""
    found = base.branch_of(repo, "refs/remotes/" + trunk.removeprefix("refs/remotes/")) if trunk else None
    return found[1] if found else trunk or ""


class Dirt:
    """The changed files of many worktrees, counted side by side while other work goes on."""

    def __init__(self, repo: Repository, paths: Iterable[Path]) -> None:
        self._repo = repo
        self._waiting = deque(paths)
        self._running: deque[tuple[Path, Running]] = deque()
        self._found: dict[Path, int | None] = {}
        self._start()

    def _start(self) -> None:
        while self._waiting and len(self._running) < _AT_ONCE:
            path = self._waiting.popleft()
            try:
                self._running.append((path, _status(self._repo, path)))
            except WtnameError:  # a folder that may not be entered
                self._found[path] = None

    def counts(self) -> dict[Path, int | None]:
        """The number of changed files in each worktree; None where git cannot tell."""
        while self._running:
            path, running = self._running.popleft()
            try:
                self._found[path] = _entries(running)
            except GitError:
                self._found[path] = None
            self._start()
        return self._found

    def close(self) -> None:
        """Stop counting."""
        for _, running in self._running:
            running.close()


def dirty(repo: Repository, path: Path) -> int:
    """The number of changed files in a worktree, as `git status` counts: a new folder is one, ignored ones are none.

    Raises GitError where the folder is no worktree."""
    return _entries(_status(repo, path))


def _status(repo: Repository, path: Path) -> Running:
    # Whatever the user's status shows: files that nobody tracks and submodules count, for they can be lost.
    how = ("--porcelain=v2", "-z", "--untracked-files=normal", "--ignore-submodules=none")
    return repo.ask_in(path, "--no-optional-locks", "status", *how)


def _entries(running: Running) -> int:
    # A renamed file has two names here, and so counts as what it is: one gone and one new.
    return running.output().count("\0")


class Head(NamedTuple):
    """The last commit: seconds since 1970 and the first line of its message."""

    time: int
    subject: str


def ask_heads(repo: Repository, commits: Iterable[str]) -> Running | None:
    """Have git look commits up; `heads` reads the answer."""
    args = [*dict.fromkeys(commits)]
    form = "--format=%H%x00%ct%x00%s"
    return repo.ask("rev-list", "--no-walk=unsorted", "--encoding=UTF-8", form, *args, "--") if args else None


def heads(asked: Running | None) -> dict[str, Head]:
    """What is known of the commits."""
    rows = (row.split("\0", 2) for row in (asked.output() if asked else "").split("\n") if "\0" in row)
    return {oid: Head(int(time), subject) for oid, time, subject in rows}


class Upstream(NamedTuple):
    """The branch that a branch is pushed to, and the commits that each has alone; `gone`: it is no longer there."""

    name: str
    ahead: int
    behind: int
    gone: bool


def ask_upstreams(repo: Repository, branches: Iterable[str]) -> Running | None:
    """Have git look branches' upstreams up; `upstreams` reads the answer."""
    refs = ["refs/heads/" + branch for branch in branches]
    if len(refs) > _REFS:
        refs = ["refs/heads"]
    form = "--format=%(refname)%00%(upstream:short)%00%(upstream:track,nobracket)"
    return repo.ask("for-each-ref", form, *refs) if refs else None


def upstreams(asked: Running | None) -> dict[str, Upstream]:
    """The branches that have an upstream, with it."""
    rows = (row.split("\0") for row in (asked.output() if asked else "").split("\n") if row)
    found = {}
    for ref, name, track in rows:
        if name:
            counts = {word: int(number) for word, number in re.findall(r"(ahead|behind) (\d+)", track)}
            found[ref.removeprefix("refs/heads/")] = Upstream(
                name, counts.get("ahead", 0), counts.get("behind", 0), track == "gone"
            )
    return found


def git_dir(repo: Repository, path: Path) -> Path | None:
    """The git folder of a worktree; None where there is none, or not one of this repository's."""
    link = path / ".git"
    try:
        found = link
        if link.is_file():
            told = link.read_text(encoding="utf-8", errors="surrogateescape")
            found = path / told.removeprefix("gitdir: ").rstrip("\r\n")
        elif not link.is_dir():
            if path != repo.main:
                return None
            found = repo.common_dir  # a main worktree that core.worktree or GIT_WORK_TREE tells of has no .git
        found, shared = found.resolve(), repo.common_dir.resolve()
    except (OSError, ValueError, RuntimeError):  # unreadable, no path at all, or a loop of links
        return None
    return found if found == shared or found.parent == shared / "worktrees" else None


def unfinished(repo: Repository, path: Path) -> str | None:
    """What is half done in a worktree: rebase, am, merge, cherry-pick, revert or bisect; or None."""
    folder = git_dir(repo, path)
    return next((what for name, what in _UNFINISHED.items() if folder and (folder / name).exists()), None)


def used(repo: Repository, path: Path) -> float:
    """When a worktree was last used, in seconds since 1970: its HEAD or its index written. 0 where nothing tells."""
    folder = git_dir(repo, path)
    times = [0.0]
    for name in ("HEAD", "index", "logs/HEAD") if folder else ():
        with suppress(OSError):
            times.append((folder / name).stat().st_mtime)  # type: ignore[operator]
    return max(times)


def merged(repo: Repository, into: str, branches: Collection[str] | None = None) -> dict[str, Merged | None]:
    """Which branches have arrived in another, and how; without `branches`, those of all worktrees. A branch that
    never had a commit of its own is not merged, and neither is the default branch itself."""
    tips = _tips(repo, branches)
    found: dict[str, Merged | None] = dict.fromkeys(tips if branches is None else branches)
    return found | {branch: standing.merged for branch, standing in standings(repo, into, tips).items()}


def _tips(repo: Repository, branches: Collection[str] | None) -> dict[str, str]:
    if branches is None:
        refs = (known["branch"] for known in repo.worktrees() if "branch" in known)
        branches = [ref.removeprefix("refs/heads/") for ref in refs]
    return {branch: commit for branch in branches if (commit := repo.refs.commit("refs/heads/" + branch))}


def standings(repo: Repository, into: str, tips: Mapping[str, str]) -> dict[str, Standing]:
    """How branches stand to another, `into`; `tips` has the commit of each. What is no branch's name gets its
    distance alone."""
    if not tips:
        return {}
    trunk = repo.commit(into)
    ancestry = Ancestry(repo, tips.values(), trunk)
    others = {
        branch: tip
        for branch, tip in tips.items()
        if branch != into and not into.endswith("/" + branch) and repo.refs.commit("refs/heads/" + branch)
    }
    contained = {branch: tip for branch, tip in others.items() if ancestry.lines[tip].contained}
    worked = _worked_on(repo, {branch: ancestry.lines[tip].straight for branch, tip in contained.items()}, into)
    arrived = patches.arrived(repo, ancestry, set(others.values()) - set(contained.values()), trunk)
    found = {}
    for branch, tip in tips.items():
        line = ancestry.lines[tip]
        how: Merged | None = "merged" if branch in worked else "squashed" if others.get(branch) in arrived else None
        related = line.base is not None
        found[branch] = Standing(
            ahead=line.ahead if related else None,
            behind=line.behind if related else None,
            merged=how,
            empty=branch in contained and branch not in worked,
        )
    return found


def _worked_on(repo: Repository, straight: Mapping[str, bool], into: str) -> set[str]:
    """Which of these branches, all of whose commits are in `into`, had commits of their own: the others are as they
    were made, and `into` may have moved on since. A branch's reflog tells. Where it has nothing to tell (a branch of
    somebody else's, or older than reflogs are kept), a branch beside the line of first parents came in by a merge."""
    if not straight:
        return set()
    refs = ["refs/heads/" + branch for branch in straight]
    how = (
        "-c",
        "log.showSignature=false",
        "log",
        "--ignore-missing",
        "--walk-reflogs",
        "--format=%gD%x00%gs",
        *refs,
        "--",
    )
    told: dict[str, list[str]] = {branch: [] for branch in straight}
    for row in repo.ask(*how).output().split("\n")[:-1]:  # to splitlines, a message may be full of line breaks
        selector, _, message = row.partition("\0")
        told[selector.partition("@{")[0].removeprefix("refs/heads/")].append(message)
    found = set()
    for branch, messages in told.items():
        worked = any(message.startswith(_WORK) or ": Merge made" in message for message in messages)
        made = any(message.startswith("branch: Created") for message in messages)
        upstream = repo.config.get(f"branch.{branch}.merge", "").removeprefix("refs/heads/")
        foreign = not made or (upstream and into != upstream and not into.endswith("/" + upstream))
        if worked or (foreign and not straight[branch]):
            found.add(branch)
    return found
