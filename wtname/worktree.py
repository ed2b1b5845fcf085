"""Make worktrees as transactions: all of it is there in the end, or nothing is."""

from __future__ import annotations

import itertools
import os
import random
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from wtname import folders, journal, settings, template
from wtname.errors import GitError, WtnameError
from wtname.git import Repository, is_busy, records, refs
from wtname.journal import Entry
from wtname.namer import random_branch
from wtname.settings import Settings

_TRIES = 1000
_PATIENCE = 5.0  # seconds with another git at work


class Worktree(NamedTuple):
    """A branch and its folder; `said` is what git and its hooks had to say while they were made, `taken` the branch
    that it would be without a number."""

    name: str | None
    branch: str
    path: Path
    commit: str
    said: str = ""
    taken: str | None = None


class Outrun(Exception):
    """Somebody was faster."""


class Taken:
    """The branch names that a new one must stay clear of: equal in any case and in any way to write an accent, or a
    folder of refs for one another."""

    def __init__(self, branches: Iterable[str]) -> None:
        self._branches = {_plain(branch) for branch in branches}
        deepest = {branch.rpartition("/")[0] for branch in self._branches} - {""}  # few, among 20,000 branches
        self._folders = deepest.union(*map(_folders, deepest))

    def __contains__(self, branch: str) -> bool:
        branch = _plain(branch)
        return branch in self._branches or branch in self._folders or self.above(branch) is not None

    def above(self, branch: str) -> str | None:
        """A branch called like a folder that this one would lie in."""
        return next((folder for folder in _folders(_plain(branch)) if folder in self._branches), None)


def _plain(branch: str) -> str:
    """A branch as the file systems of macOS and Windows tell it from others."""
    return branch if branch.isascii() and branch.islower() else unicodedata.normalize("NFC", branch).casefold()


def _folders(branch: str) -> list[str]:
    return [branch[:i] for i, char in enumerate(branch) if char == "/"]


def branches(
    name: str | None, ticket: str, chosen: Settings, folder: Callable[[str], Path] | None = None
) -> Iterator[tuple[str | None, str]]:
    """Names and branches to try for a name (None: random ones), each short enough for itself and for the folder that
    it would get."""
    if name is None:
        while True:
            yield None, random_branch()
    name = unicodedata.normalize("NFC", name)  # as git has it on macOS, whatever the keyboard says

    def excess(branch: str) -> str | None:
        why = template.excess(branch, chosen.maxlength)
        return why or (template.folder_excess(str(folder(branch)), branch, sys.platform) if folder else None)

    fields = template.Fields(ticket, chosen.user, time.strftime("%Y-%m-%d"), chosen.types)
    yield from template.branches(chosen.template, name, fields, excess)


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

    def folder(branch: str) -> Path:
        if path:
            return path.absolute()
        return settings.folder(chosen.path, repo=repo.name, main=repo.beside, branch=branch)

    first = ""
    for candidate, branch in itertools.islice(branches(name, ticket, chosen, None if path else folder), _TRIES):
        first = first or branch
        if not repo.allows(branch):
            raise WtnameError(f"{branch!r} is no legal branch name; change --name or wtname.template")
        place = folder(branch)
        if branch in taken or is_reserved(branch, sys.platform):
            continue
        if path or not folders.is_there(place):
            return Worktree(candidate, branch, place, commit, taken=first if branch != first else None)
    why = f"there is a branch {above!r}" if (above := taken.above(first)) else "all numbers are taken"
    raise WtnameError(f"no branch like {first!r} can be made: {why}; change --name or wtname.template")


def is_reserved(branch: str, platform: str) -> bool:
    """Whether Windows takes a part of the branch, as git would call a file, for a device, whatever its extension."""
    return platform == "win32" and any(settings.DEVICE.match(part) for part in branch.split("/"))


def create(
    repo: Repository,
    chosen: Settings,
    name: str | None,
    *,
    ticket: str = "",
    path: Path | None = None,
    description: str = "",
) -> Worktree:
    """Make a branch and its worktree; if that fails at any point, what was made is taken back.
    The description, as a rule the prompt, is kept with the branch."""
    until = time.monotonic() + _PATIENCE
    lost: list[str] = []
    for _ in range(_TRIES):
        wanted = plan(repo, chosen, name, ticket=ticket, path=path, avoid=lost)
        facts = {"branch": wanted.branch, "commit": wanted.commit, "description": description, **place(wanted.path)}
        try:
            # A power cut takes what was being made along with the note of it: not worth a wait for the disk.
            with journal.entry(repo, "new", facts, durable=False) as entry:
                return make(repo, entry, wanted, fixed=path is not None, description=description)
        except Outrun:
            lost.append(wanted.branch)
        except GitError as error:
            if wanted.branch in Taken(repo.branches()):
                continue
            if not is_busy(error) or time.monotonic() > until:
                raise
            time.sleep(random.uniform(0.01, 0.1))
    raise WtnameError(f"no free name after {_TRIES} tries; pass another --name")


def is_near(repo: Repository, chosen: Settings, path: Path) -> bool:
    """Whether a path is beside the repository, or where new worktrees go: what a repository says of other places is
    not to be relied on."""
    usual = settings.folder(chosen.path, repo=repo.name, main=repo.beside, branch="x").parent
    near = path.parent in (usual, repo.beside.parent) and not path.name.startswith(".")
    return path.is_absolute() and ".." not in path.parts and near


def place(path: Path) -> dict[str, object]:
    """What the journal has to know of a folder before it is made: where, what is missing above it, if it is there."""
    above = itertools.takewhile(lambda folder: not os.path.isdir(folder), path.parents)
    return {"path": str(path), "above": [str(folder) for folder in above], "there": folders.is_there(path)}


def make(repo: Repository, entry: Entry, wanted: Worktree, fixed: bool, description: str = "") -> Worktree:
    """Make a branch and its worktree, noted in the journal. Raises Outrun where somebody was faster."""
    refs.make_branch(repo, wanted.branch, wanted.commit, mark(entry))
    with refs.Describing(repo, wanted.branch, description, entry.note) as describing:
        try:
            folders.make(wanted.path)
            entry.note(made=True)
            said = repo.add_worktree(wanted.path, wanted.branch)
        except FileExistsError as error:
            entry.note(there=True)
            if fixed:
                raise WtnameError(f"{wanted.path} is there already; pass another --path") from error
            raise Outrun from error
        except OSError as error:
            hint = "pass another --path or set wtname.path"
            raise WtnameError(f"cannot make {wanted.path}: {error.strerror}; {hint}") from error
        except GitError as error:
            if not (fixed or folders.is_there(wanted.path / ".git")) and _recorded(repo, wanted):
                raise Outrun from error
            raise
        return wanted._replace(said=said + describing.warning())


def mend(repo: Repository, entry: Entry) -> str | None:
    """Put in order what a broken-off `make` left: a worktree that git got to the end of stays, anything less is taken
    back. The branch with our mark is made first and goes last: as long as it is there, the folder is ours."""
    branch, commit, path = entry.text("branch"), entry.oid("commit"), Path(entry.text("path"))
    description = entry.text("description")
    kept = clear(repo, entry, branch, [commit])
    if not refs.is_made_by(repo, branch, mark(entry)):
        return None
    if not entry.alive and is_made(repo, path, branch):
        if not refs.settings(repo, branch).get("description"):
            refs.describe(repo, branch, description)
        return f"{branch} was made when wtname was killed, and stays: {path}"
    record = records.record(repo, path)
    if not entry.alive and (refs.tip(repo, branch) != commit or records.has_modules(record)):
        records.unlock_unfinished(record)
        return f"{branch} was half made, but somebody works on it by now; it stays"
    kept += take_back(repo, entry, branch, [commit])
    refs.forget_description(repo, branch, description, entry.facts.get("before"))
    if refs.delete_branch(repo, branch, commit):
        return f"{branch} was half made and is taken back{kept}"
    return f"{branch} was half made, but somebody works on it by now; it stays"


def is_made(repo: Repository, path: Path, branch: str | None) -> bool:
    """Whether git got to the end of making this branch's worktree."""
    record = records.record(repo, path)
    if record is None or not records.is_whole(record) or not records.is_linked(record, path):
        return False
    return records.branch(record) == branch


def take_back(repo: Repository, entry: Entry, branch: str | None, commits: list[str]) -> str:
    """Take back the folder that `make` made and git's record of it. A dead process may have made it long ago: what is
    in it and in none of these commits is kept, and where it is is told."""
    path = Path(entry.text("path"))
    record = records.record(repo, path)
    ours = record is not None and (not records.is_whole(record) or records.branch(record) == branch)
    kept = ""
    made = bool(entry.facts.get("made"))  # else git was not asked for anything, and a record is somebody else's
    if record and ours and made and records.is_linked(record, path):
        path.rename(folders.aside(path, entry.id))
        kept = clear(repo, entry, branch, commits)
    elif not entry.facts.get("there"):
        folders.remove_if_empty(path)
        if made and not record and folders.is_there(path):
            # A git that we have just ended clears the folder, while what it had started goes on filling it.
            if entry.alive:
                path.rename(folders.aside(path, entry.id))
                clear(repo, entry, branch, commits)
            else:
                kept = f"; git left files in {path}"
    if made and (ours or record is None):
        records.forget(repo, path, record)
    for above in entry.texts("above"):
        if Path(above) in path.parents:
            folders.remove_if_empty(Path(above))
    return kept


def clear(repo: Repository, entry: Entry, branch: str | None, commits: list[str]) -> str:
    """Delete the folder that was put aside, if there is one. What is in it and in none of these commits is kept, and
    where it is is told; what our own process has just made needs no look."""
    aside = folders.aside(Path(entry.text("path")), entry.id)
    if not folders.is_there(aside):
        return ""
    if not entry.alive and "strange" not in entry.facts:
        from wtname import keeping

        entry.note(strange=keeping.keep_strange(repo, entry, aside, branch, commits))
    folders.delete(aside)
    return str(entry.facts.get("strange", ""))


def mark(entry: Entry) -> str:
    """What a branch's reflog says of who made it."""
    return f"branch: Created by wtname {entry.id}"


def _recorded(repo: Repository, wanted: Worktree) -> bool:
    """Whether git holds the place or the branch for a worktree whose folder is missing."""
    place, ref = wanted.path.resolve(), "refs/heads/" + wanted.branch
    return any(Path(known["worktree"]).resolve() == place or known.get("branch") == ref for known in repo.worktrees())
