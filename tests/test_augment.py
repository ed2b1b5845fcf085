"""Rules that make rows of rows: what they may do and, beside it, what they must leave alone."""

from __future__ import annotations

import difflib
import itertools
import random
from collections import Counter
from pathlib import Path

import pytest

from training import augment, templates
from training.augment import RULES, Variant, evidence, fault, hint, stays_right
from training.corpus import read_jsonl
from training.templates import Row
from wtname import naming
from wtname.words import read_words, stem

ROOT = Path(augment.__file__).parent
WORDS = read_words(Path(naming.__file__).with_name("words.txt").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return [Row(row["prompt"], row["name"]) for i, row in enumerate(read_jsonl(ROOT / "seeds.jsonl")) if i % 5 == 0]


@pytest.fixture(scope="module")
def variants(rows: list[Row]) -> list[Variant]:
    return augment.augment(rows, 120, seed=1, words=WORDS)


def test_as_many_as_asked_for_by_every_rule_and_each_once(rows: list[Row], variants: list[Variant]) -> None:
    assert Counter(v.how for v in variants) == dict.fromkeys(["template", *RULES], 15)
    assert len({v.prompt for v in variants} | {r.prompt for r in rows}) == len(variants) + len({r.prompt for r in rows})
    assert variants == augment.augment(rows, 120, seed=1, words=WORDS)
    assert variants != augment.augment(rows, 120, seed=2, words=WORDS)


def test_the_name_stays_right_and_the_type_keeps_its_evidence(rows: list[Row], variants: list[Variant]) -> None:
    for v in variants:
        prompt = naming.clean(v.prompt)
        if v.name != naming.NONE:
            assert naming.gate(v.name, prompt), v
            grounded, free = naming.allowed(prompt, WORDS)
            assert set(v.name.split("-")[1:]) <= {*grounded, *free}, v
        if v.source is None:
            continue
        source = rows[v.source]
        before = naming.clean(source.prompt)
        assert (v.name, v.prompt == source.prompt) == (source.name, False)
        assert naming.kind_of(prompt.words) == naming.kind_of(before.words), v
        assert set(map(hint, prompt.words)) - {None} == set(map(hint, before.words)) - {None}, v
        if v.how == "ticket":
            assert prompt.text == before.text and set(prompt.tickets) > set(before.tickets)
        if v.how in augment.AROUND:
            assert before.text in prompt.text


def test_a_slip_hits_one_word_that_matters_neither_to_the_name_nor_to_the_type(
    rows: list[Row], variants: list[Variant]
) -> None:
    for v in variants:
        if v.how == "typo" and v.source is not None:
            old, new = rows[v.source].prompt.split(), v.prompt.split()
            changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
            assert len(changed) == 1
            (a, b) = changed[0]
            assert stem(a.strip(".,:;!?()\"'")) not in {stem(w) for w in v.name.split("-")}
            assert difflib.SequenceMatcher(None, a, b).ratio() > 0.7


def tries(rule: str, row: Row, known: set[str] | None = None) -> set[str | None]:
    """All that a rule makes of a row."""
    return {RULES[rule](row, random.Random(seed), known or set()) for seed in range(600)}


EXPORT = Row("Fix crash when `exportAll` writes large documents", "fix-export-crash")


@pytest.mark.parametrize(
    ("rule", "row", "some"),
    [
        ("casing", EXPORT, {"fix crash when `exportall` writes large documents",
                            "Fix Crash When `exportall` Writes Large Documents"}),
        ("typo", EXPORT, {"Fix crash when `exportAll` writes lagre documents",
                          "Fix crash when `exportAll` wriites large documents",
                          "Fix crash when `exportAll` wrtes large documents"}),
        ("synonym", EXPORT, {"Repair crash when `exportAll` writes large documents"}),
        ("polite", EXPORT, {"could you please fix crash when `exportAll` writes large documents?",
                            "Fix crash when `exportAll` writes large documents, thanks"}),
        ("chatty", EXPORT, {"ok so fix crash when `exportAll` writes large documents"}),
        ("area", EXPORT, {"[api] Fix crash when `exportAll` writes large documents",
                          "web: Fix crash when `exportAll` writes large documents"}),
        ("synonym", Row("Nobody can open the directory", "fix-open"), {"No one can open the directory",
                                                                      "Nobody can open the folder"}),
        ("polite", Row("the needle sticks.", "fix-needle-stick"), {"please: the needle sticks.",
                                                                  "the needle sticks, please"}),
        ("chatty", Row("GraphQL errors vanish", "fix-graphql-error"), {"hey, GraphQL errors vanish"}),
    ],
)  # fmt: skip
def test_rules(rule: str, row: Row, some: set[str]) -> None:
    assert some <= tries(rule, row)


@pytest.mark.parametrize(
    ("rule", "row"),
    [
        ("typo", Row("Fix crash of exporting", "fix-exporting-crash")),  # the name's words, and the type's
        ("typo", Row("a broken crash documents", "fix-x")),  # evidence of types
        ("typo", Row("run `gofmt` on my-utils/parse_all.py", "style-gofmt")),  # code, paths, short words
        ("synonym", Row("Remove the folder", "refactor-remove-folder")),  # both words are the name's
        ("synonym", Row("we add.fix and `folder` to non-directory", "feat-x")),  # code and compounds
        ("synonym", Row("the prefix fix", "fix-x")),  # a verb only where it leads
        ("polite", Row("please fix the needle", "fix-needle")),
        ("area", Row("[web] Fix the needle", "fix-needle-x")),
        ("area", Row("feat(ui): turn the needle", "feat-turn-needle")),
        ("area", Row("Fix the needle", "fix-needle")),  # so vague that an area would belong in the name
        ("area", Row("Fix the needle of\nthe gauge", "fix-needle-gauge")),
    ],
)
def test_rules_leave_alone(rule: str, row: Row) -> None:
    assert tries(rule, row) == {None}


def test_a_slip_gives_no_known_word() -> None:
    row = Row("the gauge shows form", "fix-x")
    slips = tries("typo", row)
    assert "the gauge shwos form" in slips
    assert "the gauge shwos form" not in tries("typo", row, {"shwos"})


@pytest.mark.parametrize(
    ("prompt", "variant", "how", "right"),
    [
        ("Fix crash in useTopList", "fix crash in usetoplist", "casing", False),  # top and list are no words any more
        ("Fix crash in the toplist", "Fix Crash In The Toplist", "casing", False),  # nor were they before
        ("Fix crash of the top list", "FIX CRASH OF THE TOP LIST", "casing", True),
        ("Fix crash of the top list", "Fix crash of the top list", "casing", False),  # the same
        ("Fix crash of the top list", "Add crash of the top list", "synonym", False),  # another type's evidence
        ("Fix crash of the top list", "Fix crash of the top list docs", "synonym", False),
        ("Fix crash of the top list", "Repair crash of the top list", "synonym", True),
        ("Fix crash of the top list", "APP-1234: Fix crash of the top list", "ticket", True),
        ("Fix crash of the top list", "Fix crash of the top list app", "ticket", False),  # no ticket
        ("Fix crash of the top list", "APP-1234: Fix crash of the top list", "chatty", False),  # not asked for
        ("  at top.c:12\ncrash of the top list", "hey,   at top.c:12\ncrash of the top list", "ticket", False),
        ("Fix crash of the top list", "hey, Fix crash of the top list", "chatty", True),
        ("Fix crash of the top list", "hey, Fix crash of a top list", "chatty", False),  # not the same text inside
        ("Fix crash of the top list " + "and so on " * 40, "hey, fix crash of the top list", "chatty", False),
    ],
)
def test_stays_right(prompt: str, variant: str, how: str, right: bool) -> None:
    assert stays_right(Row(prompt, "fix-top-list-crash"), variant, how, WORDS) is right


def test_a_prompt_without_a_task_gets_none() -> None:
    row = Row("carry on", naming.NONE)
    assert stays_right(row, "hey, carry on", "chatty", WORDS)
    assert not stays_right(row, "hey, carry on with the gauge", "chatty", WORDS)


@pytest.mark.parametrize(
    ("name", "prompt", "why"),
    [
        ("fix-zero-width-crash", "Fix crash on zero-width columns", None),
        ("none", "hello", None),
        ("none", "```\n```", "empty prompt"),
        ("fix", "Fix crash on zero-width columns", "form"),
        ("bugfix-crash", "Fix crash on zero-width columns", "form"),
        ("fix-zero_width", "Fix crash on zero-width columns", "form"),
        ("fix-" + "-".join(["column"] * 9), "Fix crash on zero-width columns", "form"),
        ("fix-column-column", "Fix crash on zero-width columns", "words"),
        ("fix-crash", "Fix crash on zero-width columns", "words"),
        ("fix-kangaroo-crash", "Fix crash on zero-width columns", "not grounded"),
        ("chore-remove-lodash", "get rid of lodash", None),  # a word that names may use though the prompt lacks it
    ],
)
def test_fault(name: str, prompt: str, why: str | None) -> None:
    assert fault(name, naming.clean(prompt), WORDS) == why


@pytest.mark.parametrize(
    ("words", "kind", "hints"),
    [
        ("fix the needle", "fix", {"fix"}),
        ("the needle turns", "feat", set()),
        ("add docs for the needle", "docs", {"feat", "docs"}),
        ("rename the test", "test", {"refactor", "test"}),
    ],
)
def test_evidence(words: str, kind: str, hints: set[str]) -> None:
    assert evidence(words.split()) == (kind, hints)


def test_every_template_gives_right_names() -> None:
    slots = templates.SLOTS
    for template in templates.TEMPLATES:
        used = [slot for slot in slots if f"{{{slot}}}" in template.prompt]
        assert used and all(f"{{{slot}}}" not in template.name for slot in slots if slot not in used)
        for filled in itertools.product(*(slots[slot] for slot in used)):
            row = templates.fill(template, dict(zip(used, filled, strict=True)))
            assert fault(row.name, naming.clean(row.prompt), WORDS) is None, row
            assert row.name.count("-") <= 7 and "{" not in row.prompt


def test_few_rows_give_what_they_can() -> None:
    few = [Row("Fix crash of the top list", "fix-top-list-crash"), Row("no name fits", "fix-kangaroo-crash")]
    made = augment.augment(few, 200, seed=1, words=WORDS)
    count = Counter(v.how for v in made)
    assert len(made) == 200 and {v.source for v in made} == {None, 0}
    assert 1 <= count["synonym"] <= 2 and count["ticket"] > 40  # other rules go on where one has no more to give
    assert {v.how for v in augment.augment([], 10, seed=1, words=WORDS)} == {"template"}
    assert augment.augment(few, 0, seed=1, words=WORDS) == []
