"""The trash: a commit and a reference for each worktree that was removed, with everything that went."""

from __future__ import annotations

import json
import time
from typing import NamedTuple

from wtname.errors import GitError
from wtname.git import reflog, refs
from wtname.git.process import Running
from wtname.git.refs import patiently
from wtname.git.repository import Repository
from wtname.git.snapshot import OID, Files

PREFIX = "refs/wtname/trash/"
_STAMP = "%Y%m%dT%H%M%SZ"
# What is put back of a branch's settings by a commit that may come from elsewhere: others could be made to harm.
_HARMLESS = ("description", "remote", "merge", "rebase", "pushremote", "wtnamerenamedfrom", "wtnamemovedfrom")


# In a reflog, which nobody gets from elsewhere.
_MARK = "removed by wtname"


class Kept(NamedTuple):
    """What the trash has of a worktree. `tree` is its files, `staged` what was staged (None: as the commit has it),
    `own`: whether the branch went along, `exact`: files byte by byte where git would not give them back so, `logs`: the
    reflogs, and what only they know."""

    ref: str
    commit: str
    time: float
    branch: str | None
    path: str
    head: str
    tree: str
    staged: str | None
    own: bool
    settings: dict[str, list[str]]
    exact: str | None = None
    logs: str | None = None

    @property
    def files(self) -> Files:
        """Its files."""
        return Files(self.tree, self.exact)

    @property
    def name(self) -> str:
        """How it is called: the branch, or the folder of a detached HEAD, and the time."""
        return self.ref[len(PREFIX) :]


def free_ref(repo: Repository, name: str) -> str:
    """A reference for something that goes now."""
    stem = f"{PREFIX}{name}/{time.strftime(_STAMP, time.gmtime())}"
    taken = repo.act("for-each-ref", "--format=%(refname)", stem + "*").output().split("\n")
    numbers = (f"{stem}-{i}" for i in range(2, len(taken) + 3))
    return stem if stem not in taken else next(ref for ref in numbers if ref not in taken)


def write(repo: Repository, kept: Kept, logs: reflog.Logs, mark: str) -> Kept:
    """Write the commit that keeps all of it. No reference holds it yet."""
    staged, exact, said = kept.staged, kept.exact, reflog.text(logs)
    if staged:
        staged = _commit(repo, staged, [kept.head], "What was staged")
    if exact:
        exact = _commit(repo, exact, [], "Files byte by byte")
    told = _commit(repo, kept.tree, logs.lost, "What the reflogs said", given=said) if said or logs.lost else None
    parents = [kept.head, *filter(None, [staged, exact, told])]
    kept = kept._replace(staged=staged, exact=exact, logs=told)
    facts = {**kept._asdict(), "mark": mark}
    for known in ("ref", "commit", "time", "tree"):
        del facts[known]
    title = f"Removed {kept.branch or 'a detached HEAD'}"
    return kept._replace(commit=_commit(repo, kept.tree, parents, title, json.dumps(facts)))


def publish(repo: Repository, kept: Kept, instead: str = "") -> None:
    """Have the reference hold the commit, `instead` of another or as a new one. Raises GitError where somebody took it
    meanwhile."""
    patiently(repo, "update-ref", "--create-reflog", "-m", _MARK, kept.ref, kept.commit, instead)


def settings(repo: Repository, kept: Kept) -> dict[str, list[str]]:
    """The settings of the branch that may be put back: all where wtname itself put them into the trash."""
    if is_ours(repo, kept):
        return kept.settings
    return {key: values for key, values in kept.settings.items() if key in _HARMLESS}


def logs(repo: Repository, kept: Kept) -> reflog.Logs | None:
    """The reflogs, where wtname itself put them into the trash."""
    return reflog.of_commit(repo, kept.logs) if kept.logs and is_ours(repo, kept) else None


def is_ours(repo: Repository, kept: Kept) -> bool:
    """Whether wtname put it into the trash of this very repository, and it did not come from elsewhere."""
    return _MARK in refs.entries(repo, kept.ref)


def find(repo: Repository) -> list[Kept]:
    """Everything in the trash, the latest first. What is there and none of ours is passed over."""
    form = "%(refname)%00%(objectname)%00%(tree)%00%(contents:body)%00%00"
    found = []
    for block in repo.act("for-each-ref", "--format=" + form, PREFIX[:-1]).output().split("\0\0\n"):
        if block.strip():
            ref, commit, tree, body = block.split("\0")
            if one := _read(ref, commit, tree, body):
                found.append(one)
    return sorted(found, key=lambda kept: (kept.time, _number(kept.ref)), reverse=True)


def drop(repo: Repository, ref: str, commit: str) -> None:
    """Take a reference that holds this commit out of the trash; one that is not there is fine."""
    if not ref.startswith(PREFIX):
        return
    try:
        patiently(repo, "update-ref", "-d", ref, commit)
    except GitError:
        if repo.act("rev-parse", "--verify", "--quiet", ref).output(empty=1).strip() == commit:
            raise


def _read(ref: str, commit: str, tree: str, body: str) -> Kept | None:
    import calendar

    try:
        stamp = ref.rpartition("/")[2].partition("-")[0]
        facts = json.loads(body)
        told = {key: facts[key] for key in ("branch", "path", "head", "staged", "own", "settings")}
        later = {key: facts.get(key) for key in ("exact", "logs")}
        kept = Kept(ref, commit, calendar.timegm(time.strptime(stamp, _STAMP)), tree=tree, **told, **later)
        texts = [kept.path, kept.branch or "", *(text for values in kept.settings.values() for text in values)]
        oids = [kept.head, *filter(None, [kept.staged, kept.exact, kept.logs])]
        fine = all(isinstance(text, str) and "\0" not in text for text in texts) and all(map(OID.fullmatch, oids))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return kept if fine else None


def _number(ref: str) -> int:
    return int(number) if (number := ref.rpartition("/")[2].partition("-")[2]).isdigit() else 1


def _commit(repo: Repository, tree: str, parents: list[str], *message: str, given: bytes | None = None) -> str:
    args = [part for parent in dict.fromkeys(parents) for part in ("-p", parent)]
    args += [part for paragraph in message for part in ("-m", paragraph)]
    args += ["-F", "-"] if given else []
    who = dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "wtname")
    who |= dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "wtname@localhost")
    env = {**repo.environment, **who}  # whoever the user is, and be he nobody to git
    git_dir = f"--git-dir={repo.common_dir}"
    asked = Running(git_dir, "commit-tree", tree, *args, cwd=repo.common_dir, env=env, given=given or None)
    return asked.output().strip()
