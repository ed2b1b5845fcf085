"""A worktree as it is, as a tree: everything in it that git does not ignore, read without touching its index."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from wtname.errors import GitError
from wtname.git.process import Running
from wtname.git.repository import Repository

_ADD = ("-c", "core.safecrlf=false", "-c", "core.fsmonitor=false", "add", "--all")
OID = re.compile(r"\b[0-9a-f]{40}(?:[0-9a-f]{24})?\b")


def tree(repo: Repository, path: Path, record: Path | None, base: str, scratch: Path) -> str:
    """The tree of a folder's files: tracked ones as they are and untracked ones, but none that are ignored.
    `scratch` is where an index may be written meanwhile; it starts as the worktree's own, or else as `base`."""
    git_dir = record if record and (record / "HEAD").exists() else repo.common_dir
    try:
        own = record and git_dir == record and (record / "index").exists()
        if own:
            shutil.copyfile(git_dir / "index", scratch)
        else:
            _in(repo, git_dir, path, scratch, "read-tree", base).output()
        _look_at_all(repo, git_dir, path, scratch)
        try:
            _in(repo, git_dir, path, scratch, *_ADD, "--sparse", "--", ".").output()
        except GitError as error:
            if "sparse" not in str(error):  # git before 2.34 knows no --sparse, and needs none
                raise
            _in(repo, git_dir, path, scratch, *_ADD, "--", ".").output()
        return _in(repo, git_dir, path, scratch, "write-tree").output().strip()
    finally:
        _clear(scratch)


def _look_at_all(repo: Repository, git_dir: Path, path: Path, index: Path) -> None:
    """Have git look at the files that it was told to take for unchanged or for not there, where they are there."""
    listed = _in(repo, git_dir, path, index, "ls-files", "-v", "-z").output().split("\0")
    blind = [
        line[2:] for line in listed if (line[:1].islower() or line[:1] == "S") and os.path.lexists(path / line[2:])
    ]
    for i in range(0, len(blind), 200):
        for flag in ("--no-assume-unchanged", "--no-skip-worktree"):
            _in(repo, git_dir, path, index, "update-index", flag, "--", *blind[i : i + 200]).output()


def index(repo: Repository, path: Path, record: Path, scratch: Path) -> str | None:
    """The tree of a worktree's index, without what is in conflict there; None where there is no index."""
    if not (record / "index").exists():
        return None
    shutil.copyfile(record / "index", scratch)
    try:
        listed = _in(repo, record, path, scratch, "ls-files", "--unmerged", "-z").output().split("\0")
        if conflicts := sorted({line.partition("\t")[2] for line in listed if line}):
            _in(repo, record, path, scratch, "update-index", "--force-remove", "--", *conflicts).output()
        return _in(repo, record, path, scratch, "write-tree").output().strip()
    finally:
        _clear(scratch)


def tree_of(repo: Repository, commit: str) -> str:
    """The tree of a commit."""
    return repo.act("rev-parse", "--verify", commit + "^{tree}").output().strip()


def unsaved(repo: Repository, path: Path, tree: str, head: str) -> str | None:
    """A folder in a worktree that is a repository of its own (a submodule, or one that was cloned into it) and has
    changes, or commits that are on no remote of it; None where there is none."""
    told = "".join(repo.act("ls-tree", "-r", "-z", "--full-tree", one).output() for one in (tree, head))
    return _unsaved(repo, path, {line.partition("\t")[2] for line in told.split("\0") if line.startswith("160000 ")})


def _unsaved(repo: Repository, path: Path, links: set[str]) -> str | None:
    for link in sorted(links):
        folder = path / link
        if not os.path.lexists(folder / ".git"):
            continue
        dirty = repo.ask_in(folder, "status", "--porcelain", "--ignore-submodules=none").output()
        ahead = repo.ask_in(folder, "rev-list", "--max-count=1", "--all", "HEAD", "--not", "--remotes", "--").output()
        listed = repo.ask_in(folder, "ls-files", "--stage", "-z").output().split("\0")
        inner = {line.partition("\t")[2] for line in listed if line.startswith("160000 ")}
        if dirty or ahead:
            return link
        if deeper := _unsaved(repo, folder, inner):
            return f"{link}/{deeper}"
    return None


def fill(repo: Repository, path: Path, tree: str, staged: str) -> None:
    """Give a clean worktree these files, and have this staged."""
    repo.ask_in(path, "read-tree", "--reset", "-u", tree).output()
    repo.ask_in(path, "read-tree", staged).output()
    with contextlib.suppress(GitError):  # it fails where files differ from what is staged
        repo.ask_in(path, "update-index", "-q", "--refresh").output()


def differs(repo: Repository, path: Path, record: Path | None, commits: list[str], scratch: Path) -> bool:
    """Whether a folder has a file that is in none of these commits as it is; files that are missing do not count."""
    found = tree(repo, path, record, commits[0], scratch)
    strange = [_changed(repo, commit, found) for commit in commits]
    return bool(set.intersection(*strange))


def ignored(repo: Repository, path: Path) -> int:
    """How many files and folders a worktree has that git ignores; what is in such a folder is not counted."""
    listed = repo.ask_in(path, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory").output()
    return listed.count("\0")


def heads(repo: Repository, record: Path) -> list[str]:
    """The commits that only this worktree remembers: of a merge, rebase, bisect or the like that is not finished, what
    was stashed for it, and the worktree's own references."""
    found: set[str] = set()
    files = [
        record / name for name in ("ORIG_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "MERGE_AUTOSTASH")
    ]
    for folder in ("rebase-merge", "rebase-apply"):
        files += [record / folder / name for name in ("orig-head", "stopped-sha", "autostash", "onto")]
    for file in [*files, *(one for one in (record / "refs").rglob("*") if one.is_file())]:
        with contextlib.suppress(OSError):
            found |= set(OID.findall(file.read_text("ascii", "replace")))
    return commits(repo, found)


def commits(repo: Repository, oids: Iterable[str]) -> list[str]:
    """Those of these object names that are commits which the repository has."""
    wanted = sorted(set(oids))
    if not wanted:
        return []
    return repo.act("rev-list", "--no-walk", "--ignore-missing", *wanted, "--").output().split()


def _changed(repo: Repository, commit: str, tree: str) -> set[str]:
    told = repo.act(
        "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=d", commit, tree, "--"
    ).output()
    return {name for name in told.split("\0") if name}


def _clear(scratch: Path) -> None:
    for file in (scratch, scratch.with_name(scratch.name + ".lock")):
        with contextlib.suppress(OSError):
            file.unlink()


def _in(repo: Repository, git_dir: Path, path: Path, index: Path, *args: str) -> Running:
    env = {**repo.environment, "GIT_INDEX_FILE": str(index)}
    cwd = path if path.exists() else repo.common_dir
    return Running(f"--git-dir={git_dir}", f"--work-tree={path}", *args, cwd=cwd, env=env)
