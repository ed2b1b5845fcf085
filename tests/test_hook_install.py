from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT, Run, git, snapshot, start
from wtname import git_hooks, shim
from wtname.git import version

HOOK = Path(".git", "hooks", "prepare-commit-msg")
THEIRS = b"#!/bin/sh\necho 'theirs \xff' >&2\n"
# Where git has hooks of its own in its configuration, files are not what gets installed.
files = pytest.mark.skipif(version() >= (2, 54), reason="git is new enough for hooks in its configuration")


@pytest.fixture(autouse=True)
def ours(repo: Path) -> None:
    """The test's git may come with hooks in its template."""
    shutil.rmtree(repo / ".git" / "hooks", ignore_errors=True)


def facts(run: Run, *args: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(run("hook", "status", "--json", *args).stdout)
    return found


def write(path: Path, text: bytes = THEIRS, mode: int = 0o755) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    path.chmod(mode)


def test_not_installed(run: Run, repo: Path) -> None:
    before = snapshot(repo, repo)
    assert run("hook", "status").stdout == "not installed\n"
    assert facts(run)["installed"] is False
    done = run("hook", "uninstall")
    assert (done.exit_code, done.stdout) == (0, "") and "not installed" in done.stderr
    assert snapshot(repo, repo) == before


@files
def test_install(run: Run, repo: Path) -> None:
    before = snapshot(repo, repo)
    assert run("hook", "install").stdout == f"{repo / HOOK}\n"
    once = snapshot(repo, repo)
    assert facts(run) == {
        "installed": True,
        "how": "file",
        "global": False,
        "path": str(repo / HOOK),
        "python": sys.executable,
        "works": True,
        "current": True,
        "before": None,
        "before_runs": False,
    }
    assert json.loads(run("hook", "install", "--json").stdout) == facts(run)
    assert snapshot(repo, repo) == once
    assert os.access(HOOK, os.X_OK) and subprocess.run([HOOK.absolute(), "x"]).returncode == 0
    done = run("hook", "uninstall", "--json")
    assert json.loads(done.stdout)["removed"] == [str(repo / HOOK)]
    (repo / ".git" / "hooks").rmdir()
    assert snapshot(repo, repo) == before


@files
@pytest.mark.parametrize("mode", [0o755, 0o700, 0o644])
def test_the_hook_that_was_there(run: Run, repo: Path, mode: int) -> None:
    write(HOOK, mode=mode)
    before = snapshot(repo, repo)
    for _ in range(2):
        done = run("hook", "install")
        assert done.exit_code == 0 and shim.BEFORE in done.stderr
        assert ("runs first" if mode & 0o100 else "may not run, as it is not executable") in done.stderr
    assert facts(run)["before_runs"] == bool(mode & 0o100)
    assert facts(run)["before"] == str((repo / HOOK).with_name(shim.BEFORE))
    said = subprocess.run([HOOK.absolute(), "x"], capture_output=True).stderr
    assert said == (b"theirs \xff\n" if mode & 0o100 else b"")
    assert run("hook", "uninstall").exit_code == 0
    assert snapshot(repo, repo) == before and stat.S_IMODE(HOOK.stat().st_mode) == mode


@files
def test_a_symbolic_link_that_was_there(run: Run, repo: Path) -> None:
    write(repo / "scripts" / "prepare")
    HOOK.parent.mkdir()
    HOOK.symlink_to("../../scripts/prepare")
    assert run("hook", "install").exit_code == 0
    assert (repo / "scripts" / "prepare").read_bytes() == THEIRS and not HOOK.is_symlink()
    assert subprocess.run([HOOK.absolute(), "x"], capture_output=True).stderr == b"theirs \xff\n"
    run("hook", "uninstall")
    assert os.readlink(HOOK) == "../../scripts/prepare" and os.listdir(HOOK.parent) == [HOOK.name]


@files
@pytest.mark.parametrize("linked", [False, True])
def test_an_install_that_was_killed_halfway(run: Run, repo: Path, linked: bool) -> None:
    write(repo / "scripts" / "prepare")
    HOOK.parent.mkdir()
    (os.symlink if linked else os.link)(repo / "scripts" / "prepare", HOOK)
    git_hooks._keep(HOOK, HOOK.with_name(shim.BEFORE))
    assert run("hook", "install").exit_code == 0 and facts(run)["before"]
    assert run("hook", "uninstall").exit_code == 0
    assert HOOK.read_bytes() == THEIRS and os.listdir(HOOK.parent) == [HOOK.name] and HOOK.is_symlink() == linked


@files
def test_install_again_repairs(run: Run, repo: Path) -> None:
    write(HOOK, shim.script("/an older/python").encode())
    done = run("hook", "status")
    assert done.stdout.startswith("installed: ") and "/an older/python is not there any more" in done.stderr
    assert run("hook", "install").exit_code == 0 and facts(run)["works"]
    assert facts(run)["before"] is None


def changed(repo: Path) -> None:
    write(HOOK, shim.script(sys.executable).encode() + b"echo mine\n")


def in_the_way(repo: Path) -> None:
    write(HOOK)
    write(HOOK.with_name(shim.BEFORE), b"older\n")


def hooks_path(where: str, scope: str = "--local") -> Callable[[Path], object]:
    return lambda repo: git("config", scope, "core.hooksPath", where.replace("REPO", str(repo)))


REFUSED = {
    "changed": (changed, "somebody has changed it; look at it, then pass --force"),
    "in the way": (in_the_way, "move one of them away"),
    "goes by its name": (lambda repo: write(HOOK, b'#!/bin/sh\nrun "$(basename "$0")"\n'), "call wtname from your own"),
    "husky": (hooks_path(".husky/_"), "is in the working tree"),
    "sources what goes by its name": (
        lambda repo: write(HOOK, b'#!/usr/bin/env sh\n. "$(dirname "$0")/h"'), "call wtname from your own",
    ),
    "no folder": (hooks_path("/dev/null"), "which is no folder, so that no hook runs; unset it first"),
    "in the working tree": (hooks_path("REPO/hooks"), "is in the working tree"),
    "the user's": (hooks_path("/nowhere/hooks", "--global"), "install it there with --global"),
}


@files
@pytest.mark.parametrize("case", REFUSED)
def test_refused(run: Run, repo: Path, case: str) -> None:
    make, why = REFUSED[case]
    make(repo)
    before = snapshot(repo, repo)
    done = run("hook", "install")
    assert (done.exit_code, done.stdout) == (1, "") and why in done.stderr and done.stderr.count("\n") == 1
    if case == "changed":
        assert run("hook", "uninstall").exit_code == 1
    assert snapshot(repo, repo) == before


@files
@pytest.mark.parametrize("case", ["changed", "goes by its name", "husky", "in the working tree"])
def test_forced(run: Run, repo: Path, case: str) -> None:
    REFUSED[case][0](repo)
    assert run("hook", "install", "--force").exit_code == 0
    assert facts(run)["works"] and facts(run)["current"]


@files
@pytest.mark.parametrize("case", ["goes by its name", "sources what goes by its name"])
def test_forced_it_says_that_the_hook_may_not_run(run: Run, repo: Path, case: str) -> None:
    REFUSED[case][0](repo)
    for done in (run("hook", "install", "--force"), run("hook", "status")):
        assert "may not run, as it goes by the name that it is called by" in done.stderr
    assert facts(run)["before"] and not facts(run)["before_runs"]


@files
@pytest.mark.parametrize("linked", [False, True])
def test_a_hooks_path_of_its_own(run: Run, repo: Path, tmp_path: Path, linked: bool) -> None:
    git("config", "core.hooksPath", tmp_path / "my hooks")
    if linked:
        git("worktree", "add", "-q", tmp_path / "linked")
        os.chdir(tmp_path / "linked")
    assert run("hook", "install").stdout == f"{tmp_path / 'my hooks' / HOOK.name}\n"


@files
def test_linked_worktrees_share_it(run: Run, repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", tmp_path / "linked")
    assert run("hook", "install", "-C", tmp_path / "linked").stdout == f"{repo / HOOK}\n"
    (repo / ".git" / shim.TOLD).write_text("1 x\n")
    (repo / ".git" / "worktrees" / "linked" / shim.TOLD).write_text("1 x\n")
    assert run("hook", "uninstall").stdout == f"{repo / HOOK}\n"
    assert [*(repo / ".git").rglob(shim.TOLD)] == []


@files
def test_pre_commit_came_after_us(run: Run, repo: Path) -> None:
    run("hook", "install")
    HOOK.rename(legacy := HOOK.with_name("prepare-commit-msg.legacy"))
    write(HOOK)
    assert facts(run)["path"] == str(repo / legacy)
    assert run("hook", "uninstall").stdout == f"{repo / legacy}\n"
    assert HOOK.read_bytes() == THEIRS and not legacy.exists()


@files
def test_many_at_once(run: Run, repo: Path) -> None:
    write(HOOK)
    before = snapshot(repo, repo)
    done = [one.wait() for one in [start("hook", "install", cwd=repo) for _ in range(6)]]
    assert done == [0] * 6 and HOOK.with_name(shim.BEFORE).read_bytes() == THEIRS
    assert HOOK.read_text() == shim.script(sys.executable)
    run("hook", "uninstall")
    assert snapshot(repo, repo) == before


def test_nothing_is_overwritten_that_came_meanwhile(repo: Path) -> None:
    write(HOOK)
    assert not git_hooks._write(HOOK, "ours", new=True)
    assert HOOK.read_bytes() == THEIRS and os.listdir(HOOK.parent) == [HOOK.name]


@files
def test_global_where_git_cannot(run: Run, repo: Path, hermetic: Path, tmp_path: Path) -> None:
    before = (hermetic / ".gitconfig").read_bytes()
    done = run("hook", "install", "--global")
    assert done.exit_code == 1 and "would turn off those that repositories have" in done.stderr
    assert (hermetic / ".gitconfig").read_bytes() == before
    git("config", "--global", "core.hooksPath", "~/my hooks")
    write(hermetic / "my hooks" / HOOK.name)
    os.chdir(tmp_path)
    assert run("hook", "install", "--global").stdout == f"{hermetic / 'my hooks' / HOOK.name}\n"
    assert facts(run, "--global")["installed"] and facts(run, "-C", repo)["global"]
    assert run("hook", "uninstall", "--global").exit_code == 0
    assert (hermetic / "my hooks" / HOOK.name).read_bytes() == THEIRS
    git("config", "--global", "core.hooksPath", "hooks")
    assert "set it to an absolute path" in run("hook", "install", "--global").stderr


def test_a_copied_hook() -> None:
    assert (ROOT / "hooks" / "prepare-commit-msg").read_text() == shim.script()
    assert os.access(ROOT / "hooks" / "prepare-commit-msg", os.X_OK)


@pytest.mark.parametrize("there", [True, False])
def test_a_copied_hook_looks_for_wtname(repo: Path, tmp_path: Path, there: bool) -> None:
    """Only in folders of PATH that stay the same wherever one stands."""
    git("checkout", "-q", "-b", "wip")
    write(tmp_path / "bin" / "wtname", b"#!/bin/sh\necho 'wtname: '\"$*\"\n")
    write(repo / "wtname", b"#!/bin/sh\necho wtname: stranger\n")
    path = [str(tmp_path / "bin")] if there else []
    env = {**os.environ, "PATH": os.pathsep.join([*path, ".", *"/usr/bin /bin".split()])}
    done = subprocess.run([ROOT / "hooks" / "prepare-commit-msg", "m", "message"], env=env, capture_output=True)
    said = b"wtname: hook prepare-commit-msg m message\n" if there else b""
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", said)


# --- hooks in git's configuration -------------------------------------------------------------------------------------


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """git as it is, which says that it is newer."""
    real = shutil.which("git")
    text = f'#!/bin/sh\n[ "$1" != --version ] || {{ echo git version 2.54.0; exit; }}\nexec "{real}" "$@"\n'
    write(tmp_path / "newer" / "git", text.encode())
    monkeypatch.setenv("PATH", str(tmp_path / "newer"), prepend=os.pathsep)


def wtname(*args: str | Path, cwd: Path) -> tuple[int, str, str]:
    """In a process of its own, which looks for git anew."""
    done = start(*map(str, args), cwd=cwd)
    out, err = done.communicate()
    return done.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("everywhere", [False, True])
def test_in_the_configuration(
    run: Run, repo: Path, tmp_path: Path, hermetic: Path, newer: None, everywhere: bool
) -> None:
    flag, level = (("--global",), "--global") if everywhere else ((), "--local")
    cwd = tmp_path if everywhere else repo
    before = snapshot(repo, repo), snapshot(hermetic, repo)
    for _ in range(2):
        code, out, _ = wtname("hook", "install", *flag, cwd=cwd)
        assert code == 0
    script = Path(out.rstrip("\n"))
    assert script.is_relative_to(hermetic if everywhere else repo / ".git") and not HOOK.exists()
    assert git("config", level, "--get-all", "hook.wtname.event") == "prepare-commit-msg"
    now = facts(run, *flag)
    assert now["how"] == "config" and now["works"] and now["current"] and now["global"] == everywhere
    assert facts(run)["installed"]
    command = git("config", level, "hook.wtname.command")
    git("checkout", "-q", "-b", "wip")
    (repo / ".git" / "M").write_text("Fix crash on zero-width columns\n")
    args = ["sh", "-c", f'{command} "$@"', "hook", ".git/M", "message"]  # as git runs it
    assert b"wip could be called wt-fix-zero-width-column-crash" in subprocess.run(args, capture_output=True).stderr
    (repo / ".git" / "M").unlink()
    git("checkout", "-q", "main")
    git("branch", "-D", "wip")
    code, out, _ = wtname("hook", "uninstall", *flag, cwd=cwd)
    assert (code, out) == (0, f"{script}\n")
    assert subprocess.run(args, capture_output=True).returncode == 0  # some other git may know the command still
    now = snapshot(repo, repo), snapshot(hermetic, repo)
    changes = {name for old, new in zip(before, now, strict=True) for name in old[1].items() ^ new[1].items()}
    left = {name for name, _ in changes} - {".git/HEAD", ".git/logs/HEAD", f".git/{shim.TOLD}"}
    assert not [name for name in left if "wtname" in name or "config" in name], left


def test_a_repository_that_was_moved(run: Run, repo: Path, tmp_path: Path, newer: None) -> None:
    """Its configuration still names the script of before."""
    assert wtname("hook", "install", cwd=repo)[0] == 0
    copy = tmp_path / "a copy"
    shutil.copytree(repo, copy)
    assert facts(run, "-C", copy)["path"] == facts(run)["path"] and facts(run, "-C", copy)["works"]
    shutil.rmtree(repo / ".git" / "wtname")
    assert facts(run, "-C", copy)["installed"] and not facts(run, "-C", copy)["works"]
    assert wtname("hook", "uninstall", cwd=copy)[0] == 0
    assert "wtname" not in (copy / ".git" / "config").read_text() and not (copy / ".git" / "wtname").exists()


@pytest.mark.parametrize("key", ["wtname.hook", "hook.wtname.enabled"])
def test_off(run: Run, repo: Path, newer: None, key: str) -> None:
    wtname("hook", "install", cwd=repo)
    for value, said in (("false", f"it is off here; git config {key} true turns it on"), ("true", "")):
        git("config", key, value)
        assert run("hook", "status").stderr.strip().removeprefix("wtname: ") == said


def test_a_newer_git_takes_over(run: Run, repo: Path, request: pytest.FixtureRequest) -> None:
    write(HOOK)
    if version() < (2, 54):
        run("hook", "install")
        request.getfixturevalue("newer")
    assert wtname("hook", "install", cwd=repo)[0] == 0
    assert HOOK.read_bytes() == THEIRS and not HOOK.with_name(shim.BEFORE).exists()
    assert facts(run)["how"] == "config"


@pytest.mark.parametrize("command", ["echo mine", 'hook=README; [ ! -x "$hook" ] || "$hook"'])
def test_a_strangers_command_is_no_hook_of_ours(run: Run, repo: Path, command: str) -> None:
    git("config", "hook.wtname.command", command)
    before = snapshot(repo, repo)
    assert facts(run)["installed"] is False
    assert run("hook", "uninstall").stdout == "" and snapshot(repo, repo) == before


@pytest.mark.skipif(version() < (2, 54), reason="git is too old for hooks in its configuration")
def test_git_runs_it_from_the_configuration(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIT_AUTHOR_DATE")
    for flags in ((), ("--global",)):
        assert run("hook", "install", *flags).exit_code == 0
    write(HOOK)
    git("checkout", "-q", "-b", "wip")
    made = ["git", "commit", "-q", "--allow-empty", "-m", "Fix crash on zero-width columns"]
    done = subprocess.run(made, capture_output=True)
    first, second = done.stderr.splitlines()
    assert first.startswith(b"wtname: wip could be called") and second == b"theirs \xff"
    shutil.rmtree(repo / ".git" / "wtname")
    done = subprocess.run(made, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"theirs \xff\n")


@files
def test_the_hook_by_hand(run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes with the source looks for wtname on PATH."""
    write(HOOK, (ROOT / "hooks" / HOOK.name).read_bytes())
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    write(tmp_path / "wtname", b"#!/bin/sh\n")
    assert facts(run)["works"] and "does nothing" not in run("hook", "status").stderr


@files
@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="limits of POSIX")
def test_a_hook_that_cannot_be_written_leaves_the_other_alone(run: Run, repo: Path) -> None:
    write(HOOK)
    before = snapshot(repo, repo)
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); from wtname.cli import main; main(sys.argv[1:])"
    )
    done = subprocess.run([sys.executable, "-c", code, "hook", "install"], capture_output=True, text=True)
    assert done.returncode == 1 and "cannot write" in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert snapshot(repo, repo) == before
