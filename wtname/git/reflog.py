"""The reflogs of a worktree and its branch: commits that only they know are kept, and they come back with the rest."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import NamedTuple

from wtname.git.process import Running
from wtname.git.repository import Repository

_ENTRIES = 200  # the latest ones
_ENTRY = re.compile(rb"(?:[0-9a-f]{40}(?:[0-9a-f]{24})? ){2}[^\n]*> \d+ [+-]\d{4}(?:\t[^\n]*)?\n")


class Logs(NamedTuple):
    """What the reflogs say, of the worktree's HEAD and of its branch, as git writes it (nothing where it has them in
    another form), and commits that nothing else leads to: the ends of what was amended, reset away or half done."""

    head: bytes
    branch: bytes
    lost: list[str]


def read(repo: Repository, record: Path, branch: str | None, commit: str, others: list[str]) -> Logs:
    """The reflogs of a worktree that is at this commit, and of its branch. `others`: more objects that it remembers."""
    logs = ["HEAD", *(["refs/heads/" + branch] if branch else [])]
    how = ("--ignore-missing", "--walk-reflogs", "--no-show-signature", f"--max-count={2 * _ENTRIES}", "--format=%H")
    log = Running(f"--git-dir={record}", "log", *how, *logs, "--", cwd=repo.common_dir, env=repo.environment)
    known = [oid for oid in dict.fromkeys([*others, *log.output().split()]) if oid != commit][:_ENTRIES]
    return Logs(_latest(record / "logs" / "HEAD"), _latest(_place(repo, branch)), _ends(repo, known, commit))


def _ends(repo: Repository, known: list[str], commit: str) -> list[str]:
    if not known:
        return []
    elsewhere = ["--branches", "--remotes", "--tags", "--"]
    told = repo.act("rev-list", "--ignore-missing", "--parents", *known, "--not", commit, *elsewhere).output()
    rows = [row.split(" ") for row in told.splitlines()]
    inner = {parent for _, *parents in rows for parent in parents}
    return [oid for oid, *_ in rows if oid not in inner]


def _place(repo: Repository, branch: str | None) -> Path | None:
    return repo.common_dir / "logs" / "refs" / "heads" / branch if branch else None


def _latest(file: Path | None) -> bytes:
    with contextlib.suppress(OSError):
        if file:
            return b"".join(_ENTRY.findall(file.read_bytes())[-_ENTRIES:])
    return b""


def text(logs: Logs) -> bytes:
    """What the reflogs say, as one text."""
    lines = [(b"HEAD ", logs.head), (b"branch ", logs.branch)]
    return b"".join(name + line for name, log in lines for line in _ENTRY.findall(log))


def of_commit(repo: Repository, commit: str) -> Logs:
    """What a commit's message has of such a text; lines that are no entry of a reflog are passed over."""
    how = ("cat-file", "commit", commit)
    told = Running(f"--git-dir={repo.common_dir}", *how, cwd=repo.common_dir, env=repo.environment).read()
    lines = [line.partition(b" ")[::2] for line in re.findall(rb"[^\n]*\n", told)]
    fine = [(name, entry) for name, entry in lines if _ENTRY.fullmatch(entry)]
    head, branch = (b"".join(entry for of, entry in fine if of == name) for name in (b"HEAD", b"branch"))
    return Logs(head, branch, [])


def put_back(repo: Repository, record: Path | None, branch: str | None, logs: Logs) -> None:
    """Have the reflogs of a worktree and its branch begin with these entries, where git keeps them in files. Where that
    cannot be, it is worth no failure."""
    if not (repo.common_dir / "reftable").exists():
        _prepend(record / "logs" / "HEAD" if record else None, logs.head)
        _prepend(_place(repo, branch), logs.branch)


def _prepend(file: Path | None, log: bytes) -> None:
    with contextlib.suppress(OSError):
        if file and log and not (now := file.read_bytes()).startswith(log):
            new = file.with_name(file.name + ".wtname")
            new.write_bytes(log + now)
            new.chmod(file.stat().st_mode & 0o777)
            new.replace(file)
