"""The names that Claude Code gives to its worktrees: which ones nobody chose, and what git can take of them. Pure."""

from __future__ import annotations

import re

from wtname.generic import is_generic

MAX = 64  # characters of a name; Claude Code refuses more
_MACHINE = re.compile(r"(?:agent|bridge)-[\w-]+\Z")


def is_generated(name: str) -> bool:
    """Whether Claude Code made this name up: random words, or the id of an agent."""
    if not name or _MACHINE.match(name):
        return True
    return is_generic(name) or is_generic("worktree-" + name)


def plain(name: object) -> str:
    """What of a name may stand in a branch's: letters, digits, dots, dashes and underscores, in parts with slashes
    between; nothing where nothing is left."""
    if not isinstance(name, str):
        return ""
    from wtname.naming import to_ascii

    parts = []
    for part in to_ascii(name[: 4 * MAX]).split("/"):
        part = re.sub(r"[^A-Za-z0-9_.-]+", "-", part)
        part = re.sub(r"\.{2,}|\.lock\b", "-", part).strip("-.")
        if part:
            parts.append(part)
    return "/".join(parts)[:MAX].strip("-./")


def flat(name: str) -> str:
    """The name as Claude Code writes it where no slash may stand."""
    return name.replace("/", "+")
