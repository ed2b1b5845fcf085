"""Rename a branch once its task is known, and its folder if that is wanted; both can be undone."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from wtname import folders, gist, journal, settings, worktree
from wtname.errors import WtnameError
from wtname.git import Repository, provisional, records, refs, status, work
from wtname.journal import Entry
from wtname.settings import Settings
from wtname.target import Target, current, targets
from wtname.worktree import Taken

_FROM, _MOVED = "wtnamerenamedfrom", "wtnamemovedfrom"
_TRIES = 1000


class Renaming(NamedTuple):
    """A branch and what it is to be called; `to`: where its folder goes, None to leave it where it is; `taken`: what it
    would be called without a number."""

    name: str | None
    old: str
    new: str
    commit: str
    path: Path
    to: Path | None
    undo: bool = False
    taken: str | None = None

    @property
    def kept(self) -> str:
        """Why it is called as before, where it is."""
        return f"{self.taken} is taken; it stays as it is" if self.taken else "it is called that already"


def subject(repo: Repository) -> Target:
    """The worktree that we stand in, on a branch that may be renamed."""
    one = current(repo, targets(repo))
    if one is None:
        raise WtnameError("this is no worktree; cd into the one whose branch you mean, or pass -C DIR")
    if what := status.unfinished(repo, one.path):
        raise WtnameError(f"a {what} is not finished here; finish or abort it first")
    if not one.branch:
        raise WtnameError("HEAD is on no branch; make one: git switch -c NAME")
    if not one.head.strip("0"):
        raise WtnameError(f"{one.branch} has no commit yet; git branch -m NAME renames it as well")
    return one


def task(repo: Repository, one: Target) -> str:
    """What the work in a worktree seems to be about: its commits say so, or else its changes; nothing without any."""
    start = work.start(repo, one.path, status.trunk(repo))
    return gist.of_subjects(work.subjects(repo, one.path, start)) or gist.of_changes(
        work.changes(repo, one.path, start)
    )


def plan(repo: Repository, one: Target, chosen: Settings, name: str | None, *, ticket: str, move: bool) -> Renaming:
    """The first free branch for a name (None: a random one), and folder where it is to move."""
    assert one.branch
    taken = Taken(branch for branch in repo.branches() if branch != one.branch)
    place = _place(repo, chosen, one)

    def folder(branch: str) -> Path:
        return place(branch) if move else one.path

    first = ""
    candidates = worktree.branches(name, ticket, chosen, folder if move else None)
    for candidate, branch in itertools.islice(candidates, _TRIES):
        if not repo.allows(branch):
            raise WtnameError(f"{branch!r} is no legal branch name; change --name or wtname.template")
        first = first or branch
        to = folder(branch)
        if branch not in taken and (to == one.path or not folders.is_there(to)):
            goes = to if to != one.path else None
            passed = first if branch != first else None
            return Renaming(candidate, one.branch, branch, one.head, one.path, goes, taken=passed)
    raise WtnameError(f"no branch like {branch!r} can be made; change --name or wtname.template")


def plan_undo(repo: Repository, one: Target, chosen: Settings, *, force: bool = False) -> Renaming:
    """The way back from the last renaming; raises WtnameError where there is none, or, unless forced to, where the
    branch was pushed under its new name."""
    assert one.branch
    said = refs.settings(repo, one.branch)
    old, place = said.get(_FROM, [""])[0], said.get(_MOVED, [""])[0]
    if not old:
        raise WtnameError(f"{one.branch} was not renamed by wtname; there is nothing to undo")
    local = (ref[len("refs/heads/") :] for ref in repo.refs.names() if ref.startswith("refs/heads/"))
    if old in Taken(branch for branch in local if branch != one.branch) or not repo.allows(old):
        raise WtnameError(f"there is a branch {old!r} by now; rename that one first")
    if not force:
        _refuse_pushed(repo, one.branch, {old, status.trunk_branch(repo, status.trunk(repo))})
    to = Path(place) if place else None
    if to and (folders.is_there(to) or not worktree.is_near(repo, chosen, to)):
        raise WtnameError(
            f"the folder cannot go back to {to}: it is taken, or far away; move it with git worktree move"
        )
    if to:
        _refuse_move(repo, one)
    return Renaming(None, old=one.branch, new=old, commit=one.head, path=one.path, to=to, undo=True)


def rename(repo: Repository, wanted: Renaming, description: str) -> None:
    """Rename a branch, and move its folder; if that fails at any point, it is called as before."""
    said = refs.settings(repo, wanted.old)
    facts = {
        "old": wanted.old,
        "new": wanted.new,
        "commit": wanted.commit,
        "path": str(wanted.path),
        "to": str(wanted.to or ""),
        "undo": wanted.undo,
        "description": description,
        "before": {key: values for key, values in said.items() if key in (_FROM, _MOVED)},
        "left": (left := refs.leftovers(repo, wanted.new)),
    }
    with journal.entry(repo, "rename", facts) as entry:
        if left:  # else git would add the branch's own settings to them
            refs.forget_settings(repo, wanted.new)
        refs.rename_branch(repo, wanted.old, wanted.new)
        if wanted.to:
            _move(repo, wanted.path, wanted.to)
        _settle(repo, entry, said)


def mend(repo: Repository, entry: Entry) -> str | None:
    """Put in order what a broken-off renaming left. One that failed is undone; one that was killed is finished where
    git got to the end of it, and undone where the folder was still to move: a note alone moves no folder."""
    old, new, commit = entry.text("old"), entry.text("new"), entry.text("commit")
    path, to = Path(entry.text("path")), Path(entry.text("to") or entry.text("path"))
    if refs.tip(repo, old):  # git had not begun, or it was made again since
        refs.put_back(repo, new, entry.facts.get("left"))
        return f"{old} was about to be renamed, and is called as before"
    if not refs.tip(repo, new):
        refs.bring_back(repo, old, commit, worktree.mark(entry))
        refs.put_back(repo, new, entry.facts.get("left"))
        return f"{old} was half renamed, and is called as before"
    refs.finish_renaming(repo, old, new)
    moved = to != path and not folders.is_there(path)
    if moved and (record := records.record(repo, to)) and records.is_linked(record, to):
        records.relocate(record, to)
    if not entry.alive and (moved or to == path):
        _settle(repo, entry, refs.settings(repo, new))
        return f"{old} was half renamed, and is called {new} now"
    if moved:
        _move(repo, to, path)
    refs.rename_branch(repo, new, old)
    if isinstance(before := entry.facts.get("before"), dict):
        for key in (_FROM, _MOVED):
            refs.put_setting(repo, old, key, [str(value) for value in before.get(key, [])])
    refs.put_back(repo, new, entry.facts.get("left"))
    return f"{old} was half renamed, and is called as before"


def _settle(repo: Repository, entry: Entry, said: dict[str, list[str]]) -> None:
    """Note what the branch was called, and its task; `said`: what the configuration says of it, which came along."""
    new, path, to = entry.text("new"), entry.text("path"), entry.text("to")
    undo, description = entry.facts.get("undo"), entry.text("description")
    moved = bool(to) and folders.is_there(Path(to))
    if (moved and not undo) or _MOVED in said:
        refs.put_setting(repo, new, _MOVED, [path] if moved and not undo else [])
    if description and not said.get("description"):
        refs.describe(repo, new, description)
    refs.put_setting(repo, new, _FROM, [] if undo else [entry.text("old")])
    if undo and provisional.PROVISIONAL in said:  # who goes back to such a name wants it
        provisional.settle(repo, new)


def _place(repo: Repository, chosen: Settings, one: Target) -> Callable[[str], Path]:
    """Where the folder of a branch belongs: where the template puts it, or beside where it is, if that is elsewhere."""

    def usual(branch: str) -> Path:
        return settings.folder(chosen.path, repo=repo.name, main=repo.beside, branch=branch)

    def beside(branch: str) -> Path:
        return one.path.with_name(settings.flat(branch))

    return usual if usual(one.branch or "") == one.path else beside


def _move(repo: Repository, path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    refs.patiently(repo, "worktree", "move", "--", str(path), str(to))


def refuse(repo: Repository, one: Target, *, force: bool, move: bool) -> None:
    """Raise WtnameError where a branch should keep its name, or its folder cannot move."""
    trunk = status.trunk_branch(repo, status.trunk(repo))
    if one.branch in (trunk, "main", "master", repo.config.get("init.defaultbranch")):
        raise WtnameError(f"{one.branch} is the default branch; make a branch for the task: wtname new")
    if not force:
        _refuse_pushed(repo, str(one.branch), {trunk})
    if move:
        _refuse_move(repo, one)


def _refuse_move(repo: Repository, one: Target) -> None:
    if one.main:
        raise WtnameError(f"{one.path} is the main worktree, which git cannot move; leave out --move")
    if one.locked:
        raise WtnameError(f"{one.path} is locked; git worktree unlock it, or leave out --move")
    if _has_submodules(repo, one.path):
        raise WtnameError(f"{one.path} has submodules, and git cannot move it with them; leave out --move")


def _has_submodules(repo: Repository, path: Path) -> bool:
    found = status.git_dir(repo, path)
    return bool(found and (found / "modules").is_dir())


def _refuse_pushed(repo: Repository, branch: str, besides: set[str]) -> None:
    if place := _pushed(repo, branch, besides):
        raise WtnameError(f"{branch} is pushed ({place}), and a pull request would lose it; pass --force to rename")


def _pushed(repo: Repository, branch: str, besides: set[str]) -> str | None:
    """Where a branch was pushed to: a remote's branch of that name, or an upstream that is not one of `besides`."""
    said = refs.settings(repo, branch)
    upstream = said.get("merge", [""])[0].removeprefix("refs/heads/")
    if upstream and upstream not in besides and said.get("remote", ["."])[0] != ".":
        return f"{said['remote'][0]}/{upstream}"
    theirs = (ref for ref in repo.refs.names() if ref.startswith("refs/remotes/") and ref.endswith("/" + branch))
    return next((ref[len("refs/remotes/") :] for ref in theirs if repo.split(ref)[1] == branch), None)
