"""Sweep up: worktrees whose work has arrived, records of folders that are gone, and what is long in the trash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from wtname import folders, restoring
from wtname.errors import WtnameError
from wtname.git import Repository, status, trash
from wtname.removal import Removed, at_stake, refusal, remove
from wtname.target import current, targets


class Swept(NamedTuple):
    """What goes: worktrees, one after the other as they are asked for, and names out of the trash."""

    worktrees: Iterable[Removed]
    expired: list[str]


def prune(repo: Repository, environ: Mapping[str, str], *, gone: bool, dry_run: bool) -> Swept:
    """Remove what is merged and clean. Raises WtnameError where the settings cannot be meant."""
    days = environ.get("WTNAME_TRASHDAYS") or repo.config.get("wtname.trashdays", "")
    old = restoring.expired(repo, days)
    for kept in [] if dry_run else old:
        trash.drop(repo, kept.ref, kept.commit)
    return Swept(_sweep(repo, gone, dry_run), [kept.name for kept in old])


def _sweep(repo: Repository, gone: bool, dry_run: bool) -> Iterator[Removed]:
    known = targets(repo)
    here = current(repo, known)
    candidates = [one for one in known if not one.main and one != here and not one.locked]
    trunk = status.trunk(repo)
    merged = status.merged(repo, trunk, [one.branch for one in candidates if one.branch]) if trunk else {}
    lost = _upstream_gone(repo) if gone else set()
    for one in candidates:
        why = ""
        if one.branch and one.branch != status.trunk_branch(repo, trunk):
            how = merged.get(one.branch)
            why = f"{how} into {trunk}" if how else "its upstream is gone" if one.branch in lost else ""
        missing = not folders.is_there(one.path)
        if not (why or missing) or refusal(repo, one, known) or at_stake(repo, one, trunk, own=False):
            continue
        if dry_run:
            yield Removed(str(one.path), one.branch, True, why or "its folder is gone")
            continue
        try:
            yield remove(repo, one, known, force=True, keep_branch=not why)
        except WtnameError as error:
            yield Removed(str(one.path), one.branch, False, str(error))


def _upstream_gone(repo: Repository) -> set[str]:
    told = repo.act("for-each-ref", "--format=%(refname)%00%(upstream:track)", "refs/heads").output()
    rows = (line.partition("\0") for line in told.split("\n"))
    return {ref.removeprefix("refs/heads/") for ref, _, track in rows if track == "[gone]"}
