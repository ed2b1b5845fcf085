"""How good names are beside reference names, pure: the figures that evaluate prints.

    form      share of the right form: a type, 1 to 6 words, at most 50 characters; abstaining has it
    type      share whose type is that of some reference
    f1        mean of the best F1 over the words after the type, by stem, common abbreviations folded
    exact     share that equal a reference
    invented  share with a word that neither the prompt nor a reference has in any form
    dull      share that say their type or a word twice, inflected or not, or nothing but filler
    none_p    precision of abstaining, none_r its recall
    score     100 * mean of 0.25 * type + 0.75 * f1; a name that abstains has 1 where `none` is a reference, else 0

`type`, `f1` and `exact` are of names where a reference is one too, `invented` and `dull` of all that do not abstain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from training.breakdown import share
from wtname import naming
from wtname.consensus import overlap, points
from wtname.words import FILLER, forms, plain, stem

Row = dict[str, Any]
Scored = tuple[float, str, str, str]

# Long and short of words that people write either way, beside those that the product itself abbreviates.
_SHORT = """accessibility a11y administrator admin application app argument arg asynchronous async attribute attr
authentication auth authorization authz button btn certificate cert command cmd configuration config database db
dependency dep description desc development dev directory dir documentation doc environment env function func
image img implementation impl initialization init internationalization i18n iterator iter javascript js
kubernetes k8s library lib localization l10n maximum max message msg minimum min navigation nav notification notif
number num organization org package pkg parameter param performance perf postgresql postgres previous prev
production prod property prop python py reference ref repository repo request req response resp source src
specification spec statistics stat synchronous sync temporary temp typescript ts utility util variable var
version ver""".split()


def _root(word: str) -> str:
    return stem(plain(word))  # singular first, so that entries is as entry


_FOLDED = {_root(long): _root(short) for long, short in zip(_SHORT[::2], _SHORT[1::2])}


def fold(word: str) -> str:
    """What the forms and the common abbreviations of a word share."""
    return _FOLDED.get(_root(word), _root(word))


def split(name: str) -> tuple[str, list[str]]:
    """The type of a name and the words after it."""
    kind, _, body = name.partition("-")
    return kind, [word for word in body.split("-") if word]


def f1(got: Sequence[str], want: Sequence[str]) -> float:
    """F1 of the folded words of one body against another's; filler counts only where there is nothing else."""
    return overlap(folded(got), folded(want))


def folded(body: Sequence[str]) -> Counter[str]:
    """The folded words of a body that are not filler; all where there are no others."""
    return Counter(fold(word) for word in [word for word in body if word not in FILLER] or body)


def invented(name: str, prompt: str, refs: Iterable[str]) -> str | None:
    """The first word of a name that the prompt and the references have in no form, None where there is none.

    A form is the word inflected, abbreviated, split at its humps, or written together with its neighbours; derived,
    where the first five letters are the same.
    """
    pieces = re.findall(r"[a-z0-9]+", naming.to_ascii(prompt).lower().replace("'", ""))
    said = {*pieces, *naming.normalise(prompt).split()} | {word for ref in refs for word in split(ref)[1]}
    roots = {fold(form) for word in said for form in forms(word)} | said
    together = "".join(pieces)
    for word in split(name)[1]:
        if word in FILLER or word in naming.TYPES or fold(word) in roots or (len(word) >= 3 and word in together):
            continue
        if not any(_akin(fold(word), other) for other in roots):
            return word
    return None


def _akin(a: str, b: str) -> bool:
    length = min(len(a), len(b), 5)
    return length >= 4 and a[:length] == b[:length]


def dull(name: str) -> bool:
    """Whether a name says its type or one of its words twice, inflected or not, or holds nothing but filler."""
    kind, body = split(name)
    seen = set(forms(kind))
    for word in body:
        if not seen.isdisjoint(same := forms(word)):
            return True
        seen.update(same)
    return body[:1] in ([word] for word in naming.SAID_BY.get(kind, ())) or all(word in FILLER for word in body)


class _Judged(NamedTuple):
    """One name beside its references; what does not apply to it is None."""

    points: float
    form: bool
    none: bool
    want_none: bool
    type: bool | None = None
    f1: float | None = None
    exact: bool | None = None
    invented: bool | None = None
    dull: bool | None = None


def _judge(name: str, row: Row) -> _Judged:
    want_none = naming.NONE in row["refs"]
    if name == naming.NONE:
        return _Judged(float(want_none), True, True, want_none)
    refs = [ref for ref in row["refs"] if ref != naming.NONE]
    form = bool(naming.NAME.fullmatch(name)) and len(name) <= naming.MAX_NAME
    quality = {"invented": invented(name, row["prompt"], refs) is not None, "dull": dull(name)}
    if not refs:
        return _Judged(0.0, form, False, want_none, **quality)
    kind, body = split(name)
    right = any(kind == split(ref)[0] for ref in refs)
    best = max(f1(body, split(ref)[1]) for ref in refs)
    return _Judged(points(right, best), form, False, want_none, right, best, name in refs, **quality)


def score(rows: Sequence[Row], names: Mapping[str, str | None]) -> tuple[dict[str, Any], list[Scored]]:
    """The figures of names by id for rows of {id, prompt, refs}, and (points, name, first reference, prompt) of each.

    A name that is missing, None or empty abstains. A figure without anything to measure is None.
    """
    given = [names.get(row["id"]) or naming.NONE for row in rows]
    judged = [_judge(name, row) for name, row in zip(given, rows)]

    def mean(measure: str) -> float | None:
        values = [value for one in judged if (value := getattr(one, measure)) is not None]
        return share(sum(values), len(values))

    right = sum(one.none and one.want_none for one in judged)
    total = sum(one.points for one in judged)
    figures = {
        "n": len(rows),
        "score": round(100 * total / len(rows), 2) if rows else None,
        **{measure: mean(measure) for measure in ("form", "type", "f1", "exact", "invented", "dull")},
        "none_p": share(right, sum(one.none for one in judged)),
        "none_r": share(right, sum(one.want_none for one in judged)),
    }
    scored = [(one.points, name, row["refs"][0], row["prompt"]) for one, name, row in zip(judged, given, rows)]
    return figures, scored
