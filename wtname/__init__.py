"""A task in words becomes a git branch name and a worktree, offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wtname.library import Suggestion, suggest, suggestions

__all__ = ["Suggestion", "suggest", "suggestions"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from wtname import library  # not before it is asked for: a command pays for what it uses

    return getattr(library, name)
