"""A worktree as it is, as a tree: everything in it that git does not ignore, read without touching its index."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wtname.errors import GitError, WtnameError
from wtname.git import exact, records
from wtname.git.process import Running
from wtname.git.repository import Repository

_ADD = ("-c", "core.safecrlf=false", "-c", "core.fsmonitor=false", "add", "--all")
OID = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")


class Files(NamedTuple):
    """A folder's files: as git takes them in, and those of them that it would not give back byte by byte."""

    tree: str
    exact: str | None


def files(
    repo: Repository, path: Path, record: Path | None, base: str, scratch: Path, seen: Path, own: bool = True
) -> Files:
    """A folder's files: tracked ones as they are and untracked ones, but none that are ignored. `scratch` is where an
    index may be written meanwhile; it starts as `seen`, where it goes in the end so that the next look is quick, or as
    the worktree's `own`, or else as `base`."""
    index = record / "index" if own and record and records.is_usable(record) else None
    with _taken_in(repo, path, record, base, scratch, seen if seen.exists() else index) as git:
        shutil.copyfile(scratch, seen)
        return Files(git("write-tree").output().strip(), exact.tree(git, path))


def tree(repo: Repository, path: Path, record: Path | None, base: str, scratch: Path, seen: Path) -> str:
    """The tree of a folder's files. Those that the index `seen` has are tracked, or without one those of `base`."""
    with _taken_in(repo, path, record, base, scratch, seen) as git:
        return git("write-tree").output().strip()


@contextlib.contextmanager
def _taken_in(
    repo: Repository, path: Path, record: Path | None, base: str, scratch: Path, start: Path | None
) -> Iterator[exact.Git]:
    """A git with an index of the folder's files, all of them added."""
    git = _git(repo, path, record, scratch)
    try:
        if start and start.exists():
            shutil.copyfile(start, scratch)
        else:
            git("read-tree", base).output()
        links = _look_at_all(git, path)
        if not (record and records.was_moved(record, path)):
            links = []  # else they are not where their git folders say, and git would not look at them
        what = ("--", ".", *(f":(exclude,literal){link}" for link in links))
        try:
            git(*_ADD, "--sparse", *what).output()
        except GitError as error:
            if "checked out" in str(error):
                fix = "commit and push from there, or move it away (nothing can keep it otherwise)"
                raise WtnameError(f"a repository without a commit is in {path}: {error}; {fix}") from error
            if "sparse" not in str(error):  # git before 2.34 knows no --sparse, and needs none
                raise
            git(*_ADD, *what).output()
        yield git
    finally:
        _clear(scratch)


def _look_at_all(git: exact.Git, path: Path) -> list[str]:
    """Have git look at the files that it was told to take for unchanged or for not there, where they are there. Returns
    the repositories that are in the index."""
    rows = (line.partition("\t") for line in git("ls-files", "-v", "--stage", "-z").output().split("\0")[:-1])
    listed = [(facts.split(" "), name) for facts, _, name in rows]
    blind = [name for (tag, *_), name in listed if (tag.islower() or tag == "S") and os.path.lexists(path / name)]
    for i in range(0, len(blind), 200):
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            git("update-index", flag, "--", *blind[i : i + 200]).output()
    return [name for (_, mode, *_), name in listed if mode == "160000"]


def index(repo: Repository, path: Path, record: Path, scratch: Path) -> str | None:
    """The tree of a worktree's index, without what is in conflict there; None where there is no index."""
    if not (record / "index").exists():
        return None
    shutil.copyfile(record / "index", scratch)
    git = _git(repo, path, record, scratch)
    try:
        listed = git("ls-files", "--unmerged", "-z").output().split("\0")
        if conflicts := sorted({line.partition("\t")[2] for line in listed if line}):
            git("update-index", "--force-remove", "--", *conflicts).output()
        return git("write-tree").output().strip()
    finally:
        _clear(scratch)


def tree_of(repo: Repository, commit: str) -> str:
    """The tree of a commit."""
    return repo.act("rev-parse", "--verify", commit + "^{tree}").output().strip()


def fill(repo: Repository, path: Path, files: Files, staged: str) -> None:
    """Give a clean worktree these files, and have this staged."""
    repo.ask_in(path, "read-tree", "--reset", "-u", files.tree).output()
    if files.exact:
        exact.fill(repo, path, files.exact)
    repo.ask_in(path, "read-tree", staged).output()
    with contextlib.suppress(GitError):  # it fails where files differ from what is staged
        repo.ask_in(path, "update-index", "-q", "--refresh").output()


def differs(repo: Repository, commits: list[str], tree: str) -> bool:
    """Whether a folder's tree has a file that is in none of these commits as it is; files that are missing do not
    count."""
    strange = [_changed(repo, commit, tree) for commit in commits]
    return bool(set.intersection(*strange))


def beyond(repo: Repository, path: Path, record: Path | None, commits: list[str], scratch: Path) -> bool:
    """Whether a folder has what no tree can keep and none of these commits brought: files that git ignores, or a
    repository of its own."""
    git = _git(repo, path, record, scratch)
    found = []
    try:
        for commit in commits:
            git("read-tree", commit).output()
            everything = git("ls-files", "-z", "--others").output().split("\0")[:-1]
            plain = git("ls-files", "-z", "--others", "--exclude-standard").output().split("\0")[:-1]
            found.append(set(everything) - {name for name in plain if not name.endswith("/")})
    finally:
        _clear(scratch)
    return bool(set.intersection(*found))


def heads(record: Path) -> list[str]:
    """The objects that this worktree remembers: of a merge, rebase, bisect or the like that is not finished, what was
    stashed for it, and the worktree's own references."""
    found: set[str] = set()
    files = [
        record / name for name in ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "MERGE_AUTOSTASH")
    ]
    for folder in ("rebase-merge", "rebase-apply"):
        files += [record / folder / name for name in ("orig-head", "stopped-sha", "autostash", "onto")]
    for file in [*files, *(one for one in (record / "refs").rglob("*") if one.is_file())]:
        with contextlib.suppress(OSError):
            found |= set(OID.findall(file.read_text("ascii", "replace")))
    return sorted(found)


def _changed(repo: Repository, commit: str, tree: str) -> set[str]:
    told = repo.act(
        "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d", commit, tree, "--"
    ).output()
    return {name for name in told.split("\0") if name}


def _clear(scratch: Path) -> None:
    for file in (scratch, scratch.with_name(scratch.name + ".lock")):
        with contextlib.suppress(OSError):
            file.unlink()


def _git(repo: Repository, path: Path, record: Path | None, index: Path) -> exact.Git:
    git_dir = record if record and records.is_usable(record) else repo.common_dir
    env = {**repo.environment, "GIT_INDEX_FILE": str(index)}
    cwd = path if path.exists() else repo.common_dir

    def git(*args: str, given: bytes | None = None) -> Running:
        return Running(f"--git-dir={git_dir}", f"--work-tree={path}", *args, cwd=cwd, env=env, given=given)

    return git
