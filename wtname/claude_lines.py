"""A hook's command line: whether it calls wtname and nothing else, and which part of it is the program. Pure.

What a shell makes of a line is more than is read here; a line that may run something else is somebody's.
"""

from __future__ import annotations

import re
import shlex
from typing import NamedTuple

_BLANK = r"(?:[ \t]|\\\r?\n)"
_VARIABLE = r"\$(?:\w+|\{\w+\})"
_WORD = rf"""(?:[^\s'"\\$`;&|<>()]|'[^']*'|"(?:[^"\\$`]|\\.|{_VARIABLE})*"|\\[^\r\n]|{_VARIABLE})+"""
_ASSIGNED = r"[A-Za-z_]\w*="
_REDIRECTION = rf"{_BLANK}*(?:(?<=\s)\d+)?(?:&>>?|>>|>\||>&|<&|<>|>|<){_BLANK}*{_WORD}"
_LINE = re.compile(
    rf"\s*(?:&[ \t]+)?(?:{_ASSIGNED}(?:{_WORD})?{_BLANK}+)*"  # the & is PowerShell's
    rf"(?P<program>(?!\#|{_ASSIGNED})(?P<word>{_WORD})(?P<module>{_BLANK}+-m{_BLANK}+wtname)?)"
    rf"{_BLANK}+hook{_BLANK}+(?P<event>[a-z-]+)(?:{_REDIRECTION})*\s*(?:[;&]\s*)?(?:(?<=[\s;&])#.*(?:\n\s*)?)?\Z"
)
_PROGRAM = re.compile(r"(?:.*[/\\])?wtname(?:\.exe)?", re.S)
_PYTHON = re.compile(r"(?:.*[/\\])?(?:py|(?:python|pypy)[\w.-]*)(?:\.exe)?", re.S | re.I)
_MODULE = ["-m", "wtname"]
# What is no call: a comment (what is quoted is none), and what is only said.
_COMMENT = re.compile(r"""('[^']*'|"(?:\\.|[^"\\])*"|\\.)|(?<![^\s;&|(])#[^\n]*""", re.S)
_SAID = re.compile(r"(?<![\w-])(?:echo|printf)\b[^;&|\n$`]*")


class Line(NamedTuple):
    """A line that is wholly ours: what stands before the program, the program as a shell reads it, and the rest."""

    before: str
    program: str
    after: str

    @property
    def words(self) -> list[str]:
        """The program's words, as far as they hold no variables."""
        return shlex.split(self.program)


def ours(line: str, event: str) -> Line | None:
    """The parts of a line that calls `wtname hook EVENT` and nothing else; None where it does more or something else.
    Variables that are set for it and redirections run nothing."""
    found = _LINE.match(line)
    if not found or found["event"] != event:
        return None
    if not is_wtname([re.sub("[\"']", "", found["word"]), *(_MODULE if found["module"] else [])]):
        return None
    start, end = found.span("program")
    return Line(line[:start], line[start:end], line[end:])


def is_wtname(words: list[str]) -> bool:
    """Whether these words run wtname, wherever it is, or a Python that has it."""
    if words[1:] == _MODULE:
        return _PYTHON.fullmatch(words[0]) is not None
    return len(words) == 1 and _PROGRAM.fullmatch(words[0]) is not None


def calls(line: str, event: str) -> bool:
    """Whether a line, whatever else it does, calls `wtname hook EVENT`."""
    line = _SAID.sub("", _COMMENT.sub(r"\1", line))
    called = rf"(?:\A|[\s/\\\"'`;&|(){{}}])wtname(?:\.exe)?[\"']?{_BLANK}+hook{_BLANK}+[\"']?{event}(?![\w-])"
    return re.search(called, line) is not None
