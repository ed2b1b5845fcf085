"""What every tool begins with: the server's state, and the limit that the client's roots set."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import ListRoots, Resolve
from mcp_types import ListRootsResult
from pydantic import Field

from wtname.namer import Namer
from wtname.serving.roots import Limit, path_of


class State(NamedTuple):
    """What the server has as long as it runs: the namer, and the limit for clients that give no roots."""

    namer: Namer
    limit: Limit


def ask_roots(ctx: Context[Any, Any]) -> ListRoots | None:
    """The client's roots, asked for with every call: they may have changed."""
    able = ctx.client_capabilities
    return ListRoots() if able and able.roots is not None else None


Roots = Annotated[ListRootsResult | None, Resolve(ask_roots)]
Folder = Annotated[
    str, Field(description="a folder in the git repository; left out: the folder that is open in the client")
]


def state(ctx: Context[Any, Any]) -> State:
    """The server's state."""
    found = ctx.request_context.lifespan_context
    assert isinstance(found, State)
    return found


def limit(ctx: Context[Any, Any], roots: ListRootsResult | None) -> Limit:
    """Where the client lets us work."""
    if roots is None:
        return state(ctx).limit
    paths = (path_of(str(root.uri)) for root in roots.roots)
    return Limit([path for path in paths if path], "the client's roots")
