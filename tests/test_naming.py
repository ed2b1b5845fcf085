"""Text in, text out: tables of cases, each rewrite beside prompts that must stay as they are."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wtname import naming
from wtname.words import Words


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("Fix crash on zero-width columns", "fix crash on zero width columns"),
        ("Use useTopCategoryList in HTTPServer", "use use top category list in http server"),
        ("fix attribute_error in add_defaults", "fix attribute error in add defaults"),
        ("SQLite3Adapter, GitHubToken and JCasc", "sqlite3 adapter github token and jcasc"),
        ("parseURLs in HealthyPGs of VMSnapshot", "parse urls in healthy pgs of vm snapshot"),
        ("GraphQL over IPv6, OAuth2 URLs", "graphql over ipv6 oauth2 urls"),
        ("don’t retry, can't stop", "dont retry cant stop"),
        ("bump cobra from v1.4.0 to 1.5.0", "bump cobra from v1 4 0 to 1 5 0"),
        ("limit is 10,000 rows", "limit is 10000 rows"),
        ("[CI:DOCS] man pages: images", "ci docs : man pages : images"),
        ("crash in src/upload.rs:96:5", "crash in src upload rs"),
        ("raft: fix panic (ABC-12)", "raft : fix panic"),
        ("See https://github.com/o/r/issues/12 first", "see first"),
        ("Fix [the link](https://example.org/a_(b))", "fix the link"),
        ("Fixes broken merge. Closes #2711.", "fixes broken merge"),
        ("revert 364d8dda95d33c848587a81b0241d5b95a09823c please", "revert please"),
        (":bug: fix login", "fix login"),
        ("✨ add login 🎉", "add login"),
        ("Größe über Menü", "grosse uber menu"),
        ("Исправить вход", "fix login"),
        ("修复", "fix"),
        ("διόρθωση 葡萄", "diorthosi pu tao"),
        ("<task>Fix login</task>", "fix login"),
        ("<system-reminder>be nice</system-reminder>\nFix login", "fix login"),
        ("<system-reminder>never closed, so all of it is noise", ""),
        ("Render <thinking> blocks collapsed by default", "render thinking blocks collapsed by default"),
        ("<a <b> lost words > kept words</a></b>", "a lost words kept words"),
        ("Fix <a-b> beside <a>links</a>", "fix a b beside links"),
        ("Fix <Button> label", "fix button label"),
        ("Fix this:\n```\nfoo(bar)\n```\nand that", "fix this | and that"),
        ("Fix it\n\nSigned-off-by: Ada <ada@example.org>", "fix it"),
        (
            "Crash!\nTraceback (most recent call last):\n  File \"a.py\", line 3, in f\nValueError: no rows",
            "crash | value error : no rows",
        ),
        ("    at render (app.js:10:2)\nTypeError in render", "type error in render"),
        ("Add a\x00b\x1b[31m", "add a b 31m"),
        ("", ""),
        ("\ud800", ""),
    ],
)  # fmt: skip
def test_clean(prompt: str, text: str) -> None:
    assert naming.clean(prompt).text == text


@pytest.mark.parametrize(
    "prompt",
    [
        "encode as utf 8 with sha 256",
        "generics of type t are not a tag",
        "the at sign in an address",
        "fix the e2e tests on k8s",
        "wait for 3 of 5 replicas",
    ],
)
def test_clean_noop(prompt: str) -> None:
    assert naming.clean(prompt).text == prompt


@pytest.mark.parametrize(
    ("prompt", "tickets"),
    [
        ("ABC-123: fix login", ("ABC-123",)),
        ("fix login (#42), see GH-7", ("42", "7")),
        ("https://github.com/o/r/issues/12 fix login", ("12",)),
        ("https://jira.example.org/browse/ab-9", ("AB-9",)),
        ("PROJ-1 and PROJ-1 and PROJ-2", ("PROJ-1", "PROJ-2")),
        ("UTF-8, SHA-256, ISO-8601, CVE-2024 and COVID-19", ()),
        ("&#39; is an entity", ()),
        ("crash in login\n#0 0x00007ffff7 in main\n#1 0x00005555 in start", ()),
        ("change the border colour from #333 to #112233", ()),
        ("<system-reminder>see #12</system-reminder>fix #13", ("13",)),
        ("no ticket", ()),
    ],
)
def test_tickets(prompt: str, tickets: tuple[str, ...]) -> None:
    assert naming.clean(prompt).tickets == tickets


def test_an_ask_behind_a_long_attachment_is_found() -> None:
    attached = "<file_contents>" + "x = compute(y)\n" * 3000 + "</file_contents>\nFix crash on login"
    assert naming.clean(attached).text == "fix crash on login"
    assert naming.clean("y = x + 1 ;\n" * 3000 + "\nPlease fix the login crash").text.endswith("fix the login crash")


@pytest.mark.parametrize(
    "hostile",
    [
        "[" * 20_000, "<a " * 6_600, "</a>" + "<a " * 6_600, "<thinking " * 2_000, "<thinking>" * 2_000 + "</x>",
        "".join(f"</t{i}>" for i in range(3_000)), " " * 19_990 + "x", "at x" + "(" * 19_000, "at x(" + "1" * 19_000,
        "at a" + ":1" * 9_000 + "x", "```\n" * 5_000, "fix #1 " + "and #1 " * 3_000, "fix" + " " * 19_000 + "#",
        "a." * 10_000, "see " * 5_000, "x\n" * 10_000, "\u4fee" * 20_000, "v1." * 6_000, "'" * 20_000, "A" * 20_000,
        "aA" * 10_000,
    ],
    ids=lambda text: repr(text[:12]),
)  # fmt: skip
def test_no_text_takes_long_to_clean(hostile: str) -> None:
    import time

    naming.clean("warm up: é")
    began = time.process_time()
    naming.clean(hostile)
    assert time.process_time() - began < 2  # of processor time; what was quadratic took 18 s


def test_a_long_prompt_keeps_its_ask() -> None:
    noise = "The weather in the office was fine that day and lunch was late. " * 40
    text = naming.clean(f"We have a report page. {noise} Please add a CSV export button. {noise} Thanks.").text
    assert len(text.split()) <= naming.MAX_WORDS
    assert "please add a csv export button" in text


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Fix crash on zero-width columns", "fix-crash-zero-width-column"),
        ("please add dark mode toggle", "feat-dark-mode-toggle"),
        ("Update README", "docs-update-readme"),
        ("add tests for the raft parser", "test-raft-parser"),
        ("bump webpack", "chore-bump-webpack"),
        ("hi", None),
        ("", None),
        ("please do it now", None),
        ("v1.2.3", None),
        ("v1.2.3 fonts", "feat-v1-2-3-font"),
        ("1.2.3", None),
        ("\x00\x01", None),
    ],
)
def test_extract(prompt: str, name: str | None) -> None:
    assert naming.extract(naming.clean(prompt)) == name


@pytest.mark.parametrize(
    ("name", "passes"),
    [
        ("fix-zero-width-crash", True),
        ("fix-column-crash", True),
        ("fix-column", False),  # one word where the prompt has more to tell
        ("fix-fix-crash", False),
        ("fix-crash-crash", False),
        ("fix-the-of", False),
        ("bug-zero-width-crash", False),
        ("fix", False),
        ("fix-", False),
        ("fix-Zero-width", False),
        ("fix-a-b-c-d-e-f-g", False),
        ("fix-" + "x" * 60, False),
        ("s-s-ss-s-s-s-guide-guide", False),
    ],
)
def test_gate(name: str, passes: bool) -> None:
    assert naming.gate(name, naming.clean("Fix crash on zero-width columns")) is passes


def test_one_word_passes_where_the_prompt_has_one() -> None:
    assert naming.gate("fix-login", naming.clean("fix the login"))


@pytest.mark.parametrize(
    ("prompt", "absent", "present"),
    [
        (
            "Die App stürzt ab, wenn man während der Aufnahme das Headset abzieht",
            {"der", "die", "man"},
            {"app", "headset"},
        ),
        ("Cuando el usuario cierra la sesión se pierde el carrito", {"el", "la", "se"}, {"usuario", "carrito"}),
        ("Fix worker die on SIGTERM in the pool", set(), {"die", "worker", "in"}),
        ("Drop el 7 and die on start, as in the handbook", set(), {"el", "die", "as"}),
    ],
)
def test_small_foreign_words_stay_out_of_names(prompt: str, absent: set[str], present: set[str]) -> None:
    grounded, _ = naming.allowed(naming.clean(prompt), Words({}, []))
    assert not absent & set(grounded)
    assert present <= set(grounded)


def test_names_are_legal_for_git() -> None:
    for prompt in ("Fix crash", "@{upstream} ..lock .lock", "HEAD", "~^: [x] \\ *"):
        name = naming.extract(naming.clean(prompt))
        if name:
            subprocess.run(["git", "check-ref-format", "--branch", name], check=True, capture_output=True)


@given(st.text(max_size=400))
@example("\ud800 fix")
@example("İ ß ﬁ Ⅷ ① 𝔣𝔦𝔵 ١٢٣")
@example("a" * 500)
@example("--orphan\n$(rm -rf /)\x00`id`")
@settings(max_examples=400, deadline=None)
def test_any_text_cleans_to_the_models_alphabet(prompt: str) -> None:
    cleaned = naming.clean(prompt)
    assert set(cleaned.text) <= set("abcdefghijklmnopqrstuvwxyz0123456789 .:?|(")
    assert "  " not in cleaned.text and cleaned.text == cleaned.text.strip()
    name = naming.extract(cleaned)
    assert name is None or (naming.NAME.fullmatch(name) and len(name) <= naming.MAX_NAME)


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_cleaning_a_cleaned_text_changes_nothing_but_marks(prompt: str) -> None:
    words = naming.clean(prompt).words
    assert naming.normalise(" ".join(words)).split() == words
