"""Commands for a new worktree: which there are, which of them may run, and running them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wtname import settings
from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.git.origins import values
from wtname.git.process import is_stoppable, wait
from wtname.git.sharing import make_folder, share
from wtname.trust import Batch

FILE = ".wtname"
_CONFIG = "git config"
_LIMIT = 64 * 1024
_STDERR = 2


class Commands(NamedTuple):
    """The user's own commands, which run, and those of the repository, which run once they are trusted."""

    own: list[str]
    theirs: list[Batch]


class Done(NamedTuple):
    """What became of a command: its exit code; or, in the background, its process and log; or why it did not run."""

    command: str
    code: int | None = None
    pid: int | None = None
    log: str | None = None
    skipped: str | None = None


def commands(repo: Repository, folder: Path | None) -> Commands:
    """The commands for a worktree in a folder: of git config, and of the file in it. An empty value in git config
    takes back those before it. Raises WtnameError where the file cannot be read."""
    own: list[str] = []
    local: list[str] = []
    for value in values(repo, "wtname.postcreate"):
        if not value.text.strip():
            own, local = [], []
        else:
            (own if value.own else local).append(value.text.strip())
    found = [Batch(repo.common_dir.resolve(), _CONFIG, local), _read(repo, folder) if folder else None]
    return Commands(own, [batch for batch in found if batch and batch.commands])


def _read(repo: Repository, folder: Path) -> Batch | None:
    file = folder / FILE
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            raise WtnameError(f"{file} is no plain file; its commands are left out")
        with file.open("rb") as opened:
            data = opened.read(_LIMIT + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WtnameError(f"cannot read {file}: {error.strerror}; its commands are left out") from error
    if len(data) > _LIMIT or b"\0" in data:
        raise WtnameError(f"{file} is no list of commands; write one a line, 64 KB at most")
    lines = [line.strip() for line in data.decode("utf-8", "surrogateescape").split("\n")]
    return Batch(repo.common_dir.resolve(), FILE, [line for line in lines if line and not line.startswith("#")])


def run(repo: Repository, branch: str, folder: Path, wanted: list[str]) -> Iterator[Done]:
    """Run commands one after the other in a worktree; after one that fails the rest is left out."""
    env = {key: value for key, value in os.environ.items() if key in repo.environment}
    env.update(WTNAME_BRANCH=branch, WTNAME_WORKTREE=str(folder), WTNAME_MAIN=str(repo.main))
    log: Path | None = None
    failed = False
    for command in wanted:
        plain = _background(command)
        if failed:
            yield Done(command, skipped="one before it failed")
        elif plain is None:
            code = wait(
                subprocess.Popen(
                    _shell(command),
                    cwd=folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=_STDERR,
                    start_new_session=is_stoppable(),
                )
            )
            failed = code != 0
            yield Done(command, code=code)
        else:
            try:
                log = log or _make_log(repo, branch)
            except OSError as error:
                yield Done(command, skipped=f"no log can be written: {error.strerror}")
                continue
            with log.open("ab") as said:
                process = subprocess.Popen(
                    _shell(plain),
                    cwd=folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                    creationflags=getattr(subprocess, "DETACHED_PROCESS", 0)
                    | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
                )
            process.returncode = 0  # it outlives us; nobody waits for it
            yield Done(command, pid=process.pid, log=str(log))


def _background(command: str) -> str | None:
    """The command without the & at its end that sends it to the background; None where there is none."""
    found = re.fullmatch(r"(.*[^&\\|\s])\s*&", command, re.S)
    return found[1] if found else None


def _shell(command: str) -> list[str] | str:
    if sys.platform == "win32":
        shell = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "cmd.exe")
        return f'"{shell}" /d /s /c "{command}"'
    return ["/bin/sh", "-c", command]


def _make_log(repo: Repository, branch: str, tries: int = 100) -> Path:
    """An empty log in the git folder, which may be a stranger's: no link in it is followed."""
    try:
        log = make_folder(repo, "wtname", "log") / f"{settings.flat(branch)}.log"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        os.close(os.open(log, flags, 0o600))
        share(repo, log)
    except FileNotFoundError:  # whoever leaves the journal takes an empty folder along
        if not tries:
            raise
        return _make_log(repo, branch, tries - 1)
    return log
