"""Break a command at each step it takes: kill it, fail the step, or kill the git that it runs, in its midst.

The command runs in a child of this process, forked once everything is imported, with one fault at its nth step. A step
is a git that changes something (in mode `git`: any git), or a file or folder made, moved, written or deleted in the
folder that is watched. Nothing in wtname knows of it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

# kill: die before the step, or half through it where it is a write. after: let git finish, then die. error: the step
# fails as on a full disk. git: this git fails. hook, hooks: git is killed while it changes references, alone or with
# us.
MODES = ("kill", "after", "error", "git", "hook", "hooks")
_CHANGES = {"update-ref", "worktree", "branch", "config", "read-tree", "add", "commit-tree", "symbolic-ref"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_HOOK = """#!/bin/sh
n=$(($(cat "$FAULT_COUNT") + 1)); echo $n >"$FAULT_COUNT"
[ $n = "$FAULT_AT" ] && { echo "hook $1" >>"$FAULT_HIT"; kill -9 $PPID $FAULT_PID; }
exit 0
"""


class Fault:
    """One fault at one step of this process."""

    def __init__(self, folder: Path, mode: str, at: int, hit: int) -> None:
        self.folder, self.mode, self.at, self.hit = str(folder), mode, at, hit
        self.count = 0
        self.inside = False

    def step(self, what: str) -> bool:
        """Count a step; whether it is the one."""
        self.count += 1
        if self.count != self.at:
            return False
        os.write(self.hit, what.encode())
        return True

    def die(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def happen(self, what: str) -> None:
        if self.inside or self.mode in ("after", "git") or not self.step(what):
            return
        if self.mode == "kill":
            self.die()
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "shutil.copyfile"):
            paths = [os.fsdecode(arg) for arg in args[:2] if isinstance(arg, (str, bytes, os.PathLike))]
            if any(path.startswith(self.folder) or not path.startswith("/") for path in paths):
                self.happen(f"{event} {paths[0][-40:]}")
        elif event == "open" and (args[2] or 0) & _WRITES and str(args[0]).startswith(self.folder):
            self.happen(f"open {str(args[0])[-40:]}")

    def install(self) -> None:
        fault, write, popen = self, os.write, subprocess.Popen

        def torn(descriptor: int, data: bytes) -> int:
            if descriptor != fault.hit and not fault.inside and fault.mode == "kill":
                if fault.step("write"):
                    write(descriptor, data[: len(data) // 2])
                    fault.die()
            elif descriptor != fault.hit:
                fault.happen("write")
            return write(descriptor, data)

        class Popen(popen):  # type: ignore[type-arg]
            def __init__(self, argv: list[str], **how: Any) -> None:
                words = [str(word) for word in argv[1:]]
                verb = next((word for word in words if not word.startswith("-") and "=" not in word), "")
                said = " ".join(["git", *[word for word in words if not word.startswith("-")]])[:60]
                changes = verb in _CHANGES and not {"list", "-z", "--get-regexp"} & set(words)
                if (changes and fault.mode != "git") and fault.mode != "after":
                    fault.happen(said)
                fails = fault.mode == "git" and fault.step(said)
                argv = ["sh", "-c", "echo 'fatal: made to fail' >&2; exit 128"] if fails else argv
                fault.inside = True
                try:
                    super().__init__(argv, **how)
                finally:
                    fault.inside = False
                self.is_last = fault.mode == "after" and changes and fault.step(said)
                if self.is_last and how.get("stdin") != subprocess.PIPE:
                    self.wait()
                    fault.die()

            def communicate(self, *args: Any, **how: Any) -> Any:
                answer = super().communicate(*args, **how)
                if self.is_last:  # it had to be told something first
                    fault.die()
                return answer

        os.write = torn  # type: ignore[assignment]
        os.fsync = lambda descriptor: fault.happen("fsync")  # type: ignore[assignment]
        subprocess.Popen = Popen  # type: ignore[misc]
        sys.addaudithook(self.audit)


def forked(act: Callable[[], object], out: Path) -> int:
    """Do it in a child of ours; its output goes to a file. Returns its exit code, negative for a signal."""
    if pid := os.fork():
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 70
    try:
        for descriptor in (1, 2):
            os.dup2(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        act()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def preload() -> None:
    """Import what commands import when they need it: a child that is forked has it."""
    for name in ("new", "remove", "rename", "restore", "doctor", "furnish"):
        import_module("wtname.commands." + name)
    for name in (
        "tasks",
        "furnishing",
        "removal",
        "keeping",
        "renaming",
        "restoring",
        "pruning",
        "settings",
        "tickets",
        "doctor",
        "display",
    ):
        import_module("wtname." + name)
    for name in ("json", "tempfile", "shutil", "importlib.metadata"):
        import_module(name)


def run(*args: str) -> None:
    """The command line; nobody waits long for a lock here."""
    from wtname import worktree
    from wtname.cli import main
    from wtname.git import refs

    refs.PATIENCE = refs.STALE = worktree._PATIENCE = 0.02
    main(list(args))


def attempt(folder: Path, cwd: Path, mode: str, at: int, out: Path, *args: str) -> tuple[str, int]:
    """Run a command with a fault at its nth step. Returns the step, or nothing if it has fewer, and its exit code."""
    hook, count, hit = cwd / ".git" / "hooks" / "reference-transaction", out.with_suffix(".n"), out.with_suffix(".hit")
    read, write = os.pipe()

    def act() -> None:
        os.chdir(cwd)
        if mode in ("hook", "hooks"):
            os.environ.update(FAULT_COUNT=str(count), FAULT_AT=str(at), FAULT_HIT=str(hit), FAULT_PID="")
            if mode == "hooks":
                os.environ["FAULT_PID"] = str(os.getpid())
        else:
            Fault(folder, mode, at, write).install()
        run(*args)

    if mode in ("hook", "hooks"):
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(_HOOK)
        hook.chmod(0o755)
        count.write_text("0")
        hit.unlink(missing_ok=True)
    code = forked(act, out)
    os.close(write)
    step = os.read(read, 4096).decode()
    os.close(read)
    if mode in ("hook", "hooks"):
        hook.unlink()
        step = hit.read_text() if hit.exists() else ""
    return step, code
