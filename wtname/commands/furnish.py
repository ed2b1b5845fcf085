"""What `wtname new` does in a worktree that is made, told on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from wtname import furnishing
from wtname.commands.shared import say
from wtname.git import Repository
from wtname.settings import Steps
from wtname.tasks import Begun

_QUIET = 0.5  # seconds until progress is worth a word


def furnish(repo: Repository, branch: str, folder: Path, steps: Steps) -> dict[str, object]:
    """Fill submodules, copy what comes along, run commands; what came of it, for programs."""
    try:
        return furnishing.furnish(repo, branch, folder, steps, say, _progress(), show=sys.stderr.isatty())._asdict()
    except BaseException:
        say(f"stopped; the worktree is made all the same: {folder}")
        raise


def tell(begun: Begun) -> None:
    """What git and its hooks had to say while a worktree was made, and what is to say of its base."""
    click.echo(begun.worktree.said, err=True, nl=False)
    if begun.warning:
        say(begun.warning)


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()
    told = began + _QUIET

    def progress(done: int, of: int) -> None:
        nonlocal told
        if not sys.stderr.isatty():
            return
        if done == of:
            click.echo("\r\x1b[K", nl=False, err=True)
        elif (now := time.monotonic()) > told:
            told = now + 0.1
            click.echo(f"\rcopying {done} of {of} files", nl=False, err=True)

    return progress
