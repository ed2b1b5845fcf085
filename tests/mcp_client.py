"""A client of the SDK's that talks to `wtname mcp`, started as a process, over pipes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
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
        return ListRootsResult(roots=[Root(uri=uri) for uri in roots or []])

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
