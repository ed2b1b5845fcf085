"""What may come next in a name that is made of given words: a trie of their tokens, and steps through it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from heapq import nlargest
from typing import NamedTuple

from wtname import naming, versions
from wtname.versions import Runs
from wtname.words import is_number, stem

# A name takes no further word beyond these; numbers, as of a version, do not count among the words.
MOST_SPOKEN = 5
MOST_LETTERS = 36
# How much likelier than another word the end must be, in nats: word by word, a search is done a little too soon.
END_COST = 0.9


class Node:
    """A place in the trie: the tokens that go on from here, and the word that is whole here, if one is."""

    __slots__ = ("children", "cost", "costs", "leads", "own", "stem", "word")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.leads: dict[str, set[int]] = {}  # to the words of each stem: the tokens to go on with
        self.word: str | None = None
        self.stem: str | None = None
        self.costs: dict[str, float] = {}  # of the cheapest word of each stem at or below this node
        self.cost = math.inf  # of the cheapest of all these
        self.own = 0.0  # of the word that is whole here

    def cheapest(self, taken: Set[str]) -> float:
        """What the cheapest word at or below costs whose stem is not taken; infinity where all are."""
        if self.costs.keys().isdisjoint(taken):
            return self.cost
        return min((cost for key, cost in self.costs.items() if key not in taken), default=math.inf)

    def tokens(self) -> Iterator[int]:
        """The tokens of all words below; one may come several times."""
        for token, node in self.children.items():
            yield token
            yield from node.tokens()

    def ways(self, taken: Set[str]) -> list[tuple[int, Node, float]]:
        """Each child that has a word whose stem is not taken: by its token, with what the cheapest such word costs."""
        checked: set[int] = set().union(*(self.leads[key] for key in taken if key in self.leads))
        ways = [(t, node, node.cheapest(taken) if t in checked else node.cost) for t, node in self.children.items()]
        return [way for way in ways if way[2] < math.inf] if checked else ways


def trie(words: Iterable[tuple[str, Sequence[int], float]]) -> Node:
    """The root over words given as (word, its tokens, what it costs in nats)."""
    root = Node()
    for word, tokens, cost in words:
        node, key = root, stem(word)
        for token in tokens:
            node.leads.setdefault(key, set()).add(token)
            if token not in node.children:
                node.children[token] = Node()
            node = node.children[token]
            node.cost = min(node.cost, cost)
            node.costs[key] = min(node.costs.get(key, math.inf), cost)
        if tokens:
            node.word, node.stem, node.own = word, key, cost
    return root


class Path(NamedTuple):
    """A name under way: its sequence in the model's memory, its last token, whole words, its place in the trie."""

    seq: int
    token: int
    kind: str
    words: tuple[str, ...]
    node: Node
    score: float
    steps: int

    @property
    def whole(self) -> tuple[str, ...]:
        """The words, with the one that ends at this node."""
        return self.words if self.node.word is None else (*self.words, self.node.word)


class Step(NamedTuple):
    """One way on: the token, the words that are whole before it, the node it leads to (None: the name ends)."""

    token: int
    words: tuple[str, ...]
    node: Node | None
    score: float


def log_softmax(scores: Sequence[float]) -> list[float]:
    """Log-probabilities of a few scores among themselves."""
    top = max(scores)
    total = top + math.log(sum(math.exp(s - top) for s in scores))
    return [s - total for s in scores]


def _taken(kind: str, said: Sequence[str], numbers: Runs) -> set[str]:
    """The stems that may not come next."""
    again, barred = versions.taken(said, numbers)
    first = naming.SAID_BY.get(kind, ()) if not said else ()
    return ({stem(w) for w in (kind, *said, *first)} | barred) - again


def steps(
    path: Path, root: Node, logits: Sequence[float], end: int, least: int, numbers: Runs = (), most: int = sys.maxsize
) -> list[Step]:
    """The `most` likeliest ways on from a path, best first, with their log-probabilities among all of them.

    A name holds no word twice, in any form, nor its own type, and says numbers in the order of the prompt's `numbers`;
    it ends only once it has `least` words, and goes on only while it keeps to the form.
    """
    ways: list[tuple[int, tuple[str, ...], Node | None, float]] = []
    taken = _taken(path.kind, path.words, numbers)
    here = path.node
    # What the cheapest word to be had in this branch costs is paid on the way in; the rest when a dearer one is taken.
    paid = 0.0 if here is root else here.cheapest(taken)
    if here is not root:
        ways += [(token, path.words, node, cost - paid) for token, node, cost in here.ways(taken)]
    if here is root or (here.stem is not None and here.stem not in taken):
        whole = path.whole
        due = here.own - paid
        used = _taken(path.kind, whole, numbers)
        length = len(path.kind) + sum(len(w) + 1 for w in whole)
        spoken = sum(not is_number(w) for w in whole)
        if spoken < MOST_SPOKEN and len(whole) < naming.MOST_WORDS and length < MOST_LETTERS:
            ways += [(token, whole, node, due + cost) for token, node, cost in root.ways(used)]
        if len(whole) >= least or (whole and not ways):
            ways.append((end, whole, None, due + END_COST))
    if not ways:
        return []
    scores = log_softmax([logits[token] - cost for token, _, _, cost in ways])
    best = nlargest(most, range(len(ways)), key=scores.__getitem__)
    return [Step(*ways[i][:3], scores[i]) for i in best]
