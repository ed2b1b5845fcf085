"""A tool at work in its thread: how far it is, what it has to tell, and that its call may be cancelled meanwhile."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import anyio
import anyio.from_thread
import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError

from wtname.display import visible
from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.git.process import stopped_by
from wtname.serving.words import for_agents

T = TypeVar("T")
_BEAT = 1.0  # seconds between signs of life
_MOST = 50  # progress notifications for one loop, at most


class Work:
    """One call at work. Its methods are for the thread, and stop it where the call is cancelled."""

    def __init__(self, ctx: Context[Any, Any]) -> None:
        self.notes: list[str] = []
        self._ctx = ctx
        self._what = ""
        self._began = time.monotonic()
        self._said = 0.0

    def say(self, line: str) -> None:
        """Keep a line for people."""
        self.notes.append(visible(" ".join(line.split())))

    def doing(self, what: str) -> None:
        """Say what comes next, as progress."""
        self.check()
        self._what = visible(what)
        anyio.from_thread.run(self._report)

    def copying(self, done: int, of: int) -> None:
        """Say how many files of how many are copied."""
        self.check()
        if done < of and done % max(1, of // _MOST) == 0:
            self.doing(f"copying {done} of {of} files")

    def check(self) -> None:
        """Stop where nobody wants it any more."""
        anyio.from_thread.check_cancelled()

    async def alive(self) -> None:
        """Tell again and again that it goes on: clients give up on who is silent."""
        while True:
            await anyio.sleep(_BEAT)
            await self._report()

    async def _report(self) -> None:
        # The protocol wants every number higher than the one before; how many there will be, nobody knows.
        self._said = max(self._said + 0.001, round(time.monotonic() - self._began, 3))
        await self._ctx.report_progress(self._said, None, self._what or "at work")


class Watched(Repository):
    """A repository in which making a worktree ends as a failure where the call is cancelled meanwhile; then it is taken
    back like any other that failed."""

    def __init__(self, cwd: Path, work: Work, base: str = "HEAD") -> None:
        super().__init__(cwd, base)
        self._work = work

    def add_worktree(self, path: Path, branch: str) -> str:
        self._work.doing(f"checking out {branch}")
        with stopped_by(self._work.check):
            said = super().add_worktree(path, branch)
        self._work.check()
        return said


async def in_thread(ctx: Context[Any, Any], act: Callable[[Work], T]) -> T:
    """What `act` returns, at work in a thread so that other calls are answered meanwhile.

    Raises ToolError with its one line where it raises WtnameError."""
    work = Work(ctx)
    done: list[T] = []
    failed: list[Exception] = []

    def run() -> None:
        try:
            done.append(act(work))
        except Exception as error:  # a task group would wrap it up
            failed.append(error)

    async with anyio.create_task_group() as group:
        group.start_soon(work.alive)
        await anyio.to_thread.run_sync(run)
        group.cancel_scope.cancel()
    with plain_errors():
        for error in failed:
            raise error
    return done[0]


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """What goes wrong in a way that people can mend, as an error of the tool's: one line and nothing else."""
    try:
        yield
    except WtnameError as error:
        raise ToolError(visible(for_agents(" ".join(str(error).split())))) from error
    except OSError as error:
        where = f": {visible(str(error.filename))}" if error.filename else ""
        raise ToolError(f"{error.strerror or 'the system refuses'}{where}; look there and try again") from error
