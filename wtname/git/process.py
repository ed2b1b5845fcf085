"""Run git: argv lists, no shell, no prompts, messages in English."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

from wtname.errors import GitError, WtnameError

# Another git holds a lock, or is half through making or removing a worktree: `worktree add` and `branch` read
# all worktrees' records and die on one that is not written yet (seen with git 2.39 and 16 at once). And a branch
# that was in the way may be gone when we look, taken back by whom it failed.
_BUSY = re.compile(
    r"\.lock'|(?:could not|cannot|unable to) lock|could not create directory of '.*worktrees"
    r"|branch named '.*' already exists"
    r"|[/\\]worktrees[/\\][^/\\]+[/\\](?:commondir|gitdir|HEAD)\b",
    re.I,
)


@functools.cache
def executable() -> Path:
    """Where git is. Relative entries of PATH are passed over: they may be a stranger's repository."""
    name = "git.exe" if sys.platform == "win32" else "git"
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder, name)
        if path.is_absolute() and path.is_file() and os.access(path, os.X_OK):
            return path
    raise WtnameError("git was not found on PATH; install it from https://git-scm.com")


def environment() -> dict[str, str]:
    """What git sees: the user's variables, English messages, no questions on the terminal."""
    env = {**os.environ, "LANGUAGE": "C"}
    env.setdefault("GIT_TERMINAL_PROMPT", "0")
    if sys.platform == "win32":
        env["NoDefaultCurrentDirectoryInExePath"] = "1"
    return env


def one_line(text: str) -> str:
    """What git says is wrong: what it ended with, and in brackets what that came from."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line.split(": ", 1)[-1] for line in lines if line.startswith(("fatal:", "error:"))] or lines[-1:]
    return f"{told[-1]} ({told[0]})" if told[1:] and told[0] != told[-1] else "".join(told[-1:])


class Running:
    """A git command under way; whoever needs its answer waits for it."""

    def __init__(self, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
        self.args = args
        try:
            self.process = subprocess.Popen(
                [executable(), *args],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=env or environment(),
            )
        except OSError as error:
            raise WtnameError(f"cannot run git in {cwd or 'this folder'}: {error.strerror}") from error

    def output(self, empty: int | None = None) -> str:
        """What git wrote on stdout; the exit code `empty` means that there is nothing to write."""
        out, err = self.process.communicate()
        code = self.process.returncode
        if code == empty:
            return ""
        if code:
            raise GitError(one_line(os.fsdecode(err)) or f"git {self.args[0]} failed", code if code > 0 else 1)
        return os.fsdecode(out)

    def close(self) -> None:
        """Let go of an answer that nobody needs."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


def wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process; who is interrupted meanwhile ends it first."""
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def run(argv: list[str | Path], cwd: Path, env: dict[str, str], show: bool = False) -> tuple[int, str]:
    """The exit code of git, and what it and its hooks had to say; `show`: what they say on stderr goes to ours."""
    import tempfile

    # Not a pipe: a hook may leave a daemon behind that holds it open for ever.
    with tempfile.TemporaryFile() as said:
        code = wait(
            subprocess.Popen(
                [executable(), *argv],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=None if show else said,
                cwd=cwd,
                env=env,
            )
        )
        said.seek(0)
        return code, os.fsdecode(said.read())


def version() -> tuple[int, ...]:
    """git's version as numbers: (2, 39, 5)."""
    return tuple(int(part) for part in re.findall(r"\d+", Running("--version").output())[:3])


def is_busy(error: GitError) -> bool:
    """Whether git only met another git at work, so that a second try may do."""
    return bool(_BUSY.search(str(error)))
