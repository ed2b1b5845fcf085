"""The name that is most like all: tables of names with their log-probabilities."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import pytest

from wtname import models, naming, search
from wtname.consensus import most_like_all
from wtname.engine import Engine
from wtname.errors import ModelError

WRITTEN = Path(__file__).parent.parent / "training" / "written.jsonl"

CASES = [
    # What one name has in common with the others outweighs that another one is a little likelier.
    ({"fix-login": 0.3, "feat-dark-mode-toggle": 0.25, "feat-dark-mode": 0.24, "feat-toggle-dark-mode": 0.21},
     "feat-dark-mode-toggle"),
    ({"fix-cache": 0.4, "refactor-image-cache": 0.31, "refactor-images-cached": 0.29}, "refactor-image-cache"),
    # Other than these, one that is likelier than all together.
    ({"fix-login": 0.9, "feat-dark-mode-toggle": 0.04, "feat-dark-mode": 0.03, "feat-toggle-dark-mode": 0.03},
     "fix-login"),
    # Forms of a word are alike.
    ({"fix-parser": 0.4, "fix-crashing-exports": 0.32, "fix-export-crash": 0.28}, "fix-crashing-exports"),
    # A type that most names share wins over the likeliest one.
    ({"fix-slow-query": 0.36, "feat-slow-query": 0.33, "feat-query": 0.31}, "feat-slow-query"),
    # No one to agree with: the likeliest; of two that are as like, too, wherever it stands.
    ({"fix-login": 0.2}, "fix-login"),
    ({"fix-login": 0.4, "docs-readme": 0.6}, "docs-readme"),
    ({"feat-a-b": 0.5, "feat-b-a": 0.5001}, "feat-b-a"),
]  # fmt: skip


@pytest.mark.parametrize(("names", "best"), CASES)
def test_most_like_all(names: dict[str, float], best: str) -> None:
    logs = {name: math.log(p) for name, p in names.items()}
    assert most_like_all(logs) == best
    assert most_like_all(dict(reversed(logs.items()))) == best
    assert most_like_all({name: p - 500 for name, p in logs.items()}) == best  # their sum need not be 1, nor a float


def test_none() -> None:
    with pytest.raises(ValueError):
        most_like_all({})


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(models.PACKAGED)


@pytest.fixture(scope="module")
def prompts() -> list[naming.Prompt]:
    with WRITTEN.open(encoding="utf-8") as lines:
        return [naming.clean(json.loads(line)["prompt"]) for line in itertools.islice(lines, 60)]


def sure(names: list[search.Guess]) -> list[float]:
    return [guess.confidence for guess in names]


def test_a_long_prompt_is_named_by_consensus(engine: Engine, prompts: list[naming.Prompt]) -> None:
    long = [p for p in prompts if len(p.text.split()) > naming.TITLE]
    found = {p.text: names for p in long if len(names := engine.suggest(p, search.WIDE)) > 1}
    assert len(found) > 30
    for text, (first, *rest) in found.items():
        assert [first] == engine.suggest(naming.Prompt(text, ()))  # alone, as before others
        assert sure(rest) == sorted(sure(rest), reverse=True)
        assert first.name not in [guess.name for guess in rest]
    assert sum(first.confidence < rest[0].confidence for first, *rest in found.values()) > len(found) / 20


def test_names_far_less_likely_are_given_up(
    engine: Engine, prompts: list[naming.Prompt], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: dict[float, list[int]] = {0.0: [], search.FAR: [], math.inf: []}
    for far, told in counts.items():
        monkeypatch.setattr(search, "FAR", far)
        monkeypatch.setattr(search, "most_like_all", lambda names, told=told: told.append(len(names)) or max(names))
        for prompt in prompts:
            engine.suggest(prompt)
    none, few, many = counts.values()
    assert set(none) == {1} and max(many) >= search.WIDE
    assert len(few) < sum(few) < sum(many)


def test_a_short_one_by_the_likeliest_words(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = naming.clean("Fix crash on zero-width columns")
    monkeypatch.setattr(search, "most_like_all", lambda names: pytest.fail("a short prompt"))
    assert engine.suggest(prompt)[0] == engine.suggest(prompt, 5)[0]


def test_the_likeliest_words_can_be_had_of_any_prompt(engine: Engine, prompts: list[naming.Prompt]) -> None:
    short = [naming.clean(text) for text in ("Fix crash on zero-width columns", "Add a dark mode toggle", "wip")]
    assert [engine.search.likeliest(p) for p in short] == [engine.suggest(p) for p in short]
    pairs = [(engine.search.likeliest(p), engine.suggest(p)) for p in prompts]
    assert 0.02 < sum(greedy != agreed for greedy, agreed in pairs) / len(pairs) < 0.7


class Hurried:
    """A model whose time is up at its `calls`-th writing."""

    def __init__(self, engine: Engine, calls: int) -> None:
        self.engine, self.left = engine, calls

    def __getattr__(self, name: str) -> object:
        return getattr(self.engine, name)

    def write(self, tokens: list[tuple[int, int]], at: int) -> object:
        self.left -= 1
        if not self.left:
            raise ModelError("out of time")
        return self.engine.write(tokens, at)


def test_out_of_time_what_is_whole_is_named(engine: Engine, prompts: list[naming.Prompt]) -> None:
    prompt = next(p for p in prompts if len(p.text.split()) > 2 * naming.TITLE)
    outcomes = []
    for calls in range(1, search.MOST_STEPS):
        hurried = Hurried(engine, calls)
        try:
            outcomes.append(search.Search(hurried).suggest(prompt))  # type: ignore[arg-type]
        except ModelError:
            outcomes.append([])
        if hurried.left:  # it was through before
            break
    named = [bool(names) for names in outcomes]
    assert not named[0] and named[-2] and named == sorted(named)
    assert outcomes[-1] == engine.suggest(prompt)
