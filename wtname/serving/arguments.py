"""What a client passes to a tool: what is wrong with it, in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError

from wtname.display import cut, visible

_WIDTH = 80  # of a value that is shown
_KINDS = {"string": "text", "boolean": "true or false"}


def checked(tool: Tool, given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without those that are null and may be left out. Raises ToolError where one is wrong, or the tool
    has none of that name."""
    known, needed = tool.parameters["properties"], tool.parameters.get("required", [])
    for name in given:
        if name not in known:
            raise ToolError(f"{_short(name)} is no argument of {tool.name}; it takes {', '.join(known)}")
    kept = {name: value for name, value in given.items() if value is not None or name in needed}
    try:
        tool.fn_metadata.validate_arguments(kept)
    except ValidationError as error:
        raise ToolError(_complaint(tool, error)) from None
    return kept


def _complaint(tool: Tool, error: ValidationError) -> str:
    """What is wrong with the first argument that is, and what to give instead."""
    wrong = error.errors(include_url=False, include_context=False)[0]
    name = str(wrong["loc"][0])
    is_what = "missing" if wrong["type"] == "missing" else _short(json.dumps(wrong["input"], ensure_ascii=False))
    return f"{name} is {is_what}; give {_kind(tool.parameters['properties'][name])}"


def _kind(schema: Mapping[str, Any]) -> str:
    if schema["type"] == "integer":
        return f"a whole number from {schema['minimum']} to {schema['maximum']}"
    return _KINDS[schema["type"]]


def _short(text: str) -> str:
    return cut(visible(text), _WIDTH)
