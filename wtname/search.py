"""Names by search over a language model's scores, whatever runs the model: greedy for a short prompt, by consensus of a
beam for a long one, the rest of a beam where several names are wanted."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence, Set
from heapq import nlargest
from pathlib import Path
from typing import NamedTuple, Protocol

from wtname import naming, versions
from wtname.consensus import most_like_all
from wtname.errors import ModelError
from wtname.grounding import Node, Step, log_softmax, steps, trie
from wtname.grounding import Path as Written
from wtname.words import Words, read_words

# How much likelier than a grounded word a free one must be, in nats.
FREE_COST = 4.0
# A prompt names no task where the model is at least this sure of it.
ABSTAIN = 0.5
# The narrowest beam for several names.
BEAM = 4
# A prompt longer than a title may be named in many ways: the beam whose names are compared then.
WIDE = 8
# How much likelier than a name the likeliest may be, in nats, for that name still to count among these.
FAR = 3.0
WIDEST = 24
# The prompt, and twice the widest beam: a step's children live beside their parents for a moment.
SEQUENCES = 1 + 2 * WIDEST
MOST_STEPS = 30
# Of a prompt with its markers, and of prompt and name together.
MOST_TOKENS = 216
CONTEXT = MOST_TOKENS + MOST_STEPS + 10


class Guess(NamedTuple):
    """A name, or None where the prompt names no task, and how sure the model is, from 0 to 1."""

    name: str | None
    confidence: float


class Way(NamedTuple):
    """How likely a name is: the log-probability of one of its tokens on average, and of all together."""

    mean: float
    total: float


class Model(Protocol):
    """What the search needs of a language model: scores over its vocabulary, and sequences that it remembers.

    A list of scores is good until the next call. Any call may raise ModelError.
    """

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; markers in it count as markers."""

    def read(self, ids: list[int], among: Set[int]) -> Sequence[float]:
        """Forget everything, read a prompt as sequence 0, and score what follows. Of all scores from now on, only those
        of tokens `among` these are asked for."""

    def write(self, tokens: list[tuple[int, int]], at: int) -> list[Sequence[float]]:
        """Put each (token, sequence) at position `at` of its sequence, and score what follows each."""

    def copy(self, source: int, to: int) -> None:
        """Let a free sequence begin as another one is now."""

    def forget(self, sequence: int) -> None:
        """Drop a sequence."""


class Search:
    """Names prompts by a model. Raises ModelError where its vocabulary is not a namer's."""

    def __init__(self, model: Model) -> None:
        self._model = model
        single = {}
        for text in (naming.USER, naming.ASSISTANT, naming.END, *(f" {w}" for w in (*naming.TYPES, naming.NONE))):
            ids = model.tokenize(text)
            if len(ids) != 1:
                raise ModelError(
                    "the model is no namer: its vocabulary lacks our markers; install ours: wtname model install"
                )
            single[text] = ids[0]
        self._end = single[naming.END]
        self._kinds = {single[f" {w}"]: w for w in (*naming.TYPES, naming.NONE)}
        self._words: Words | None = None

    def suggest(self, prompt: naming.Prompt, n: int = 1) -> list[Guess]:
        """Up to `n` names, best first; one Guess of None where the prompt names no task."""
        begun = self._begin(prompt)
        if isinstance(begun, Guess):
            return [begun]
        root, real, at = begun
        long = len(prompt.text.split()) > naming.TITLE
        best = self._write(prompt, root, real, at, WIDE, FAR) if long else self._write(prompt, root, real, at, 1)
        if long and best:
            first = most_like_all({name: way.total for name, way in best.items()})
            best = {first: best[first]}
        if n == 1:
            return _guesses(best, n)
        # The first is the one that stands alone too; the beam may rank others before it.
        try:
            more = self._write(prompt, root, real, at, min(max(n, BEAM), WIDEST))
        except ModelError:  # out of time: what there is already is better than nothing
            return _guesses(best, n)
        return _guesses({**best, **more, **best}, n)

    def likeliest(self, prompt: naming.Prompt) -> list[Guess]:
        """The name made of the likeliest word each time (greedy), of a long prompt too; else as `suggest`."""
        begun = self._begin(prompt)
        return [begun] if isinstance(begun, Guess) else _guesses(self._write(prompt, *begun, 1), 1)

    def _begin(self, prompt: naming.Prompt) -> Guess | tuple[Node, list[tuple[float, int]], int]:
        """What `_write` wants to know of a prompt that has been read; a Guess of None where it names no task."""
        root = self._trie(prompt)
        kinds, at = self._read(prompt, root)
        none = next(p for p, t in kinds if self._kinds[t] == naming.NONE)
        if none >= math.log(ABSTAIN):
            return Guess(None, round(math.exp(none), 4))
        return root, [k for k in kinds if self._kinds[k[1]] != naming.NONE], at

    def kinds(self, prompt: naming.Prompt) -> dict[str, float]:
        """The probability of each type, and of `none`, among themselves."""
        return {self._kinds[token]: math.exp(p) for p, token in self._read(prompt, Node())[0]}

    def _read(self, prompt: naming.Prompt, root: Node) -> tuple[list[tuple[float, int]], int]:
        """(log-probability, token) of each type, best first, and how many tokens the prompt has."""
        ids = self._model.tokenize(naming.render(prompt.text))
        if len(ids) > MOST_TOKENS:  # words of many tokens: the end of the prompt goes, the marker after it stays
            ids = [*ids[: MOST_TOKENS - 1], ids[-1]]
        scores = self._model.read(ids, {*self._kinds, self._end, *root.tokens()})
        likely = log_softmax([scores[t] for t in self._kinds])
        if not all(map(math.isfinite, likely)):
            raise ModelError("the model is damaged: its scores are no numbers; install it again: wtname model install")
        kinds = sorted(zip(likely, self._kinds, strict=True), reverse=True)
        return kinds, len(ids)

    def _trie(self, prompt: naming.Prompt) -> Node:
        """The words that a name for this prompt may be made of."""
        tokenize = self._model.tokenize
        if self._words is None:
            self._words = read_words(Path(__file__).with_name("words.txt").read_text(encoding="utf-8"))
            self._free = {w: tuple(tokenize(f" {w}")) for w in self._words.free}
        grounded, free = naming.allowed(prompt, self._words)
        own = [(w, tokenize(f" {w}"), 0.0) for w in grounded]
        return trie([*own, *((w, self._free[w], FREE_COST) for w in free)])

    def _write(
        self, prompt: naming.Prompt, root: Node, kinds: list[tuple[float, int]], at: int, width: int,
        far: float = math.inf,
    ) -> dict[str, Way]:  # fmt: skip
        """Beam search through the trie; a beam of one is greedy. `kinds` are (log-probability, token), best first; so
        are the names. What is `far` less likely than the likeliest is given up. Sequence 0 stays the prompt."""
        least, numbers = min(2, naming.telling(prompt)), versions.runs(prompt.text)
        paths = [Written(i, t, self._kinds[t], (), root, p, 1) for i, (p, t) in enumerate(kinds[:width], 1)]
        for path in paths:
            self._model.copy(0, path.seq)
        done: dict[str, Way] = {}
        for step in range(MOST_STEPS):
            try:
                scores = self._model.write([(p.token, p.seq) for p in paths], at + step)
            except ModelError:  # out of time: names that are whole already are better than none
                if not done:
                    raise
                break
            grown: list[tuple[float, Written, Step]] = []
            for path, after in zip(paths, scores, strict=True):
                for way in steps(path, root, after, self._end, least, numbers, width):
                    grown.append(((path.score + way.score) / (path.steps + 1), path, way))
            kept = []
            near = max((path.score + way.score for _, path, way in grown), default=0.0) - far
            for mean, path, way in nlargest(width, grown, key=lambda g: g[0]):
                if path.score + way.score < near:
                    continue
                if way.node is None:
                    name = naming.fit("-".join((path.kind, *way.words)))
                    done.setdefault(name, Way(mean, path.score + way.score))
                else:
                    kept.append((path, way))
            if not kept or len(done) >= width:
                break
            paths = self._advance(paths, kept)
        for path in paths:
            self._model.forget(path.seq)
        best = sorted(((way, name) for name, way in done.items() if naming.gate(name, prompt)), reverse=True)
        return {name: way for way, name in best}

    def _advance(self, paths: list[Written], kept: list[tuple[Written, Step]]) -> list[Written]:
        """The chosen steps as paths, each with a sequence of its own; the first to go on keeps its parent's."""
        spare = sorted(set(range(1, SEQUENCES)) - {p.seq for p in paths})
        out: list[Written] = []
        for path, way in kept:
            assert way.node is not None
            seq = path.seq
            if any(p.seq == seq for p in out):
                seq = spare.pop()
                self._model.copy(path.seq, seq)
            out.append(Written(seq, way.token, path.kind, way.words, way.node, path.score + way.score, path.steps + 1))
        for seq in {p.seq for p in paths} - {p.seq for p in out}:
            self._model.forget(seq)
        return out


def _guesses(names: Mapping[str, Way], n: int) -> list[Guess]:
    """The first `n` names."""
    return [Guess(name, round(math.exp(way.mean), 4)) for name, way in names.items()][:n]
