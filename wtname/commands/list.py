"""`wtname list`: the worktrees, and how each stands."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click

from wtname.commands.shared import folder_option, json_option, print_json


@click.command()
@folder_option
@json_option
def list(cwd: Path | None, as_json: bool) -> None:
    """List the worktrees, the one with the latest commit first.

    Each is shown with its task, its commits ahead (+) and behind (-) of the default branch, its state, the age of its
    last commit, its branch and its folder; a star marks the one you are in. States: N changed (files not committed),
    merged, squashed (its changes are in the default branch, though not its commits), new (no commits yet), N unpushed,
    N to pull, upstream gone, locked, detached, missing, bare, and what is unfinished (rebase, merge, ...).

    To a pipe, a worktree is one line with tabs: branch, task, distance, state, last commit, folder."""
    from wtname import listing
    from wtname.git import Repository

    with Repository(cwd) as repo:
        into, rows = listing.gather(repo)
    if as_json:
        print_json([listing.facts(row, into) for row in rows])
    elif not sys.stdout.isatty():
        _print(listing.lines(rows))
    else:
        columns = shutil.get_terminal_size().columns
        _print(
            listing.table(rows, columns=columns, now=time.time(), cwd=Path.cwd(), home=Path(os.path.expanduser("~")))
        )


def _print(lines: Iterable[str]) -> None:
    encoding = sys.stdout.encoding or "utf-8"  # of a Windows console it may be one without most letters
    text = "\n".join(lines).encode(encoding, "backslashreplace").decode(encoding)
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)
