from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository
from wtname.git import Repository, base, refs
from wtname.git.fetch import Fetch, _unasking


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """What the clone was cloned from."""
    return make_repository(tmp_path / "hub")


@pytest.fixture
def clone(hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone, and we stand in it."""
    path = tmp_path / "clone"
    git("clone", "-q", hub.as_uri(), path)
    monkeypatch.chdir(path)
    return path


def commit(path: Path, *messages: str) -> str:
    for message in messages:
        git("commit", "-q", "--allow-empty", "-m", message, cwd=path)
    return git("rev-parse", "HEAD", cwd=path)


def default() -> str | None:
    with Repository() as repository:
        return base.default(repository)


def new(run: Run, *args: str) -> tuple[dict[str, object], str]:
    done = run("new", "--json", "--name", "x", *args)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout), done.stderr


# --- the default -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        ([], "origin/main"),
        (["remote set-head origin --delete"], "origin/main"),
        (["update-ref refs/remotes/origin/dev HEAD", "remote set-head origin dev"], "origin/dev"),
        (["symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/gone"], "origin/main"),
        (["symbolic-ref refs/remotes/origin/HEAD refs/heads/main", "branch -rD origin/main"], None),
        (["branch -rd origin/HEAD", "branch -rd origin/main", "update-ref refs/remotes/origin/x HEAD"], None),
        (
            [
                "branch -rd origin/HEAD",
                "branch -m origin/main",  # in the way of the short name, and it is no remote's
                "update-ref refs/remotes/origin/trunk HEAD",
                "config init.defaultBranch trunk",
                "branch -rd origin/main",
            ],
            "origin/trunk",
        ),
        (["remote rename origin up/stream"], "up/stream/main"),
        (["remote add fork ../fork"], "origin/main"),
        (["remote rename origin a", "remote add b ../b"], "a/main"),  # the current branch's
        (["remote rename origin a", "remote add b ../b", "checkout -q --detach"], None),
        (
            ["remote rename origin a", "remote add b ../b", "checkout -q --detach", "config checkout.defaultRemote a"],
            "a/main",
        ),
        (
            ["remote add fork ../fork", "update-ref refs/remotes/fork/main HEAD", "config branch.main.remote fork"],
            "fork/main",
        ),
        (["config branch.main.remote ."], "origin/main"),
        (["config checkout.defaultRemote nowhere"], "origin/main"),
        (["remote remove origin"], None),
        (["branch origin/main"], "refs/remotes/origin/main"),
    ],
)
def test_default(clone: Path, commands: list[str], expected: str | None) -> None:
    for command in commands:
        git(*command.split(), cwd=clone)
    assert default() == expected
    if expected:
        git("rev-parse", "--verify", expected, cwd=clone)


def test_no_remote_no_default(repo: Path) -> None:
    assert default() is None


def test_default_takes_no_process_of_its_own(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Repository() as repository:
        monkeypatch.setattr(repository, "ask", None)
        assert base.default(repository) == "origin/main"
        assert repository.commit("refs/remotes/origin/main") == git("rev-parse", "HEAD", cwd=clone)


# --- where a branch starts -------------------------------------------------------------------------------------------


def test_starts_at_the_remote_and_tracks_nothing(run: Run, clone: Path) -> None:
    theirs = git("rev-parse", "origin/main", cwd=clone)
    git("config", "branch.autoSetupMerge", "always", cwd=clone)
    git("checkout", "-q", "-b", "mine", cwd=clone)
    commit(clone, "mine")
    made, said = new(run)
    assert (made["base"], made["commit"], made["behind"], said) == ("origin/main", theirs, 0, "")
    assert git("config", "--get-regexp", "branch.wt-x.(remote|merge)", cwd=clone, code=1) == ""


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ([], "origin/main"),
        (["--base", "HEAD"], "HEAD"),
        (["--base", "main"], "main"),
        (["--base", "origin/main"], "origin/main"),
        (["--base", "remotes/origin/main"], "origin/main"),
        (["--base", "refs/remotes/origin/main"], "origin/main"),
        (["--base", "origin"], "origin/main"),
        (["--base", "origin/HEAD"], "origin/main"),
        (["--base", "HEAD~0"], "HEAD~0"),
    ],
)
def test_base_is_what_was_asked_for(run: Run, clone: Path, args: list[str], expected: str) -> None:
    made, said = new(run, *args)
    assert (made["base"], made["commit"], said) == (expected, git("rev-parse", "HEAD", cwd=clone), "")


def test_a_local_branch_comes_before_a_remotes(run: Run, clone: Path) -> None:
    git("branch", "origin/main", commit(clone, "mine"), cwd=clone)
    assert new(run, "--base", "origin/main")[0]["commit"] == git("rev-parse", "HEAD", cwd=clone)
    assert new(run)[0]["commit"] == git("rev-parse", "HEAD~1", cwd=clone)


@pytest.mark.parametrize("stand", ["branch", "detached", "linked"])
@pytest.mark.parametrize("args", [[], ["--base", "HEAD"], ["--base", "@"]])
def test_head_is_that_of_where_we_stand(
    run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stand: str, args: list[str]
) -> None:
    if stand == "linked":
        git("worktree", "add", "-q", "-b", "mine", tmp_path / "linked", cwd=repo)
        monkeypatch.chdir(tmp_path / "linked")
    else:
        git("checkout", "-q", *(["--detach"] if stand == "detached" else ["-b", "mine"]), cwd=repo)
    head = commit(Path.cwd(), "of mine")
    assert head != git("rev-parse", "main", cwd=repo)
    assert new(run, *args)[0]["commit"] == head


def test_flag_then_variable_then_config(run: Run, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for branch in ("c", "e", "f"):
        git("branch", branch, cwd=clone)
    git("config", "wtname.base", "c", cwd=clone)
    assert new(run)[0]["base"] == "c"
    monkeypatch.setenv("WTNAME_BASE", "e")
    assert new(run)[0]["base"] == "e"
    assert new(run, "--base", "f")[0]["base"] == "f"


# What something other than `git branch -d` left of a branch wt-x, or the user set before there was one.
LEFT = {
    "description": ["mine", "of two lines\nand a second value"],
    "remote": ["origin"],
    "merge": ["refs/heads/main", "refs/heads/other"],
    "pushRemote": ["fork"],
    "rebase": ["true"],
    "wtnameRenamedFrom": ["older"],
}


def leave(clone: Path, left: dict[str, list[str]]) -> None:
    for key, values in left.items():
        for value in values:
            git("config", "--add", f"branch.wt-x.{key}", value, cwd=clone)


def said_of(clone: Path) -> dict[str, list[str]]:
    with Repository(clone) as repository:
        return refs.settings(repository, "wt-x")


@pytest.mark.parametrize(
    ("left", "prompt", "expected"),
    [
        (LEFT, "Fix it", {"description": ["Fix it"], "rebase": ["true"]}),
        (LEFT, "", {"description": LEFT["description"], "rebase": ["true"]}),
        ({}, "Fix it", {"description": ["Fix it"]}),
        ({}, "", {}),
    ],
)
def test_tracks_nothing_whatever_was_left(
    run: Run, clone: Path, left: dict[str, list[str]], prompt: str, expected: dict[str, list[str]]
) -> None:
    leave(clone, left)
    git("config", "branch.wt-x.y.remote", "origin", cwd=clone)  # another branch's
    assert run("new", "--name", "x", *filter(None, [prompt])).exit_code == 0
    assert said_of(clone) == expected
    assert git("rev-parse", "--abbrev-ref", "wt-x@{upstream}", cwd=clone, code=128) == ""
    assert git("config", "branch.wt-x.y.remote", cwd=clone) == "origin"


@pytest.mark.parametrize("left", [LEFT, {}])
@pytest.mark.parametrize("prompt", [[], ["Fix it"], ["mine"]])
def test_what_was_left_comes_back_where_new_fails(
    run: Run, clone: Path, left: dict[str, list[str]], prompt: list[str]
) -> None:
    leave(clone, left)
    clone.with_name("clone.worktrees").touch()
    done = run("new", "--name", "x", *prompt)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert said_of(clone) == {key.lower(): values for key, values in left.items()}
    assert git("branch", "--list", "wt-x", cwd=clone) == ""


@pytest.mark.parametrize("changed", [{"description", "merge", "remote"}, set()])
def test_what_was_left_comes_back_after_a_kill(run: Run, clone: Path, changed: set[str]) -> None:
    left = {"description": ["mine"], "remote": ["origin"], "merge": ["refs/heads/main"]}
    leave(clone, left)
    head = git("rev-parse", "HEAD", cwd=clone)
    file = clone / ".git" / "wtname" / "journal" / "20260102T030405Z-0a1b2c3d.json"
    made = f"branch: Created by wtname {file.stem}"
    git("update-ref", "--create-reflog", "-m", made, "refs/heads/wt-x", head, cwd=clone)
    for key in changed:
        git("config", "--unset", f"branch.wt-x.{key}", cwd=clone)
    if changed:
        git("config", "branch.wt-x.description", "Fix it", cwd=clone)
    file.parent.mkdir(parents=True)
    place = clone.with_name("clone.worktrees") / "wt-x"
    facts = {"operation": "new", "branch": "wt-x", "commit": head, "description": "Fix it", "path": str(place)}
    file.write_text(json.dumps({**facts, "above": [str(place.parent)], "there": False, "before": left}) + "\n")
    assert "wt-x was half made and is taken back" in run("doctor", "--repair").stdout
    assert said_of(clone) == left and git("branch", "--list", "wt-x", cwd=clone) == ""


def test_what_somebody_set_since_the_kill_stays(clone: Path) -> None:
    git("config", "branch.wt-x.description", "theirs", cwd=clone)
    with Repository(clone) as repository:
        refs.forget_description(repository, "wt-x", "Fix it", {"description": ["mine"], "remote": ["origin"], "x": 1})
    assert said_of(clone) == {"description": ["theirs"], "remote": ["origin"]}


@pytest.mark.parametrize("aside", [True, False])
def test_interrupted_again_while_it_was_taken_back(run: Run, clone: Path, aside: bool) -> None:
    head = git("rev-parse", "HEAD", cwd=clone)
    file = clone / ".git" / "wtname" / "journal" / "20260102T030405Z-0a1b2c3d.json"
    made = f"branch: Created by wtname {file.stem}"
    place = clone.with_name("clone.worktrees") / "wt-x"
    git("update-ref", "--create-reflog", "-m", made, "refs/heads/wt-x", head, cwd=clone)
    git("worktree", "add", "-q", place, "wt-x", cwd=clone)
    if aside:
        place.rename(place.with_name(f".wtname-{file.stem}"))
    file.parent.mkdir(parents=True)
    facts = {"operation": "new", "branch": "wt-x", "commit": head, "description": "", "path": str(place)}
    file.write_text(json.dumps({**facts, "above": [str(place.parent)], "there": False, "made": True}) + "\n")
    told = run("doctor", "--repair").stdout
    assert ("wt-x was half made and is taken back" in told) is aside
    assert (f"wt-x was made when wtname was killed, and stays: {place}" in told) is not aside
    assert place.parent.exists() is not aside and ("wt-x" in git("branch", cwd=clone)) is not aside
    assert git("worktree", "prune", "--dry-run", "--verbose", cwd=clone) == ""
    assert git("worktree", "list", cwd=clone).count("\n") == (0 if aside else 1)


def test_unborn_head_starts_at_the_remote(run: Run, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("init", "-q", tmp_path / "fresh")
    monkeypatch.chdir(tmp_path / "fresh")
    git("remote", "add", "origin", hub)
    git("fetch", "-q")
    made, _ = new(run)
    assert (made["base"], made["commit"]) == ("origin/main", git("rev-parse", "HEAD", cwd=hub))


# --- behind ----------------------------------------------------------------------------------------------------------

BEHIND = "is 2 commits behind origin/main; --base origin/main starts there\n"


@pytest.mark.parametrize(
    ("commands", "base_flag", "behind", "says"),
    [
        ([], "HEAD", 2, f"wtname: HEAD {BEHIND}"),
        ([], "main", 2, f"wtname: main {BEHIND}"),
        ([], "refs/heads/main", 2, f"wtname: refs/heads/main {BEHIND}"),
        (["checkout -q --detach"], "HEAD", 2, f"wtname: HEAD {BEHIND}"),
        (["branch --no-track mine"], "mine", 2, f"wtname: mine {BEHIND}"),
        (["update-ref refs/remotes/origin/y HEAD", "branch -q -t y origin/y"], "y", 0, ""),  # its own upstream
        (["update-ref refs/remotes/origin/y HEAD", "checkout -q -t -b y origin/y"], "HEAD", 0, ""),
        (["tag v1"], "v1", None, ""),
        ([], "HEAD~0", None, ""),
        (["merge -q --ff-only origin/main"], "HEAD", 0, ""),
        (["merge -q --ff-only origin/main"], "main", 0, ""),
        ([], "origin/main", 0, ""),
    ],
)
def test_behind(
    run: Run, hub: Path, clone: Path, commands: list[str], base_flag: str, behind: int | None, says: str
) -> None:
    commit(hub, "one", "two")
    git("fetch", "-q", cwd=clone)
    for command in commands:
        git(*command.split(), cwd=clone)
    made, said = new(run, "--base", base_flag)
    assert (made["behind"], said) == (behind, says)
    dry = json.loads(run("new", "--json", "--name", "x", "--dry-run", "--base", base_flag).stdout)
    assert dry["behind"] == behind


@pytest.mark.parametrize(
    ("commits", "says"),
    [
        (["one"], "wtname: main has 1 commit that origin/main lacks; --base main takes it\n"),
        (["one", "two"], "wtname: main has 2 commits that origin/main lacks; --base main takes them\n"),
        ([], ""),
    ],
)
def test_unpushed_commits_are_told(run: Run, clone: Path, commits: list[str], says: str) -> None:
    commit(clone, *commits)
    git("checkout", "-q", "-b", "elsewhere", cwd=clone)
    commit(clone, "not of main")
    made, said = new(run)
    assert (made["base"], made["behind"], said) == ("origin/main", len(commits), says)


def test_a_main_that_follows_another_is_not_compared(run: Run, clone: Path) -> None:
    git("update-ref", "refs/remotes/origin/next", "HEAD", cwd=clone)
    git("branch", "-q", "-u", "origin/next", cwd=clone)
    commit(clone, "one")
    assert new(run)[1] == ""


# --- fetch -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["flag", "config", "variable"])
def test_fetch_brings_that_branch_alone(
    run: Run, hub: Path, clone: Path, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("branch", "other", cwd=hub)
    git("tag", "v1", cwd=hub)
    newest = commit(hub, "new")
    if by == "config":
        git("config", "wtname.fetch", "yes", cwd=clone)
    elif by == "variable":
        monkeypatch.setenv("WTNAME_FETCH", "1")
    made, said = new(run, *(["--fetch"] if by == "flag" else []))
    assert (made["base"], made["commit"], said) == ("origin/main", newest, "")
    assert git("for-each-ref", "--format=%(refname)", "refs/remotes", "refs/tags", cwd=clone).split() == [
        "refs/remotes/origin/HEAD",
        "refs/remotes/origin/main",
    ]


@pytest.mark.parametrize(
    ("config", "args"), [("no", []), ("yes", ["--no-fetch"]), ("yes", ["--dry-run"]), ("", ["--dry-run", "--fetch"])]
)
def test_no_fetch(run: Run, hub: Path, clone: Path, config: str, args: list[str]) -> None:
    git("config", "wtname.fetch", config, cwd=clone)
    before = git("rev-parse", "HEAD", cwd=clone)
    commit(hub, "new")
    assert new(run, *args)[0]["commit"] == before
    assert git("rev-parse", "origin/main", cwd=clone) == before


def test_fetch_tells_how_far_behind_a_local_branch_is(run: Run, hub: Path, clone: Path) -> None:
    commit(hub, "one", "two")
    made, said = new(run, "--fetch", "--base", "main")
    assert (made["behind"], said) == (2, f"wtname: main {BEHIND}")


def test_fetch_brings_a_branch_that_is_not_here_yet(run: Run, hub: Path, clone: Path) -> None:
    git("branch", "late", cwd=hub)
    made, said = new(run, "--fetch", "--base", "origin/late")
    assert (made["base"], made["behind"], said) == ("origin/late", 0, "")


def test_fetch_without_a_remote_is_quiet(run: Run, repo: Path) -> None:
    assert new(run, "--fetch")[1] == ""


def test_fetch_that_cannot_be_goes_on(run: Run, hub: Path, clone: Path) -> None:
    hub.rename(hub.with_name("gone"))
    made, said = new(run, "--fetch")
    assert made["commit"] == git("rev-parse", "HEAD", cwd=clone)
    assert said.startswith("wtname: cannot fetch origin/main (") and said.endswith("; going on with what is here\n")
    assert said.count("\n") == 1


def test_a_remote_cannot_paint_the_terminal(run: Run, clone: Path) -> None:
    git(
        "config",
        "remote.origin.uploadpack",
        r"printf '003aERR \033[31mred\342\200\256\033[0m and more than enough words to read.....' #",
    )
    said = new(run, "--fetch")[1]
    assert "cannot fetch" in said and "red" in said and "\x1b" not in said and "\u202e" not in said


@pytest.mark.skipif(os.name == "nt", reason="processes of POSIX")
def test_fetch_that_hangs_ends_in_time_with_all_it_started(run: Run, clone: Path, tmp_path: Path) -> None:
    hang = tmp_path / "hang"
    hang.write_text(
        f"#!/bin/sh\ntrap '' TERM\necho $$ > {tmp_path}/pid\nfor i in 1 2 3 4 5 6 7 8 9; do sleep 3; done\n"
    )
    hang.chmod(0o755)
    git("config", "remote.origin.uploadpack", hang, cwd=clone)
    git("config", "wtname.fetchtimeout", "0.4", cwd=clone)
    began = time.monotonic()
    made, said = new(run, "--fetch")
    assert time.monotonic() - began < 20
    assert made["base"] == "origin/main"
    assert said == "wtname: origin/main did not come within 0.4 s; going on with what is here\n"
    pid = int((tmp_path / "pid").read_text())
    for _ in range(20):
        if not _alive(pid):
            break
        time.sleep(0.1)
    assert not _alive(pid)
    assert not list((clone / ".git").rglob("*.lock"))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # dead, and nobody has looked after it yet
    return not (sys.platform == "linux" and stat.exists() and stat.read_text().rpartition(") ")[2].startswith("Z"))


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_fetch_has_no_terminal_to_ask_on(run: Run, clone: Path, tmp_path: Path) -> None:
    ask = tmp_path / "ask"
    ask.write_text(
        f"#!/bin/sh\n(: < /dev/tty) 2> /dev/null && tty=yes || tty=no\n"
        f'echo "$tty $GIT_TERMINAL_PROMPT $GIT_SSH_COMMAND" > {tmp_path}/asked\nexec git-upload-pack "$@"\n'
    )
    ask.chmod(0o755)
    git("config", "remote.origin.uploadpack", ask, cwd=clone)
    assert new(run, "--fetch")[1] == ""
    assert (tmp_path / "asked").read_text() == "no 0 ssh -o BatchMode=yes\n"


@pytest.mark.parametrize(
    ("variable", "config", "expected"),
    [
        ("", "", "ssh -o BatchMode=yes"),
        ("GIT_SSH_COMMAND", "", "mine"),
        ("GIT_SSH", "", None),
        ("", "core.sshCommand", None),
    ],
)
def test_the_users_ssh_is_left_alone(
    clone: Path, monkeypatch: pytest.MonkeyPatch, variable: str, config: str, expected: str | None
) -> None:
    if variable:
        monkeypatch.setenv(variable, "mine")
    if config:
        git("config", config, "mine", cwd=clone)
    with Repository() as repository:
        assert _unasking(repository).get("GIT_SSH_COMMAND") == expected


def test_fetch_is_stopped_when_nobody_waits(clone: Path, tmp_path: Path) -> None:
    git("config", "remote.origin.uploadpack", "sleep 30 #", cwd=clone)
    with Repository() as repository:
        fetch = Fetch(repository, base.choose(repository, ""), 30)
        began = time.monotonic()
        fetch.close()
        assert time.monotonic() - began < 5
        assert fetch._process and fetch._process.returncode is not None


def test_fetch_is_over_when_its_time_is(clone: Path) -> None:
    git("config", "remote.origin.uploadpack", "sleep 30 #", cwd=clone)
    with Repository() as repository:
        fetch = Fetch(repository, base.choose(repository, ""), 0.1)
        assert "did not come within 0.1 s" in (fetch.warning() or "")
        assert fetch._process and fetch._process.returncode is not None


@pytest.mark.parametrize("remote", ["--upload-pack=touch pwned", "-x", "a b"])
def test_a_remote_is_no_option(run: Run, clone: Path, remote: str) -> None:
    git("config", f"remote.{remote}.url", "nowhere", cwd=clone)
    git("config", "branch.main.remote", remote, cwd=clone)
    git("update-ref", "refs/remotes/-x/main", "HEAD", cwd=clone)
    (clone / ".git" / "refs" / "remotes" / remote).mkdir(parents=True, exist_ok=True)
    (clone / ".git" / "refs" / "remotes" / remote / "main").write_text(git("rev-parse", "HEAD", cwd=clone) + "\n")
    new(run, "--fetch")
    assert not list(clone.rglob("pwned"))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("fetch", "maybe", "wtname.fetch is 'maybe'; set it to true or false"),
        ("copy", "2", "wtname.copy is '2'; set it to true or false"),
        ("run", "off course", "wtname.run is 'off course'"),
        ("recursesubmodules", "on-demand", "wtname.recursesubmodules is 'on-demand'"),
        ("fetchtimeout", "soon", "wtname.fetchtimeout is 'soon'; set it to a number of seconds"),
        ("fetchtimeout", "nan", "wtname.fetchtimeout is 'nan'"),
    ],
)
def test_bad_settings(run: Run, clone: Path, key: str, value: str, says: str) -> None:
    git("config", "wtname." + key, value, cwd=clone)
    done = run("new", "--name", "x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert says in done.stderr
