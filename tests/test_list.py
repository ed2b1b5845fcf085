from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, git, make_repository, start
from wtname import display, listing
from wtname.git.status import Head, Standing, Upstream
from wtname.listing import Row

HOSTILE = "\x1b]0;pwned\x07\x1b[31mred\x9b32m\u202egnp.exe\u2028\r\n"


def commit(folder: Path, file: str, seconds: int, message: str = "work") -> None:
    (folder / file).write_text(file)
    git("add", "-A", cwd=folder)
    env = {**os.environ, "GIT_COMMITTER_DATE": f"{seconds} +0000"}
    subprocess.run(["git", "commit", "-q", "-m", message], cwd=folder, env=env, check=True)


def row(branch: str | None = "wt-fix-x", **facts: Any) -> Row:
    known: dict[str, Any] = {
        "path": Path("/home/ada/demo.worktrees", branch or "detached"),
        "task": "Fix x",
        "head": "0123456789",
        "current": False,
        "main": False,
        "bare": False,
        "missing": False,
        "locked": None,
        "dirty": 0,
        "unfinished": None,
        "standing": Standing(1, 2, None, False),
        "upstream": None,
        "last": Head(1_000_000, "work"),
    }
    return Row(branch=branch, **{**known, **facts})


def table(*rows: Row, columns: int = 80, cwd: str = "/tmp") -> list[str]:
    shown = listing.table([*rows], columns=columns, now=1_007_300.0, cwd=Path(cwd), home=Path("/home/ada"))
    return [re.sub(r"\x1b\[\d*m", "", line) for line in shown]


# --- all facts of all worktrees -------------------------------------------------------------------------------------


@pytest.fixture
def project(repo: Path, tmp_path: Path) -> Path:
    """A clone with a worktree in each state, each with the state's name, later ones with later commits."""
    git("branch", "gone", cwd=repo)
    path = tmp_path / "shop"
    git("clone", "-q", repo, path)

    def add(name: str, *how: str) -> Path:
        folder = tmp_path / "shop.worktrees" / name
        git("worktree", "add", "-q", *(how or ("-b", name, folder)), cwd=path)
        return folder

    for i, name in enumerate(("merged", "squashed", "dirty", "locked", "missing", "rebased")):
        commit(add(name), name, 1_800_000_000 + i, f"Work on {name}")
    git("merge", "-q", "--no-ff", "-m", "m", "merged", cwd=path)
    git("merge", "-q", "--squash", "squashed", cwd=path)
    commit(path, "squashed", 1_700_000_000, "squashed")
    git("push", "-q", "origin", "main:trunk", cwd=path)
    git("-C", repo, "update-ref", "refs/heads/main", "trunk")
    git("fetch", "-q", cwd=path)
    commit(path, "rebased", 1_700_000_001, "in the way")
    worktrees = tmp_path / "shop.worktrees"
    (worktrees / "dirty" / "dirty").write_text("changed")
    (worktrees / "dirty" / "new").touch()
    git("config", "branch.dirty.description", "  \nMake a mess\nin every room\n", cwd=path)
    git("worktree", "lock", "--reason", "on a stick", worktrees / "locked", cwd=path)
    (worktrees / "rebased" / "rebased").write_text("else")
    git("commit", "-q", "-a", "--amend", "--no-edit", cwd=worktrees / "rebased")
    git("rebase", "-q", "main", cwd=worktrees / "rebased", code=1)
    add("empty")
    add("", "--detach", str(worktrees / "detached"))
    git("worktree", "add", "-q", "--track", "-b", "gone", worktrees / "gone", "origin/gone", cwd=path)
    git("update-ref", "-d", "refs/remotes/origin/gone", cwd=path)
    (worktrees / "missing").rename(tmp_path / "away")
    return path


def test_states(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.parent / "shop.worktrees" / "dirty")
    found = json.loads(run("list", "--json").stdout)
    named = {Path(one["path"]).name: one for one in found}
    plain = {
        "current": False,
        "main": False,
        "bare": False,
        "detached": False,
        "missing": False,
        "locked": False,
        "lock_reason": None,
        "dirty": 0,
        "unfinished": None,
        "base": "origin/main",
        "merged": None,
        "empty": False,
        "upstream": None,
        "upstream_ahead": None,
        "upstream_behind": None,
        "upstream_gone": False,
    }
    told = {"upstream_ahead": 0, "upstream_behind": 0}
    expected = {
        "shop": {"main": True, "ahead": 1, "behind": 0, "upstream": "origin/main", **told, "upstream_ahead": 1},
        "merged": {"ahead": 0, "behind": 2, "merged": "merged"},
        "squashed": {"ahead": 1, "behind": 3, "merged": "squashed"},
        "dirty": {"ahead": 1, "behind": 3, "dirty": 2, "current": True, "task": "Make a mess"},
        "locked": {"ahead": 1, "behind": 3, "locked": True, "lock_reason": "on a stick", "task": "Work on locked"},
        "missing": {"ahead": 1, "behind": 3, "missing": True, "dirty": None},
        "rebased": {"unfinished": "rebase", "detached": True, "ahead": 1, "behind": 0},
        "empty": {"ahead": 1, "behind": 0},
        "detached": {"branch": None, "detached": True, "ahead": 1, "behind": 0},
        "gone": {"ahead": 0, "behind": 3, "upstream": "origin/gone", **told, "upstream_gone": True, "empty": True},
    }
    assert named.keys() == expected.keys()
    for name, facts in expected.items():
        if name == "rebased":  # conflicts count as changed
            assert named[name]["dirty"] > 0
            facts["dirty"] = named[name]["dirty"]
        got = {key: value for key, value in named[name].items() if key in plain or key in facts}
        assert got == {**plain, **facts}, name
    times = [one["time"] for one in found]
    assert times == sorted(times, reverse=True)
    assert named["locked"]["time"] == "2027-01-15T08:00:03Z"


def test_a_line_each_at_a_pipe(run: Run, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    rows = [line.split("\t") for line in run("list").stdout.splitlines()]
    assert {len(fields) for fields in rows} == {6}
    path = str(project.parent / "shop.worktrees" / "dirty")
    assert ["dirty", "Make a mess", "+1 -3", "2 changed", "2027-01-15T08:00:02Z", path] in rows


def test_bare(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / "hub.git")
    monkeypatch.chdir(tmp_path / "hub.git")
    git("worktree", "add", "-q", "-b", "wt", tmp_path / "wt")
    first, second = json.loads(run("list", "--json").stdout)
    assert (first["branch"], first["bare"], first["empty"], first["base"]) == ("wt", False, True, "main")
    assert (second["branch"], second["bare"], second["missing"], second["dirty"]) == (None, True, False, None)
    assert "bare" in run("list").stdout


def test_unborn(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q", tmp_path / "new")
    (tmp_path / "new" / "x").touch()
    monkeypatch.chdir(tmp_path / "new")
    (only,) = json.loads(run("list", "--json").stdout)
    assert [only[key] for key in ("branch", "commit", "time", "task", "dirty", "ahead")] == [
        "main",
        None,
        None,
        "",
        1,
        None,
    ]


def test_no_repository(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = run("list")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (128, "", 1)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="bits that keep us out")
def test_folder_that_may_not_be_entered(run: Run, repo: Path) -> None:
    git("worktree", "add", "-q", "-b", "wt", repo.parent / "wt", cwd=repo)
    (repo.parent / "wt").chmod(0)
    assert "unreadable" in run("list").stdout


def test_broken_worktree_hides_no_other(run: Run, repo: Path) -> None:
    git("worktree", "add", "-q", "-b", "wt", repo.parent / "wt", cwd=repo)
    (repo.parent / "wt" / ".git").write_text("gitdir: /nowhere\n")
    found = {one["branch"]: one["dirty"] for one in json.loads(run("list", "--json").stdout)}
    assert found == {"main": 0, "wt": None}
    assert "unreadable" in run("list").stdout


def test_more_worktrees_than_run_at_once(run: Run, repo: Path) -> None:
    for i in range(11):
        git("worktree", "add", "-q", "-b", f"wt-{i}", repo.parent / "wt" / str(i), cwd=repo)
        for j in range(i):
            (repo.parent / "wt" / str(i) / str(j)).touch()
    found = {one["branch"]: one["dirty"] for one in json.loads(run("list", "--json").stdout)}
    assert found == {"main": 0, **{f"wt-{i}": i for i in range(11)}}


def test_commit_of_the_far_future(run: Run, repo: Path) -> None:
    body = git("cat-file", "commit", "HEAD", cwd=repo).replace("1767323045", "99999999999999")
    (repo.parent / "commit").write_text(body + "\n")
    git("reset", "-q", git("hash-object", "-t", "commit", "-w", repo.parent / "commit", cwd=repo), cwd=repo)
    (only,) = json.loads(run("list", "--json").stdout)
    assert only["time"] == "9999-12-31T23:59:59Z"


# --- for people -----------------------------------------------------------------------------------------------------


def test_table() -> None:
    rows = [
        row(dirty=3, current=True),
        row("wt-feat-dark-mode", task="Dark mode", standing=Standing(0, 12, "merged", False), last=Head(0, "")),
        row(None, task="x", standing=Standing(None, None, None, False)),
    ]
    assert table(*rows, cwd="/home/ada/demo") == [
        f"* {'Fix x':56}  +1 -2  3 changed  2h",
        "    wt-fix-x           ~/demo.worktrees/wt-fix-x",
        f"  {'Dark mode':56}    -12  merged     1w",
        "    wt-feat-dark-mode  ~/demo.worktrees/wt-feat-dark-mode",
        f"  {'x':56}         detached   2h",
        "    (01234567)         ~/demo.worktrees/detached",
    ]


@pytest.mark.parametrize(
    ("cwd", "shown"),
    [
        ("/srv/a/b", "~/demo.worktrees/wt-fix-x"),
        ("/home/ada/demo.worktrees", "wt-fix-x"),
        ("/home/ada/demo.worktrees/wt-fix-y/src", "../../wt-fix-x"),
        ("/home/ada/demo.worktrees/wt-fix-x", "."),
    ],
)
def test_the_shortest_path(cwd: str, shown: str) -> None:
    assert table(row(), cwd=cwd)[1].split() == ["wt-fix-x", shown]


def test_long_paths_keep_their_end() -> None:
    shown = table(row(path=Path("/srv", "deep" * 20, "wt-fix-x")), columns=40)[1]
    assert shown == f"    wt-fix-x  …{('deep' * 20)[-16:]}/wt-fix-x"


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize(
    "text",
    ["word " * 60, "修复登录崩溃" * 30, "🎉" * 90, "e\u0301" * 90, HOSTILE * 5],
    ids=["words", "wide", "emoji", "combining", "hostile"],
)
def test_fits(columns: int, text: str) -> None:
    busy = row(
        text.replace("\n", ""),
        path=Path("/" + text),
        task=text,
        dirty=1234,
        unfinished="cherry-pick",
        locked="",
        upstream=Upstream("origin/x", 12, 34, True),
        standing=Standing(1234, 5678, "squashed", False),
    )
    shown = table(busy, row(), columns=columns)
    assert len(shown) == 4
    for line in shown:
        assert display.width(line) <= columns, line
        assert line.isprintable() or "\u0301" in line


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ""),
        ({"dirty": 1}, "1 changed"),
        ({"missing": True, "dirty": None}, "missing"),
        ({"dirty": None}, "unreadable"),
        ({"bare": True, "dirty": None}, "bare"),
        ({"unfinished": "bisect"}, "bisect unfinished"),
        ({"standing": Standing(1, 0, "squashed", False)}, "squashed"),
        ({"standing": Standing(0, 0, None, True)}, "new"),
        ({"upstream": Upstream("o/x", 0, 0, False)}, ""),
        ({"upstream": Upstream("o/x", 2, 0, False)}, "2 unpushed"),
        ({"upstream": Upstream("o/x", 0, 3, False)}, "3 to pull"),
        ({"upstream": Upstream("o/x", 0, 0, True)}, "upstream gone"),
        ({"locked": "why", "branch": None}, "locked, detached"),
    ],
)
def test_state(facts: dict[str, Any], words: str) -> None:
    assert ", ".join(word for word, _ in listing.state(row(**facts))) == words


def test_age() -> None:
    spans = [-5, 0, 59, 60, 3599, 3600, 86400, 604800, 2629800, 31557600, 1e12]
    assert [listing.age(span) for span in spans] == "now now now 1m 59m 1h 1d 1w 1mo 1y 31688y".split()


# --- hostile text ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("ünï 修复 🎉 👩‍💻", "ünï 修复 🎉 👩‍💻"),
        ("\x1b[31m", r"\x1b[31m"),
        ("a\tb\nc\rd\0\x7f", r"a\tb\nc\rd\x00\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp", r"\u202egnp"),
        ("a\u2028b\u200bc\ufeff", r"a\u2028b\u200bc\ufeff"),
        ("caf\udce9", r"caf\xe9"),
        ("\ud800", r"\ud800"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert display.visible(text) == shown


@pytest.mark.parametrize(
    ("text", "columns", "left", "shown"),
    [
        ("hello", 5, False, "hello"),
        ("hello", 4, False, "hel…"),
        ("hello", 4, True, "…llo"),
        ("hi there", 4, False, "hi…"),
        ("修复登录", 8, False, "修复登录"),
        ("修复登录", 7, False, "修复登…"),
        ("修复登录", 6, False, "修复…"),
        ("修复登录", 6, True, "…登录"),
        ("hello", 1, False, "…"),
        ("hello", 0, False, ""),
    ],
)
def test_cut(text: str, columns: int, left: bool, shown: str) -> None:
    assert display.cut(text, columns, left=left) == shown


@pytest.mark.parametrize(("text", "columns"), [("abc", 3), ("修复", 4), ("e\u0301", 1), ("ｆ", 2), ("é", 1), ("", 0)])
def test_width(text: str, columns: int) -> None:
    assert display.width(text) == columns
    assert display.pad(text, 5) == text + " " * (5 - columns)


def hostile(repo: Path) -> None:
    git("config", "branch.main.description", HOSTILE, cwd=repo)
    git("worktree", "add", "-q", "-b", "evil\u202e\x9b31m", repo.parent / "a\x1b[31m\u202e", cwd=repo)


def test_hostile_text_at_a_pipe(run: Run, repo: Path) -> None:
    hostile(repo)
    shown = run("list").stdout
    assert shown.count("\n") == 2
    assert all(char.isprintable() or char in "\t\n" for char in shown)
    assert r"\x1b]0;pwned\x07" in shown and r"evil\u202e\x9b31m" in shown


def on_a_terminal(repo: Path, **variables: str) -> str:
    """What `wtname list` writes on a terminal of 80 columns."""
    import pty

    ours, theirs = pty.openpty()
    env = {**os.environ, "COLUMNS": "80", **variables}
    with subprocess.Popen([sys.executable, "-m", "wtname", "list"], cwd=repo, env=env, stdin=theirs, stdout=theirs):
        os.close(theirs)
        out = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # Linux says so when the other end is closed
                part = b""
            if not part:
                break
            out += part
    os.close(ours)
    return out.decode().replace("\r\n", "\n")


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_on_a_terminal(repo: Path) -> None:
    hostile(repo)
    coloured, plain = on_a_terminal(repo), on_a_terminal(repo, NO_COLOR="1")
    assert set(re.findall(r"\x1b\[\d+m", coloured)) >= {"\x1b[1m", "\x1b[0m", "\x1b[36m"}
    bare = re.sub(r"\x1b\[\d*m", "", coloured)
    assert bare == plain
    for line in plain.splitlines():
        assert line.isprintable() and display.width(line) <= 80
    assert len(plain.splitlines()) == 4


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_output_without_most_letters(repo: Path, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(repo.parent / "日本")
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    out, err = start("list", cwd=repo.parent / "日本").communicate(timeout=60)
    assert err == b""
    assert ("日本" if encoding == "utf-8" else r"\u65e5\u672c") in out.decode(encoding)
