"""Of names drawn for one prompt, the one most like all of them by the measure that scores names.

Minimum Bayes risk (Kumar and Byrne 2004). No torch here: worker processes need none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from training.scoring import folded, split
from wtname import naming
from wtname.consensus import overlap, points
from wtname.words import Words, read_words

WORDS = Path(naming.__file__).with_name("words.txt")


@lru_cache(maxsize=100_000)
def _told(name: str) -> tuple[str, Counter[str]]:
    kind, body = split(name)
    return kind, folded(body)


def likeness(a: str, b: str) -> float:
    """What name `a` would score, 0 to 1, were `b` its reference; it is the same the other way round."""
    if a == b:
        return 1.0
    (kind, ours), (other, theirs) = _told(a), _told(b)
    return points(kind == other, overlap(ours, theirs))


def consensus(drawn: Counter[str], fits: Callable[[str], bool] = bool) -> tuple[str, float]:
    """Of the drawn names that fit, the one most like all that were drawn, and how like it is on average, 0 to 1.

    The likelier of two that are as like. "" and 0 where none fits.
    """
    total = drawn.total()
    like = {name: sum(n * likeness(name, other) for other, n in drawn.items()) for name in drawn if fits(name)}
    best = max(like, key=lambda name: (like[name], drawn[name]), default="")
    return best, like[best] / total if best else 0.0


def nameable(text: str, words: Words) -> Callable[[str], bool]:
    """Whether a name may be given to a text: its form, and every word of it. To abstain always may be."""
    prompt = naming.Prompt(text, ())
    grounded, free = naming.allowed(prompt, words)
    may = {*grounded, *free}
    return lambda name: name == naming.NONE or (naming.gate(name, prompt) and may.issuperset(name.split("-")[1:]))


@lru_cache(maxsize=1)
def _words(path: Path) -> Words:
    return read_words(path.read_text(encoding="utf-8"))


def agreed(words: Path, text: str, drawn: Counter[str]) -> tuple[str, float]:
    """`consensus` of the names that may be given to a clean text; `words`: a words.txt, read once a process."""
    return consensus(drawn, nameable(text, _words(words)))
