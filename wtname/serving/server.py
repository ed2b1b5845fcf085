"""The server: its tools with what a client is told of them, and serving them on stdin and stdout."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import metadata

import anyio
from mcp.server import MCPServer
from mcp_types import ToolAnnotations

from wtname.models import TRIAL
from wtname.namer import Namer
from wtname.serving import tools
from wtname.serving.roots import Limit
from wtname.serving.session import State

_INSTRUCTIONS = """\
Names for git branches from a task in plain words, and worktrees to go with them, offline. Before you start on a task
that deserves a branch of its own, call create_worktree with the user's words and work in the folder that it returns.
Where you are in a worktree already, on a branch that says nothing, call rename_branch once the task is clear."""


def serve(namer: Namer, limit: Limit) -> None:
    """Serve one client on stdin and stdout until it goes."""
    logging.basicConfig(level=logging.ERROR, format="wtname: %(message)s")  # on stderr, and before the SDK does it
    make(namer, limit).run()


def make(namer: Namer, limit: Limit) -> MCPServer[State]:
    """The server with its tools; the model is loaded in the background once it runs."""

    @asynccontextmanager
    async def lifespan(_: MCPServer[State]) -> AsyncIterator[State]:
        threading.Thread(target=_warm, args=[namer], daemon=True).start()
        told: list[int] = []
        async with anyio.create_task_group() as group:
            group.start_soon(_listen, group.cancel_scope, told)
            yield State(namer, limit)
            group.cancel_scope.cancel()
        if told:  # nothing is at work any more, but who waits for stdin cannot be woken
            os._exit(128 + told[0])

    try:
        version = metadata.version("wtname")
    except metadata.PackageNotFoundError:
        version = ""
    server = MCPServer(
        "wtname", title="wtname", version=version, instructions=_INSTRUCTIONS, log_level="ERROR", lifespan=lifespan
    )

    def annotations(title: str, *, reads: bool, destroys: bool, same: bool, reaches: bool = False) -> ToolAnnotations:
        return ToolAnnotations(
            title=title,
            read_only_hint=reads,
            destructive_hint=destroys,
            idempotent_hint=same,
            open_world_hint=reaches,
        )

    server.tool(annotations=annotations("Suggest a branch name", reads=True, destroys=False, same=True))(
        tools.suggest_branch_name
    )
    # It may fetch from a remote, and the commands for new worktrees reach wherever they like.
    server.tool(annotations=annotations("Create a worktree", reads=False, destroys=False, same=False, reaches=True))(
        tools.create_worktree
    )
    # The old name is gone afterwards: that is no addition, although `undo` takes it back.
    server.tool(annotations=annotations("Rename a branch", reads=False, destroys=True, same=True))(tools.rename_branch)
    server.tool(annotations=annotations("List worktrees", reads=True, destroys=False, same=True))(tools.list_worktrees)
    # Once it is gone, the end of its name may mean another one.
    server.tool(annotations=annotations("Remove a worktree", reads=False, destroys=True, same=False))(
        tools.remove_worktree
    )
    return server


async def _listen(work: anyio.CancelScope, told: list[int]) -> None:
    """End all work where a signal tells us to end; a second one does not wait for that."""
    numbers = signal.SIGINT, signal.SIGTERM
    with contextlib.suppress(NotImplementedError), anyio.open_signal_receiver(*numbers) as signals:  # not on Windows
        async for number in signals:
            told.append(number)
            work.cancel()
            break
    if told:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _warm(namer: Namer) -> None:
    namer.load()
    namer.name(TRIAL)
