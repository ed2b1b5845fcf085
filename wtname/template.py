"""From a name to a branch: the template, what stands in its fields, and how long the outcome may be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from wtname.errors import WtnameError
from wtname.naming import MAX_NAME, TYPES

FIELDS = ("name", "type", "slug", "ticket", "user", "date")
MAX_LENGTH = 63  # a label of DNS: previews are served at <branch>.example.org
_MAX_BYTES = 250  # a file name's 255, less git's ".lock"
# Windows ends a path at 260; a worktree's folder leaves its files 120 of them, unless its own parent takes so much
# that no name would be left. A folder itself has to stay below 248.
_WINDOWS_FOLDER = 140
_WINDOWS_LEAST = 24
_WINDOWS_MOST = 247

_FIELD = re.compile(r"\{(\w*)\}")
_SEPARATOR = r"[-_/.+]"
_LAST_WORD = rf"{_SEPARATOR}+[^-_/.+]+\Z"
_ILLEGAL = r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?=/|\Z)|\A[-/.]|[/.]\Z"


class Fields(NamedTuple):
    """What stands in a template's fields, the name aside. `types` are the team's words for our types."""

    ticket: str = ""
    user: str = ""
    date: str = ""
    types: Mapping[str, str] = {}


def is_legal(part: str) -> bool:
    """Whether git takes this as a part of a branch's name."""
    return not re.search(_ILLEGAL, part)


def asks_for(field: str, template: str) -> bool:
    """Whether a template has this field."""
    return field in _FIELD.findall(template)


def without_empty(template: str, values: Mapping[str, str]) -> str:
    """The template without the fields that are empty, and without their separators."""
    for field, value in values.items():
        if not value:
            hole = re.escape("{%s}" % field)
            template, closed = re.subn(rf"{hole}{_SEPARATOR}+", "", template)
            if not closed:
                template = re.sub(rf"{_SEPARATOR}*{hole}", "", template)
    return template


def branches(
    template: str, name: str, fields: Fields, excess: Callable[[str], str | None] = lambda branch: None
) -> Iterator[tuple[str, str]]:
    """The name and the branch that the template makes of it, then both with -2, -3, ... They lose words at the end for
    as long as `excess` has something against the branch.

    An empty field takes the separator after it along, or the one before it. What the template says already is not said
    again: its prefix, the ticket, a type in the team's own word.

    Raises WtnameError where the template has an unknown field, or neither {name} nor {slug}, and where not even the
    type and one word pass.
    """
    asked = _FIELD.findall(template)
    if unknown := [f for f in asked if f not in FIELDS]:
        raise WtnameError(f"template {template!r} has an unknown field {{{unknown[0]}}}; use {', '.join(FIELDS)}")
    if not {"name", "slug"} & set(asked):
        raise WtnameError(f"template {template!r} gives every task the same branch; put {{name}} or {{slug}} in")
    kind, slug = _parts(_without_prefix(name, template, fields), fields.types)
    if fields.ticket and "ticket" in asked:
        slug = _without_ticket(slug, fields.ticket)
    longest = max(MAX_NAME, len(name))
    seen: set[str] = set()
    for number in itertools.count(1):
        suffix, body = f"-{number}" if number > 1 else "", slug
        while True:
            words = body + suffix if body else suffix[1:]
            made, branch = _join(kind, words), _fill(template, kind, words, fields)
            why = excess(branch)
            if not (why or len(made) > longest) or (shorter := re.sub(_LAST_WORD, "", body)) in ("", body):
                break
            body = shorter
        if why:
            raise WtnameError(f"no branch like {branch!r} can be made: {why}")
        if branch not in seen:  # fix-a-2, cut and numbered, may be fix-a-2 once more
            seen.add(branch)
            yield made, branch


def excess(branch: str, maxlength: int = MAX_LENGTH) -> str | None:
    """What is to be done about a branch that is too long, or None. `maxlength` 0 leaves only what git can store."""
    if maxlength and len(branch) > maxlength:
        return f"it has {len(branch)} characters, and wtname.maxlength is {maxlength}; set it higher or 0, for no limit"
    if len(branch.encode("utf-8", "surrogatepass")) > _MAX_BYTES:
        return f"it is longer than a file name may be ({_MAX_BYTES} bytes); shorten it or wtname.template"
    return None


def folder_excess(folder: str, branch: str, platform: str) -> str | None:
    """What is to be done about a worktree's folder in which no files could be made, or None."""
    if platform != "win32":
        return None
    length = _units(folder)
    parent = length - _units(branch)
    limit = min(max(_WINDOWS_FOLDER, parent + _WINDOWS_LEAST), _WINDOWS_MOST)
    if length <= limit:
        return None
    return f"its folder would have {length} characters, {limit} are left by Windows; set wtname.path to a shorter one"


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _join(kind: str, slug: str) -> str:
    return "-".join(filter(None, (kind, slug)))


def _fill(template: str, kind: str, slug: str, fields: Fields) -> str:
    word = fields.types.get(kind, kind)
    values = _values(fields) | {"name": _join(word, slug), "type": word, "slug": slug}
    return _FIELD.sub(lambda m: values[m[1]], without_empty(template, values))


def _values(fields: Fields) -> dict[str, str]:
    return {"ticket": fields.ticket, "user": fields.user, "date": fields.date}


def _parts(name: str, types: Mapping[str, str]) -> tuple[str, str]:
    """The type that a name begins with, in our word or the team's, and the rest; no type where there is none."""
    words = [(types[kind], kind) for kind in TYPES if kind in types] + [(kind, kind) for kind in TYPES]
    for word, kind in words:
        if name.startswith(word) and name[len(word) : len(word) + 1] in ("-", "/") and len(name) > len(word) + 1:
            return kind, name[len(word) + 1 :]
    return "", name


def _without_prefix(name: str, template: str, fields: Fields) -> str:
    """A name that somebody wrote with the template's prefix, or with its beginning, without it."""
    values = _values(fields)
    head = re.split(r"\{(?:name|type|slug)\}", without_empty(template, values))[0]
    for piece in reversed(list(re.finditer(r"[^{}]+", head))):
        prefix = _FIELD.sub(lambda m: values[m[1]], head[: piece.end()])
        if not prefix[-1].isalnum() and name.lower().startswith(prefix.lower()) and len(name) > len(prefix):
            return name[len(prefix) :]
    return name


def _without_ticket(slug: str, ticket: str) -> str:
    # A bare number may be any number, unless it leads.
    before = r"\A" if ticket.isdigit() else rf"(?:\A|{_SEPARATOR})"
    found = re.sub(rf"{before}{re.escape(ticket)}(?={_SEPARATOR}|\Z)", "", slug, flags=re.I)
    return re.sub(rf"\A{_SEPARATOR}+", "", found) if found != slug else slug
