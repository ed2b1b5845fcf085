"""Names that copy from the prompt: the arithmetic beside llama.cpp, and files that are damaged."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pairs import make, namer

from wtname import naming
from wtname.engine import Engine
from wtname.engine.pointer import Pointer
from wtname.errors import ModelError

# Four tokens, a query of two, a key of two.
KEYS = {1: [0, 0, 0, 0, 0, 0, 1.0, 0.0], 2: [0, 0, 0, 0, 0, 0, 0.0, 2.0], 3: [0, 0, 0, 0, 0, 0, -1.0, -1.0]}
AFTER = [0.5, 1.0, -2.0, 3.0, 0.25, 2.0, 9.0, 9.0]


@pytest.mark.parametrize(
    "prompt, added",
    [
        ([], {}),
        ([1], {1: [0.25]}),
        ([1, 2, 3], {1: [0.25], 2: [4.0], 3: [-2.25]}),
        ([2, 1, 2], {1: [0.25], 2: [4.0, 4.0]}),  # twice there, twice as likely
    ],
)
def test_each_place_of_a_token_adds_to_its_score(prompt: list[int], added: dict[int, list[float]]) -> None:
    pointer, scores = Pointer("2", 8, "x.gguf"), list(AFTER)
    pointer.read([(token, KEYS[token]) for token in prompt])
    pointer.add(scores)
    want = [
        math.log(sum(math.exp(way) for way in (score, *added.get(token, [])))) for token, score in enumerate(AFTER[:4])
    ]
    assert scores == pytest.approx([*want, *AFTER[4:]])


def test_a_prompt_is_forgotten_with_the_next_one() -> None:
    pointer, scores = Pointer("2", 8, "x.gguf"), list(AFTER)
    pointer.read([(1, KEYS[1])])
    pointer.read([])
    pointer.add(scores)
    assert scores == AFTER


def test_scores_far_apart_do_not_overflow() -> None:
    pointer, scores = Pointer("1", 4, "x.gguf"), [-900.0, 900.0, 30.0, 0.0]
    pointer.read([(0, [0, 0, 0, 40.0]), (1, [0, 0, 0, -40.0])])
    pointer.add(scores)
    assert scores == [1200.0, 900.0, 30.0, 0.0]


@pytest.mark.parametrize("size", ["0", "-1", "", "x", "513", "9" * 5000, "1.5"])
def test_a_pointer_that_is_none_is_refused(size: str) -> None:
    with pytest.raises(ModelError, match=r"no pointer of .* numbers; install it again"):
        Pointer(size, 8192, "x.gguf")


def test_a_pointer_needs_its_rows() -> None:
    """Rows before the first one would be read from somebody else's memory."""
    assert Pointer("4", 9, "x.gguf").tokens == 1
    for vocab in (8, 7, 0):
        with pytest.raises(ModelError, match="no pointer of 4 numbers"):
            Pointer("4", vocab, "x.gguf")


@pytest.mark.parametrize("size", [5000, "many", ""])
def test_a_damaged_file_is_told_in_a_line(size: int | str, tmp_path: Path) -> None:
    gguf = namer(tmp_path / "namer.gguf", encoder=None, pair=None, pointer=size)
    with pytest.raises(ModelError, match="no pointer of"):
        Engine(gguf)


@pytest.mark.parametrize("encoder", [True, False])
def test_the_same_prompt_has_the_same_names_whatever_came_before(
    encoder: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gguf = make(tmp_path, pointer=16) if encoder else namer(tmp_path / "n.gguf", encoder=None, pair=None, pointer=16)
    prompts = [naming.clean(p) for p in ("Fix crash on zero-width columns", "docs: say how to rotate the keys", "x")]
    engine = Engine(gguf)
    first = [engine.suggest(prompt, 3) for prompt in prompts]
    assert [engine.suggest(prompt, 3) for prompt in reversed(prompts)] == first[::-1]
    monkeypatch.setattr(Pointer, "add", lambda *_: None)
    assert [engine.suggest(prompt, 3) for prompt in prompts] != first  # copying counts
    engine.close()


def test_an_encoder_has_to_know_the_namers_tokens_alone(tmp_path: Path) -> None:
    from pairs import TOKENS, encoder

    gguf = make(tmp_path, pointer=16)
    Engine(gguf).close()
    encoder(tmp_path / "branch-name-encoder.gguf", tokens=TOKENS - 1)
    with pytest.raises(ModelError, match="does not fit"):
        Engine(gguf)


def test_scores_that_are_asked_for_are_those_of_all(tmp_path: Path) -> None:
    """The output layer is computed only where a token that may be copied stands."""
    engine = Engine(make(tmp_path, pointer=16))
    ids = engine.tokenize(naming.render(naming.clean("crash of the parser: the parser reads a date twice").text))
    scores = engine.read(ids, set(ids))
    full = {token: scores[token] for token in ids}
    bare = engine.read(ids, set())
    assert [bare[token] for token in ids[1:-1]] != pytest.approx([full[token] for token in ids[1:-1]], abs=1e-2)
    for token in set(ids):
        assert engine.read(ids, {token})[token] == pytest.approx(full[token], abs=1e-3)
    engine.close()
