"""Bring back what a removal took: branch, folder, what was staged, what was not, and files that nobody tracked."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from wtname import folders, journal, settings
from wtname.errors import WtnameError
from wtname.git import Repository, records, reflog, refs, snapshot, trash
from wtname.journal import Entry
from wtname.settings import Settings
from wtname.worktree import Taken, clear, is_made, is_near, mark, place, take_back

_DAY = 24 * 60 * 60
_DAYS = "30"


class Restored(NamedTuple):
    """A worktree that is back; `branch` is None for a detached HEAD."""

    branch: str | None
    path: Path
    kept: str
    said: str


def find(repo: Repository, name: str | None) -> trash.Kept:
    """What the trash has under a branch's name or its own; without one, what was removed last."""
    known = trash.find(repo)
    if not known:
        raise WtnameError("nothing is in the trash; what wtname removed longer ago than wtname.trashdays is gone")
    fits = [kept for kept in known if name in (None, kept.name, kept.branch)] or [
        kept for kept in known if name and kept.name.rpartition("/")[0].endswith(("/" + name, "-" + name))
    ]
    if not fits:
        raise WtnameError(f"the trash has no {name!r}; `wtname restore --list` shows what it has")
    return fits[0]


def restore(repo: Repository, kept: trash.Kept, chosen: Settings) -> Restored:
    """Make the worktree again as it was when it was removed, and take it out of the trash. A branch or a folder that
    is taken by now gets a number. Raises WtnameError where it cannot be; then the trash has it still."""
    branch, is_new = _free_branch(repo, kept)
    path = _free_folder(repo, kept, chosen)
    before = refs.settings(repo, branch) if branch else {}
    settings = trash.settings(repo, kept) if branch else {}
    settings = {key: values for key, values in settings.items() if is_new or key not in before}
    facts = {"branch": branch or "", "commit": kept.head, "kept": kept.ref, "tree": kept.commit, **place(path)}
    facts |= {"settings": settings, "before": {key: before.get(key, []) for key in settings}}
    with journal.entry(repo, "restore", facts) as entry:
        if branch and is_new:
            refs.make_branch(repo, branch, kept.head, mark(entry))
        try:
            folders.make(path)
        except OSError as error:
            entry.note(there=True)
            raise WtnameError(f"cannot make {path}: {error.strerror}; make room there") from error
        entry.note(made=True)
        said = repo.add_worktree(path, branch or kept.head)
        snapshot.fill(repo, path, kept.files._replace(tree=kept.commit), kept.staged or kept.head)
        for key, values in settings.items():
            refs.put_setting(repo, str(branch), key, values)
        entry.note(filled=True)
        _finish(repo, entry, kept)
    return Restored(branch, path, kept.name, said)


def _finish(repo: Repository, entry: Entry, kept: trash.Kept) -> None:
    record = records.record(repo, Path(entry.text("path")))
    if logs := trash.logs(repo, kept):
        reflog.put_back(repo, record, entry.text("branch") or None, logs)
    trash.drop(repo, kept.ref, kept.commit)


def mend(repo: Repository, entry: Entry) -> str | None:
    """Put in order what a broken-off restoring left: it is finished, or taken back, and then the trash has it still."""
    branch, commit, path = entry.text("branch"), entry.oid("commit"), Path(entry.text("path"))
    name, ref, tree = branch or str(path), entry.text("kept"), entry.oid("tree")
    if entry.facts.get("filled"):
        for kept in trash.find(repo):
            if (kept.ref, kept.commit) == (ref, tree):
                _finish(repo, entry, kept)
        return f"{name} was restored: {path}"
    told = clear(repo, entry, branch or None, [commit, tree])
    record = records.record(repo, path)
    made = bool(entry.facts.get("made"))
    moved_on = record and is_made(repo, path, branch or None) and records.head(repo, record) != commit
    if made and (moved_on or records.has_modules(record)):
        records.unlock_unfinished(record)
        return f"{name} was half restored, but somebody works on it by now; it stays"
    if made or not record:
        told += take_back(repo, entry, branch or None, [commit, tree])
    is_new = bool(branch) and refs.is_made_by(repo, branch, mark(entry))
    if branch and made:
        _unset(repo, entry, branch)
    if is_new:
        refs.delete_branch(repo, branch, commit)
    return f"{name} was half restored; it is in the trash still: wtname restore {quote(ref[len(trash.PREFIX) :])}{told}"


def _unset(repo: Repository, entry: Entry, branch: str) -> None:
    """Undo what was set of a branch and is so still."""
    put, before, now = entry.facts.get("settings"), entry.facts.get("before"), refs.settings(repo, branch)
    if isinstance(put, dict) and isinstance(before, dict):
        for key, values in put.items():
            if now.get(key) == values:
                refs.put_setting(repo, branch, key, [str(value) for value in before.get(key, [])])


def facts(kept: trash.Kept) -> dict[str, object]:
    """What the trash has, for programs."""
    description = "\n".join(kept.settings.get("description", []))
    told = {"name": kept.name, "branch": kept.branch, "path": kept.path, "commit": kept.head, "removed": kept.time}
    return {**told, "description": description or None}


def expired(repo: Repository, days: str) -> list[trash.Kept]:
    """What is in the trash for longer than this many days. Raises WtnameError where that is no number."""
    try:
        limit = float(days or _DAYS)
        if not 0 <= limit < 1e6:
            raise ValueError
    except ValueError:
        raise WtnameError(f"wtname.trashdays is {days!r}; set it to a number of days") from None
    return [kept for kept in trash.find(repo) if time.time() - kept.time > limit * _DAY]


def _free_branch(repo: Repository, kept: trash.Kept) -> tuple[str | None, bool]:
    if not kept.branch:
        return None, False
    used = {known.get("branch") for known in repo.worktrees()}
    if "refs/heads/" + kept.branch not in used and refs.tip(repo, kept.branch) == kept.head:
        return kept.branch, False  # it was not removed along with the worktree
    repo.look_again()
    local = [ref[len("refs/heads/") :] for ref in repo.refs.names() if ref.startswith("refs/heads/")]
    taken = Taken(local)
    numbers = (kept.branch, *(f"{kept.branch}-{i}" for i in range(2, 1000)))
    for branch in numbers:
        if branch not in taken:
            return branch, True
    raise WtnameError(f"no branch like {kept.branch!r} can be made; rename the one that is there")


def _free_folder(repo: Repository, kept: trash.Kept, chosen: Settings) -> Path:
    wanted = Path(kept.path)
    if not is_near(repo, chosen, wanted):  # who wrote that commit may not be who removed the worktree
        branch = kept.branch or wanted.name
        wanted = settings.folder(chosen.path, repo=repo.name, main=repo.beside, branch=branch)
    recorded = {Path(known["worktree"]) for known in repo.worktrees()}
    numbers = itertools.chain([wanted], (wanted.with_name(f"{wanted.name}-{i}") for i in itertools.count(2)))
    return next(path for path in numbers if not folders.is_there(path) and path not in recorded)
