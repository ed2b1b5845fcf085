"""English words for what developers say in Chinese, Japanese, Korean and Russian: the model reads English alone. Pure
but for glossary.txt, which is read once, where a text needs it.

A line of that file is `english: form form ...`, an English `-` for what says nothing. `_` in a form is a space. Of the
forms that begin at a place the longest counts. A Cyrillic one is the beginning of a word, or with `$` all of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

NOTHING = "-"
# Han, kana and hangul: scripts without spaces, or with words whose ends say their case.
_DENSE = r"\u3005\u3006\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
_CYRILLIC = r"\u0400-\u04ff"
_READ = re.compile(f"[{_DENSE}{_CYRILLIC}]")
_LEFT = re.compile(f"[{_DENSE}]+")
_WORD = re.compile(f"[{_CYRILLIC}]+")
# With so many words in English a sentence is understood, and what is left of it may go.
ENOUGH = 2

# By a form's first character: the forms, longest first, with their English.
Forms = Mapping[str, list[tuple[str, str]]]


class Said(NamedTuple):
    """A text in English as far as it is known, and whether most of it still is not in Latin letters."""

    text: str
    foreign: bool


def forms(text: str) -> dict[str, list[tuple[str, str]]]:
    """The forms in a glossary by their first characters. Raises ValueError where a line is not as above."""
    found: dict[str, list[tuple[str, str]]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        english, _, told = line.partition(": ")
        if not english or not english.isascii() or not told.split():
            raise ValueError(f"line {number}: no 'english: form ...'")
        for form in unicodedata.normalize("NFKC", told).lower().split():
            found.setdefault(form[0], []).append((form.replace("_", " "), english))
    for own in found.values():
        own.sort(key=lambda pair: len(pair[0].rstrip("$")), reverse=True)
    return found


@lru_cache(maxsize=1)
def _known() -> Forms:
    return forms(Path(__file__).with_name("glossary.txt").read_text(encoding="utf-8"))


def english(text: str) -> Said:
    """The text with what it says in other scripts in English words; the same text where it is all in Latin letters."""
    if text.isascii() or not _foreign_letters(text):
        return Said(text, False)
    if not _READ.search(text):
        return Said(text, _mostly_foreign(text))
    told, words = translate(unicodedata.normalize("NFKC", text), _known())
    if words >= ENOUGH:
        told = _LEFT.sub(" ", told)
    return Said(told, words < ENOUGH and _mostly_foreign(told))


def translate(text: str, known: Forms) -> tuple[str, int]:
    """The text with each form that is known in English, set apart by spaces, and how many words these are."""
    lower, out, at, words = text.lower(), [], 0, 0
    if len(lower) != len(text):  # a capital whose small letter is two
        text = lower
    while at < len(text):
        cyrillic = _WORD.match(lower, at)
        end, found = _longest(lower, at, cyrillic.end() if cyrillic else None, known)
        if found is None:
            end = cyrillic.end() if cyrillic else at + 1
            out.append(text[at:end])
        else:
            out.append(f" {found} ")
            words += len(found.split())
        at = end
    return "".join(out), words


def _longest(text: str, at: int, end: int | None, known: Forms) -> tuple[int, str | None]:
    """Where the longest form that begins `at` a place ends and what it is in English, "" for nothing; None where there
    is none. `end` is that of a Cyrillic word."""
    for form, meaning in known.get(text[at], ()):
        stem = form.removesuffix("$")
        if not text.startswith(stem, at) or (end and form != stem and at + len(stem) != end):
            continue
        after = at + len(stem)
        if end and after < len(text) and (rest := _WORD.match(text, after)):
            after = rest.end()
        return after, "" if meaning == NOTHING else meaning
    return at, None


def _foreign_letters(text: str) -> int:
    """How many letters are of another script than Latin."""
    return sum(char >= "\u0370" and unicodedata.category(char)[0] == "L" for char in text if not char.isascii())


def _mostly_foreign(text: str) -> bool:
    letters = sum(map(str.isalpha, text))
    return 2 * _foreign_letters(text) > letters
