"""Steps through the trie, with scores made by hand."""

from __future__ import annotations

import pytest

from wtname.grounding import END_COST, Path, steps, trie
from wtname.versions import Runs

END = 0
WORDS = [
    ("crash", (1,), 0.0),
    ("crashes", (1, 2), 0.0),
    ("column", (3,), 0.0),
    ("remove", (4,), 2.0),
    ("fix", (5,), 0.0),
]
FLAT = [0.0] * 6


def names_from(path: Path, least: int = 2) -> dict[int, tuple[str, ...]]:
    return {s.token: s.words for s in steps(path, trie(WORDS), FLAT, END, least)}


def start(kind: str = "feat") -> tuple[Path, dict[int, Path]]:
    root = trie(WORDS)
    first = Path(0, 9, kind, (), root, 0.0, 1)
    ways = steps(first, root, FLAT, END, 2)
    return first, {s.token: Path(0, s.token, kind, s.words, s.node, s.score, 2) for s in ways if s.node}


def test_a_name_begins_with_any_word_but_its_type() -> None:
    assert set(start("feat")[1]) == {1, 3, 4, 5}
    assert set(start("fix")[1]) == {1, 3, 4}


def test_a_free_word_costs() -> None:
    _, ways = start()
    assert ways[4].score < ways[3].score - 1.9


def test_a_free_word_costs_the_same_wherever_it_lies_in_the_trie() -> None:
    words = [("auto", (1,), 2.0), ("automation", (1, 2), 0.0), ("time", (3,), 2.0), ("timeout", (3, 4), 2.0)]
    root = trie(words)
    first = {s.token: s.score for s in steps(Path(0, 9, "feat", (), root, 0.0, 1), root, FLAT, END, 1)}
    assert first[1] - first[3] == pytest.approx(2.0)

    def on(token: int) -> dict[int, float]:
        ways = steps(Path(0, token, "feat", (), root.children[token], 0.0, 2), root, FLAT, END, 1)
        return {s.token: s.score for s in ways}

    assert on(1)[2] - on(1)[END] == pytest.approx(2.0 + END_COST)  # automation is free of charge, auto pays on leaving
    assert on(3)[4] == pytest.approx(on(3)[END] + END_COST)  # both have paid on the way in


@pytest.mark.parametrize(("said", "more"), [((), 0.0), (("retry",), 2.0)])
def test_a_free_word_costs_where_the_word_it_begins_like_is_said_already(said: tuple[str, ...], more: float) -> None:
    root = trie([("retry", (1, 2), 0.0), ("reuse", (1, 4), 2.0), ("hook", (3,), 0.0)])
    ways = {s.token: s.score for s in steps(Path(0, 9, "feat", said, root, 0.0, 3), root, FLAT, END, 1)}
    assert ways[3] - ways[1] == pytest.approx(more)


def test_a_word_may_go_on_or_another_begin() -> None:
    root = trie(WORDS)
    path = Path(0, 1, "feat", (), root.children[1], 0.0, 2)
    ways = {s.token: s.words for s in steps(path, root, FLAT, END, 1)}
    assert ways[2] == ()  # crash -> crashes
    assert ways[3] == ("crash",)
    assert ways[END] == ("crash",)
    assert END not in {s.token for s in steps(path, root, FLAT, END, 2)}


def test_no_form_of_a_word_comes_twice() -> None:
    root = trie(WORDS)
    path = Path(0, 3, "feat", ("crash",), root.children[3], 0.0, 3)
    tokens = {s.token for s in steps(path, root, FLAT, END, 2)}
    assert tokens == {4, 5, END}


@pytest.mark.parametrize(("kind", "said", "added"), [("feat", (), False), ("feat", ("page",), True), ("fix", (), True)])
def test_a_feature_does_not_begin_with_adding(kind: str, said: tuple[str, ...], added: bool) -> None:
    root = trie([("add", (1,), 0.0), ("page", (2,), 0.0), ("button", (3,), 0.0)])
    node = root.children[2] if said else root
    tokens = {s.token for s in steps(Path(0, 9, kind, (), node, 0.0, 1), root, FLAT, END, 1)}
    assert (1 in tokens) is added and 3 in tokens


@pytest.mark.parametrize(
    ("said", "numbers", "ways"),
    [
        ((), (("4", "4", "1"),), {1, 2, 3}),
        (("bump",), (("4", "4", "1"),), {1, 2, END}),
        (("bump", "4"), (("4", "4", "1"),), {1, END}),  # 4.1 is another version
        (("bump", "4", "4"), (("4", "4", "1"),), {2, END}),
        (("bump", "4", "4", "1"), (("4", "4", "1"),), {END}),
        (("bump", "4"), (), {2, END}),  # no word twice where no version asks for it
    ],
)
def test_a_version_is_said_in_its_order(said: tuple[str, ...], numbers: Runs, ways: set[int]) -> None:
    tokens = {"4": 1, "1": 2, "bump": 3}
    root = trie((word, (token,), 0.0) for word, token in tokens.items())
    *before, last = said or ("",)
    node = root.children[tokens[last]] if said else root
    path = Path(0, tokens.get(last, 9), "chore", tuple(before), node, 0.0, 2)
    assert {s.token for s in steps(path, root, FLAT, END, 1, numbers)} == ways


def test_scores_are_log_probabilities() -> None:
    import math

    root = trie(WORDS)
    path = Path(0, 3, "feat", ("crash",), root.children[3], 0.0, 3)
    assert math.isclose(sum(math.exp(s.score) for s in steps(path, root, FLAT, END, 2)), 1.0)
