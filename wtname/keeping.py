"""Keep what a worktree has before it goes: in the trash, or beside its place where no commit can keep it."""

from __future__ import annotations

import itertools
import re
from contextlib import suppress
from pathlib import Path
from shlex import quote

from wtname import folders
from wtname.errors import GitError
from wtname.git import Repository, inner, records, reflog, refs, snapshot, trash
from wtname.journal import Entry


def bundle(
    repo: Repository,
    entry: Entry,
    path: Path,
    branch: str | None,
    head: str,
    own: bool,
    at: Path | None = None,
    files: snapshot.Files | None = None,
) -> trash.Kept:
    """Write a commit that keeps a worktree as it is: branch, files, what is staged, what is half done, reflogs. `at`:
    where its folder is by now; `files`: those that it has, where they are known."""
    place = at or path
    record = records.record(repo, place)
    if not folders.is_there(place):
        files = snapshot.Files(snapshot.tree_of(repo, head), None)
    elif not files:
        files = snapshot.files(repo, place, record, head, entry.scratch, entry.seen)
    staged = snapshot.index(repo, place, record, entry.scratch) if record else None
    staged = None if staged == snapshot.tree_of(repo, head) else staged
    name = branch or "detached-" + re.sub(r"[^A-Za-z0-9]+", "-", path.name).strip("-")
    said = refs.settings(repo, branch) if branch else {}
    kept = trash.Kept(
        trash.free_ref(repo, name), "", 0, branch, str(path), head, files.tree, staged, own, said, files.exact
    )
    logs = reflog.Logs(b"", b"", [])
    if record and records.is_usable(record):
        logs = reflog.read(repo, record, branch, head, snapshot.heads(record))
    return trash.write(repo, kept, logs, entry.id)


def keep_latest(repo: Repository, entry: Entry, path: Path, aside: Path, kept: trash.Kept | None) -> None:
    """Keep what somebody wrote into the folder, or committed in it, after it was kept and before it was put aside."""
    kept = kept or next((one for one in trash.find(repo) if one.ref == entry.text("kept")), None)
    branch, head = entry.text("branch") or None, entry.oid("head")
    record = records.record(repo, aside)
    if record and not branch:
        head = records.head(repo, record) or head
    now = snapshot.tree(repo, aside, record, head, entry.scratch, entry.seen)
    if kept and (kept.tree, kept.head) == (now, head):
        return
    latest = bundle(repo, entry, path, branch, head, entry.facts.get("own") is True, at=aside)
    if kept:
        latest = latest._replace(ref=kept.ref)
    trash.publish(repo, latest, kept.commit if kept else "")
    entry.note(kept=latest.ref, commit=latest.commit)


def keep_strange(repo: Repository, entry: Entry, aside: Path, branch: str | None, commits: list[str]) -> str:
    """Keep what is in a folder that was put aside and is about to go, and in none of these commits; tells where it is.
    The trash has it, or where no commit can keep all of it, the folder stays, beside its place and as no worktree."""
    path, record = Path(entry.text("path")), records.record(repo, aside)
    files = None
    entry.seen.unlink(missing_ok=True)
    with suppress(GitError):  # where a repository is in it that cannot be looked at
        if not snapshot.beyond(repo, aside, record, commits, entry.scratch):
            found = snapshot.files(repo, aside, record, commits[-1], entry.scratch, entry.seen, own=False)
            files = None if inner.unsaved(repo, aside, record, found.tree, commits[0]) else found
    if not files:
        numbers = itertools.chain([""], (f"-{i}" for i in itertools.count(2)))
        left = next(one for i in numbers if not folders.is_there(one := path.with_name(f"{path.name}.left{i}")))
        (aside / ".git").unlink(missing_ok=True)
        aside.rename(left)
        return f"; what was in its folder is in {left}, as no commit can keep all of it"
    if not snapshot.differs(repo, commits, files.tree):
        return ""
    kept = bundle(repo, entry, path, branch, commits[0], own=True, at=aside, files=files)
    trash.publish(repo, kept)
    return f"; files in it that are no commit's are kept: wtname restore {quote(kept.name)}"
