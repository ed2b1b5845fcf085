"""What every tool begins with: the server's state, and the limit that the client's roots set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from mcp import MCPError
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import ListRoots, Resolve
from mcp.shared.message import ServerMessageMetadata
from mcp_types import METHOD_NOT_FOUND, ListRootsRequest, ListRootsResult, Root
from pydantic import Field, ValidationError, field_validator

from wtname.namer import Namer
from wtname.serving.roots import Limit, path_of

_PATIENCE = 5.0  # seconds for a client to say what its roots are


class State(NamedTuple):
    """What the server has as long as it runs: the namer, and the limit for clients that give no roots."""

    namer: Namer
    limit: Limit


def _files(roots: object) -> object:
    """The roots that are files; for a single one that is none, the SDK would refuse the whole answer."""
    return [one for one in roots if _is_file(one)] if isinstance(roots, list) else roots


def _is_file(root: object) -> bool:
    try:
        Root.model_validate(root)
    except ValidationError:
        return False
    return True


class Files(ListRootsResult):
    """A client's roots, without those that are no files."""

    @field_validator("roots", mode="before")
    @classmethod
    def _only(cls, roots: object) -> object:
        return _files(roots)


async def ask_roots(ctx: Context[Any, Any]) -> ListRoots | ListRootsResult | None:
    """The client's roots, asked for with every call: they may have changed. None where it has none to give.

    Raises ToolError where it does not say: the folder that we were started in may be more than it would allow."""
    able = ctx.client_capabilities
    if not able or able.roots is None:
        return None
    if not ctx.session.can_send_request:  # since the protocol of 2026-07-28 the answer comes with another call
        return ListRoots()
    asking = ServerMessageMetadata(related_request_id=ctx.request_id)
    try:
        found: Files = await ctx.session.send_request(ListRootsRequest(), Files, _PATIENCE, asking)
    except MCPError as error:
        if error.code == METHOD_NOT_FOUND:  # it has no roots, whatever it declared
            return None
        raise _silent() from error
    except ValidationError as error:
        raise _silent() from error
    return found


def _silent() -> ToolError:
    return ToolError("the client does not say what its roots are; open a folder in it, and call again")


async def drop_strange_roots(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Take the roots that are no files out of a call which brings the client's answers, before the SDK reads it."""
    answers = (ctx.params or {}).get("inputResponses")
    if ctx.method == "tools/call" and isinstance(answers, Mapping):
        kept = {key: _without_strange(answer) for key, answer in answers.items()}
        ctx = replace(ctx, params={**(ctx.params or {}), "inputResponses": kept})
    return await call_next(ctx)


def _without_strange(answer: object) -> object:
    return {**answer, "roots": _files(answer["roots"])} if isinstance(answer, dict) and "roots" in answer else answer


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
