"""What git says of its hooks: where they are, which ones its configuration names, what a commit is about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from wtname.errors import GitError
from wtname.git.process import Running
from wtname.git.repository import Repository

NAME = "wtname"  # of our section hook.<name>
EVENT = "prepare-commit-msg"
CONFIGURED_SINCE = (2, 54)


class Place(NamedTuple):
    """The folder that git looks for hooks in. `shared`: other repositories may have it, too; `tracked`: it is one of
    the working tree's, where people keep hooks that they commit, and where tools like husky write theirs."""

    folder: Path
    shared: bool
    tracked: bool


def place(repo: Repository) -> Place:
    """Where the hooks of a repository are."""
    own = [repo.act("config", level, "--get", "core.hooksPath") for level in ("--local", "--worktree")]
    try:
        top = repo.worktree()
    except GitError:  # git's own folder
        top = None
    # A relative core.hooksPath is seen from where hooks run.
    told = repo.ask_in(top or repo.git_dir, "rev-parse", "--git-path", "hooks").output().removesuffix("\n")
    folder = Path(os.path.abspath(Path(top or repo.git_dir, told)))
    usual = folder.resolve() == (repo.common_dir / "hooks").resolve()
    found = [_or_nothing(running) for running in own]
    inside = top is not None and top.resolve() in folder.resolve().parents
    git_dirs = {repo.git_dir.resolve(), repo.common_dir.resolve()}
    return Place(folder, not usual and not any(found), inside and not git_dirs & {*folder.resolve().parents})


def _or_nothing(running: Running) -> str:
    try:
        return running.output(empty=1)
    except GitError:  # --worktree without extensions.worktreeConfig, in many worktrees
        return ""


def shared_folder() -> Path | None:
    """The folder of hooks that the user has set for all repositories."""
    told = Running("config", "--global", "--path", "--get", "core.hooksPath").output(empty=1).removesuffix("\n")
    return Path(told) if told else None


def configured(repo: Repository | None) -> dict[str, str]:
    """What the configuration says of our hook (`command`, `event`): the repository's, or without one the user's."""
    args = ("config", "--local" if repo else "--global", "-z", "--get-regexp", rf"^hook\.{NAME}\.")
    told = (repo.act(*args) if repo else Running(*args)).output(empty=1)
    entries = (entry.partition("\n") for entry in told.split("\0") if entry)
    return {key.rpartition(".")[2]: value for key, _, value in entries}


def configure(repo: Repository | None, command: str) -> None:
    """Have git run a command before it takes a commit's message. Raises GitError where it cannot be written."""
    before = configured(repo)
    try:
        _put(repo, "--replace-all", f"hook.{NAME}.command", command)
        _put(repo, "--replace-all", f"hook.{NAME}.event", EVENT)  # last: an event alone would be an error
    except BaseException:
        if not before:
            forget(repo)
        raise


def forget(repo: Repository | None) -> None:
    """Drop what the configuration says of our hook, if anything."""
    if configured(repo):
        _put(repo, "--remove-section", f"hook.{NAME}")


def _put(repo: Repository | None, *args: str) -> None:
    if repo:
        from wtname.git.refs import patiently  # no commit has to wait for what that takes to import

        patiently(repo, "config", "--local", *args)
    else:
        Running("config", "--global", *args).output()


def ask_author(repo: Repository) -> Running:
    """Ask who made the commit that HEAD is at, and when, as git tells hooks of it."""
    how = ("-s", "--no-show-signature", "--no-color", "--date=raw", "--max-count=1", "--format=%an%n%ae%n@%ad")
    return repo.ask("log", *how, "HEAD", "--")


def is_amended(author: Running) -> bool:
    """Whether the commit in the making takes over the author of HEAD: `commit --amend -m`, of which nothing else
    tells. A new commit within the same second passes for one as well."""
    told = [os.environ.get(f"GIT_AUTHOR_{key}", "") for key in ("NAME", "EMAIL", "DATE")]
    return author.output().split("\n")[:3] == told
