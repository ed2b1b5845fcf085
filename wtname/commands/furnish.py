"""What `wtname new` does in a worktree that is made. Nothing here fails it: what does not work is told."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from wtname.commands.shared import say
from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.settings import Steps

_QUIET = 0.5  # seconds until progress is worth a word


def furnish(repo: Repository, branch: str, folder: Path, steps: Steps) -> dict[str, object]:
    """Fill submodules, copy what comes along, run commands; what came of it, for programs."""
    told: dict[str, object] = {"copied": 0, "post_create": []}
    try:
        _submodules(repo, folder, steps.submodules)
        if steps.copy:
            told["copied"] = _copy(repo, folder)
        if steps.run:
            told["post_create"] = _run(repo, branch, folder)
    except BaseException:
        say(f"stopped; the worktree is made all the same: {folder}")
        raise
    return told


def _submodules(repo: Repository, folder: Path, wanted: bool) -> None:
    from wtname.git import submodules

    if not submodules.has_submodules(folder):
        return
    if not wanted:
        say("submodules are left empty; pass --recurse-submodules or set wtname.recursesubmodules to fill them")
        return
    try:
        submodules.fill(repo, folder, show=sys.stderr.isatty())
    except WtnameError as error:
        again = f"git -C {shlex.quote(str(folder))} submodule update --init --recursive"
        say(f"submodules are not all there ({error}); the worktree is made all the same, try again: {again}")


def _copy(repo: Repository, folder: Path) -> int:
    try:
        from wtname import include  # not before it is known that there is a list

        if not (root := include.source(repo)):
            return 0
        copied = include.copy(repo, root, folder, _progress())
    except WtnameError as error:
        say(f"cannot tell which files come along: {error}; the worktree is made all the same")
        return 0
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", nl=False, err=True)
    if copied.files:
        say(f"copied {copied.files} file{'s' * (copied.files != 1)} ({_size(copied.size)})")
    if copied.failed:
        more = f" and {len(copied.failed) - 1} more" if len(copied.failed) > 1 else ""
        say(f"not copied: {copied.failed[0]}{more}; the worktree is made all the same")
    return copied.files


def _progress() -> Callable[[int, int], None]:
    began = time.monotonic()
    told = began + _QUIET

    def progress(done: int, of: int) -> None:
        nonlocal told
        if sys.stderr.isatty() and (now := time.monotonic()) > told:
            told = now + 0.1
            click.echo(f"\rcopying {done} of {of} files", nl=False, err=True)

    return progress


def _size(size: int) -> str:
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _run(repo: Repository, branch: str, folder: Path) -> list[dict[str, object]]:
    if "wtname.postcreate" not in repo.config and not (folder / ".wtname").exists():
        return []
    from wtname import postcreate
    from wtname.display import visible
    from wtname.trust import is_trusted

    answers: list[dict[str, object]] = []
    try:
        found = postcreate.commands(repo, folder)
    except WtnameError as error:
        say(str(error))
        return answers
    wanted = found.own
    strange = [batch for batch in found.theirs if not is_trusted(batch)]
    for batch in found.theirs:
        if batch not in strange:
            wanted = [*wanted, *batch.commands]
    for done in postcreate.run(repo, branch, folder, wanted):
        command = visible(done.command)
        if done.pid:
            say(f"in the background: {command}; its log is {done.log}")
        elif done.skipped:
            say(f"not run: {command} ({done.skipped})")
        elif done.code:
            say(f"failed with exit code {done.code}: {command}; the worktree is made all the same")
        answers.append({key: value for key, value in done._asdict().items() if value is not None})
    for batch in strange:
        first = visible(batch.commands[0])
        first = first if len(first) <= 60 else first[:59] + "…"
        more = f" and {len(batch.commands) - 1} more" if len(batch.commands) > 1 else ""
        look = f"wtname trust -C {shlex.quote(str(folder))}"
        say(f"not run, as nobody trusts it yet: {first}{more} (from {batch.source}); {look} shows and trusts it")
        answers += [{"command": command, "skipped": "not trusted"} for command in batch.commands]
    return answers
