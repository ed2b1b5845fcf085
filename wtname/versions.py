"""Numbers that stand in a row in a prompt, as a version's do: a name says them in that order or breaks off, and may say
one of them twice, which it may no other word. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from wtname.words import is_number

# Each a row of numbers as a text has them: ("v1", "1", "3") of v1.1.3.
Runs = tuple[tuple[str, ...], ...]


def runs(text: str) -> Runs:
    """The numbers of a cleaned text, in rows that words and marks divide."""
    grouped = itertools.groupby(text.split(" "), is_number)
    return tuple(tuple(words) for numbers, words in grouped if numbers)


def following(said: Sequence[str], rows: Runs) -> tuple[set[str], bool]:
    """The numbers that may follow the one that `said` ends with, and whether a row is over there, so that another may
    begin; none and True where it ends with a word."""
    begun = len(said)
    while begun and is_number(said[begun - 1]):
        begun -= 1
    places: list[tuple[tuple[str, ...], int]] = []
    for number in said[begun:]:
        on = [(row, at + 1) for row, at in places if at < len(row) and row[at] == number]
        first = [(row, 1) for row in rows if row[0] == number]
        within = [(row, at + 1) for row in rows for at, other in enumerate(row) if other == number]
        places = on or first or within
    return {row[at] for row, at in places if at < len(row)}, not places or any(at == len(row) for row, at in places)


def taken(said: Sequence[str], rows: Runs) -> tuple[set[str], set[str]]:
    """Of the numbers: those that may be said again after `said`, and those that may not be said there."""
    if not rows or not said or not is_number(said[-1]):
        return set(), set()
    again, over = following(said, rows)
    return again, set() if over else {number for row in rows for number in row} - again


def repeats(body: Sequence[str], rows: Runs) -> bool:
    """Whether a word comes twice in a name, other than a number as the rows have it."""
    return any(
        word in body[:at] and not (is_number(word) and word in taken(body[:at], rows)[0])
        for at, word in enumerate(body)
    )  # fmt: skip
