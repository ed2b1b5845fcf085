"""The task that work seems to have been about, in words for the namer. Pure: text in, text out."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from wtname.git.work import Changes

_UNDONE = re.compile(r"(?:wip|tmp|temp|checkpoint|save|update|changes?|more|first try)\b", re.I)
AUTOSQUASH = ("fixup!", "squash!", "amend!")
_TESTS = re.compile(r"(?:^|/)tests?/|(?:^|[/_.-])tests?[_.]|[._-](?:test|spec)\.", re.I)
_DOCS = re.compile(r"\.(?:md|rst|txt|adoc)$|(?:^|/)docs?/", re.I)
_DULL = {"index", "main", "init", "mod", "lib", "utils", "util", "helpers", "common", "types", "const", "self"}


def of_subjects(subjects: list[str]) -> str:
    """The task of some commits: the first subject that says something, and then the others."""
    own = [subject for subject in subjects if not subject.startswith(AUTOSQUASH)]
    telling = [subject for subject in own if not (_UNDONE.match(subject) and len(subject.split()) < 4)]
    return "\n".join(telling[:6])


def of_changes(changes: Changes) -> str:
    """The task of a diff: what is done to most of it, names that it adds or changes, and the files that these are in;
    nothing where there is no change."""
    files = [*changes.added, *changes.changed, *changes.deleted]
    if not files:
        return ""
    names = [name for name in (changes.defines or changes.within) if name.lower() not in _DULL][:2]
    most = max((changes.changed, changes.added, changes.deleted), key=len)
    if all(_TESTS.search(file) for file in files):
        verb = "Add tests for"
    elif all(_DOCS.search(file) for file in files):
        verb = "Document"
    elif most is changes.deleted:
        verb, names = "Remove", []
    else:
        verb = "Add" if changes.defines or most is changes.added else "Change"
    stems = [stem for file in sorted(most, key=_weight) if (stem := _stem(file)) and stem.lower() not in _DULL]
    places = list(dict.fromkeys(stem for stem in stems if stem not in names))[: 3 - len(names)]
    return " ".join([verb, " and ".join(names), "in" if names and places else "", " ".join(places)]).strip()


def _stem(file: str) -> str:
    stem = PurePosixPath(file).name.lstrip(".").partition(".")[0]
    return re.sub(r"^tests?_|_tests?$", "", stem) or stem


def _weight(file: str) -> tuple[bool, bool]:
    return bool(_TESTS.search(file)), bool(_DOCS.search(file))
