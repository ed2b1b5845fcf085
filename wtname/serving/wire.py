"""What comes in from a client that is no message to the SDK: it says nothing, and who asked would wait for ever."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, jsonrpc_message_adapter
from pydantic import ValidationError

if TYPE_CHECKING:
    from mcp.shared._stream_protocols import ReadStream, WriteStream

Item = SessionMessage | Exception


class Mended:
    """The client's messages. Half an emoji, as JavaScript makes it by cutting a text, becomes U+FFFD; what is still no
    message is answered with an error."""

    def __init__(self, lines: ReadStream[Item], answers: WriteStream[SessionMessage]) -> None:
        self._lines, self._answers = lines, answers

    async def receive(self) -> Item:
        while isinstance(item := await self._lines.receive(), ValidationError):
            told = _told(item)
            if mended := _message(told):
                return SessionMessage(mended)
            for answer in _errors(told):
                await self._answers.send(SessionMessage(answer))
        return item

    def __aiter__(self) -> Mended:
        return self

    async def __anext__(self) -> Item:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def aclose(self) -> None:
        await self._lines.aclose()

    async def __aenter__(self) -> Mended:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        await self.aclose()


def _told(error: ValidationError) -> object:
    """The line that the SDK could not read, as JSON where it is some; the text else."""
    found = (one for one in error.errors(include_url=False) if len(one["loc"]) < 3)
    told: object = next((one["input"] for one in found if one["type"] in ("json_invalid", "model_type", "missing")), "")
    try:
        return json.loads(told) if isinstance(told, str) else told
    except (ValueError, RecursionError):
        return told


def _message(told: object) -> JSONRPCMessage | None:
    if not isinstance(told, dict):
        return None
    # To UTF-16 and back, what is half a character cannot stay.
    halves = json.dumps(told, ensure_ascii=False).encode("utf-16-le", "surrogatepass")
    try:
        return jsonrpc_message_adapter.validate_json(halves.decode("utf-16-le", "replace"), by_name=False)
    except ValidationError:
        return None


def _errors(told: object) -> Iterator[JSONRPCError]:
    """What is answered: an error for each request that is none, and nothing to what was an answer itself."""
    if isinstance(told, str):
        if told.strip():
            yield _error({}, PARSE_ERROR, "a line is no JSON; send one message a line")
        return
    for one in told if isinstance(told, list) and told else [told]:
        said = one if isinstance(one, dict) else {}
        if not said.keys() & {"result", "error"}:
            yield _error(said, INVALID_REQUEST, "a line is no message of JSON-RPC 2.0; send one message a line")


def _error(said: dict[str, object], code: int, why: str) -> JSONRPCError:
    number = said.get("id")
    known = "method" in said and isinstance(number, (int, str)) and not isinstance(number, bool)
    return JSONRPCError.model_validate(
        {"jsonrpc": "2.0", "id": number if known else None, "error": ErrorData(code=code, message=why)}
    )
