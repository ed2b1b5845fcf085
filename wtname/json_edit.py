"""Change JSON where it is to change and leave the rest of its text as somebody wrote it. Pure: text in, text out.

Every text that goes in has to be JSON already; a place (`at`) is where an object or an array begins in it.
"""

from __future__ import annotations

import json
import re
from typing import NamedTuple

_DECODER = json.JSONDecoder()
_BLANK = re.compile(r"[ \t\r\n]*")


class Part(NamedTuple):
    """A member of an object, or an item of an array, which has no key: where it starts, and its value from - to."""

    key: str
    start: int
    value: int
    end: int


def root(text: str) -> int:
    """Where the document begins."""
    return _skip(text, 0)


def parts(text: str, at: int) -> list[Part]:
    """The members or items."""
    found = []
    i = _skip(text, at + 1)
    while text[i] not in "}]":
        start, key = i, ""
        if text[at] == "{":
            key, i = _DECODER.raw_decode(text, i)
            i = _skip(text, _skip(text, i) + 1)  # the colon
        _, end = _DECODER.raw_decode(text, i)
        found.append(Part(key, start, i, end))
        i = _skip(text, end)
        if text[i] == ",":
            i = _skip(text, i + 1)
    return found


def member(text: str, at: int, key: str) -> Part | None:
    """The member of this name; of several the last, as everybody reads it."""
    return next((part for part in reversed(parts(text, at)) if part.key == key), None)


def append(text: str, at: int, value: object, key: str | None = None) -> str:
    """The text with one more at the end, written like those before it."""
    known = parts(text, at)
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    if known:
        before = text[_behind(text, known[-1].start) : known[-1].start] or " " * (len(known) == 1)
        return _put(text, known[-1].end, known[-1].end, "," + before + name + _write(text, value, before))
    outer = _indent(text, at)
    before = _newline(text) + outer + _unit(text)
    end = _skip(text, at + 1)
    return _put(text, at + 1, end, before + name + _write(text, value, before) + _newline(text) + outer)


def replace(text: str, part: Part, value: object) -> str:
    """The text with another value in this place."""
    before = _newline(text) + _indent(text, part.start) if "\n" in text[part.value : part.end] else ""
    return _put(text, part.value, part.end, _write(text, value, before))


def remove(text: str, at: int, part: Part) -> str:
    """The text without this member or item."""
    known = parts(text, at)
    i = known.index(part)
    if len(known) == 1:
        return _put(text, at + 1, _skip(text, part.end), "")
    if i:
        return _put(text, known[i - 1].end, part.end, "")
    return _put(text, part.start, known[1].start, "")


def _put(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]


def _behind(text: str, at: int) -> int:
    """Where the blanks before a place begin."""
    return len(text[:at].rstrip(" \t\r\n"))


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _indent(text: str, at: int) -> str:
    """How far the line of a place is indented."""
    line = text.rfind("\n", 0, at) + 1
    return re.match(r"[ \t]*", text[line:at])[0]  # type: ignore[index]


def _unit(text: str) -> str:
    found = re.search(r"\n([ \t]+)\S", text)
    return found[1] if found else "  "


def _write(text: str, value: object, before: str) -> str:
    """A value as JSON: over several lines where what stands `before` it begins a line."""
    if "\n" not in before:
        return json.dumps(value, ensure_ascii=False)
    written = json.dumps(value, ensure_ascii=False, indent=_unit(text))
    return written.replace("\n", _newline(text) + before.rpartition("\n")[2])
