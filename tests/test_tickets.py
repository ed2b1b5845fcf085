"""Tickets: where they are looked for, in which order, and patterns that mean harm."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.conftest import Run, git
from wtname import tickets
from wtname.errors import WtnameError
from wtname.settings import Settings

ASKS = Settings(template="{ticket}-{slug}")


@pytest.mark.parametrize(
    ("branch", "ticket"),
    [
        ("feature/PROJ-12-retry", "PROJ-12"),
        ("PROJ-12", "PROJ-12"),
        ("ada_PROJ-12_retry", "PROJ-12"),
        ("12-retry", "12"),
        ("feature/12-retry", "12"),
        ("issue-12-retry", "12"),
        ("issues/12/retry", "12"),
        ("gh-7", "7"),
        ("#7-retry", "7"),
    ],
)
def test_of_branch(branch: str, ticket: str) -> None:
    assert tickets.of_branch(branch) == ticket


@pytest.mark.parametrize(
    "branch",
    ["", "main", "fix-404-page", "2026-01-02-retry", "retry-2", "v1.2", "proj-12-retry", "1234567-x", "XPROJ-1234567"],
)
def test_of_branch_noop(branch: str) -> None:
    assert tickets.of_branch(branch) == ""


@pytest.mark.parametrize(
    ("given", "prompt", "branches", "ticket"),
    [
        ("X-1", "PROJ-2: retry", ["PROJ-3-x"], "X-1"),
        ("ünï#1", "retry", [], "ünï#1"),
        (None, "PROJ-2: retry", ["PROJ-3-x"], "PROJ-2"),
        (None, "retry, https://github.com/o/r/issues/12", ["PROJ-3-x"], "12"),
        (None, "retry", ["fix-x", "PROJ-3-x"], "PROJ-3"),
        (None, "retry", ["fix-PROJ-4-x", "PROJ-3-x"], "PROJ-4"),
        (None, "retry", ["", "main"], ""),
    ],
)
def test_order(given: str | None, prompt: str, branches: list[str], ticket: str) -> None:
    assert tickets.choose(ASKS, given, prompt, branches) == ticket


def test_a_template_without_ticket_leaves_the_branch_and_the_pattern_alone() -> None:
    chosen = Settings(ticket="(unclosed")
    assert tickets.choose(chosen, None, "retry", ["PROJ-3-x"]) == ""
    assert tickets.choose(chosen, None, "retry #7", ["PROJ-3-x"]) == "7"
    assert tickets.choose(chosen, "X-1", "retry #7") == "X-1"


@pytest.mark.parametrize("given", ["a b", "a:b", "x..y", "-x", "a\nb", "x.lock", "@{-1}", "a/"])
def test_a_ticket_that_no_branch_can_have(given: str) -> None:
    with pytest.raises(WtnameError, match=r"--ticket .*; pass it without"):
        tickets.choose(Settings(), given, "")


@pytest.mark.parametrize(
    ("pattern", "text", "ticket"),
    [
        (r"[A-Z]+-\d+", "retry OPS-12 and OPS-13", "OPS-12"),
        (r"OPS-(\d+)", "retry OPS-12", "12"),
        (r"(?i)\bops-\d+", "retry Ops-12", "Ops-12"),
        (r"issue (\d+)|OPS-(\d+)", "retry OPS-12", "12"),
        (r"(?:OPS|WEB)-\d+", "retry WEB-3", "WEB-3"),
        (r"^T\d+", "retry\nT12 now", "T12"),
        (r"ticket (.*)!", "ticket a b: ..c!", "a-b-c"),
        (r"OPS-\d+", "x " * 990 + "OPS-12", "OPS-12"),
        (r"OPS-\d+", "x " * 1000 + "OPS-12", ""),
        (r"OPS-\d+", "retry", ""),
        (r"", "retry", ""),
        # In a process of its own:
        (r"(?:[A-Z]+-)+\d+", "retry A-B-12", "A-B-12"),
        (r"(?:([a-z])-?){2,}(\d+)", "retry \udc80 x-y-é7 ab-7", "b"),
        (r"(?:[A-Z]+-)+\d+", "retry", ""),
    ],
)
def test_search(pattern: str, text: str, ticket: str) -> None:
    assert tickets.search(pattern, text) == ticket


@pytest.mark.parametrize("pattern", ["(", "[a", "*", "(?P<x", "a{2,1}", "(" * 5000 + ")" * 5000, "(?<=a*)b"])
def test_what_is_no_pattern(pattern: str) -> None:
    with pytest.raises(WtnameError, match=r"wtname\.ticket is no pattern: .*; set it to") as caught:
        tickets.search(pattern, "x")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+b", "a" * 40),
        ("(a|a)(a|a)" * 20 + "b", "a" * 60),
        ("a?" * 40 + "a" * 40, "a" * 40),
        (r"(.*)\1\1\1x", "y" * 2000),
        (".*.*x", "y" * 2000),
        ("(?:a|b|c)+(?:a|b)*d", "ab" * 500),
    ],
)
def test_no_pattern_hangs(pattern: str, text: str) -> None:
    began = time.monotonic()
    try:
        assert tickets.search(pattern, text) == ""
    except WtnameError as error:
        assert "make it simpler" in str(error)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("pattern", "quick"),
    [
        (r"[A-Z]+-\d+", True),
        (r"(?i)\b(?:proj|ops)-(\d{1,6})\b", True),
        (r"(?<![A-Z])#(\d+)", True),
        (r"(a+)+", False),
        (r"(?:a|b)+", False),
        (r"a*b*c*", False),
        (r"(a)\1", False),
        (r"a|b|c|d|e", False),
    ],
)
def test_what_may_run_here(pattern: str, quick: bool) -> None:
    assert tickets._is_quick(pattern) is quick


@pytest.mark.parametrize(
    ("args", "branch", "ticket"),
    [
        (["--ticket", "Ab-9"], "ada/Ab-9-login-loop", "Ab-9"),
        (["retry #77"], "ada/77-login-loop", "77"),
        ([], "ada/PROJ-3-login-loop", "PROJ-3"),
    ],
)
def test_new(run: Run, repo: Path, args: list[str], branch: str, ticket: str) -> None:
    git("config", "wtname.template", "{user}/{ticket}-{slug}", cwd=repo)
    git("checkout", "-q", "-b", "feature/PROJ-3-other", cwd=repo)
    made = json.loads(run("new", "--json", "--dry-run", "--name", "fix-login-loop", *args).stdout)
    assert (made["branch"], made["ticket"]) == (branch, ticket)


def test_new_with_a_ticket_for_nothing(run: Run, repo: Path) -> None:
    done = run("new", "--name", "fix-x", "--dry-run", "--ticket", "AB-1")
    assert "wtname.template has no {ticket}, so AB-1 will not be in the branch: wt-{name}" in done.stderr
    assert "has no" not in run("new", "--name", "fix-x", "--dry-run").stderr


def test_new_with_a_bad_ticket_or_pattern(run: Run, repo: Path) -> None:
    git("config", "wtname.template", "{ticket}-{slug}", cwd=repo)
    git("config", "wtname.ticket", "(", cwd=repo)
    for args in (["--ticket", "a b"], []):
        done = run("new", "--name", "fix-x", "--dry-run", "now", *args)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
