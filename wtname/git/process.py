"""Run git: argv lists, no shell, no prompts, messages in English."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path

from wtname.errors import GitError, WtnameError

# Another git holds a lock, or is half through making or removing a worktree: `worktree add` and `branch` read
# all worktrees' records and die on one that is not written yet (seen with git 2.39 and 16 at once). And a branch
# that was in the way may be gone when we look, taken back by whom it failed.
_BUSY = re.compile(
    r"\.lock'|(?:could not|cannot|unable to) lock|could not create directory of '.*worktrees"
    r"|branch named '.*' already exists"
    r"|[/\\]worktrees[/\\][^/\\]+[/\\](?:commondir|gitdir|HEAD)\b"
    r"|invalid path '.*[/\\]worktrees[/\\][^/\\]+': No such file",
    re.I,
)

_GRACE = 5.0  # seconds for a process to end by itself once it is told to
_PIPE = 1 << 20  # bytes, the most that Linux gives to who is not root
_BEAT = 0.1  # seconds between looks at whether it is still wanted

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)


@functools.cache
def executable() -> Path:
    """Where git is. Relative entries of PATH are passed over: they may be a stranger's repository."""
    name = "git.exe" if sys.platform == "win32" else "git"
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        path = Path(folder.strip('"') if sys.platform == "win32" else folder, name)  # quotes are legal there
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
    """A git command under way; whoever needs its answer waits for it. It reads `given`, if anything, meanwhile."""

    def __init__(
        self, *args: str, cwd: Path | None = None, env: dict[str, str] | None = None, given: bytes | None = None
    ) -> None:
        self.args = args
        self._given = given
        try:
            self.process = subprocess.Popen(
                [executable(), *args],
                stdin=subprocess.DEVNULL if given is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=env or environment(),
            )
        except OSError as error:
            raise WtnameError(f"cannot run git in {cwd or 'this folder'}: {error.strerror}") from error
        except ValueError as error:  # a NUL, or half a surrogate pair
            raise WtnameError(f"git cannot be told {' '.join(args)!r:.200}; leave out what no text may hold") from error

    def widen(self) -> None:
        """Let git write a long answer before anybody reads it, as far as the system allows."""
        if sys.platform == "linux" and self.process.stdout:
            import fcntl

            with contextlib.suppress(OSError):  # a limit per user
                fcntl.fcntl(self.process.stdout, fcntl.F_SETPIPE_SZ, _PIPE)

    def output(self, empty: int | None = None) -> str:
        """What git wrote on stdout; the exit code `empty` means that there is nothing to write."""
        return os.fsdecode(self.read(empty))

    def read(self, empty: int | None = None) -> bytes:
        """The same, as the bytes it is."""
        out, err = self.process.communicate(self._given)
        code = self.process.returncode
        if code == empty:
            return b""
        if code:
            verb = next((arg for arg in self.args if not arg.startswith("-")), "")
            why = one_line(os.fsdecode(err)) or f"git {verb} failed"
            if "Unable to read current working directory" in why:
                why = "this folder is not there any more; cd into one that is, or pass -C DIR"
            raise GitError(why, code if code > 0 else 1)
        return out

    def close(self) -> None:
        """Let go of an answer that nobody needs."""
        if self.process.returncode is None:
            self.process.kill()
            self.process.communicate()


@contextlib.contextmanager
def stopped_by(check: Callable[[], None]) -> Iterator[None]:
    """Have `wait` call this again and again meanwhile, in this thread; what it raises ends what is waited for."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def is_stoppable() -> bool:
    """Whether a process that is to be waited for has to lead a group, so that it ends with all that it has started."""
    return _check.get() is not None


def end_group(process: subprocess.Popen[bytes], hard: bool) -> None:
    """End a process that leads a group with all of the group; `hard`: it is not asked."""
    if sys.platform == "win32":
        taskkill = os.path.join(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe")
        subprocess.run([taskkill, "/T", "/F", "/PID", str(process.pid)], capture_output=True)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # the whole group is gone
        os.killpg(process.pid, signal.SIGKILL if hard else signal.SIGTERM)


def wait(process: subprocess.Popen[bytes]) -> int:
    """The exit code of a process; who is interrupted meanwhile ends it first: in peace, if it goes in some seconds and
    nobody interrupts again."""
    try:
        while check := _check.get():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(_BEAT)
            check()
        return process.wait()
    except BaseException:
        with contextlib.suppress(BaseException):  # it does not go, or whoever waits for that has no patience either
            end_group(process, hard=False) if is_stoppable() else process.terminate()
            process.wait(_GRACE)
        if is_stoppable():
            end_group(process, hard=True)
        process.kill()
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
                start_new_session=is_stoppable(),
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
