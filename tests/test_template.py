"""Templates and lengths, in tables: each rule beside the names that it must leave alone."""

from __future__ import annotations

import datetime
import itertools
import json
import subprocess
import types
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Run, git
from wtname import template, worktree
from wtname.errors import WtnameError
from wtname.template import Fields

NAME = "fix-login-loop"
TEAM = {"feat": "feature", "fix": "bugfix", "docs": "Docs/pages"}


def branch(pattern: str, name: str = NAME, **fields: object) -> str:
    return next(template.branches(pattern, name, Fields(**fields)))[1]  # type: ignore[arg-type]


def several(count: int, pattern: str, name: str, limit: int = 0, **fields: object) -> list[tuple[str, str]]:
    found = template.branches(pattern, name, Fields(**fields), partial(template.excess, maxlength=limit))  # type: ignore[arg-type]
    return list(itertools.islice(found, count))


@pytest.mark.parametrize(
    ("pattern", "fields", "expected"),
    [
        ("wt-{name}", {}, "wt-fix-login-loop"),
        ("{name}", {}, "fix-login-loop"),
        ("{type}/{slug}", {}, "fix/login-loop"),
        ("{type}/{slug}", {"types": TEAM}, "bugfix/login-loop"),
        ("wt-{name}", {"types": TEAM}, "wt-bugfix-login-loop"),
        ("{user}/{ticket}-{slug}", {"ticket": "AB-1", "user": "ada"}, "ada/AB-1-login-loop"),
        ("{user}/{ticket}-{slug}", {"user": "ada"}, "ada/login-loop"),
        ("{user}/{ticket}-{slug}", {}, "login-loop"),
        ("{slug}-{ticket}", {}, "login-loop"),
        ("{slug}--{ticket}", {}, "login-loop"),
        ("{slug}--{ticket}", {"ticket": "7"}, "login-loop--7"),
        ("{slug}_{ticket}.{user}", {}, "login-loop"),
        ("{slug}_{ticket}.{user}", {"user": "ada"}, "login-loop_ada"),
        ("wt-{ticket}/{slug}", {}, "wt-login-loop"),
        ("{date}/{slug}", {"date": "2026-01-02"}, "2026-01-02/login-loop"),
        ("{date}/{slug}", {}, "login-loop"),
        ("{ticket}-{slug}", {"ticket": "{user}-1"}, "{user}-1-login-loop"),
        ("{type}/{name}", {}, "fix/fix-login-loop"),
    ],
)
def test_fields(pattern: str, fields: dict[str, object], expected: str) -> None:
    assert branch(pattern, **fields) == expected


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("login-loop", "{type}/{slug}", "login-loop"),
        ("login-loop", "wt-{name}", "wt-login-loop"),
        ("fixes-login", "{type}/{slug}", "fixes-login"),
        ("Ünï.x", "{type}/{slug}", "Ünï.x"),
        ("fix", "{type}/{slug}", "fix"),
        ("fix-", "{slug}", "fix-"),
        ("fix/login", "{type}/{slug}", "bugfix/login"),
        ("bugfix-login", "{type}/{slug}", "bugfix/login"),
        ("bugfix/login", "wt-{name}", "wt-bugfix-login"),
        ("feature-x", "{type}/{slug}", "feature/x"),
        ("Docs/pages/x", "{type}/{slug}", "Docs/pages/x"),
    ],
)
def test_a_name_that_somebody_wrote(name: str, pattern: str, expected: str) -> None:
    assert branch(pattern, name, types=TEAM) == expected


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("wt-{name}", "wt-x", "wt-x"),
        ("wt-{name}", "WT-fix-x", "wt-fix-x"),
        ("wt-{type}/{slug}", "wt-fix-x", "wt-fix/x"),
        ("fix-{slug}", "fix-x", "fix-x"),
        ("{user}/{ticket}-{slug}", "ada/x", "ada/AB-1-x"),
        ("{user}/{ticket}-{slug}", "ada/AB-1-x", "ada/AB-1-x"),
        ("{type}/{ticket}-{slug}", "fix-AB-1-login", "fix/AB-1-login"),
        ("{type}/{ticket}-{slug}", "fix-login-ab-1-loop", "fix/AB-1-login-loop"),
        ("{type}/{slug}-{ticket}", "fix-login-ab-1", "fix/login-AB-1"),
        ("{type}/{ticket}-{slug}", "fix-AB-1", "fix/AB-1"),
    ],
)
def test_nothing_is_said_twice(pattern: str, name: str, expected: str) -> None:
    assert branch(pattern, name, ticket="AB-1", user="ada") == expected


@pytest.mark.parametrize(
    ("pattern", "name", "ticket", "expected"),
    [
        ("wt-{name}", "wtf-x", "", "wt-wtf-x"),
        ("wt-{name}", "wt-", "", "wt-wt-"),
        ("wt{name}", "wtx", "", "wtwtx"),
        ("{user}/{slug}", "ada-x", "", "ada/ada-x"),
        ("{ticket}-{slug}", "fix-AB-12-x", "AB-1", "AB-1-AB-12-x"),
        ("{ticket}-{slug}", "fix-CAB-1-x", "AB-1", "AB-1-CAB-1-x"),
        ("{ticket}-{slug}", "fix-top-3-list", "3", "3-top-3-list"),
        ("{ticket}-{slug}", "fix-3-lists", "3", "3-lists"),
        ("{slug}", "fix-AB-1-x", "AB-1", "AB-1-x"),
    ],
)
def test_nothing_is_said_twice_noop(pattern: str, name: str, ticket: str, expected: str) -> None:
    assert branch(pattern, name, ticket=ticket, user="ada") == expected


@pytest.mark.parametrize("pattern", ["wt", "{type}", "{name}-{nonsense}", "{ticket}", "{}-{name}"])
def test_a_template_that_cannot_be(pattern: str) -> None:
    with pytest.raises(WtnameError, match="template"):
        branch(pattern)


def test_numbers() -> None:
    assert several(3, "wt-{name}", NAME) == [
        ("fix-login-loop", "wt-fix-login-loop"),
        ("fix-login-loop-2", "wt-fix-login-loop-2"),
        ("fix-login-loop-3", "wt-fix-login-loop-3"),
    ]
    assert several(2, "{type}/{slug}", "fix")[1] == ("fix-2", "fix-2")
    assert several(2, "{ticket}-{slug}", "fix-AB-2", ticket="AB-2")[1] == ("fix-2", "AB-2-2")
    assert several(2, "{ticket}-{slug}", NAME, ticket="2")[1] == ("fix-login-loop-2", "2-login-loop-2")


def test_numbered_names_stay_short() -> None:
    long = "refactor-" + "-".join(["abcdefghi"] * 4) + "z"
    assert len(long) == 49
    names = [name for name, _ in several(12, "{name}", long)]
    assert names[0] == long
    assert all(len(name) <= 50 for name in names)
    assert len(set(names)) == 12


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (0, ["ada/feature/one-two-three", "ada/feature/one-two-three-2"]),
        (27, ["ada/feature/one-two-three", "ada/feature/one-two-three-2"]),
        (26, ["ada/feature/one-two-three", "ada/feature/one-two-2"]),
        (24, ["ada/feature/one-two", "ada/feature/one-two-2"]),
        (20, ["ada/feature/one-two", "ada/feature/one-2"]),
        (17, ["ada/feature/one", "ada/feature/one-2"]),
    ],
)
def test_the_limit_cuts_between_words(limit: int, expected: list[str]) -> None:
    found = several(2, "{user}/{type}/{slug}", "feat-one-two-three", limit, user="ada", types=TEAM)
    assert [branch for _, branch in found] == expected
    assert all(name == "feat-" + branch.removeprefix("ada/feature/") for name, branch in found)


@pytest.mark.parametrize(
    ("name", "expected"), [("fix-a_bcd", "fix/a"), ("fix-a.b-c", "fix/a.b"), ("fix-a/b/c", "fix/a/b")]
)
def test_words_of_a_name_that_somebody_wrote(name: str, expected: str) -> None:
    assert several(1, "{type}/{slug}", name, len(expected))[0][1] == expected


@pytest.mark.parametrize("limit", [1, 14])
def test_type_and_a_word_stay(limit: int) -> None:
    with pytest.raises(WtnameError, match=r"'ada/fix/loginn' .*wtname\.maxlength is"):
        several(1, "{user}/{type}/{slug}", "fix-loginn-loop", min(limit, 13), user="ada")


def test_number_without_room() -> None:
    found = template.branches("{slug}", "fix-abc", Fields(), partial(template.excess, maxlength=3))
    assert next(found) == ("fix-abc", "abc")
    with pytest.raises(WtnameError, match="abc-2"):
        next(found)


@pytest.mark.parametrize(
    ("length", "text", "passes"),
    [
        (63, "a" * 63, True),
        (63, "a" * 64, False),
        (63, "ä" * 63, True),
        (0, "a" * 250, True),
        (0, "a" * 251, False),
        (0, "ä" * 125, True),
        (0, "ä" * 126, False),
        (300, "\udc80" * 10, True),
    ],
)
def test_excess(length: int, text: str, passes: bool) -> None:
    assert (template.excess(text, length) is None) is passes


@pytest.mark.parametrize(
    ("platform", "parent", "longest"),
    [
        ("win32", 20, 120),  # 140 in all
        ("win32", 100, 40),
        ("win32", 120, 24),
        ("win32", 200, 24),  # a parent that is long already: a name for all that
        ("win32", 230, 17),  # 247 in all, or Windows makes no folder
        ("linux", 230, 250),
        ("darwin", 230, 250),
    ],
)
def test_folder_excess(platform: str, parent: int, longest: int) -> None:
    def why(length: int) -> str | None:
        return template.folder_excess("p" * parent + "b" * length, "b" * length, platform)

    assert why(longest) is None
    assert platform != "win32" or "wtname.path" in str(why(longest + 1))


def test_windows_counts_utf_16() -> None:
    assert template.folder_excess("p" * 20 + "😀" * 60, "😀" * 60, "win32") is None
    assert template.folder_excess("p" * 20 + "😀" * 61, "😀" * 61, "win32")


def test_a_folder_for_windows() -> None:
    def excess(branch: str) -> str | None:
        return template.folder_excess("C:\\" + "p" * 107 + "\\" + branch.replace("/", "-"), branch, "win32")

    found = template.branches("{type}/{slug}", "fix-" + "-".join(["word"] * 9), Fields(), excess)
    assert next(found)[1] == "fix/word-word-word-word-word"
    assert next(found)[1] == "fix/word-word-word-word-2"


@pytest.mark.parametrize("part", ["feature", "Feature", "a/b", "a.b", "a_b", "#12", "función", "a.locks", "a@b", "{"])
def test_legal_noop(part: str) -> None:
    assert template.is_legal(part)
    subprocess.run(["git", "check-ref-format", f"refs/heads/x{part}"], check=True)


ILLEGAL = ["a b", "a..b", "a~", "^a", "a:b", "a?", "a*", "[a", "a\\b", "a\tb", "\x7f", "a@{b", "a//b", "a/.b", "a.lock",
           "a.lock/b", "a/", "a."]  # fmt: skip


@pytest.mark.parametrize("part", [*ILLEGAL, "-a", "/a", ".a"])
def test_illegal(part: str) -> None:
    assert not template.is_legal(part)
    assert part not in ILLEGAL or subprocess.run(["git", "check-ref-format", f"refs/heads/x{part}"]).returncode


def test_settings_shape_a_branch(run: Run, repo: Path) -> None:
    git("config", "wtname.template", "{user}/{date}/{name}", cwd=repo)
    git("config", "wtname.type.fix", "bug", cwd=repo)
    git("config", "wtname.maxlength", "28", cwd=repo)
    before = datetime.date.today()
    made = [json.loads(run("new", "--json", "--name", "fix-login-loop-again").stdout) for _ in range(2)]
    days = [before.isoformat(), datetime.date.today().isoformat()]
    assert made[0]["branch"] in [f"ada/{day}/bug-login" for day in days]
    assert made[1]["branch"] in [f"ada/{day}/bug-login-2" for day in days]
    assert [facts["name"] for facts in made] == ["fix-login", "fix-login-2"]
    git("config", "wtname.maxlength", "20", cwd=repo)
    done = run("new", "--name", "fix-login-loop")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "wtname.maxlength is 20; set it higher or 0" in done.stderr


def test_a_folder_of_ones_own_is_no_limit(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "_WINDOWS_FOLDER", len(str(repo.parent)) + 30)
    monkeypatch.setattr(template, "_WINDOWS_LEAST", 0)
    platform = types.SimpleNamespace(platform="win32")
    monkeypatch.setattr(worktree, "sys", platform)
    name = "fix-login-loop-again"
    made = [
        json.loads(run("new", "--dry-run", "--json", "--name", name, *args).stdout) for args in ([], ["--path", "x"])
    ]
    assert made[0]["branch"] == "wt-fix-login"
    assert made[1]["branch"] == "wt-fix-login-loop-again"


def test_no_branch_comes_twice() -> None:
    assert [branch for _, branch in several(3, "{name}", "fix-a-b-2", 9)] == ["fix-a-b-2", "fix-a-b-3", "fix-a-b-4"]


FIELD = st.sampled_from(["{name}", "{type}", "{slug}", "{ticket}", "{user}", "{date}", "wt", "-", "/", "_"])


@given(
    st.lists(FIELD, max_size=8).map("".join),
    st.from_regex(r"(fix|feat|x)(-[a-z0-9]{1,9}){1,5}", fullmatch=True),
    st.sampled_from(["", "AB-1", "7"]),
    st.sampled_from(["", "ada"]),
    st.integers(12, 80),
)
@settings(max_examples=300, deadline=None)
def test_branches_are_different_and_short_enough(pattern: str, name: str, ticket: str, user: str, limit: int) -> None:
    try:
        found = several(4, pattern, name, limit, ticket=ticket, user=user, date="2026-01-02")
    except WtnameError as error:
        assert "\n" not in str(error)
        return
    assert all(len(branch) <= limit and "{" not in branch for _, branch in found)
    assert len({branch for _, branch in found}) == 4
