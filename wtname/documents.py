"""What a repository's own documents say about how its branches are called."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wtname.shapes import ONE_WORD, SAME_AS, TYPE_OF, Known, shape

_FOLDERS = ("", ".github", "docs", ".gitlab")
_NAMES = re.compile(r"(?:contributing(?:[-_.]\w+)*|agents\.md|claude\.md)\Z", re.I)
_MOST_FILES = 12
_MOST_BYTES = 64 * 1024
_QUOTE = 160

_BRANCH = re.compile(r"\bbranch(?:es|ing)?\b", re.I)
_NEGATED = re.compile(r"\b(?:not|never|no|don't|avoid|bad|wrong|delete|instead of)\b", re.I)
_HEADING = re.compile(r"\s{0,3}#{1,6}\s+(.*)")
_SPAN = re.compile(r"`([^`\n]{2,120})`|\"([^\"\n]{2,120})\"")
_HOLE = r"<[^<>\n]{1,40}>|\{[^{}\n]{1,40}\}|\[[^\[\]\n]{1,40}\](?!\()|\([^()\n]{1,60}\|[^()\n]{1,60}\)"
_TOKEN = re.compile(rf"(?:{_HOLE}|[\w.#+])(?:{_HOLE}|[\w.#+/-])*")
_COMMAND = re.compile(r"(?:\$\s*)?git\s+(?:checkout\s+-[bB]|switch\s+(?:-c|--create)|branch)\s+(\S+)")
_NO_PATTERN = re.compile(
    r"\A(?:https?:|\.|/|-|origin/|upstream/|refs/|(?:releases?|stable|support)/)|\.\w{1,5}\Z|\.\.|//"
)

_BEFORE_NUMBER = re.compile(r"(?:issue|gh|ticket|task)[-_]\Z", re.I)
_FOLDER_NAMES = frozenset("docs doc documentation test tests testing build ci style styles infra tooling".split())

# What a placeholder stands for, by the words in it; the first that fits.
_MEANINGS = (
    ("date", re.compile(r"date|yyyy", re.I)),
    ("slug", re.compile(r"desc|slug|summary|title|topic|short|what|subject|feature[-_ ]?name|branch[-_ ]?name", re.I)),
    ("ticket", re.compile(r"ticket|issue|jira|story|task|number|\bnum\b|\bid\b|\bkey\b|#|\bn+\b|\d", re.I)),
    (
        "user",
        re.compile(r"user|author|initials|handle|developer|owner|alias|your[-_ ]?name|github|\bname\b|\bme\b", re.I),
    ),
    ("type", re.compile(r"type|kind|category|prefix|change", re.I)),
)
_LITERALS = (
    ("type", re.compile(r"(?<![\w-])(?:type|kind|category)(?=[/_-])", re.I)),
    ("user", re.compile(r"(?<![\w-])(?:user-?name|your-?name|user|initials|my-?name)(?=/)", re.I)),
    ("ticket", re.compile(r"\b(?:[A-Z]{2,10}-(?:[A-Z]?[XN#]{2,6}|0{2,6}|ID|NUMBER)|(?:ISSUE|TICKET|JIRA)(?:-ID)?)\b")),
)
_SAMPLES = {"type": "feat", "user": "anybody", "ticket": "AB-1", "date": "2026-01-02", "slug": "some-words"}
_USERS = frozenset({_SAMPLES["user"]})


class Document(NamedTuple):
    """A document, its name relative to the work tree."""

    file: str
    text: str


class Statement(NamedTuple):
    """A sentence that says how branches are called, and the template that it asks for. `words` are the types it
    names, in the team's own words."""

    file: str
    line: int
    quote: str
    template: str
    words: tuple[str, ...]


def read(top: Path) -> list[Document]:
    """The documents for people and agents who contribute, as they stand in the work tree; no link out of it, and no
    more than the beginning of each."""
    found: dict[Path, Document] = {}
    root = top.resolve()
    for folder in _FOLDERS:
        for path in _candidates(top / folder):
            try:
                real = path.resolve(strict=True)
                if not real.is_relative_to(root) or not real.is_file() or real in found or len(found) >= _MOST_FILES:
                    continue
                with real.open("rb") as file:
                    text = file.read(_MOST_BYTES).decode("utf-8", "replace")
            except (OSError, RuntimeError):  # a loop of links is a RuntimeError before Python 3.13
                continue
            found[real] = Document(path.relative_to(top).as_posix(), text)
    return list(found.values())


def _candidates(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if _NAMES.match(path.name))
    except OSError:
        return []


def statements(documents: list[Document]) -> list[Statement]:
    """What the documents say about the names of branches, in order."""
    found: list[Statement] = []
    for document in documents:
        about = False
        since = 99  # lines since one was about branches
        for number, line in enumerate(document.text.splitlines(), 1):
            if heading := _HEADING.match(line):
                about = bool(_BRANCH.search(heading[1]))
            since = 0 if _BRANCH.search(line) else since + bool(line.strip())
            if not (about or since <= 6) or len(line) > 2_000 or _NEGATED.search(line):
                continue
            quote = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", line).split())[:_QUOTE]
            if patterns := list(_patterns(line, bool(_BRANCH.search(line)))):
                template = max((template for template, _ in patterns), key=len)
                words = dict.fromkeys(word for _, words in patterns for word in words)
                found.append(Statement(document.file, number, quote, template, tuple(words)))
    return found


def _patterns(line: str, named: bool) -> Iterator[tuple[str, tuple[str, ...]]]:
    spans = [match[1] or match[2] for match in _SPAN.finditer(line)]
    bare = _SPAN.sub(" ", line)
    if command := _COMMAND.search(bare):
        spans.append(command[1])
    for text in [*spans, *(token for token in _TOKEN.findall(bare) if named and re.search(_HOLE, token))]:
        command = _COMMAND.match(text)
        if pattern := _pattern((command[1] if command else text).strip().strip("\"'")):
            yield pattern


def _pattern(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The template that a pattern stands for, as `feature/<ticket>-<description>`, and the team's words in it."""
    if _NO_PATTERN.search(re.sub(_HOLE, "x", text)) or re.search(r"\s", re.sub(_HOLE, "x", text)):
        return None
    holes = 0
    own: list[str] = []

    def fill(match: re.Match[str]) -> str:
        nonlocal holes
        holes += 1
        words = [word.lower() for word in re.findall(r"[A-Za-z]+", match[0])]
        if "|" in match[0] or (len(words) > 1 and all(word in TYPE_OF for word in words)):
            own.extend(word for word in words if word in SAME_AS)
            return _SAMPLES["type"]
        field = next((field for field, means in _MEANINGS if means.search(match[0])), "slug")
        number = field == "ticket" and _BEFORE_NUMBER.search(text[: match.start()])
        return "7" if number else _SAMPLES[field]

    sample = re.sub(_HOLE, fill, text)
    for field, literal in _LITERALS:
        sample, count = literal.subn(_SAMPLES[field], sample)
        holes += count
    head = re.match(r"[A-Za-z]+(?=/)", sample)
    if not holes and not (head and head[0].lower() in TYPE_OF.keys() - _FOLDER_NAMES):
        return None
    if sample.endswith("/"):
        sample += _SAMPLES["slug"]
    known = Known(_USERS, frozenset({head[0].lower()} if head and holes else ()))
    made = shape(sample, known)
    if made.template in ("", ONE_WORD, "{slug}", "{user}-{slug}"):
        return None
    if made.type and (made.type != _SAMPLES["type"] or re.match(r"feat\b", text)):
        own.append(made.type)
    return made.template, tuple(word for word in own if word.lower() in SAME_AS)
