"""A client of the SDK's that talks to `wtname mcp`, started as a process, over pipes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, snapshot

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, ElicitResult, ListRootsResult, Root

TASK, OTHER = "Fix crash on zero-width columns", "Bump webpack to 5.90.1"
MODES = ["auto", "legacy"]  # the protocol of 2026-07-28, and the handshake of those before it
TOOLS = {
    # reads, destroys, the same when repeated, reaches out
    "suggest_branch_name": (True, False, True, False),
    "create_worktree": (False, False, False, True),
    "rename_branch": (False, True, True, False),
    "list_worktrees": (True, False, True, False),
    "remove_worktree": (False, True, False, False),
}


class Session:
    """A client that talks to `wtname mcp` over pipes."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.progress: list[tuple[float, str | None]] = []

    async def raw(self, tool: str, **arguments: object) -> CallToolResult:
        async def heard(done: float, of: float | None, message: str | None) -> None:
            self.progress.append((done, message))

        return await self.client.call_tool(tool, arguments, progress_callback=heard)

    async def call(self, tool: str, **arguments: object) -> dict[str, Any]:
        done = await self.raw(tool, **arguments)
        assert not done.is_error, done.content
        assert done.structured_content is not None
        assert json.loads(done.content[0].text) == done.structured_content
        return done.structured_content

    async def fail(self, tool: str, **arguments: object) -> str:
        done = await self.raw(tool, **arguments)
        assert done.is_error and len(done.content) == 1, done
        text = done.content[0].text
        assert "Traceback" not in text and str(ROOT) not in text
        return text


def talk(
    act: Callable[[Session], Awaitable[None]],
    cwd: Path,
    *args: str,
    mode: str = "auto",
    roots: list[str] | None = None,
    elicit: Any = None,
    log: Path | None = None,
    before: str = "",
    **env: str,
) -> None:
    """Start the server in a folder and let a client talk to it. `roots` may change meanwhile; `before` is code to run
    in the server first."""
    code = f"{before}\nfrom wtname.cli import main\nmain()"

    async def listed(ctx: object) -> ListRootsResult:
        make = [Root if uri.startswith("file:") else Root.model_construct for uri in roots or []]  # as others do
        return ListRootsResult(roots=[of(uri=uri) for of, uri in zip(make, roots or [], strict=True)])

    async def run() -> None:
        command = StdioServerParameters(
            command=sys.executable, args=["-c", code, "mcp", *args], cwd=cwd, env={**os.environ, **env}
        )
        with open(log or os.devnull, "w") as errors:
            async with Client(
                stdio_client(command, errlog=errors),
                mode=mode,
                list_roots_callback=None if roots is None else listed,
                elicitation_callback=elicit,
            ) as client:
                try:
                    with anyio.fail_after(60):
                        await act(Session(client))
                except Exception as error:  # the client's task groups would wrap it up
                    failed.append(error)

    failed: list[Exception] = []
    anyio.run(run)
    for error in failed:
        raise error


class Wire:
    """A client that says what it likes, line by line."""

    def __init__(self, server: subprocess.Popen[str]) -> None:
        self.server = server

    def say(self, *messages: dict[str, object] | str) -> None:
        """Send messages, or lines as they are."""
        assert self.server.stdin
        for one in messages:
            self.server.stdin.write((one if isinstance(one, str) else json.dumps({"jsonrpc": "2.0", **one})) + "\n")
        self.server.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next message."""
        assert self.server.stdout
        line = self.server.stdout.readline()
        assert line, "the server said no more"
        message: dict[str, Any] = json.loads(line)
        return message

    def call(self, number: int, tool: str, **arguments: object) -> None:
        self.say({"id": number, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})


@contextlib.contextmanager
def wire(cwd: Path, *args: str, **able: object) -> Iterator[Wire]:
    """Start the server in a folder for a client with these capabilities, after the handshake."""
    client = {"protocolVersion": "2025-06-18", "capabilities": able, "clientInfo": {"name": "test", "version": "1"}}
    server = subprocess.Popen(
        [sys.executable, "-m", "wtname", "mcp", *args], cwd=cwd, stdin=-1, stdout=-1, stderr=-1, text=True
    )
    late = threading.Timer(60, server.kill)
    late.start()
    told = Wire(server)
    try:
        told.say({"id": 0, "method": "initialize", "params": client})
        assert told.hear()["id"] == 0
        told.say({"method": "notifications/initialized"})
        yield told
    finally:
        late.cancel()
        server.kill()
        server.communicate()


def answering(*answers: str, asked: list[str] | None = None) -> Any:
    """A human with these answers: yes, no, decline, cancel."""
    left = list(answers)

    async def elicit(ctx: object, params: Any) -> ElicitResult:
        if asked is not None:
            asked.append(params.message)
        answer = left.pop(0)
        if answer in ("yes", "no"):
            return ElicitResult(action="accept", content={"remove": answer == "yes"})
        return ElicitResult(action=answer)  # type: ignore[arg-type]

    return elicit


def state(repo: Path) -> object:
    return snapshot(repo.parent, repo)
