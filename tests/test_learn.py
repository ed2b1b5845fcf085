"""Conventions, learnt from real histories: what there is, in full, and what there is not."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, git
from wtname import convention, documents, evidence
from wtname.documents import Document
from wtname.errors import GitError
from wtname.git import Repository
from wtname.git import config as door
from wtname.git.history import Commit
from wtname.settings import Settings
from wtname.shapes import Known, shape

ADA, BOB = "Ada Lovelace <ada@example.org>", "Bob <12+bobby@users.noreply.github.com>"
LEGACY = ["main", "develop", "release/1.2", "v2.x", "gh-pages"]
ROBOTS = ["dependabot/npm_and_yarn/lodash-4.17.21", "renovate/all", "claude/bright-running-fox", "copilot/fix-12"]
DICE = ["wt-5e1f09c3", "patch-1", "ada-patch-3", "bright-running-fox", "snazzy-baking-turing-x1Yz"]


def history(
    path: Path,
    local: list[str] | None = None,
    remote: list[str] | None = None,
    merges: list[str] | None = None,
    files: dict[str, str] | None = None,
) -> Path:
    """A repository with these branches, merges with these subjects, and these files in its work tree, of two people."""
    out: list[str] = []

    def commit(ref: str, mark: int, subject: str, *parents: str) -> None:
        who = f"{(ADA, BOB)[mark % 2]} {1767323045 + mark} +0000"
        out.extend([f"commit {ref}", f"mark :{mark}", f"author {who}", f"committer {who}"])
        out.extend([f"data {len(subject.encode())}", subject, *parents, ""])

    commit("refs/heads/main", 1, "first")
    commit("refs/heads/main", 2, "second")
    for i, subject in enumerate(merges or []):
        tip = 2 * i + 2
        commit("refs/heads/gone", tip + 1, "work", f"from :{tip}")
        commit("refs/heads/main", tip + 2, subject, f"from :{tip}", f"merge :{tip + 1}")
    out += ["reset refs/heads/gone", "from 0000000000000000000000000000000000000000", ""]
    refs = [f"refs/heads/{name}" for name in local or [] if name != "main"] + [
        f"refs/remotes/origin/{name}" for name in remote or []
    ]
    for ref in refs:
        out += [f"reset {ref}", "from :1", ""]
    git("init", "-q", path)
    stream = "\n".join(out).encode()
    subprocess.run(["git", "fast-import", "--quiet", "--force"], cwd=path, input=stream, check=True)
    for file, text in (files or {}).items():
        (path / file).parent.mkdir(exist_ok=True)
        (path / file).write_text(text)
    return path


def pull(*names: str) -> list[str]:
    return [f"Merge pull request #{i} from someone/{name}" for i, name in enumerate(names, 7)]


def told(run: Run, path: Path, *args: str) -> dict[str, Any]:
    facts = json.loads(run("learn", "--json", "-C", path, *args).stdout)
    assert isinstance(facts, dict)
    return facts


JIRA = {
    "local": ["feature/PROJ-1-dark", "feature/PROJ-14-csv-export", *LEGACY[1:]],
    "remote": ["feature/PROJ-1-dark", "bugfix/PROJ-3-login-loop", "bugfix/OPS-9-retry", "HEAD", "main", *ROBOTS],
    "merges": [*pull("feature/PROJ-20-search", "hotfix/PROJ-21-crash", "feature/settings-page", "patch-1"),
               "Merge branch 'main' into feature/PROJ-22-search-page", "Merge tag 'v1.2'"],
}  # fmt: skip
USER = {
    "local": ["ada/dark-mode", "ada/login-loop", "main"],
    "remote": ["bobby/csv-export", "bobby/retry-webhooks"],
    "merges": ["Merge branch 'ada/search' into 'main'", "Merge remote-tracking branch 'origin/bobby/flaky-tests'",
               *pull("ada/crash", "someone/docs-typo")],
}  # fmt: skip
TYPED = {
    "local": ["fix-login-loop", "feat-dark-mode", "docs-readme-typo", "main"],
    "remote": ["fix-crash-on-start", "chore-bump-webpack", *DICE],
    "merges": [*pull("fix-empty-cart", "feat-csv-export"), "Auto merge of #9 - bobby:test-raft-parser, r=ada"],
}
SLUG = {
    "local": ["login-loop", "dark-mode-toggle", "main", "search"],
    "remote": ["csv-export", "retry-webhooks", "fix-crash"],
    "merges": ["Merged in empty-cart (pull request #12)", "Merge branches 'dark-mode-toggle' and 'raft-parser'"],
}
NONE = {
    "local": ["main", "ada/Login", "feature/x_y", "tmp", "PROJ-9"],
    "remote": ["NewStuff", "csv-export", "api/v2/retry", "test2", *ROBOTS],
    "merges": pull("fix/crash", "main", "patch-2"),
}
MIXED = {
    "local": ["feature/dark-mode", "feature/search", "feature/cart", "fix/crash"],
    "remote": ["login-loop", "csv-export", "retry-webhooks"],
    "merges": pull("ada/raft-parser", "ada/flaky-tests", "PROJ-1-crash"),
}


@pytest.mark.parametrize(
    ("parts", "template", "names", "ignored", "shares", "config"),
    [
        (
            JIRA, "{type}/{ticket}-{slug}", 8, 11,
            [("{type}/{ticket}-{slug}", 7, 0.875), ("{type}/{slug}", 1, 0.125)],
            {"wtname.template": "{type}/{ticket}-{slug}", "wtname.type.feat": "feature", "wtname.type.fix": "bugfix"},
        ),
        (USER, "{user}/{slug}", 8, 1, [("{user}/{slug}", 7, 0.875), ("{user}/{type}-{slug}", 1, 0.125)],
         {"wtname.template": "{user}/{slug}"}),
        (TYPED, "{name}", 8, 6, [("{type}-{slug}", 8, 1.0)], {"wtname.template": "{name}"}),
        (SLUG, "{slug}", 8, 1,
         [("{slug}", 6, 0.75), ("(one word)", 1, 0.125), ("{type}-{slug}", 1, 0.125)], {"wtname.template": "{slug}"}),
        (NONE, None, 9, 6,
         [("(one word)", 2, 0.222), ("{type}/{slug}", 2, 0.222), ("{slug}", 1, 0.111), ("{ticket}-{slug}", 1, 0.111),
          ("{user}/{slug}", 1, 0.111), ("(others)", 2, 0.222)], {}),
        (MIXED, None, 10, 1,
         [("{type}/{slug}", 4, 0.4), ("{slug}", 3, 0.3), ("{user}/{slug}", 2, 0.2), ("{ticket}-{slug}", 1, 0.1)], {}),
    ],
    ids=["jira", "user", "typed", "slug", "none", "mixed"],
)  # fmt: skip
def test_histories(
    run: Run,
    tmp_path: Path,
    parts: dict[str, Any],
    template: str | None,
    names: int,
    ignored: int,
    shares: list[tuple[str, int, float]],
    config: dict[str, str],
) -> None:
    found = told(run, history(tmp_path / "demo", **parts))
    assert (found["template"], found["names"], found["ignored"]) == (template, names, ignored)
    assert sorted((s["template"], s["names"], s["share"]) for s in found["shares"]) == sorted(shares)
    assert found["config"] == found["unset"] == config
    assert found["source"] == (template and "branches")
    assert found["documents"] == found["written"] == []
    assert git("config", "--local", "--get-regexp", "^wtname", cwd=tmp_path / "demo", code=1) == ""


def test_all_of_the_evidence(run: Run, tmp_path: Path) -> None:
    found = told(run, history(tmp_path / "demo", **JIRA))
    assert (found["share"], found["shape"]) == (1.0, "{type}/{ticket}-{slug}")
    assert found["prefixes"] == [
        {"prefix": "feature", "type": "feat", "names": 5, "share": 0.625},
        {"prefix": "bugfix", "type": "fix", "names": 2, "share": 0.25},
        {"prefix": "hotfix", "type": "fix", "names": 1, "share": 0.125},
    ]
    assert found["tickets"] == {"styles": ["PROJ-123", "OPS-123"], "names": 7, "share": 0.875}
    assert found["users"] == {"names": 0, "share": 0.0, "most": []}
    assert (found["separator"], found["case"], found["length"]) == ("-", "lower", {"median": 22, "longest": 27})
    assert found["shares"][1]["examples"] == ["feature/settings-page"]


def test_for_people(run: Run, tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **JIRA, files={"AGENTS.md": "Branches are named `feature/<ticket>-<title>`."})
    assert run("learn", "-C", path).stdout.split("\n") == [
        "template   {type}/{ticket}-{slug}, 100% of 8 names of branches",
        "names       88% {type}/{ticket}-{slug}: bugfix/OPS-9-retry, bugfix/PROJ-3-login-loop, feature/PROJ-1-dark",
        "            12% {type}/{slug}: feature/settings-page",
        "prefixes   feature 62%, bugfix 25%, hotfix 12%",
        "tickets    PROJ-123, OPS-123: 88%",
        "words      lower case, joined by -; 22 characters, 27 at most",
        "document   AGENTS.md:1: Branches are named `feature/<ticket>-<title>`.",
        "ignored    11: branches that live long, robots', random ones",
        "",
        "git config wtname.template '{type}/{ticket}-{slug}'",
        "git config wtname.type.feat feature",
        "git config wtname.type.fix bugfix",
        "",
    ]


def test_no_convention_for_people(run: Run, tmp_path: Path) -> None:
    done = run("learn", "-C", history(tmp_path / "demo", **MIXED))
    lines = done.stdout.split("\n")
    assert (done.exit_code, lines[0]) == (0, "no convention: nothing is common to 60% of 10 names, and 5 at least")
    assert lines[1:5] == [
        "names       40% {type}/{slug}: feature/cart, feature/dark-mode, feature/search",
        "            30% {slug}: csv-export, login-loop, retry-webhooks",
        "            20% {user}/{slug}: ada/flaky-tests, ada/raft-parser",
        "            10% {ticket}-{slug}: PROJ-1-crash",
    ]
    assert "git config" not in done.stdout


def test_nothing_controls_the_terminal(run: Run, tmp_path: Path) -> None:
    said = "Branches: `feature/<ticket>-<title>` \x1b[2J\x9b1m\u202e"
    path = history(tmp_path / "demo", [f"feature/a{i}\u202eb" for i in range(5)], files={"AGENTS.md": said})
    out = run("learn", "-C", path).stdout
    assert "feature/a0?b" in out and "AGENTS.md:1: Branches" in out
    assert not {"\x1b", "\x9b", "\u202e"} & set(out)


# --- what is proposed is what was found ----------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [JIRA, USER, TYPED, SLUG], ids=["jira", "user", "typed", "slug"])
def test_a_new_branch_is_like_the_others(run: Run, tmp_path: Path, parts: dict[str, Any]) -> None:
    path = history(tmp_path / "demo", **parts)
    found = told(run, path, "--write")
    known = evidence.known([*parts["local"], *parts["remote"]], [Commit("", "ada@example.org", "Ada Lovelace")], "ada")
    for name, prompt in [
        ("feat-csv-import", "PROJ-7: csv import"),
        ("fix-login-redirect-loop", "OPS-1 login redirect"),
    ]:
        made = json.loads(run("new", "-C", path, "--dry-run", "--json", "--name", name, prompt).stdout)
        assert shape(made["branch"], known).template == found["shape"], made["branch"]


LITERAL = ["feature/dark-mode", "feature/search", "feature/cart", "feature/csv", "feature/login"]


@pytest.mark.parametrize(
    ("names", "config"),
    [
        (LITERAL, {"wtname.template": "feature/{slug}"}),
        ([*LITERAL, "fix/crash"], {"wtname.template": "{type}/{slug}", "wtname.type.feat": "feature"}),
        ([name.replace("feature", "fix") for name in LITERAL], {"wtname.template": "{type}/{slug}"}),
        ([name.replace("feature", "task") for name in LITERAL], {"wtname.template": "task/{slug}"}),
        ([name.replace("feature/", "wt-") for name in LITERAL], {"wtname.template": "wt-{slug}"}),
        ([f"users/ada/{word}" for word in "abcde"], {"wtname.template": "users/{user}/{slug}"}),
        ([f"al/{word}" for word in "abcde"], {"wtname.template": "{user}/{slug}", "wtname.user": "al"}),
        ([f"wt-fix-some-{word}" for word in "abcde"], {"wtname.template": "wt-{name}"}),
        ([f"{i}-some-words" for i in range(5)], {"wtname.template": "{ticket}-{slug}"}),
        ([f"issue-{i}-words" for i in range(5)], {"wtname.template": "issue-{ticket}-{slug}"}),
        ([f"fix/words-AB-{i}" for i in range(5)], {"wtname.template": "{type}/{slug}-{ticket}"}),
        ([f"{word}_thing" for word in "abcde"], {"wtname.template": "{slug}"}),
        ([f"Feature/{word}" for word in "abcd"] + ["bug/x"],
         {"wtname.template": "{type}/{slug}", "wtname.type.feat": "Feature", "wtname.type.fix": "bug"}),
        ([f"proj-{i}-words" for i in range(5)],
         {"wtname.template": "{ticket}-{slug}", "wtname.ticket": r"(?i)\b(?:proj)-\d+"}),
        ([f"2026-01-0{i}/words" for i in range(1, 6)], {"wtname.template": "{date}/{slug}"}),
        (["login-loop", "dark-mode", "csv-export", "raft-parser", "a-cart", "fix-a", "fix-c-d", "fix-e-f", "x/y", "X"],
         {"wtname.template": "{slug}"}),
        ([f"hotfix/{word}" for word in "abcde"], {"wtname.template": "{type}/{slug}"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)  # fmt: skip
def test_proposals(names: list[str], config: dict[str, str]) -> None:
    commits = [Commit("first", "ada@example.org", "Ada Lovelace")]
    assert convention.learn(names, commits, [], Settings(user="ada"), "ada@example.org").config == config


@pytest.mark.parametrize(
    "names",
    [
        [],
        LITERAL[:4],  # too few
        [*LITERAL[:3], "ada/x", "ada/y", "ada/z"],  # half of them
        ["fix-a", "fix-b", "fix-c", "fix-d", "some-thing", "other-thing", "third-thing", "fourth-thing"],
        ["tmp", "test", "search", "wip", "cart", "login"],
        [f"{area}/words" for area in ("api", "ui", "db", "web", "cli", "core")],
        ["LoginLoop", "DarkMode", "CsvExport", "Search", "Cart"],
        [f"$(id)/x{i}" for i in range(9)],
        [f"';id/x{i}" for i in range(9)],
        ["{name}/a", "{name}/b", "{name}/c", "{name}/d", "{name}/e"],
        LEGACY + ROBOTS + DICE,
    ],
    ids=lambda names: names[0] if names else "nothing",
)
def test_no_proposal(names: list[str]) -> None:
    commits = [Commit("first", "ada@example.org", "Ada Lovelace")]
    found = convention.learn(names, commits, [], Settings(user="ada"))
    assert (found.template, found.config) == (None, {})


@pytest.mark.parametrize(
    "name",
    [*LEGACY, *ROBOTS, *DICE, "master", "HEAD", "stable-1.2", "1.x", "3.10", "v1.2", "trunk", "maint/2.7.x",
     "stable/2.x", "deadbeef01", "agent/0a1b2c3", "revert-12-fix-login", "backport-12-to-1.x",
     "pre-commit-ci-update-config", "github-actions/bump", "worktree-login", "vk/3f2a-x",
     "0a1b2c3d-0a1b-0a1b-0a1b-0a1b2c3d4e5f", "gh-readonly-queue/main/pr-1"],
)  # fmt: skip
def test_ignored(name: str) -> None:
    assert evidence.names([name], []) == ([], 1)


@pytest.mark.parametrize(
    "name",
    ["main-menu", "stable-sort", "release-notes-page", "fix-missing-import", "add-loading-spinner", "dev-docs",
     "maint/fix-x", "devtools", "feature/dev", "cursor-position", "v2-login-page", "deadline-error", "patch-parser",
     "decade", "face-detection", "maint/2.7.x/fix", "github-actions-cache", "renovated-page",
     "feature/bright-running-fox"],
)  # fmt: skip
def test_ignored_noop(name: str) -> None:
    assert evidence.names([name], []) == ([name], 0)


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("Merge pull request #1 from ada/fix-login", ["fix-login"]),
        ("Merge pull request #1 from acme/ada/fix-login", ["ada/fix-login"]),
        ("Merge branch 'fix-login'", ["fix-login"]),
        ("Merge branch 'fix-login' into develop", ["fix-login", "develop"]),
        ("Merge branch 'fix-login' into 'main'", ["fix-login", "main"]),
        ("Merge branch 'fix-login' of github.com:ada/demo into feature/x", ["fix-login", "feature/x"]),
        ("Merge branches 'a', 'b' and 'c' into d", ["a", "b", "c", "d"]),
        ("Merge remote-tracking branch 'origin/fix-login' into x", ["fix-login", "x"]),
        ("Merge remote branch 'origin/fix-login'", ["fix-login"]),
        ("Merged in ada/fix-login (pull request #12)", ["ada/fix-login"]),
        ("Auto merge of #12 - ada:fix-login, r=bob", ["fix-login"]),
        ("Merge tag 'v1.2'", []),
        ("Merge commit 'deadbeef'", []),
        ("Merge #12 #13", []),
        ("Fix the merge branch 'x'", []),
        ("Merge branch 'unclosed", []),
    ],
)
def test_merged(subject: str, names: list[str]) -> None:
    assert evidence.merged(subject) == names


@pytest.mark.parametrize(
    ("name", "template", "loose"),
    [
        ("feature/AB-1-x", "{type}/{ticket}-{slug}", "{type}/{ticket}-{slug}"),
        ("feature/AB-1", "{type}/{ticket}-{slug}", "{type}/{ticket}-{slug}"),
        ("AB-1/fix/x", "{ticket}/{type}/{slug}", "{ticket}/{type}/{slug}"),
        ("fix-AB-1-x", "{type}-{ticket}-{slug}", "{type}-{ticket}-{slug}"),
        ("fix-some-words", "{type}-{slug}", "{slug}"),
        ("fix_words", "{type}_{slug}", "{slug}"),
        ("ada/fix-words", "{user}/{type}-{slug}", "{user}/{slug}"),
        ("ada-words", "{user}-{slug}", "{slug}"),
        ("feature/api/words", "{type}/{slug}", "{type}/{slug}"),
        ("users/ada/words", "users/{user}/{slug}", "users/{user}/{slug}"),
        ("Feature/SomeWords", "{type}/{slug}", "{type}/{slug}"),
        ("proj-12-words", "{ticket}-{slug}", "{ticket}-{slug}"),
        ("utf-8-words", "{slug}", "{slug}"),
        ("words-AB-1", "{slug}-{ticket}", "{slug}-{ticket}"),
        ("gh-12", "gh-{ticket}-{slug}", "gh-{ticket}-{slug}"),
        ("2026-01-02-words", "{date}-{slug}", "{date}-{slug}"),
        ("some-words", "{slug}", "{slug}"),
        ("words", "(one word)", "{slug}"),
        ("SomeWords", "", ""),
        ("api/words", "", ""),
    ],
)
def test_shape(name: str, template: str, loose: str) -> None:
    known = Known(frozenset({"ada"}), frozenset({"users"}), frozenset({"proj"}))
    assert shape(name, known)[:2] == (template, loose)


# --- documents -----------------------------------------------------------------------------------------------------

STATED = """# Contributing

Be kind. See `docs/guide` and `src/parser` first; the default branch is `main`.

## Branches

- Start from `origin/main`.
- Name them `<type>/<ticket>-<short-description>`, as in `feature/PROJ-12-dark-mode` or `bugfix/PROJ-7-crash`.
- Do not use `wip/<name>`.

## Tests

Run `tests/all`.
"""


def test_documents_alone(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "demo"
    git("init", "-q", path)
    (path / "AGENTS.md").write_text(STATED)
    (path / "CLAUDE.md").symlink_to("AGENTS.md")
    found = told(run, path)
    assert (found["template"], found["source"], found["names"], found["share"]) == (
        "{type}/{ticket}-{slug}", "documents", 0, 0.0)  # fmt: skip
    assert found["config"] == {
        "wtname.template": "{type}/{ticket}-{slug}", "wtname.type.feat": "feature", "wtname.type.fix": "bugfix",
    }  # fmt: skip
    assert [(said["file"], said["line"], said["template"]) for said in found["documents"]] == [
        ("AGENTS.md", 8, "{type}/{ticket}-{slug}")
    ]
    assert found["documents"][0]["quote"].startswith("- Name them `<type>/<ticket>-<short-description>`, as in")
    assert run("learn", "-C", path).stdout.startswith("template   {type}/{ticket}-{slug}, as AGENTS.md says\n")


@pytest.mark.parametrize(
    ("line", "template"),
    [
        ("Branch names should be `feature/<ticket>-<description>`.", "{type}/{ticket}-{slug}"),
        ("Branch names: feature/<ticket>-<description>", "{type}/{ticket}-{slug}"),
        ("name your branch {username}/{feature-name}", "{user}/{slug}"),
        ("Branches: `[initials]/[issue id]-[desc]`", "{user}/{ticket}-{slug}"),
        ("A branch is called `type/short-description`.", "{type}/{slug}"),
        ("Prefix branches with `feature/`, `fix/` or `docs/`.", "{type}/{slug}"),
        ("Branches are `(feat|fix|docs)/<desc>`.", "{type}/{slug}"),
        ("your branch: `git checkout -b feature/AmazingFeature`", "{type}/{slug}"),
        ("Branches: `fix/issue-<number>-<desc>`", "{type}/issue-{ticket}-{slug}"),
        ("Branches: `bugfix/PROJ-XXX-desc`", "{type}/{ticket}-{slug}"),
        ("Branches: `users/<alias>/<topic>`", "users/{user}/{slug}"),
    ],
)
def test_statements(line: str, template: str) -> None:
    assert [said.template for said in documents.statements([Document("AGENTS.md", line)])] == [template]


@pytest.mark.parametrize(
    "line",
    [
        "Names should be `feature/<ticket>-<description>`.",
        "Never call a branch `feature/<description>`.",
        "Create a branch (`git checkout -b my-new-feature`) from `main`.",
        "Branch off `origin/main` or `upstream/<name>`; see `docs/branches` and [branches](docs/branches.md).",
        "The release branch is `release/<version>`.",
        "Our branch office: see https://example.org/feature/<x>",
        "A branch of `<b>`, `{}` or `List<T>`",
        "branch",
        "branch `feature/a b`, `../<x>/y`, `/feature/x`, `feature//x`",
    ],
)
def test_statements_noop(line: str) -> None:
    assert documents.statements([Document("AGENTS.md", line)]) == []


def test_which_documents_are_read(tmp_path: Path) -> None:
    top = tmp_path / "demo"
    for file in ("CONTRIBUTING.md", "contributing", ".github/CONTRIBUTING.rst", "docs/contributing.de.md", "CLAUDE.md",
                 "README.md", "src/AGENTS.md", "AGENTS.mdx"):  # fmt: skip
        (top / file).parent.mkdir(parents=True, exist_ok=True)
        (top / file).write_text("x" * 100_000)
    (tmp_path / "secret").write_text("branch `feature/<x>`")
    (top / "AGENTS.md").symlink_to(tmp_path / "secret")
    (top / ".github" / "AGENTS.md").symlink_to("AGENTS.md")
    (top / "docs" / "CLAUDE.md").mkdir()
    found = documents.read(top)
    assert sorted(document.file for document in found) == [
        ".github/CONTRIBUTING.rst", "CLAUDE.md", "CONTRIBUTING.md", "contributing", "docs/contributing.de.md",
    ]  # fmt: skip
    assert {len(document.text) for document in found} == {65_536}


def test_a_pipe_is_no_document(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("pipes of POSIX")
    os.mkfifo(tmp_path / "AGENTS.md")
    assert documents.read(tmp_path) == []


@pytest.mark.parametrize("line", ["<" * 2_000, "branch " + "a/" * 990, "branch " + "[" * 1_990, "branch " + "{a" * 990,
                                  "branch `" * 240, "branch (a|" * 190, "branch " + "x-" * 990])  # fmt: skip
def test_no_document_takes_long(line: str) -> None:
    began = time.process_time()
    documents.statements([Document("AGENTS.md", f"{line}\n" * 30)])
    assert time.process_time() - began < 2


# --- writing -------------------------------------------------------------------------------------------------------


def config(path: Path) -> dict[str, str]:
    lines = git("config", "--local", "--get-regexp", "^wtname", cwd=path).splitlines()
    return dict(line.split(" ", 1) for line in lines)  # type: ignore[misc]


def test_write(run: Run, tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **JIRA)
    git("config", "--global", "wtname.template", "wt/{name}")
    lines = run("learn", "-C", path, "--write").stdout.splitlines()
    assert lines[-3:] == [
        "wtname.template: wt/{name} -> {type}/{ticket}-{slug}",
        "wtname.type.feat: (not set) -> feature",
        "wtname.type.fix: (not set) -> bugfix",
    ]
    template = "{type}/{ticket}-{slug}"
    assert config(path) == {"wtname.template": template, "wtname.type.feat": "feature", "wtname.type.fix": "bugfix"}
    assert git("config", "--global", "wtname.template") == "wt/{name}"
    before = (path / ".git" / "config").read_bytes()
    again = run("learn", "-C", path, "--write")
    assert again.stdout.splitlines()[-1] == "set so already"
    assert (path / ".git" / "config").read_bytes() == before


def test_write_keeps_what_the_user_set(run: Run, tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **JIRA)
    git("config", "wtname.template", "mine-{name}", cwd=path)
    done = run("learn", "-C", path, "--write")
    says = (
        "wtname: wtname.template is 'mine-{name}' in this repository and stays; --force sets '{type}/{ticket}-{slug}'"
    )
    assert done.stderr == says + "\n"
    assert config(path)["wtname.template"] == "mine-{name}"
    assert config(path)["wtname.type.feat"] == "feature"
    git("config", "--add", "wtname.template", "mine2-{name}", cwd=path)
    found = told(run, path, "--write", "--force")
    assert found["written"] == [{"key": "wtname.template", "old": "mine2-{name}", "new": "{type}/{ticket}-{slug}"}]
    assert git("config", "--get-all", "wtname.template", cwd=path) == "{type}/{ticket}-{slug}"


def test_write_all_or_nothing(tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **JIRA)
    git("config", "wtname.template", "a", cwd=path)
    git("config", "--add", "wtname.template", "b", cwd=path)
    with Repository(path) as repo, pytest.raises(GitError):
        door.write(repo, {"wtname.template": "x", "wtname.user": "y", "nosection": "z"}, door.local(repo))
    assert git("config", "--local", "--get-regexp", "^wtname", cwd=path) == "wtname.template a\nwtname.template b"


def test_nothing_is_written_where_there_is_no_convention(run: Run, tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **MIXED)
    before = (path / ".git" / "config").read_bytes()
    assert told(run, path, "--write")["written"] == []
    assert (path / ".git" / "config").read_bytes() == before


# --- any repository ------------------------------------------------------------------------------------------------


def test_a_repository_that_would_run_a_program(run: Run, repo: Path) -> None:
    evil = repo / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {repo / 'ran'}\n")
    evil.chmod(0o755)
    signed = git("cat-file", "commit", "HEAD", cwd=repo).replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n x\n\n"
    )
    done = subprocess.run(["git", "hash-object", "-t", "commit", "-w", "--stdin"], cwd=repo, input=signed.encode(),
                          capture_output=True, check=True)  # fmt: skip
    git("update-ref", "HEAD", done.stdout.decode().strip(), cwd=repo)
    for key in ("gpg.program", "core.pager", "core.fsmonitor", "core.sshCommand"):
        git("config", key, evil, cwd=repo)
    git("config", "log.showSignature", "true", cwd=repo)
    assert told(run, repo)["template"] is None
    assert not (repo / "ran").exists()
    git("log", cwd=repo)
    assert (repo / "ran").exists()  # so it was armed


def test_bare(run: Run, tmp_path: Path) -> None:
    path = history(tmp_path / "demo", **TYPED, files={"AGENTS.md": STATED})
    git("clone", "-q", "--mirror", path, tmp_path / "hub.git")
    found = told(run, tmp_path / "hub.git")
    assert (found["template"], found["documents"]) == ("{name}", [])


def test_no_repository(run: Run, tmp_path: Path) -> None:
    done = run("learn", "-C", tmp_path)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (128, "", 1)


def test_twenty_thousand_branches(run: Run, repo: Path) -> None:
    oid = git("rev-parse", "HEAD", cwd=repo)
    names = sorted(f"{kind}/AB-{i}-some-words-{i}" for kind in ("feature", "bugfix") for i in range(10_000))
    lines = [f"{oid} refs/remotes/origin/{name}" for name in names]
    (repo / ".git" / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n" + "\n".join(lines) + "\n"
    )
    began = time.process_time()
    found = told(run, repo)
    assert (found["template"], found["names"]) == ("{type}/{ticket}-{slug}", 20_000)
    assert time.process_time() - began < 2
