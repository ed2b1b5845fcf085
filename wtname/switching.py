"""Which worktree a few words mean: from an exact name down to letters in their order."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from wtname.display import visible
from wtname.errors import WtnameError
from wtname.git import Repository, refs, status
from wtname.naming import TYPES

_WORD = re.compile(r"[^\W_]+")
_TICKET = re.compile(r"^[a-z][a-z0-9]*-\d+[-_]")


class Place(NamedTuple):
    """A worktree to go to, by its branch, or by its folder where it has none. `also`: other names that mean it;
    `used`: when, in seconds since 1970."""

    path: Path
    branch: str
    task: str = ""
    also: tuple[str, ...] = ()
    used: float = 0.0
    current: bool = False
    missing: bool = False


class Match(NamedTuple):
    """The best place, how it was found, and the others that are as good."""

    place: Place
    how: str
    others: list[Place]


def places(repo: Repository) -> list[Place]:
    """Every worktree, the main one first if there is one."""
    described = refs.descriptions(repo)
    found = []
    for i, known in enumerate(repo.worktrees()):
        if "bare" in known:
            continue
        path = Path(known["worktree"])
        branch = known.get("branch", "").removeprefix("refs/heads/")
        place = Place(
            path,
            branch or path.name,
            described.get(branch, ""),
            (path.name,) if i else (path.name, "main", repo.name),
            status.used(repo, path),
            status.git_dir(repo, path) == repo.git_dir.resolve(),
            not path.is_dir(),
        )
        found.append(place)
    return found


def choose(words: Sequence[str], places: Sequence[Place]) -> Match:
    """The place to go to; without words, or with -, the one last used before this one.

    Raises WtnameError where there is none."""
    there = [place for place in places if not place.missing]
    if not any(words) or list(words) == ["-"]:
        others = [place for place in there if not place.current]
        if not others:
            raise WtnameError("there is no other worktree; wtname new makes one")
        return Match(max(others, key=lambda place: place.used), "latest", [])
    if found := match(words, there):
        return found
    wanted = " ".join(words)
    if gone := match(words, places):
        hint = "git worktree repair finds it where it was moved to, git worktree prune forgets it"
        raise WtnameError(f"the folder of {visible(gone.place.branch)} is missing; {hint}")
    near = names(nearest(words, there))
    raise WtnameError(
        f"no worktree matches {wanted!r}; {f'the nearest are {near}' if near else 'wtname new makes one'}"
    )


def names(places: Sequence[Place], count: int = 5) -> str:
    """Branches in one line, the first few by name."""
    more = f" and {len(places) - count} more" if len(places) > count else ""
    return ", ".join(visible(place.branch) for place in places[:count]) + more


def match(words: Sequence[str], places: Sequence[Place]) -> Match | None:
    """The place that the words mean, or None. Between equals, the one we are in comes last, and the others in the
    order of their last use."""
    said = " ".join(words).strip()
    if not (wanted := said.casefold()):
        return None
    for how, fits in WAYS.items():
        found = [place for place in places if fits(wanted, place)]
        if found:
            best, *others = sorted(found, key=lambda place: (place.branch != said, place.current, -place.used))
            return Match(best, how, others)
    return None


def nearest(words: Sequence[str], places: Iterable[Place], count: int = 3) -> list[Place]:
    """The places whose names are most like the words, for a hint."""
    from difflib import SequenceMatcher

    wanted = "-".join(_words(" ".join(words)))

    def likeness(place: Place) -> tuple[float, float]:
        parts = _words(place.branch)
        windows = ["-".join(parts[i:j]) for i in range(len(parts)) for j in range(i + 1, len(parts) + 1)]
        return max((SequenceMatcher(None, wanted, one).ratio() for one in windows), default=0.0), place.used

    return sorted(places, key=likeness, reverse=True)[:count]


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _slugs(branch: str) -> set[tuple[str, ...]]:
    """The parts of a branch that people call it by: without its folders, then without its type, without its ticket."""
    last = branch.casefold().rpartition("/")[2]
    found = {tuple(_words(last)), tuple(_words(_TICKET.sub("", last, count=1)))}
    for words in list(found):
        for i, word in enumerate(words[:2]):
            if word in TYPES and len(words) > i + 1:
                found |= {words[i:], words[i + 1 :], tuple(_words(_TICKET.sub("", "-".join(words[i + 1 :]), count=1)))}
    return found


def _is_name(wanted: str, place: Place) -> bool:
    return wanted == place.branch.casefold()


def _is_slug(wanted: str, place: Place) -> bool:
    words = tuple(_words(wanted))
    return wanted in (name.casefold() for name in place.also) or bool(words and words in _slugs(place.branch))


def _begins_words(wanted: str, place: Place) -> bool:
    return _begin(_words(wanted), _words(place.branch))


def _begin(wanted: list[str], words: list[str]) -> bool:
    return bool(wanted) and all(any(word.startswith(part) for word in words) for part in wanted)


def _is_inside(wanted: str, place: Place) -> bool:
    return all(part in place.branch.casefold() for part in wanted.split())


def _is_short_for(wanted: str, place: Place) -> bool:
    """Letters that begin the branch's words, in order: fzw and fizewi for fix-zero-width."""
    letters, words = "".join(_words(wanted)), _words(place.branch)
    reached = {0}  # letters used up
    for word in words:
        for start in list(reached):
            for length in range(1, len(word) + 1):
                if not letters.startswith(word[:length], start):
                    break
                reached.add(start + length)
    return bool(letters) and len(letters) in reached


def _begins_words_or_task(wanted: str, place: Place) -> bool:
    return _begin(_words(wanted), _words(place.branch) + _words(place.task))


def _is_scattered(wanted: str, place: Place) -> bool:
    letters, rest = "".join(_words(wanted)), iter(place.branch.casefold())
    return len(letters) > 2 and all(letter in rest for letter in letters)


# Best first. Letters strewn over the branch mean little, so they come after the words of the task.
WAYS: dict[str, Callable[[str, Place], bool]] = {
    "branch": _is_name,
    "slug": _is_slug,
    "words": _begins_words,
    "part": _is_inside,
    "initials": _is_short_for,
    "task": _begins_words_or_task,
    "letters": _is_scattered,
}
