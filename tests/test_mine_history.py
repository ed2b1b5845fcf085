"""Mining on real repositories: every kind of merge with its twin that gives no pair, every filter, hostile clones."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from conftest import git, make_repository, snapshot

pytest.importorskip("git", reason="GitPython comes with the extra `training`")

from training import branches, history, merges, mine_history
from training.corpus import read_jsonl

Rows = dict[str, list[dict[str, Any]]]
ADA = ("Ada", "ada@example.org")
BODY = "The parser read past the end of the buffer whenever a line was empty."


def commit(message: str, parents: int = 2, author: tuple[str, str] = ADA, committer: tuple[str, str] = ADA) -> Any:
    return history.Commit(parents, author, committer, message)


def outcome(found: history.Commit) -> tuple[list[tuple[str, ...]], dict[str, int]]:
    """What a commit gives: (name, branch, title), (title,) or (subject, body); and what is counted."""
    counts: Counter[str] = Counter()
    rows = [tuple(row[key] for key in ("name", "branch", "prompt", "subject", "body") if key in row)
            for _, row in mine_history.rows_of(found, counts)]  # fmt: skip
    return rows, dict(+counts)


MERGES = [
    (  # GitHub
        "Merge pull request #12 from ada/fix-empty-basket\n\nFix crash on an empty basket\n",
        ("fix-empty-basket", "fix-empty-basket", "Fix crash on an empty basket"),
    ),
    (
        "Merge pull request #12 from ada/feature/basket-totals into main\n\nShow totals in the basket",
        ("feat-basket-total", "feature/basket-totals", "Show totals in the basket"),
    ),
    (  # a title that the forge broke, behind a queue's remark
        "Merge pull request #3 from bo/voucher-codes\n\n"
        "Automatic merge from submit-queue\n\nAdd vouch…\n…er codes to basket",
        ("feat-voucher-code", "voucher-codes", "Add voucher codes to basket"),
    ),
    (  # Gitea
        "Merge pull request 'Add voucher codes' (#4) from bo/voucher-codes into main",
        ("feat-voucher-code", "bo/voucher-codes", "Add voucher codes"),
    ),
    (  # homu
        "Auto merge of #77 - bo:parser-buffer-overrun, r=ada\n\nStop the parser's buffer overrun\n\nLonger words.",
        ("fix-parser-buffer-overrun", "parser-buffer-overrun", "Stop the parser's buffer overrun"),
    ),
    (
        "Rollup merge of #78 - bo:docs/parser-guide, r=ada,cy\n\nExplain the parser in the guide",
        ("docs-parser-guide", "docs/parser-guide", "Explain the parser in the guide"),
    ),
    (  # GitLab
        "Merge branch '41-retry-webhooks' into 'main'\n\nResolve \"Retry webhooks with backoff\"\n\nCloses #41\n\n"
        "See merge request shop/api!7",
        ("feat-retry-webhook", "41-retry-webhooks", "Retry webhooks with backoff"),
    ),
    (  # Bitbucket, in the cloud and on a server
        "Merged in bugfix/SHOP-9-rounding-error (pull request #5)\n\nSHOP-9 Rounding error in prices\n\n"
        "Approved-by: Bo",
        ("fix-rounding-error", "bugfix/SHOP-9-rounding-error", "SHOP-9 Rounding error in prices"),
    ),
    (
        "Pull request #8: Cache prices in redis\n\nMerge in SHOP/api from chore/redis-price-cache to main\n\n"
        "* commit 'ab'",
        ("chore-redis-price-cache", "chore/redis-price-cache", "Cache prices in redis"),
    ),
    (  # Azure DevOps with a branch, and git alone with a line below
        "Merge pull request 31 from test/flaky-login into main\n\nMake the login test less flaky",
        ("test-flaky-login", "test/flaky-login", "Make the login test less flaky"),
    ),
    (
        "Merge remote-tracking branch 'bo/rename-price-table'\n\nRename the price table to tariffs",
        ("refactor-rename-price-table", "rename-price-table", "Rename the price table to tariffs"),
    ),
    (  # GitHub's button
        'Merge pull request #9 from shop/revert-8-cache-prices\n\nRevert "Cache prices in redis"',
        ("chore-revert-cache-price", "revert-8-cache-prices", 'Revert "Cache prices in redis"'),
    ),
]
TITLES = [
    ("Merged PR 31: Round prices to cents", ["Round prices to cents"]),
    ('Merge "Round prices to cents"', ["Round prices to cents"]),
    ("Merge shop/api#31: Round prices to cents", ["Round prices to cents"]),
    ("Merge #31 `Round prices to cents`", ["Round prices to cents"]),
    ("Merge #31\n\n31: Round prices to cents r=bo a=ada\n\nWords.", ["Round prices to cents"]),
    ("Merge #31 #32\n\n31: Round prices r=bo a=ada\n\n32: Cache prices r=cy a=ada", ["Round prices", "Cache prices"]),
    ("Round prices to cents (#31)", ["Round prices to cents"]),
]
NO_PAIR = [
    ("Merge branch 'fix-empty-basket'", "no_title"),
    ("Merge branch 'fix-empty-basket' into main\n\n# Conflicts:\n#\tbasket.py", "no_title"),
    ("Merge branch 'fix-empty-basket'\n\n* fix-empty-basket:\n  Fix crash on an empty basket", "no_title"),
    ("Merge pull request #12 from ada/fix-empty-basket", "no_title"),
    ("Merge pull request #5 in SHOP/api from fix-basket to main\n\n* commit 'abc':\n  Fix basket", "no_title"),
    ("Merge branch 'round-prices' into 'release-2'\n\nRound prices to cents", "backport"),
    ("Merge branch 'round-prices' of ssh://x/y into round-prices\n\nRound prices to cents", "merge_back"),
    ("Merge tag 'v1.4'", "other_merge"),
    ("Merge commit '0123abc' into fix-empty-basket", "other_merge"),
    ("Merge branches 'a' and 'b'", "other_merge"),
]


@pytest.mark.parametrize(("message", "pair"), MERGES)
def test_merge_gives_pair(message: str, pair: tuple[str, ...]) -> None:
    assert outcome(commit(message)) == ([pair], {})


@pytest.mark.parametrize(("message", "titles"), TITLES)
def test_merge_without_branch_gives_title(message: str, titles: list[str]) -> None:
    assert outcome(commit(message)) == ([(title,) for title in titles], {})


@pytest.mark.parametrize(("message", "reason"), NO_PAIR)
def test_merge_gives_nothing(message: str, reason: str) -> None:
    assert outcome(commit(message)) == ([], {reason: 1})


def pulled(branch: str, title: str = "Round prices to cents", owner: str = "ada") -> str:
    return f"Merge pull request #1 from {owner}/{branch}\n\n{title}"


# What is dropped with its title, each beside a branch that only looks like it.
UNWANTED = [
    ("bot", "dependabot/npm/prices-2", "Bump prices to 2", "price-bot-round-cents"),
    ("bot", "renovate/prices", "Update prices to 2", "renovate-round-prices"),
    ("bot", "pre-commit-ci-update-config", "Update hooks of prices", "pre-commit-round-prices"),
    ("bot", "auto/prices", "Round prices to cents", "auto-round-prices"),
    ("rollup", "rollup-x1", "Rollup of 7 pull requests", "roll-prices-cents"),
    ("merge_back", "main", "Round prices to cents", "main-prices-round"),
    ("merge_back", "merge-main-into-dev", "Round prices to cents", "merge-round-prices"),
    ("backport", "backport/round-prices", "Round prices to cents", "port-round-prices"),
    ("backport", "cherry-pick-31-to-release-2", "Round prices to cents", "cherry-prices-round"),
    ("backport", "2.x-round-prices", "Round prices to cents", "2-round-prices"),
    ("backport", "round-prices", "[2.4] Round prices to cents", "round-prices-cents"),
    ("release", "release/2.4", "Round prices to cents", "release-price-cents"),
    ("release", "v2.4.1", "Round prices to cents", "v2-round-prices"),
    ("release", "1-2-stable", "Round prices to cents", "stable-prices-round"),
    ("release", "round-prices", "Release v2.4.1", "round-prices-cents"),
    ("no_task", "round-prices", "Fixes", "round-prices-cents"),
    ("foreign", "round-prices", "價格四捨五入", "round-prices-cents"),
    ("undecodable", "round-prices", "Round prices \ufffd cents", "round-prices-cents"),
]
# What leaves the title without a name, each beside a branch that only looks like it.
UNNAMED = [
    ("default", "patch-1", "price-patch-cents"),
    ("default", "ada-patch-12", "ada-round-prices-patch"),
    ("ticket_only", "SHOP-123", "SHOP-123-round-prices"),
    ("ticket_only", "1234", "1234-round-prices"),
    ("ticket_only", "issue-12", "issue-12-round-prices"),
    ("ticket_only", "gh-123", "gh-123_round_prices"),
    ("ticket_only", "fix/bz123456", "fix/bz123456-round-prices"),
    ("user_only", "ada", "ada-round-prices"),
    ("user_only", "bo/-", "bo/round-prices"),
    ("random", "3f9a2c1d", "round-prices-3f9a2c1d"),
    ("random", "bo/0b5c9a4e-ffab-4acd-beef-9d0c1b2a3f4e", "bo/0b5c9a4e-ffab-4acd-beef-9d0c1b2a3f4e-round-prices"),
    ("random", "qwrtzpf", "round-prices-qwrtzpf"),
    ("random", "codex/01AbQxYzKpLm", "codex/round-prices-01AbQxYzKpLm"),
    ("random", "k3x9q2w7", "round-prices-k3x9q2w7"),
    ("foreign", "preise-für-alle", "preise-prices-round"),
    ("wordless", "___", "prices___cents"),
    ("unfaithful", "tariff-table", "tariff-prices"),
    ("unfaithful", "update-things", "update-prices"),
    ("too_long", "round-every-single-one-of-our-many-shop-prices", "round-every-single-shop-price"),
    ("vague", "prices", "prices-cents"),
]


@pytest.mark.parametrize(("reason", "branch", "title", "twin"), UNWANTED)
def test_unwanted_merge_is_dropped(reason: str, branch: str, title: str, twin: str) -> None:
    assert outcome(commit(pulled(branch, title))) == ([], {reason: 1})
    rows, counts = outcome(commit(pulled(twin)))
    assert not counts
    assert [row[1] for row in rows] == [twin]


@pytest.mark.parametrize(("reason", "branch", "twin"), UNNAMED)
def test_unfit_branch_leaves_title(reason: str, branch: str, twin: str) -> None:
    assert outcome(commit(pulled(branch))) == ([("Round prices to cents",)], {reason: 1})
    rows, counts = outcome(commit(pulled(twin)))
    assert not counts
    assert [row[1] for row in rows] == [twin]


@pytest.mark.parametrize(
    ("branch", "title", "name"),
    [
        ("feature/SHOP-9/csv-export", "Export prices as CSV", "feat-csv-export"),
        ("hotfix/csv_export_crash", "Stop CSV export from crashing", "fix-csv-export-crash"),
        ("docs/csv-export", "Explain the CSV export", "docs-csv-export"),
        ("ci/csv-export", "Run the CSV export nightly", "chore-csv-export"),
        ("csvExport", "fix(csv): export it whole", "fix-csv-export"),
        ("test-csv-export", "fix: CSV export of test data", "fix-test-csv-export"),
        ("fix-typo-in-readme", "Fix typo in the README", "docs-fix-typo-readme"),
        ("csv-export-tests", "Cover the CSV export with tests", "test-csv-export"),
        ("bo/csv-export", "Add CSV export", "feat-csv-export"),
        ("csv/export-crash", "Fix crash of the CSV export", "fix-csv-export-crash"),
        ("utf-8-export", "Export as UTF-8", "feat-utf-8-export"),
        ("python-3.12-wheels", "Build wheels for Python 3.12", "feat-python-3-12-wheel"),
        ("bump-redis-v7.2.4", "Bump redis to 7.2.4", "chore-bump-redis-7-2-4"),
        ("bump-redis-v7.2.4", "Bump redis to v7.2.4", "chore-bump-redis-v7-2-4"),
        ("bump-redis-7.2.4", "Bump redis to v7.2.4", "chore-bump-redis-v7-2-4"),
        ("release-v2.4.1", "Release v2.4.1", "chore-release-v2-4-1"),
        ("add-csv-export", "Add CSV export", "feat-csv-export"),
        ("revert-8-bo/csv-export", 'Revert "Add CSV export"', "chore-revert-csv-export"),
        ("sign-in-for-the-shop", "Add sign in for the shop", "feat-sign-in-shop"),
        ("authentication-for-postgres", "Add authentication for postgres", "feat-auth-postgres"),
    ],
)
def test_name_from_branch(branch: str, title: str, name: str) -> None:
    assert branches.name_from(merges.Merge(title, branch)) == (name, "")


def test_common_verb_alone_makes_no_name_faithful() -> None:
    assert branches.name_from(merges.Merge("Update prices", "update-tariffs")) == ("", "unfaithful")
    assert branches.name_from(merges.Merge("Update prices", "update-prices")) == ("chore-update-price", "")


@pytest.mark.parametrize(
    ("below", "body"),
    [
        (f"{BODY}\n\nSigned-off-by: Ada <ada@example.org>\nChange-Id: I12", BODY),
        (f"{BODY}\n\n(cherry picked from commit 0123456789)\ngit-svn-id: svn://x@12", BODY),
        (f"{BODY}\nFixes: #12\n\nConflicts:\n\tparser.c\n\tlexer.c", BODY),
        (f"{BODY}\n\n# Summary\nFixes what the lexer left.", f"{BODY}\n\n# Summary\nFixes what the lexer left."),
        ("One two three four five.", ""),
        ("Signed-off-by: Ada and Bo and Cy and Di <ada@example.org>", ""),
        ("x " * 30 + "\n" + "words of it all " * 400, ("x " * 30).strip()),
    ],
)
def test_body(below: str, body: str) -> None:
    assert merges.body_of(f"Fix overrun in the parser\n\n{below}\n") == body


@pytest.mark.parametrize(
    ("found", "rows", "counts"),
    [
        (commit(f"Fix parser overrun\n\n{BODY}", 1), [("Fix parser overrun", BODY)], {}),
        (commit(f"Fix parser overrun\n\n{BODY}", 0), [("Fix parser overrun", BODY)], {}),
        (commit(f"Fix parser overrun\n\n{BODY}", 2), [], {"other_merge": 1}),
        (commit(f"Fix parser overrun (#7)\n\n{BODY}", 1),
         [("Fix parser overrun",), ("Fix parser overrun", BODY)], {}),
        (commit(f"Merge #1 #2\n\n1: Fix overrun r=bo\n2: Cache prices r=bo\n{BODY}", 1),
         [("Fix overrun",), ("Cache prices",)], {}),
        (commit("Fix parser overrun", 1), [], {"short_body": 1}),
        (commit(f"fixup! Fix parser overrun\n\n{BODY}", 1), [], {"fixup": 1}),
        (commit(f"Backport the parser's fix\n\n{BODY}", 1), [], {"backport": 1}),
        (commit(f"Fix parser overrun\n\n{BODY} \ufffd", 1), [], {"undecodable": 1}),
        (commit(f"Fix parser\n\n{BODY}", 1, ("dependabot[bot]", "1+dependabot[bot]@example.org")), [], {"bot": 1}),
        (commit(f"Fix parser\n\n{BODY}", 1, ("Deploy", "bot@example.org")), [], {"bot": 1}),
        (commit(f"Fix parser\n\n{BODY}", 1, ADA, ("github-actions", "x@example.org")), [], {"bot": 1}),
        (commit(f"Fix parser\n\n{BODY}", 1, ("bors", "bors@example.org")), [], {"bot": 1}),
        (commit(f"Fix parser\n\n{BODY}", 1, ("Abbot", "abbot@example.org")), [("Fix parser", BODY)], {}),
        # what a robot only merges is somebody's work
        (commit(pulled("round-prices"), 2, ("bors[bot]", "bors@example.org")),
         [("chore-round-price", "round-prices", "Round prices to cents")], {}),
        (commit(pulled("round-prices"), 2, ("renovate[bot]", "x@example.org")), [], {"bot": 1}),
        (commit(pulled("round-prices", owner="renovate-bot"), 2), [], {"bot": 1}),
    ],
)  # fmt: skip
def test_commits_and_robots(found: history.Commit, rows: list[tuple[str, ...]], counts: dict[str, int]) -> None:
    expected = [tuple(word.replace("chore-round", "feat-round") for word in row) for row in rows]
    assert outcome(found) == (expected, counts)


# --- whole repositories ----------------------------------------------------------------------------------------------


def mine(out: Path, *args: str | Path) -> tuple[Result, dict[str, Any], Rows]:
    """The stage in this process: its result, its figures and its files."""
    result = CliRunner().invoke(mine_history.main, [*map(str, args), "--out", str(out)], catch_exceptions=False)
    if result.exit_code:
        return result, {}, {}
    rows = {file: list(read_jsonl(out / f"{file}.jsonl")) for file in mine_history.FILES}
    return result, json.loads(result.stdout.splitlines()[-1]), rows


def add(path: Path, message: str | bytes, *parents: str, config: tuple[str, ...] = ()) -> str:
    """A commit with the first one's tree on top of HEAD, of more parents where given; its hash."""
    head = git("rev-parse", "HEAD", cwd=path)
    argv = ["git", *config, "commit-tree", "HEAD^{tree}", *(a for p in (head, *parents) for a in ("-p", p))]
    message = message.encode() if isinstance(message, str) else message
    made = subprocess.run(argv, cwd=path, input=message, capture_output=True, check=True).stdout.decode().strip()
    git("update-ref", "HEAD", made, cwd=path)
    return made


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A repository with a merge, a squash and a commit that explains itself."""
    path = make_repository(tmp_path / "shop")
    side = git("rev-parse", "HEAD", cwd=path)
    add(path, pulled("round-prices"), side)
    add(path, "Cache prices in redis (#2)")
    add(path, f"Fix overrun in the parser\n\n{BODY}\n")
    return path


def test_files_have_the_fields_and_the_last_line_the_figures(shop: Path, tmp_path: Path) -> None:
    before = snapshot(shop, shop)
    _, figures, rows = mine(tmp_path / "out", shop)
    assert rows == {
        "titles_human": [
            {"prompt": "Round prices to cents", "name": "feat-round-price", "branch": "round-prices", "repo": "shop"}
        ],
        "titles_raw": [{"prompt": "Cache prices in redis", "repo": "shop"}],
        "commits_raw": [{"subject": "Fix overrun in the parser", "body": BODY, "repo": "shop"}],
    }
    each = {"titles_human": 1, "titles_raw": 1, "commits_raw": 1}
    assert figures == {
        "stage": "mine_history", "repositories": 1, "resumed": 0, "unreadable": 0, "commits": 4, **each,
        "dropped": {"no_task": 1, "short_body": 1}, "by_repository": {"shop": {"commits": 4, **each}},
        "out": str(tmp_path / "out"),
    }  # fmt: skip
    assert snapshot(shop, shop) == before


def test_real_merge_of_every_kind_in_one_history(tmp_path: Path) -> None:
    path = make_repository(tmp_path / "shop")
    git("switch", "-q", "-c", "side", cwd=path)
    side = add(path, "On the side")
    git("switch", "-q", "main", cwd=path)
    git("merge", "-q", "--no-ff", "-m", MERGES[0][0], "side", cwd=path)
    for message in [m for m, _ in [*MERGES[1:], *TITLES, *NO_PAIR]]:
        add(path, message, side)
    _, figures, rows = mine(tmp_path / "out", path)
    assert {(r["name"], r["branch"], r["prompt"]) for r in rows["titles_human"]} <= {pair for _, pair in MERGES}
    assert {r["name"] for r in rows["titles_human"]} == {pair[0] for _, pair in MERGES}
    assert sorted(r["prompt"] for r in rows["titles_raw"]) == ["Cache prices", "Round prices", "Round prices to cents"]
    # One title was merged by six forges.
    assert figures["dropped"] == {
        "duplicate": 5,
        "no_task": 1,
        "no_title": 5,
        "other_merge": 3,
        "backport": 1,
        "merge_back": 1,
        "short_body": 1,
    }


def test_title_of_two_repositories_is_kept_once_and_named_first(shop: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    add(other, "Round prices to CENTS (#5)")
    add(other, f"Fix overrun in parser\n\n{BODY}")
    git("remote", "add", "origin", "https://key@git.example.org/shop/other.git", cwd=other)
    _, figures, rows = mine(tmp_path / "out", other, shop, shop)
    assert [r["repo"] for r in rows["titles_human"]] == ["shop"]
    assert [r["prompt"] for r in rows["titles_raw"]] == ["Cache prices in redis"]
    assert [(r["subject"], r["repo"]) for r in rows["commits_raw"]] == [("Fix overrun in parser", "shop/other")]
    assert figures["dropped"]["duplicate"] == 2
    assert figures["repositories"] == 2
    again = mine(tmp_path / "again", other, shop)[2]
    assert again == rows


def test_bare_clone_worktree_and_git_folder_are_read(shop: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--bare", shop, tmp_path / "bare.git")
    git("worktree", "add", "-q", tmp_path / "tree", cwd=shop)
    read = [
        mine(tmp_path / f"o{i}", p) for i, p in enumerate((tmp_path / "bare.git", tmp_path / "tree", shop / ".git"))
    ]
    assert [figures["commits"] for _, figures, _ in read] == [4, 4, 4]
    assert [rows["titles_raw"][0]["repo"] for _, _, rows in read] == ["bare", "tree", "shop"]


def test_resumes_and_reads_only_what_moved(shop: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    other = make_repository(tmp_path / "other")
    assert mine(out, shop, other)[1]["resumed"] == 0
    parts = {part: part.stat().st_mtime_ns for part in (out / "parts").iterdir()}
    _, figures, rows = mine(out, shop, other)
    assert (figures["resumed"], len(rows["titles_human"])) == (2, 1)
    add(other, "Log in by e-mail (#9)")
    _, figures, rows = mine(out, shop, other)
    assert (figures["resumed"], [r["prompt"] for r in rows["titles_raw"]][1:]) == (1, ["Log in by e-mail"])
    assert mine(out, shop, "--limit", "2")[1]["resumed"] == 0
    assert all(part.stat().st_mtime_ns == at for part, at in parts.items())
    for part in parts:  # cut short by a full disk or by hand: read again
        part.write_text(part.read_text()[:-9])
    assert mine(out, shop)[1]["resumed"] == 0
    assert mine(out, shop)[2]["titles_human"] == rows["titles_human"]


def test_limit_since_and_held_out(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-03-04T00:00:00Z")
    add(shop, "Log in by e-mail (#9)")
    assert mine(tmp_path / "a", shop, "--limit", "2")[1]["commits"] == 2
    assert mine(tmp_path / "b", shop, "--since", "2026-03-04")[1]["commits"] == 1
    assert mine(tmp_path / "c", shop, "--since", "2026-03-05")[1]["commits"] == 0
    (tmp_path / "val_titles.jsonl").write_text(json.dumps({"prompt": "round PRICES to cents", "refs": []}))
    _, figures, rows = mine(tmp_path / "d", shop, "--held-out", tmp_path)
    assert (rows["titles_human"], figures["dropped"]["held_out"]) == ([], 1)
    assert mine(tmp_path / "d", shop)[2]["titles_human"]
    rows = [{"prompt": "Round prices to cents!", "name": "fix-price-rounding"}, {"prompt": "x", "name": "fix-x"}]
    (tmp_path / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    _, figures, rows = mine(tmp_path / "d", shop, "--held-out", tmp_path / "test.jsonl")
    assert (rows["titles_human"], figures["dropped"]["held_out"]) == ([], 1)


def test_a_commit_goes_with_its_subject_where_that_is_held_out(shop: Path, tmp_path: Path) -> None:
    add(shop, "Count open carts\n\nThe report left out every cart that nobody had looked at for a week.")
    bodies = [row["subject"] for row in mine(tmp_path / "a", shop)[2]["commits_raw"]]
    assert "Count open carts" in bodies
    (tmp_path / "val.jsonl").write_text(json.dumps({"prompt": "count open carts"}))
    rows = mine(tmp_path / "b", shop, "--held-out", tmp_path / "val.jsonl")[2]["commits_raw"]
    assert [row["subject"] for row in rows] == [subject for subject in bodies if subject != "Count open carts"]


def test_list_file(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_repository(tmp_path / "other")
    Path("clones.txt").write_text("# ours\n\n  shop  \n./shop/\n")
    assert mine(tmp_path / "out", "--list", "clones.txt")[1]["repositories"] == 1
    assert list(mine(tmp_path / "out", "other", "--list", "clones.txt")[1]["by_repository"]) == ["other", "shop"]


def test_what_cannot_be_read_is_told_and_the_rest_goes_on(shop: Path, tmp_path: Path) -> None:
    git("init", "-q", tmp_path / "empty")
    (tmp_path / "none").mkdir()
    (shop / "src").mkdir()
    broken = make_repository(tmp_path / "broken")
    lost = git("rev-parse", "HEAD", cwd=broken)
    for _ in range(3):
        add(broken, "Cache everything (#2)")
    (broken / ".git" / "objects" / lost[:2] / lost[2:]).unlink()
    bad = [tmp_path / "empty", tmp_path / "none", tmp_path / "missing", shop / "README", shop / "src", broken]
    result, figures, rows = mine(tmp_path / "out", *bad, shop)
    told = result.stderr.splitlines()
    assert [line.split(": ")[1] for line in told] == [str(path) for path in bad]
    assert all(line.startswith("warning: ") and line.endswith("; left out") for line in told)
    assert (figures["repositories"], figures["unreadable"], len(rows["titles_human"])) == (1, 6, 1)
    assert [r["prompt"] for r in rows["titles_raw"]] == ["Cache prices in redis"]
    assert len(list((tmp_path / "out" / "parts").iterdir())) == 1
    result, *_ = mine(tmp_path / "nothing", *bad)
    assert (result.exit_code, (tmp_path / "nothing" / "titles_raw.jsonl").exists()) == (1, False)
    assert result.stderr.splitlines()[-1].startswith("Error: none of the 6 repositories could be read")


def test_shallow_clone_is_told_and_read_again_once_it_is_whole(shop: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", "--depth", "1", shop.as_uri(), clone)
    result, figures, _ = mine(tmp_path / "out", clone)
    assert figures["commits"] == 1
    assert result.stderr == (f"warning: {clone}: a shallow clone has part of its history; git fetch --unshallow\n")
    git("fetch", "-q", "--unshallow", cwd=clone)
    result, figures, _ = mine(tmp_path / "out", clone)
    assert (figures["commits"], figures["resumed"], result.stderr) == (4, 0, "")


def test_grafts_and_replacements_are_not_followed(shop: Path, tmp_path: Path) -> None:
    head, root = (git("rev-list", *a, "HEAD", cwd=shop).split()[0] for a in ([], ["--max-parents=0"]))
    (shop / ".git" / "info" / "grafts").write_text(f"{head} {root}\n")
    result, figures, _ = mine(tmp_path / "out", shop)
    assert (figures["commits"], result.stderr) == (4, f"warning: {shop}: has grafts; they are not followed\n")
    (shop / ".git" / "info" / "grafts").unlink()
    git("replace", head, root, cwd=shop)
    assert mine(tmp_path / "again", shop)[1]["commits"] == 4


def test_messages_in_other_encodings(shop: Path, tmp_path: Path) -> None:
    add(shop, "Prüfe Größen im Café (#5)".encode("latin-1"), config=("-c", "i18n.commitEncoding=ISO-8859-1"))
    git("config", "i18n.logOutputEncoding", "ISO-8859-1", cwd=shop)
    raw = subprocess.run(["git", "cat-file", "commit", "HEAD~"], cwd=shop, capture_output=True, check=True).stdout
    made = subprocess.run(
        ["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=shop, capture_output=True, check=True,
        input=raw.partition(b"\n\n")[0] + b"\n\nRound \xff\xfe prices (#6)\n",
    ).stdout.decode().strip()  # fmt: skip
    add(shop, "Merge tag 'v1'", made)
    _, figures, rows = mine(tmp_path / "out", shop)
    assert [r["prompt"] for r in rows["titles_raw"]] == ["Prüfe Größen im Café", "Cache prices in redis"]
    assert figures["dropped"]["undecodable"] == 1


def test_hostile_repository_runs_nothing(shop: Path, tmp_path: Path) -> None:
    """A partial clone without its root: git would fetch it with the program that the configuration names."""
    ran = tmp_path / "ran"
    trap = tmp_path / "trap"
    trap.write_text(f'#!/bin/sh\necho "$0 $*" >> "{ran}"\n')
    trap.chmod(0o755)
    root = git("rev-list", "--max-parents=0", "HEAD", cwd=shop)
    for key, value in {
        "core.repositoryFormatVersion": "1", "extensions.partialClone": "origin", "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::{trap} %S", "remote.origin.uploadpack": str(trap), "core.sshCommand": str(trap),
        "core.fsmonitor": str(trap), "core.pager": str(trap), "core.hooksPath": str(tmp_path), "gpg.program": str(trap),
        "log.showSignature": "true", "diff.external": str(trap), "alias.rev-list": f"!{trap}", "core.editor": str(trap),
        "protocol.allow": "always", "protocol.ext.allow": "always", "credential.helper": f"!{trap}",
    }.items():  # fmt: skip
        git("config", key, value, cwd=shop)
    (shop / ".git" / "objects" / root[:2] / root[2:]).unlink()
    subprocess.run(["git", "rev-list", "HEAD"], cwd=shop, capture_output=True)
    assert ran.exists(), "the trap is none"
    ran.unlink()
    result, *_ = mine(tmp_path / "out", shop)
    assert result.exit_code == 1
    assert not ran.exists()


@pytest.mark.skipif(os.name == "nt", reason="git's own switch for this is for POSIX")
def test_repository_of_a_stranger_is_refused(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    result, *_ = mine(tmp_path / "out", shop)
    assert result.exit_code == 1
    assert f"git config --global --add safe.directory '{shop}'; left out" in result.stderr
    git("config", "--global", "safe.directory", str(shop))
    assert mine(tmp_path / "out", shop)[1]["commits"] == 4


def test_inherited_git_variables_lead_nowhere(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_repository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path))
    assert mine(tmp_path / "out", shop)[1]["commits"] == 4
    assert os.environ["GIT_DIR"] == str(other / ".git")


def test_git_that_complains_at_length_does_not_hang(shop: Path) -> None:
    source = history.open_source(shop)
    source.git.update_environment(GIT_TRACE2="2", GIT_TRACE2_ENV_VARS="NOISE", NOISE="x" * 100_000)
    done: list[int] = []
    reader = threading.Thread(target=lambda: done.append(len(list(history.read_commits(source, [])))), daemon=True)
    reader.start()
    reader.join(20)
    assert done == [4]


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ([], 2, "name at least one repository"),
        (["shop", "--since", "yesterday"], 2, "'yesterday' does not match the format '%Y-%m-%d'"),
        (["shop", "--limit", "0"], 2, "0 is not in the range"),
        (["shop", "--list", "missing.txt"], 2, "'missing.txt' does not exist"),
        (["shop", "--held-out", "."], 2, "no val_*.jsonl in ."),
        (["shop", "--held-out", "bad"], 1, "val_x.jsonl, after row 0: "),
        (["shop", "--list", "nul.txt"], 2, "no path to a repository"),
        (["shop", "--out", "file/out"], 1, "file"),
    ],
)
def test_wrong_usage_is_told(
    args: list[str], code: int, said: str, shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "val_x.jsonl").write_text("{")
    (tmp_path / "nul.txt").write_text("src/\0shop\n")
    (tmp_path / "file").write_text("")
    result = CliRunner().invoke(mine_history.main, args)
    assert (result.exit_code, "Traceback" in result.output) == (code, False)
    assert said in result.stderr


def test_command_prints_one_line_and_no_bar_in_a_pipe(shop: Path, tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "training.mine_history", str(shop), "--out", str(tmp_path / "out")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert (done.stdout.count("\n"), done.stderr) == (1, "")


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_bar_is_drawn_on_a_terminal(shop: Path, tmp_path: Path) -> None:
    import fcntl
    import termios

    master, terminal = os.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    argv = [sys.executable, "-m", "training.mine_history", str(shop), "--out", str(tmp_path / "out")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=terminal, text=True) as process:
        os.close(terminal)
        drawn = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody writes to it any more
            while part := os.read(master, 4096):
                drawn += part
        assert process.stdout and process.stdout.read().count("\n") == 1
    os.close(master)
    assert process.returncode == 0
    assert re.match(r"\rrepositories: +0%\|.* 0/1 ", drawn.decode()) and "\rshop: " in drawn.decode()
