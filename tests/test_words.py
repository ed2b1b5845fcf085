"""Forms of English words, as names need them."""

from __future__ import annotations

import pytest

from wtname.words import forms, plain, stem


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("columns", "column"), ("crashes", "crash"), ("queries", "query"), ("caches", "cache"),
        ("releases", "release"),
        ("sizes", "size"), ("boxes", "box"), ("classes", "class"), ("aliases", "alias"), ("statuses", "status"),
        ("canvases", "canvas"),
        ("webhooks", "webhook"), ("cases", "case"), ("uses", "use"),
    ],
)  # fmt: skip
def test_a_plural_gives_its_singular(word: str, wanted: str) -> None:
    assert plain(word) == wanted


@pytest.mark.parametrize(
    "word",
    ["postgres", "kubernetes", "redis", "devtools", "nodejs", "centos", "class", "status", "bus", "os", "axis", "get"],
)
def test_what_only_looks_like_a_plural_stays(word: str) -> None:
    assert plain(word) == word


@pytest.mark.parametrize(
    ("word", "bare"),
    [("panicked", "panic"), ("panicking", "panic"), ("mimicked", "mimic"), ("clicked", "click"), ("blocking", "block")],
)
def test_a_verb_gives_its_bare_form(word: str, bare: str) -> None:
    assert bare in forms(word) and f"{bare}k" not in forms(word)
    assert stem(word) == stem(bare)
