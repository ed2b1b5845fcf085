"""Numbers of a version in a name: in the prompt's order, whole as far as they are said."""

from __future__ import annotations

import pytest

from wtname import naming
from wtname.versions import following, repeats, runs
from wtname.words import Words

EXPRESS = runs(naming.clean("Bump express to 4.4.1").text)


@pytest.mark.parametrize(
    ("prompt", "rows"),
    [
        ("Bump express to 4.4.1", (("4", "4", "1"),)),
        ("runc v1.1.3, not 1.0", (("v1", "1", "3"), ("1", "0"))),
        ("Wait 30 s. 5 times", (("30",), ("5",))),  # a mark divides too
        ("Fix the login", ()),
    ],
)
def test_rows_of_numbers(prompt: str, rows: tuple[tuple[str, ...], ...]) -> None:
    assert runs(naming.clean(prompt).text) == rows


@pytest.mark.parametrize(
    ("said", "prompt", "more", "over"),
    [
        ("express 4", "express 4.4.1", {"4"}, False),  # the first 4 it is, where a row begins with it
        ("express 4 4", "express 4.4.1", {"1"}, False),
        ("express 4 4 1", "express 4.4.1", set(), True),
        ("express", "express 4.4.1", set(), True),
        ("", "express 4.4.1", set(), True),
        ("bundler 2", "bundler 2.7.2 to 2.8", {"7", "8"}, False),
        ("bundler 2 8", "bundler 2.7.2 to 2.8", set(), True),
        ("python 3 10 3", "python 3.10 and 3.11", {"10", "11"}, False),  # one row after another
        ("error 500", "error 404 500", set(), True),  # a row may be taken up within
        ("sha 256", "sha 1", set(), True),  # the model's own number
    ],
)
def test_what_number_follows(said: str, prompt: str, more: set[str], over: bool) -> None:
    assert following(said.split(), runs(naming.clean(prompt).text)) == (more, over)


@pytest.mark.parametrize(
    ("body", "twice"),
    [
        ("bump-express-4-4-1", False),
        ("bump-express-4-4", False),
        ("bump-express-4-1-4", True),
        ("bump-express-4-4-4", True),
        ("bump-express-bump", True),
        ("4-express-4", True),
        ("bump-express-4", False),
    ],
)
def test_only_a_version_says_a_word_twice(body: str, twice: bool) -> None:
    assert repeats(body.split("-"), EXPRESS) is twice
    assert repeats(body.split("-"), ()) is (len(set(body.split("-"))) < len(body.split("-")))


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Bump express to 4.4.1", "chore-bump-express-4-4"),
        ("Release 2.0.0", "chore-release-2-0-0"),
        ("Bump webpack to 5.90.1", "chore-bump-webpack-5-90"),
        ("Bump express", "chore-bump-express"),
    ],
)
def test_words_picked_by_rules_keep_a_version_in_order(prompt: str, name: str) -> None:
    assert naming.extract(naming.clean(prompt)) == name


LONG = "The security scan says that express is too old, so {} it is, and run the tests of the shop with it"


@pytest.mark.parametrize(
    ("version", "prompt", "said"),
    [("4.4.1", "Bump express to {}", True), ("4.4.1", LONG, False), ("4.5.1", LONG, True)],
)
def test_a_long_prompt_gives_a_name_no_number_twice(version: str, prompt: str, said: bool) -> None:
    grounded, _ = naming.allowed(naming.clean(prompt.format(version)), Words({}, []))
    assert ("4" in grounded) is ("1" in grounded) is said
