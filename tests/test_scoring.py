"""The figures of the scorer by hand: of each a row that it counts, and beside it one that it does not."""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from typing import Any

import pytest

from training import corpus, scoring
from wtname import naming

PROMPT = "Fix NullPointerException in the user-agent parser's dependencies on weekends"
HERE = Path(__file__).parent


def judge(name: str | None, *refs: str, prompt: str = PROMPT) -> dict[str, Any]:
    return scoring.score([{"id": "1", "prompt": prompt, "refs": refs}], {"1": name})[0]


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("fix-parser", 1),
        ("none", 1),
        ("fix-a-b-c-d-e-f", 1),
        ("fix-a-b-c-d-e-f-g", 0),
        ("fix-" + "a" * 46, 1),
        ("fix-" + "a" * 47, 0),
        ("perf-parser", 0),
        ("fix", 0),
        ("fix-Parser", 0),
        ("fix--parser", 0),
    ],
)
def test_form(name: str, form: int) -> None:
    assert judge(name, "fix-parser")["form"] == form


@pytest.mark.parametrize(
    ("name", "refs", "kind", "f1", "exact"),
    [
        ("fix-agent-parser", ["fix-agent-parser"], 1, 1, 1),
        ("fix-parser-agent", ["fix-agent-parser"], 1, 1, 0),
        ("feat-agent-parser", ["fix-agent-parser"], 0, 1, 0),
        ("feat-parser", ["fix-parser", "feat-parse-error", "none"], 1, 1, 0),
        ("feat-parse-error", ["fix-parser", "feat-parse-error"], 1, 1, 1),
        # Of two words one is right, and it is the only one wanted: precision 1/2, recall 1.
        ("fix-parser-crash", ["fix-parser"], 1, 2 / 3, 0),
        ("fix-parser", ["fix-agent-parser-null"], 1, 1 / 2, 0),
        ("fix-parser-parser", ["fix-parser"], 1, 2 / 3, 0),
        ("fix-parser-parse", ["fix-parse-parser"], 1, 1, 0),
        ("fix-parsing-crashes", ["fix-parse-crash"], 1, 1, 0),
        ("fix-crash", ["fix-parse"], 1, 0, 0),
        ("fix-entries", ["fix-entry"], 1, 1, 0),
        ("fix-configuration-messages", ["fix-config-msg"], 1, 1, 0),
        ("fix-connection-messages", ["fix-config-msg"], 1, 1 / 2, 0),
        ("fix-library-performance", ["fix-lib-perf"], 1, 1, 0),
        ("fix-parser-on-the-weekend", ["fix-parser-weekend"], 1, 1, 0),
        ("feat-parser-all-weekend-crash", ["fix-parser-weekend"], 0, 4 / 5, 0),
        ("feat-use-it", ["feat-use-it"], 1, 1, 1),
        ("fix", ["fix-parser"], 1, 0, 0),
        ("", ["fix-parser"], None, None, None),
        (None, ["fix-parser"], None, None, None),
        ("none", ["fix-parser"], None, None, None),
        ("fix-parser", ["none"], None, None, None),
    ],
)
def test_type_f1_and_exact_make_the_score(
    name: str | None, refs: list[str], kind: int | None, f1: float | None, exact: int | None
) -> None:
    got = judge(name, *refs)
    assert (got["type"], got["exact"]) == (kind, exact)
    assert got["f1"] == (None if f1 is None else round(f1, 4))
    assert got["score"] == round(100 * (0.25 * (kind or 0) + 0.75 * (f1 or 0)), 2)


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ("parser-crash", "crash"),
        ("parser-agent", None),
        ("parsers", None),  # inflected
        ("parsing-deps", None),  # abbreviated
        ("dependent", None),  # derived: the same first letters
        ("depot", "depot"),
        ("pointing-exceptions", None),  # split at a hump
        ("nullpointerexception", None),
        ("useragent", None),  # written together
        ("end-user", None),  # a part
        ("er", "er"),
        ("the-test-not", None),  # filler, a type
        ("deadlock", None),  # a reference's
        ("deadlocked", None),
        ("deadlift", None),  # five letters, and no more is asked
        ("deadbeat", "deadbeat"),
    ],
)
def test_invented(body: str, word: str | None) -> None:
    assert scoring.invented(f"fix-{body}", PROMPT, ["fix-deadlock"]) == word
    assert judge(f"fix-{body}", "fix-deadlock")["invented"] == (word is not None)


def test_an_accent_is_no_invention() -> None:
    assert scoring.invented("fix-cafe-menu", "Das Menü im Blumencafé ist kaputt", []) is None
    assert scoring.invented("fix-tea-menu", "Das Menü im Blumencafé ist kaputt", []) == "tea"


@pytest.mark.parametrize(
    ("name", "dull"),
    [
        ("fix-parser-crash", 0),
        ("fix-parser-fix", 1),
        ("fix-fixes-parser", 1),
        ("feat-fix-parser", 0),
        ("docs-documentation-typo", 1),
        ("test-latest-parser", 0),
        ("fix-parser-crash-parser", 1),
        ("fix-parser-crash-parsers", 1),
        ("fix-boot-bootable", 0),
        ("feat-add-parser", 1),
        ("feat-parser-add", 0),
        ("chore-add-parser", 0),
        ("fix-it-now", 1),
        ("fix-it-parser", 0),
        ("fix", 1),
    ],
)
def test_dull(name: str, dull: int) -> None:
    assert judge(name, "fix-parser")["dull"] == dull


def test_of_abstaining_and_of_the_whole() -> None:
    refs = [["none"], ["fix-a1"], ["fix-b1", "none"], ["none"], ["fix-c1", "docs-c1"], ["fix-a1"]]
    given = {"0": "none", "1": "none", "2": "none", "3": "feat-add-e1", "4": "docs-c1"}
    rows = [{"id": str(i), "prompt": "a1 b1 c1", "refs": r} for i, r in enumerate(refs)]
    figures, scored = scoring.score(rows, given)
    assert figures == {
        # Abstains four times, the last for want of a name, and twice rightly; three references are `none`.
        "n": 6, "score": 50.0, "form": 1.0, "type": 1.0, "f1": 1.0, "exact": 1.0, "invented": 0.5, "dull": 0.5,
        "none_p": 0.5, "none_r": 0.6667,
    }  # fmt: skip
    assert scored == [
        (1.0, "none", "none", "a1 b1 c1"), (0.0, "none", "fix-a1", "a1 b1 c1"), (1.0, "none", "fix-b1", "a1 b1 c1"),
        (0.0, "feat-add-e1", "none", "a1 b1 c1"), (1.0, "docs-c1", "fix-c1", "a1 b1 c1"),
        (0.0, "none", "fix-a1", "a1 b1 c1"),
    ]  # fmt: skip
    assert scoring.score([], {})[0] == {"n": 0, **dict.fromkeys(figures.keys() - {"n"})}


def spoil(name: str, chance: random.Random) -> str:
    """The name as a namer might get it wrong, or not."""
    kind, words = scoring.split(name)
    if not words:
        return chance.choice(["none", "chore-update"])
    change = chance.randrange(8)
    if change == 0:
        words.pop()
    elif change == 1:
        words.append("crash")
    elif change == 2:
        kind = chance.choice(naming.TYPES)
    elif change == 3:
        words.reverse()
    elif change == 4:
        words[-1] += "s"
    elif change == 5:
        return "none"
    elif change == 6:
        words = ["of", *(w for word in words for w in (word, "the"))]
    return "-".join([kind, *words])


def test_another_scorer_of_the_same_measures_agrees() -> None:
    other = HERE.parent.parent / "shared" / "tools" / "score.py"
    if not other.exists():
        pytest.skip("the other scorer is not at hand")
    chance = random.Random(1)
    read = chance.sample(list(corpus.read_jsonl(HERE.parent / "training" / "written.jsonl")), 400)
    rows = [{"id": str(i), "prompt": row["prompt"], "refs": [row["name"]]} for i, row in enumerate(read)]
    rules = {row["id"]: naming.extract(naming.clean(row["prompt"])) or "none" for row in rows}
    spoilt = {row["id"]: spoil(row["refs"][0], chance) for row in rows}
    for names in (rules, spoilt, {row["id"]: row["refs"][0] for row in rows}):
        ours, theirs = scoring.score(rows, names)[0], runpy.run_path(str(other))["score"](rows, names)[0]
        assert ours.keys() == theirs.keys()
        assert ours["score"] == pytest.approx(theirs["score"], abs=1.5)
        for same in ("n", "form", "type", "exact"):
            assert ours[same] == theirs[same]
        for same in ("none_p", "none_r"):
            assert ours[same] == pytest.approx(theirs[same], abs=6e-4)
        for near in ("f1", "invented", "dull"):
            assert ours[near] == pytest.approx(theirs[near], abs=0.02)
