"""Read the commits of a repository that may be anybody's: through GitPython, changing nothing, and running nothing that
its configuration names."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from wtname import git as wtgit

if TYPE_CHECKING:
    from git import Git

# Author, committer (names and addresses), message; rev-list puts a line with the hash before each.
_FORMAT = "--format=%P%x00%an%x00%ae%x00%cn%x00%ce%x00%B%x00"
# A repository's own configuration may name programs that fetch what a partial clone lacks: nothing is fetched.
# History is read as its hashes have it, whatever grafts and replacements say.
_SAFE = {
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_GRAFT_FILE": os.devnull,
}
_HOSTED = re.compile(r"(?:\w+://[^/]+/|[\w.-]+@[\w.-]+:)(?:.*/)?([^/]+/[^/]+?)(?:\.git)?/?\Z")


class Unreadable(Exception):
    """A repository that cannot be read, with the reason and what to do."""


class Commit(NamedTuple):
    """What is read of a commit: how many parents it has, names and addresses of author and committer, its message."""

    parents: int
    author: tuple[str, str]
    committer: tuple[str, str]
    message: str


class Source(NamedTuple):
    """A repository that can be read: git in it, its label (owner/name where it has an origin), HEAD's hash, and what a
    shallow clone lacks."""

    git: Git
    label: str
    head: str
    shallow: bytes


@contextmanager
def sealed() -> Iterator[None]:
    """No GIT_* variables of a hook's or a shell's that would name another repository; the user's `git -c` stays."""
    os.environ["GIT_PYTHON_GIT_EXECUTABLE"] = str(wtgit.executable())
    local = set(wtgit.Running("rev-parse", "--local-env-vars").output().split())
    local -= {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}
    saved = {name: os.environ.pop(name) for name in local if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(saved)


def _ask(git: Git, *args: str) -> tuple[int, str, str]:
    """git's exit code, what it wrote, and the line that says what is wrong."""
    command, *rest = args
    code, out, err = getattr(git, command)(*rest, with_extended_output=True, with_exceptions=False)
    return code, out, wtgit.one_line(err)


def open_source(path: Path) -> Source:
    """The repository at exactly this path. Raises Unreadable where git finds none, or none that it trusts."""
    from git import Git

    if not path.is_dir() or not os.access(path, os.X_OK):  # GitPython would run git where we stand
        raise Unreadable("no folder that can be entered")
    git = Git(str(path))
    git.update_environment(**_SAFE, GIT_CEILING_DIRECTORIES=str(path.parent))
    code, out, error = _ask(git, "rev_parse", "--is-shallow-repository", "--git-common-dir")
    if "dubious ownership" in error:
        raise Unreadable(f"{error}; if you trust it: git config --global --add safe.directory '{path}'")
    if code:
        raise Unreadable(error)
    shallow, _, common = out.partition("\n")
    code, head, _ = _ask(git, "rev_parse", "--verify", "--quiet", "HEAD^{commit}")
    if code:
        raise Unreadable("no commits yet, or HEAD is broken")
    _, url, _ = _ask(git, "config", "--get", "remote.origin.url")
    hosted = _HOSTED.match(url)
    name = path.parent.name if path.name in (".git", ".bare") else path.name.removesuffix(".git")
    shown = click.format_filename(path)
    if (path / common / "info" / "grafts").exists():
        click.echo(f"warning: {shown}: has grafts; they are not followed", err=True)
    lacks = b""
    if shallow == "true":
        lacks = (path / common / "shallow").read_bytes()
        click.echo(f"warning: {shown}: a shallow clone has part of its history; git fetch --unshallow", err=True)
    return Source(git, hosted[1] if hosted else click.format_filename(name), head, lacks)


def read_commits(source: Source, options: list[str]) -> Iterator[Commit]:
    """A repository's commits from HEAD, newest first, as git finds them; bytes that are no UTF-8 read as U+FFFD.
    Raises Unreadable where git stops half-way."""
    from git import GitCommandError

    process = source.git.rev_list("--encoding=UTF-8", _FORMAT, *options, source.head, "--", as_process=True)
    said: list[bytes] = []
    # A full pipe of complaints would stop git for ever.
    listener = threading.Thread(target=lambda: said.append(process.stderr.read()), daemon=True)
    listener.start()
    rest = b""
    fields: list[bytes] = []
    while chunk := process.stdout.read(1 << 16):
        *whole_fields, rest = (rest + chunk).split(b"\0")
        fields += whole_fields
        while len(fields) >= 6:
            parents, *people, message = (field.decode("utf-8", "replace") for field in fields[:6])
            del fields[:6]
            hashes = parents.rpartition("\n")[2].split()
            yield Commit(len(hashes), (people[0], people[1]), (people[2], people[3]), message)
    listener.join()
    try:
        process.wait()
    except GitCommandError as error:
        text = b"".join(said).decode("utf-8", "replace")
        raise Unreadable(wtgit.one_line(text) or f"git rev-list failed with {error.status}") from error
