"""Of the names that a model thinks of for one prompt, the one that is most like all of them (minimum Bayes risk, Kumar
and Byrne 2004). The likeliest name may stand alone: of a long prompt, others say the same in many ways. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

from wtname.words import stem

# Power that probabilities are raised to: the beam has but a few names, and is too sure of the first.
POWER = 0.7


def overlap(a: Counter[str], b: Counter[str]) -> float:
    """F1 of one bag of words against another."""
    common = (a & b).total()
    return 2 * common / (a.total() + b.total()) if common else 0.0


def points(right: bool, words: float) -> float:
    """How like another a name is, 0 to 1: a quarter for the type, the rest for the F1 of its words."""
    return 0.25 * right + 0.75 * words


def most_like_all(names: Mapping[str, float]) -> str:
    """Of names with their log-probabilities, the one that is most like all, each counted by its probability; the
    likelier of two that are as like. Raises ValueError where there are none."""
    top = max(names.values())
    weights = [math.exp(POWER * (p - top)) for p in names.values()]
    told = [(kind, _stems(body)) for kind, _, body in (name.partition("-") for name in names)]
    risks = [sum(w * _alike(own, other) for w, other in zip(weights, told, strict=True)) for own in told]
    return max(zip(risks, names.values(), names, strict=True))[2]


def _stems(body: str) -> Counter[str]:
    return Counter(map(stem, body.split("-")))


def _alike(a: tuple[str, Counter[str]], b: tuple[str, Counter[str]]) -> float:
    (kind, ours), (other, theirs) = a, b
    return points(kind == other, overlap(ours, theirs))
