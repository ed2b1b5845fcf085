"""Remove worktrees and their branches: nothing that is not safe elsewhere goes unasked, and all that goes is kept."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import NamedTuple

from wtname import folders, journal, keeping, settings, worktree
from wtname.errors import WtnameError
from wtname.git import Repository, inner, records, refs, status, trash
from wtname.git.ignored import listed
from wtname.journal import Entry
from wtname.target import Target, current, find, targets


class Removed(NamedTuple):
    """What came of a worktree: `why` it was not removed, or under which name it is `kept`, whether its branch went
    along, how many `ignored` files and folders went for good, and which of them were repositories with commits that are
    nowhere else (`lost`)."""

    path: str
    branch: str | None
    removed: bool
    why: str = ""
    kept: str | None = None
    branch_deleted: bool = False
    ignored: int = 0
    inside: str = ""  # where to go for who stood in it
    lost: tuple[str, ...] = ()


def remove_all(
    repo: Repository, names: Iterable[str], environ: Mapping[str, str], force: bool, keep_branch: bool
) -> Iterator[Removed]:
    """Remove the worktrees of these names one after the other, or the one we stand in where none is given."""
    known = targets(repo)
    here = current(repo, known)
    if not names:
        if here is None:
            raise WtnameError("this is no worktree; say which one to remove")
        wanted = [here]
    else:
        chosen = settings.load(repo.config, environ)
        wanted = list(dict.fromkeys(find(repo, known, name, _branches(chosen, name)) for name in names))
    for one in wanted:
        try:
            done = remove(repo, one, known, force, keep_branch)
        except WtnameError as error:
            done = Removed(str(one.path), one.branch, False, str(error))
        yield done._replace(inside=str(known[0].path)) if one == here and done.removed else done


def _branches(chosen: settings.Settings, name: str) -> list[str]:
    with suppress(WtnameError):
        return [branch for _, branch in itertools.islice(worktree.branches(name, "", chosen), 1)]
    return []


def remove(repo: Repository, one: Target, known: list[Target], force: bool, keep_branch: bool) -> Removed:
    """Remove a worktree and its branch; what would be lost without `force` is refused with a reason, and all that goes
    is kept in the trash. Raises WtnameError where something fails; then nothing is removed."""
    trunk = status.trunk(repo)
    own = bool(one.branch) and not keep_branch and one.branch != status.trunk_branch(repo, trunk)
    if why := refusal(repo, one, known) or ("" if force else at_stake(repo, one, trunk, own)):
        return Removed(str(one.path), one.branch, False, why)
    there = folders.is_there(one.path)
    ignored = listed(repo, one.path) if there else []
    lost = inner.ahead(repo, one.path, ignored) if force else []
    facts = {"path": str(one.path), "branch": one.branch or "", "head": one.head, "own": own, "there": there}
    with journal.entry(repo, "remove", facts) as entry:
        if not there and journal.under_way(repo, entry, "path"):
            raise WtnameError("somebody else is removing it right now; wtname restore has it then")
        if not there and not any(Path(other["worktree"]) == one.path for other in repo.worktrees()):
            # Asked after the journal: who is done has no entry any more.
            raise WtnameError("somebody else removed it meanwhile; if that was wtname, wtname restore has it")
        kept = keeping.bundle(repo, entry, one.path, one.branch, one.head, own)
        if inside := inner.unsaved(repo, one.path, records.record(repo, one.path), kept.tree, one.head):
            why = f"{inside} in {one.path} is a repository of its own with work that is nowhere else"
            raise WtnameError(f"{why}; push it from there (nothing can keep it otherwise)")
        entry.note(kept=kept.ref, commit=kept.commit)
        trash.publish(repo, kept)
        deleted = _finish(repo, entry, kept)
    return Removed(str(one.path), one.branch, True, "", kept.name, deleted, len(ignored), lost=tuple(lost))


def refusal(repo: Repository, one: Target, known: list[Target]) -> str | None:
    """Why a worktree is never removed, whatever the force."""
    if one.main:
        return "it is the main worktree; delete the repository yourself if you mean it"
    if not one.head.strip("0"):
        return "it has no commit yet; commit first, or take it away with git worktree remove"
    if inner := next((other for other in known if other != one and folders.is_inside(other.path, one.path)), None):
        return f"the worktree {inner.path} lies in it; remove that one first"
    if folders.is_there(one.path) and not status.git_dir(repo, one.path):
        return "its folder is no worktree of this repository any more; try git worktree repair, or git worktree prune"
    return None


def at_stake(repo: Repository, one: Target, trunk: str | None, own: bool) -> str | None:
    """Why a worktree is not removed without force."""
    if one.locked:
        return "it is locked; git worktree unlock it, or pass --force"
    if folders.is_there(one.path):
        if what := status.unfinished(repo, one.path):
            return f"a {what} is not finished in it; finish or abort it, or pass --force"
        if count := status.dirty(repo, one.path):
            return f"it has {_number(count, 'changed file')}; commit or stash, or pass --force"
        if what := nested(repo, one):
            return f"{what}, or pass --force to lose them"
    if one.branch and not own:
        return None
    if (count := unsaved(repo, one, trunk)) and not (one.branch and trunk and _arrived(repo, one.branch, trunk)):
        place = f"merged into {trunk} nor pushed" if trunk and one.branch else "on a branch nor pushed"
        return f"it has {_number(count, 'commit')} neither {place}; merge or push, or pass --force"
    return None


def nested(repo: Repository, one: Target) -> str | None:
    """Which ignored repository in a worktree has commits that would go for good, and what to do about it."""
    found = inner.ahead(repo, one.path, listed(repo, one.path))
    if not found:
        return None
    return f"{found[0]} in it is ignored, and a repository with commits that are nowhere else; push them from there"


def unsaved(repo: Repository, one: Target, trunk: str | None) -> int:
    """How many commits of a worktree's would be nowhere else: on no remote, and not in the branch that work is merged
    into, or for a detached HEAD on no branch or tag at all."""
    elsewhere = ["--remotes"] if one.branch else ["--remotes", "--branches", "--tags"]
    if one.branch and trunk:
        local = "refs/heads/" + status.trunk_branch(repo, trunk)
        elsewhere += [trunk, *([local] if repo.refs.commit(local) and local != "refs/heads/" + one.branch else [])]
    return int(repo.act("rev-list", "--count", one.head, "--not", *elsewhere, "--").output())


def mend(repo: Repository, entry: Entry) -> str | None:
    """Put in order what a broken-off removal left: before the folder was put aside nothing is removed, after that all
    of it."""
    path = Path(entry.text("path"))
    name = entry.text("branch") or str(path)
    if not entry.alive:  # it may be half written
        entry.seen.unlink(missing_ok=True)
    if not entry.facts.get("gone") and not folders.is_there(folders.aside(path, entry.id)):
        if "commit" in entry.facts:
            trash.drop(repo, entry.text("kept"), entry.text("commit"))
        return f"{name} was about to be removed, and is all there"
    _finish(repo, entry)
    kept = quote(entry.text("kept")[len(trash.PREFIX) :])
    return f"{name} was half removed, and is removed now; wtname restore {kept}"


def _finish(repo: Repository, entry: Entry, kept: trash.Kept | None = None) -> bool:
    path, branch = Path(entry.text("path")), entry.text("branch")
    aside = folders.aside(path, entry.id)
    if not entry.facts.get("gone") and not folders.is_there(aside):
        try:
            if entry.facts.get("there"):
                path.rename(aside)
        except FileNotFoundError as error:
            raise WtnameError(f"somebody else removed {path} meanwhile; wtname restore has it") from error
        except OSError as error:
            raise WtnameError(f"cannot take {path} away: {error.strerror}; leave it with all programs") from error
    if not entry.facts.get("gone"):
        if folders.is_there(aside):
            try:
                keeping.keep_latest(repo, entry, path, aside, kept)
            except WtnameError:
                if not folders.is_there(path):
                    aside.rename(path)
                raise
        entry.note(gone=True)
    stays: WtnameError | None = None
    try:
        folders.delete(aside)
    except WtnameError as error:
        stays = error
    records.forget(repo, path)
    deleted = False
    if entry.facts.get("own"):
        deleted = refs.delete_branch(repo, branch, entry.oid("head"))
        if deleted:
            refs.forget_settings(repo, branch)
    if stays:
        raise stays
    return deleted


def _arrived(repo: Repository, branch: str, trunk: str) -> bool:
    return status.merged(repo, trunk, [branch])[branch] is not None


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count > 1 else ''}"
