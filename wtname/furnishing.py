"""What is done in a worktree that is made, if it is wanted. Nothing here fails it: what does not work is told."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.settings import Steps


class Furnished(NamedTuple):
    """How many files came along, and what became of each command, for programs."""

    copied: int
    post_create: list[dict[str, object]]


def furnish(
    repo: Repository,
    branch: str,
    folder: Path,
    steps: Steps,
    say: Callable[[str], None],
    copying: Callable[[int, int], None],
    running: Callable[[str], None] = lambda command: None,
    show: bool = False,
) -> Furnished:
    """Fill submodules, copy what comes along, run commands.

    `say` takes lines for people; `copying` is called with the number of files done and of all, in the end with two
    that are equal; `running` before each command; `show` lets git's own progress through to stderr."""
    _submodules(repo, folder, steps.submodules, say, show)
    copied = _copy(repo, folder, say, copying) if steps.copy else 0
    return Furnished(copied, _run(repo, branch, folder, say, running) if steps.run else [])


def _submodules(repo: Repository, folder: Path, wanted: bool, say: Callable[[str], None], show: bool) -> None:
    from wtname.git import submodules

    if not submodules.has_submodules(folder):
        return
    if not wanted:
        say("submodules are left empty; pass --recurse-submodules or set wtname.recursesubmodules to fill them")
        return
    try:
        submodules.fill(repo, folder, show=show)
    except WtnameError as error:
        again = f"git -C {shlex.quote(str(folder))} submodule update --init --recursive"
        say(f"submodules are not all there ({error}); the worktree is made all the same, try again: {again}")


def _copy(repo: Repository, folder: Path, say: Callable[[str], None], copying: Callable[[int, int], None]) -> int:
    try:
        from wtname import include  # not before it is known that there is a list

        if not (root := include.source(repo)):
            return 0
        copied = include.copy(repo, root, folder, copying)
    except WtnameError as error:
        say(f"cannot tell which files come along: {error}; the worktree is made all the same")
        return 0
    copying(copied.files, copied.files)
    if copied.files:
        say(f"copied {copied.files} file{'s' * (copied.files != 1)} ({_size(copied.size)})")
    if copied.failed:
        more = f" and {len(copied.failed) - 1} more" if len(copied.failed) > 1 else ""
        say(f"not copied: {copied.failed[0]}{more}; the worktree is made all the same")
    return copied.files


def _size(size: int) -> str:
    number = float(size)
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:.0f} {unit}"
        number /= 1000
    return f"{number:.1f} GB"


def _run(
    repo: Repository, branch: str, folder: Path, say: Callable[[str], None], running: Callable[[str], None]
) -> list[dict[str, object]]:
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
    if wanted:
        running(wanted[0])
    for done in postcreate.run(repo, branch, folder, wanted):
        command = visible(done.command)
        if done.pid:
            say(f"in the background: {command}; its log is {done.log}")
        elif done.skipped:
            say(f"not run: {command} ({done.skipped})")
        elif done.code:
            say(f"failed with exit code {done.code}: {command}; the worktree is made all the same")
        answers.append({key: value for key, value in done._asdict().items() if value is not None})
        if wanted[len(answers) :]:
            running(wanted[len(answers)])
    for batch in strange:
        first = visible(batch.commands[0])
        first = first if len(first) <= 60 else first[:59] + "…"
        more = f" and {len(batch.commands) - 1} more" if len(batch.commands) > 1 else ""
        look = f"wtname trust -C {shlex.quote(str(folder))}"
        say(f"not run, as nobody trusts it yet: {first}{more} (from {batch.source}); {look} shows and trusts it")
        answers += [{"command": command, "skipped": "not trusted"} for command in batch.commands]
    return answers
