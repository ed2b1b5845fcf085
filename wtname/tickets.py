"""The ticket that a task belongs to: given, or found in the prompt, in a name, in the current branch."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable

from wtname import naming
from wtname.errors import WtnameError
from wtname.settings import Settings
from wtname.template import asks_for, is_legal

# Patterns as text: nearly every run needs none of them, and compiling takes its time.
# A branch says it in another way than prose: feature/PROJ-12-retry, 12-retry, issue-12/retry; but not 2026-01-02-retry.
_IN_BRANCH = (
    r"(?<![A-Za-z0-9])([A-Z][A-Z0-9]{1,9}-\d{1,6})(?![A-Za-z0-9])"
    r"|(?:\A|/)#?(?:(?:issues?|gh|bug|ticket)[-_/#]+)?(?!\d{4}-\d\d-\d\d)(\d{1,6})(?=[-_/]|\Z)"
)
_SEEN = 2_000  # characters of a prompt that the user's pattern sees, in pieces of so many:
_PIECE = 200
_SECONDS = 1.0
# Two loops over single characters and few alternatives: on one piece, that ends in milliseconds.
_LOOPS = r"[*+?{]"
_HARMLESS = r"\(\?(?:[:=!]|<[=!]|i\))"
_HARD = r"\)[*+?{]|\\[1-9]|\|(?:[^|]*\|){3}"
_CHILD = """
import json, re, sys, warnings
warnings.simplefilter("ignore")
pattern, pieces = json.load(sys.stdin)
for found in filter(None, (re.search(pattern, piece) for piece in pieces)):
    print(json.dumps(next(filter(None, found.groups()), found[0])))
    break
"""


def choose(chosen: Settings, given: str | None, prompt: str, branches: Iterable[str] = ()) -> str:
    """The ticket that was given, else the prompt's, else that of a branch; the latter only for a template with
    {ticket}, and so is wtname.ticket. Nothing where there is none.

    Raises WtnameError where git would not have it in a branch's name, and where wtname.ticket is no pattern.
    """
    if given:
        if not is_legal(given):
            raise WtnameError(
                f"--ticket {given!r} cannot stand in a branch's name; pass it without spaces and ~^:?*[\\"
            )
        return given
    if not asks_for("ticket", chosen.template):
        return next(iter(naming.clean(prompt).tickets), "")
    found = search(chosen.ticket, prompt) if chosen.ticket else next(iter(naming.clean(prompt).tickets), "")
    for branch in branches:
        found = found or (search(chosen.ticket, branch) if chosen.ticket else of_branch(branch))
    return found


def of_branch(branch: str) -> str:
    """The ticket in a branch's name, as PROJ-12 or as a number that leads; nothing where there is none."""
    found = re.search(_IN_BRANCH, branch)
    return found[1] or found[2] if found else ""


def search(pattern: str, text: str) -> str:
    """What the user's pattern finds in the beginning of a text: its first group that took part, else all of it.

    The pattern may come from a repository that is not to be trusted, and Python cannot stop a search that backtracks
    for years: one that could is searched for in a process of its own, which can be stopped.
    """
    pieces = re.findall(r"[^\n]{1,%d}(?!\S)|[^\n]{1,%d}" % (_PIECE, _PIECE), text[:_SEEN])
    compiled = _compile(pattern)
    if _is_quick(pattern):
        matches = filter(None, map(compiled.search, pieces))
        found = next((next(filter(None, match.groups()), match[0]) for match in matches), "")
    else:
        found = _search_elsewhere(pattern, pieces)
    return found if is_legal(found) else re.sub(r"[^\w#+=]+", "-", found).strip("-")


def _compile(pattern: str) -> re.Pattern[str]:
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise WtnameError(f"wtname.ticket is no pattern: {error}; set it to one such as [A-Z]+-[0-9]+") from error


def _is_quick(pattern: str) -> bool:
    bare = re.sub(_HARMLESS, "(", pattern)
    return len(re.findall(_LOOPS, bare)) <= 2 and not re.search(_HARD, bare)


def _search_elsewhere(pattern: str, pieces: list[str]) -> str:
    import json

    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD],
            input=json.dumps([pattern, pieces]).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise WtnameError(f"wtname.ticket searches for more than {_SECONDS:g} s; make it simpler") from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise WtnameError(f"cannot search for wtname.ticket ({error}); make it simpler") from error
    return str(json.loads(done.stdout)) if done.stdout else ""
