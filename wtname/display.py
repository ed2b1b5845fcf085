"""Text for a terminal: what others wrote is shown and never obeyed, and fits its columns."""

from __future__ import annotations

import unicodedata

_ELLIPSIS = "…"
# Joiners that scripts and emoji need; every other invisible character can make a line read as something else.
_JOINERS = "\u200c\u200d"


def visible(text: str) -> str:
    r"""The text with control and invisible characters as escapes: \x1b for what would start a terminal's commands."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char if _is_plain(char) else _escape(char) for char in text)


def _is_plain(char: str) -> bool:
    return unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp") or char in _JOINERS


def _escape(char: str) -> str:
    if 0xDC80 <= (code := ord(char)) <= 0xDCFF:  # a byte of a path that is no text
        return f"\\x{code - 0xDC00:02x}"
    return char.encode("unicode-escape").decode()


def width(text: str) -> int:
    """How many columns a terminal needs for it."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int, *, left: bool = False) -> str:
    """The text within so many columns, an ellipsis for what is cut off at the right or the left."""
    if width(text) <= columns:
        return text
    kept, room = "", columns - 1
    for char in reversed(text) if left else text:
        room -= _width(char)
        if room < 0:
            break
        kept += char
    if columns < 1:
        return ""
    return _ELLIPSIS + kept[::-1] if left else kept.rstrip() + _ELLIPSIS


def pad(text: str, columns: int, *, left: bool = False) -> str:
    """The text with blanks up to so many columns, before it or behind it."""
    blanks = " " * (columns - width(text))
    return blanks + text if left else text + blanks
