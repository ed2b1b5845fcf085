"""The shape of a branch's name: which of its parts is a type, a user, a ticket, and which are words."""

from __future__ import annotations

import re
from typing import NamedTuple

# Words that teams write for our types; the first ones mean the same, those after the bar a part of it.
_WORDS = {
    "feat": "feat feature features feats | enhancement enhance improvement improve perf",
    "fix": "fix bugfix bug fixes bugs bugfixes | hotfix hotfixes security",
    "refactor": "refactor refactoring refactors | cleanup",
    "docs": "docs doc documentation",
    "chore": "chore chores | ci build deps dependencies infra tooling",
    "test": "test tests testing",
    "style": "style styles | format lint",
}
TYPE_OF = {word: kind for kind, words in _WORDS.items() for word in words.split() if word != "|"}
SAME_AS = {word: kind for kind, words in _WORDS.items() for word in words.split("|")[0].split()}

_JIRA = r"[A-Z][A-Z0-9]{1,9}-\d{1,6}"
_NUMBER = r"#?\d{1,6}"
_DATE = r"\d{4}-\d\d-\d\d"
_HEAD_TICKET = re.compile(rf"{_JIRA}|{_NUMBER}")
_HEAD_DATE = re.compile(_DATE)
_TICKET = re.compile(rf"((?:{_JIRA})(?=[-_]|\Z)|#\d{{1,6}}(?=[-_]|\Z)|(?!{_DATE})\d{{1,6}}(?=[-_]))([-_]?)")
_LOWER_TICKET = re.compile(r"(([a-z][a-z0-9]{1,9})-\d{1,6})(?=[-_]|\Z)([-_]?)")
_ISSUE = re.compile(r"((?:issue|gh|ticket|task)[-_])(\d{1,6})(?=[-_]|\Z)([-_]?)", re.I)
_LEAF_DATE = re.compile(rf"({_DATE})([-_])")
_WORD = re.compile(r"([A-Za-z][A-Za-z0-9.]*)([-_])(?=.)")
_LAST_TICKET = re.compile(rf"(.+?)([-_])({_JIRA}|#\d{{1,6}})\Z")
_PLAIN_WORDS = re.compile(r"[a-z0-9.]+(?:[-_][a-z0-9.]+)*")
_SEVERAL = re.compile(r"[-_]")

ONE_WORD = "(one word)"


class Known(NamedTuple):
    """What the names around one tell: handles of people, prefixes in frequent use, keys of a tracker, in lower case."""

    users: frozenset[str] = frozenset()
    prefixes: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()


class Shape(NamedTuple):
    """A name's template, as `{type}/{slug}`, and what stands in it. `loose` is the template where a leading word is
    one of the slug's words (`fix-login` is a type and a word, or just two words). Both are empty for a name that is
    like nothing."""

    template: str = ""
    loose: str = ""
    type: str = ""
    user: str = ""
    ticket: str = ""
    slug: str = ""


def shape(name: str, known: Known) -> Shape:
    """The shape of a name."""
    *heads, leaf = name.split("/")
    pattern: list[str] = []
    found: dict[str, str] = {}
    while heads:
        field = _head_field(heads[0], known, found)
        if not field and (found or heads[0].lower() not in known.prefixes):
            break
        head = heads.pop(0)
        pattern.append((f"{{{field}}}" if field else head) + "/")
        if field:
            found[field] = head
    if heads:  # an area within a type or a user's work is a word like others
        return Shape() if not found else _made(pattern, pattern, found, "/".join([*heads, leaf]))
    return _leaf(leaf, known, pattern, found)


def _head_field(head: str, known: Known, found: dict[str, str]) -> str:
    fields = {
        "type": head.lower() in TYPE_OF,
        "user": head.lower() in known.users,
        "ticket": _HEAD_TICKET.fullmatch(head) is not None,
        "date": _HEAD_DATE.fullmatch(head) is not None,
    }
    return next((field for field, fits in fields.items() if fits and field not in found), "")


def _leaf(leaf: str, known: Known, pattern: list[str], found: dict[str, str]) -> Shape:
    firm, rest, words = list(pattern), leaf, leaf
    while rest:
        if "date" not in found and (match := _LEAF_DATE.match(rest)):
            piece, field, value, certain = "{date}" + match[2], "date", match[1], True
        elif "ticket" not in found and (match := _ISSUE.match(rest)):
            piece, field, value, certain = f"{match[1].lower()}{{ticket}}{match[3]}", "ticket", match[2], True
        elif "ticket" not in found and (match := _ticket(rest, known)):
            piece, field, value, certain = "{ticket}" + match[match.re.groups], "ticket", match[1], True
        elif not (match := _WORD.match(rest)):
            break
        else:
            word, field = match[1].lower(), _leaf_field(match[1].lower(), known, found)
            if not field and (word not in known.prefixes or firm or found):
                break
            piece, value, certain = (f"{{{field}}}" if field else match[1]) + match[2], match[1], not field
        pattern = [*pattern, piece]
        rest = rest[match.end() :]
        if field:
            found[field] = value
        if certain:
            firm, words = pattern, rest
    tail = _LAST_TICKET.fullmatch(rest) if "ticket" not in found else None
    if tail:
        found["ticket"] = tail[3]
        end = f"{tail[2]}{{ticket}}"
        return _made(pattern, firm, found, tail[1], end)
    if not pattern and not _PLAIN_WORDS.fullmatch(leaf):
        return Shape()
    if not firm and not _SEVERAL.search(words):
        return Shape(ONE_WORD, "{slug}", slug=leaf)
    return _made(pattern, firm, found, rest)


def _leaf_field(word: str, known: Known, found: dict[str, str]) -> str:
    if "type" not in found and word in TYPE_OF:
        return "type"
    return "user" if "user" not in found and len(word) > 2 and word in known.users else ""


def _ticket(rest: str, known: Known) -> re.Match[str] | None:
    if match := _TICKET.match(rest):
        return match
    match = _LOWER_TICKET.match(rest)
    return match if match and match[2] in known.keys else None


def _made(pattern: list[str], firm: list[str], found: dict[str, str], slug: str, end: str = "") -> Shape:
    def join(pieces: list[str]) -> str:
        text = "".join(pieces)
        return text + ("{slug}" if not text or text[-1] in "-_/" else "-{slug}") + end

    kept = {field: found.get(field, "") for field in ("type", "user", "ticket")}
    return Shape(join(pattern), join(firm), slug=slug, **kept)
