"""The server: its tools with what a client is told of them, and serving them on stdin and stdout."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib import metadata
from typing import Any

import anyio
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.server.stdio import stdio_server
from mcp_types import CallToolResult, InputRequiredResult, ToolAnnotations

from wtname.display import visible
from wtname.models import TRIAL
from wtname.namer import Namer
from wtname.serving import tools
from wtname.serving.arguments import checked
from wtname.serving.roots import Limit
from wtname.serving.session import State, drop_strange_roots
from wtname.serving.wire import Mended

_INSTRUCTIONS = """\
Names for git branches from a task in plain words, and worktrees to go with them, offline. Before you start on a task
that deserves a branch of its own, call create_worktree with the user's words and work in the folder that it returns.
Where you are in a worktree already, on a branch that says nothing, call rename_branch once the task is clear."""
_NOTHING = "nothing was done; call again, or let the user do it on the command line"


def serve(namer: Namer, limit: Limit) -> None:
    """Serve one client on stdin and stdout until it goes."""
    logging.basicConfig(level=logging.ERROR, format="wtname: %(message)s")  # on stderr, and before the SDK does it
    make(namer, limit).run()


class Server(MCPServer[State]):
    """The SDK's server, with lines that it cannot read answered, and errors of one line."""

    def __init__(
        self, known: list[Tool], lifespan: Callable[[MCPServer[State]], AbstractAsyncContextManager[State]]
    ) -> None:
        try:
            version = metadata.version("wtname")
        except metadata.PackageNotFoundError:
            version = ""
        super().__init__(
            "wtname",
            title="wtname",
            version=version,
            instructions=_INSTRUCTIONS,
            log_level="ERROR",
            tools=known,
            lifespan=lifespan,
            middleware=[drop_strange_roots],
        )
        self._known = {one.name: one for one in known}

    async def run_stdio_async(self) -> None:
        """Serve on stdin and stdout, with the client's lines mended."""
        served = self._lowlevel_server
        async with stdio_server() as (lines, answers):
            try:
                await served.run(Mended(lines, answers), answers, served.create_initialization_options())
            except anyio.get_cancelled_exc_class():
                # Nobody reads our answers any more. Nothing is at work, but who waits for stdin cannot be woken.
                os._exit(1)

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[State, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """What a tool answers. Raises ToolError with one line: what failed; what to do."""
        if name not in self._known:
            raise ToolError(f"there is no tool {visible(name)!r}; take one of {', '.join(self._known)}")
        given = checked(self._known[name], arguments)
        try:
            return await super().call_tool(name, given, context)
        except MCPError as error:
            raise ToolError(f"the client cannot ask its user: {visible(str(error))}, so {_NOTHING}") from error
        except ToolError as error:
            if not isinstance(error.__cause__, ToolError):  # a bug of ours
                raise
            raise ToolError(_plain(error.__cause__)) from error


def _plain(error: ToolError) -> str:
    if str(error).startswith("Resolver "):  # the SDK, on a client that answers something else than it was asked
        return f"the client's answer is neither yes nor no, so {_NOTHING}"
    return str(error)


def make(namer: Namer, limit: Limit) -> Server:
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

    return Server(_tools(), lifespan)


def _tools() -> list[Tool]:
    """The tools, and what a client may rely on with each."""
    return [
        _tool(tools.suggest_branch_name, "Suggest a branch name", reads=True, destroys=False, same=True),
        # It may fetch from a remote, and the commands for new worktrees reach wherever they like.
        _tool(tools.create_worktree, "Create a worktree", reads=False, destroys=False, same=False, reaches=True),
        # The old name is gone afterwards: that is no addition, although `undo` takes it back.
        _tool(tools.rename_branch, "Rename a branch", reads=False, destroys=True, same=True),
        _tool(tools.list_worktrees, "List worktrees", reads=True, destroys=False, same=True),
        # Once it is gone, the end of its name may mean another one.
        _tool(tools.remove_worktree, "Remove a worktree", reads=False, destroys=True, same=False),
    ]


def _tool(
    act: Callable[..., Any], title: str, *, reads: bool, destroys: bool, same: bool, reaches: bool = False
) -> Tool:
    annotations = ToolAnnotations(
        title=title,
        read_only_hint=reads,
        destructive_hint=destroys,
        idempotent_hint=same,
        open_world_hint=reaches,
    )
    # The docstring is one paragraph, whose line breaks and indentation are the source's.
    tool = Tool.from_function(act, description=" ".join((act.__doc__ or "").split()), annotations=annotations)
    tool.parameters["additionalProperties"] = False
    return tool


async def _listen(work: anyio.CancelScope, told: list[int]) -> None:
    """End all work where a signal tells us to end; a second one does not wait for that."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup ignores it
        numbers.append(signal.SIGHUP)
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
