from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run, git, start
from wtname import switching
from wtname.errors import WtnameError
from wtname.switching import Place

BRANCHES = [
    "wt-fix-zero-width-crash",
    "wt-feat-dark-mode-toggle",
    "wt-fix-login-redirect",
    "ada/PROJ-214-retry-webhooks",
    "feature/billing-export",
    "wt-5e1f09c3",
    "fix/修复-登录",
]


def place(branch: str, task: str = "", used: float = 0.0, current: bool = False, missing: bool = False) -> Place:
    return Place(Path("/w", branch.replace("/", "-")), branch, task, (), used, current, missing)


def place_of(branches: list[str]) -> list[Place]:
    return [place(branch, used=float(i)) for i, branch in enumerate(branches)]


@pytest.mark.parametrize(
    ("words", "branch", "how"),
    [
        ("wt-fix-zero-width-crash", 0, "branch"),
        ("WT-Fix-Zero-Width-Crash", 0, "branch"),
        ("ada/PROJ-214-retry-webhooks", 3, "branch"),
        ("zero-width-crash", 0, "slug"),
        ("zero width crash", 0, "slug"),
        ("fix-zero-width-crash", 0, "slug"),
        ("retry-webhooks", 3, "slug"),
        ("proj-214-retry-webhooks", 3, "slug"),
        ("billing export", 4, "slug"),
        ("crash", 0, "words"),
        ("crash zero", 0, "words"),
        ("da mo", 1, "words"),
        ("proj-214", 3, "words"),
        ("214", 3, "words"),
        ("5e1", 5, "words"),
        ("登录", 6, "words"),
        ("ark-mo", 1, "part"),
        ("hooks", 3, "part"),
        ("/bill", 4, "words"),
        ("fzwc", 0, "initials"),
        ("damotog", 1, "initials"),
        ("zfwc", None, None),
        ("zrwdth", 0, "letters"),
        ("zq", None, None),
        ("--", None, None),
    ],
)
def test_match(words: str, branch: int | None, how: str | None) -> None:
    places = place_of(BRANCHES)
    found = switching.match(words.split(" "), places)
    wanted = None if branch is None else (BRANCHES[branch], how)
    assert (found and (found.place.branch, found.how)) == wanted


def test_what_the_docs_say() -> None:
    text = (ROOT / "docs" / "worktrees.md").read_text(encoding="utf-8").partition("## What `switch` takes")[2]
    rows = re.findall(r"^\| .* \| (`.*`) \|$", text.partition("\n##")[0], re.M)
    places = [place("wt-fix-zero-width-column-crash", "Fix crash on zero-width columns"), place("main")]
    hows = [[switching.match([words], places) for words in re.findall(r"`([^`]+)`", row)] for row in rows]
    assert [{found and found.how for found in row} for row in hows] == [{how} for how in switching.WAYS]


def test_words_of_the_task() -> None:
    places = [place("wt-a", "Retry the webhooks"), place("wt-b", "Make exports faster")]
    found = switching.match(["webh"], places)
    assert found and (found.place.branch, found.how) == ("wt-a", "task")
    found = switching.match(["b", "export"], places)
    assert found and (found.place.branch, found.how) == ("wt-b", "task")
    assert switching.match(["hooks"], places) is None
    found = switching.match(["red"], [place("wt-a", "Red buttons"), place("wt-fix-rename-order", used=9.0)])
    assert found and (found.place.branch, found.how) == ("wt-a", "task")


@pytest.mark.parametrize(
    ("words", "best", "worse"),
    [
        ("fix-x", "fix-x", "wt-fix-x"),
        ("x y", "fix-x-y", "fix-x-yz"),
        ("log", "fix-login", "fix-catalog"),
        ("cat", "fix-the-cats", "fix-concat"),
        ("onc", "fix-concat", "fix-old-new-css"),
    ],
)
def test_what_is_meant_better_comes_first(words: str, best: str, worse: str) -> None:
    """Whichever was used last."""
    found = switching.match(words.split(" "), [place(worse, used=9.0), place(best, used=1.0)])
    assert found and (found.place.branch, found.others) == (best, [])


def test_equals() -> None:
    """The last used first, the one we are in last; a spelling that is exact before all."""
    places = [place("fix-a", used=1.0), place("fix-b", used=3.0, current=True), place("fix-c", used=2.0)]
    found = switching.match(["fix"], places)
    assert found and [found.place.branch, *(other.branch for other in found.others)] == ["fix-c", "fix-a", "fix-b"]
    found = switching.match(["Fix-A"], [place("fix-a", used=2.0), place("Fix-A", used=1.0)])
    assert found and found.place.branch == "Fix-A"


def test_names_the_nearest() -> None:
    with pytest.raises(
        WtnameError, match=r"no worktree matches 'zerro-with'; the nearest are wt-fix-zero-width-crash,"
    ):
        switching.choose(["zerro-with"], place_of(BRANCHES))


def test_hostile_names_are_shown_and_not_obeyed() -> None:
    with pytest.raises(WtnameError) as caught:
        switching.choose(["\x1b[?"], [place("evil\x9b31m\u202e")])
    assert not any(char in str(caught.value) for char in "\x1b\x9b\u202e")


def test_missing_folders_are_no_place_to_go() -> None:
    with pytest.raises(WtnameError, match="folder of fix-a is missing; git worktree"):
        switching.choose(["fix-a"], [place("fix-a", missing=True)])
    found = switching.choose(["fix"], [place("fix", missing=True), place("wt-fix-b")])
    assert found.place.branch == "wt-fix-b"
    with pytest.raises(WtnameError, match="no other worktree"):
        switching.choose([], [place("fix-a", missing=True), place("main", current=True)])


# --- in a repository --------------------------------------------------------------------------------------------------


def use(path: Path, seconds: int) -> None:
    """As if the worktree was last used then."""
    folder = path / ".git"
    if folder.is_file():
        folder = Path(folder.read_text().removeprefix("gitdir: ").rstrip("\n"))
    for name in ("HEAD", "index", "logs/HEAD"):
        os.utime(folder / name, (seconds, seconds))


@pytest.fixture
def three(repo: Path) -> list[Path]:
    """The main worktree and two more, the first used last."""
    paths = [repo]
    for branch in ("wt-fix-app-crash", "wt-feat-crash-report"):
        paths.append(repo.parent / "demo.worktrees" / branch)
        git("worktree", "add", "-q", "-b", branch, paths[-1], cwd=repo)
    git("config", "branch.wt-fix-app-crash.description", "Stop the app from dying\nat once", cwd=repo)
    for i, path in enumerate(paths):
        use(path, 2_000_000_000 - i)
    return paths


@pytest.mark.parametrize(
    ("words", "index"),
    [
        (["crash"], 1),
        (["report"], 2),
        (["dying"], 1),
        (["main"], 0),
        (["demo"], 0),
        ([], 1),
        (["-"], 1),
        ([""], 1),
    ],
)
def test_prints_the_path_alone(run: Run, three: list[Path], words: list[str], index: int) -> None:
    done = run("switch", *words)
    assert (done.exit_code, done.stdout) == (0, f"{three[index]}\n")


def test_back_and_forth(run: Run, three: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(three[1])
    assert run("switch").stdout == f"{three[0]}\n"
    assert run("switch", "crash").stdout == f"{three[2]}\n"
    assert run("switch", "-C", three[2]).stdout == f"{three[0]}\n"


def test_names_others_on_stderr(run: Run, three: list[Path]) -> None:
    done = run("switch", "crash")
    assert done.stderr == "wtname: wt-fix-app-crash is the one last used; also: wt-feat-crash-report\n"
    assert run("switch", "report").stderr == ""


def test_json(run: Run, three: list[Path]) -> None:
    assert json.loads(run("switch", "--json", "crash").stdout) == {
        "path": str(three[1]),
        "branch": "wt-fix-app-crash",
        "how": "words",
        "others": ["wt-feat-crash-report"],
    }


def test_main_is_a_branch_first(run: Run, three: list[Path]) -> None:
    git("checkout", "-q", "-b", "else", cwd=three[0])
    assert run("switch", "main").stdout == f"{three[0]}\n"
    git("checkout", "-q", "main", cwd=three[1])
    assert run("switch", "main").stdout == f"{three[1]}\n"
    assert run("switch", "else").stdout == f"{three[0]}\n"


def test_no_match(run: Run, three: list[Path]) -> None:
    done = run("switch", "xyzzy")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1 and "nearest are" in done.stderr


def test_missing_folder(run: Run, three: list[Path]) -> None:
    three[1].rename(three[1].with_name("away"))
    assert run("switch", "crash").stdout == f"{three[2]}\n"
    assert run("switch", "fix-app").exit_code == 1
    assert run("switch").stdout == f"{three[2]}\n"


def test_detached_and_bare(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / "hub.git")
    monkeypatch.chdir(tmp_path / "hub.git")
    assert "no other worktree" in run("switch").stderr
    git("worktree", "add", "-q", "--detach", tmp_path / "look here")
    assert run("switch", "look").stdout == run("switch").stdout == f"{tmp_path / 'look here'}\n"
    assert run("switch", "hub").exit_code == 1


def test_no_repository(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("switch", "x").exit_code == 128


@pytest.mark.skipif(os.name == "nt", reason="a path that is no text")
def test_paths_leave_as_the_bytes_they_are(repo: Path) -> None:
    path = os.fsencode(repo.parent) + b"/caf\xe9 \xff"
    git("worktree", "add", "-q", "-b", "odd", os.fsdecode(path), cwd=repo)
    out, err = start("switch", "odd", cwd=repo).communicate(timeout=60)
    assert (out, err) == (path + b"\n", b"")
