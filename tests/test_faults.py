"""Every command that changes a repository, broken off at each step it takes: what is left is put in order, nothing is
lost, and the repository is as before the command or as after it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import faults
from tests.conftest import Run, git, snapshot, start

pytestmark = pytest.mark.skipif(os.name == "nt", reason="forks")
BRANCH = "wt-fix-x"
# What the user has in the worktree, and what of it is staged: all of it must be somewhere in the end.
FILES = {"README": "changed\n", "staged": "staged and changed\n", "new": "nobody tracks this\n"}
STAGED = {"staged": "staged\n"}


class Box(NamedTuple):
    """A folder with a repository and its worktrees, which can be put back as it was."""

    folder: Path
    main: Path
    saved: Path

    def save(self) -> None:
        shutil.rmtree(self.saved, ignore_errors=True)
        shutil.copytree(self.folder, self.saved, symlinks=True)

    def put_back(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.saved, self.folder, symlinks=True)

    def run(self, *args: str) -> None:
        code = faults.forked(lambda: (os.chdir(self.main), faults.run(*args)), self.out)
        assert code == 0, self.out.read_text()

    @property
    def out(self) -> Path:
        return self.saved.with_name("out")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """A repository with a worktree in which somebody is at work."""
    box = Box(tmp_path / "box", tmp_path / "box" / "demo", tmp_path / "saved")
    git("config", "--global", "core.fsync", "none")
    git("init", "-q", "--template=", box.main)
    (box.main / "README").write_text("hello\n")
    git("add", "README", cwd=box.main)
    git("commit", "-q", "-m", "first", cwd=box.main)
    path = box.folder / "demo.worktrees" / BRANCH
    git("worktree", "add", "-q", "-b", BRANCH, path, cwd=box.main)
    git("config", f"branch.{BRANCH}.description", "Fix the x", cwd=box.main)
    git("commit", "-q", "--allow-empty", "-m", "own work", cwd=path)
    (path / "staged").write_text(STAGED["staged"])
    git("add", "staged", cwd=path)
    for name, text in FILES.items():
        (path / name).write_text(text)
    return box


def prepare_new(box: Box) -> list[str]:
    return ["new", "--name", "feat-y", "Add the y"]


def prepare_remove(box: Box) -> list[str]:
    return ["remove", "--force", BRANCH]


def prepare_prune(box: Box) -> list[str]:
    path = box.folder / "demo.worktrees" / BRANCH
    git("add", "--all", cwd=path)
    git("commit", "-q", "-m", "all of it", cwd=path)
    git("merge", "-q", "--no-ff", "-m", "merge", BRANCH, cwd=box.main)
    return ["prune"]


def prepare_rename(box: Box) -> list[str]:
    return ["rename", "-C", str(box.folder / "demo.worktrees" / BRANCH), "--name", "fix-better", "--move"]


def prepare_undo(box: Box) -> list[str]:
    box.run(*prepare_rename(box))
    return ["rename", "-C", str(box.folder / "demo.worktrees" / "wt-fix-better"), "--undo"]


def prepare_restore(box: Box) -> list[str]:
    box.run(*prepare_remove(box))
    return ["restore"]


PREPARE = [prepare_new, prepare_remove, prepare_prune, prepare_rename, prepare_undo, prepare_restore]
State = tuple[dict[str, str], dict[str, tuple[str, str]], list[str], int]


def ask(*args: str, cwd: Path) -> str:
    """What git has to say, nothing where it has no answer."""
    return subprocess.run(["git", *args], cwd=cwd, capture_output=True, text=True).stdout


def state(box: Box) -> State:
    """Branches, worktrees with what git says of their files, settings of branches, and how much is in the trash."""
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", cwd=box.main).split("\n")
    refs = dict(line.split(" ") for line in listed)
    worktrees = {}
    for block in git("worktree", "list", "--porcelain", cwd=box.main).split("\n\n"):
        facts = dict(line.partition(" ")[::2] for line in block.split("\n"))
        assert not {"locked", "prunable"} & set(facts), block
        worktrees[facts["worktree"]] = facts["branch"], git("status", "--porcelain", cwd=Path(facts["worktree"]))
    settings = ask("config", "--local", "--get-regexp", r"^branch\.", cwd=box.main).splitlines()
    trash = [ref for ref in refs if ref.startswith("refs/wtname/")]
    return {ref: refs[ref] for ref in refs if ref not in trash}, worktrees, sorted(settings), len(trash)


def check(box: Box, tip: str) -> State:
    """What must hold whatever happened."""
    git("fsck", "--no-progress", "--no-dangling", cwd=box.main)
    assert git("rev-list", tip, "--not", "--branches", "--glob=refs/wtname/trash", cwd=box.main) == "", (
        "a commit is lost"
    )
    branches, worktrees, settings, _ = now = state(box)
    parts = [*box.folder.iterdir(), *(box.folder / "demo.worktrees").glob("*")]
    folders = {str(path) for path in parts if path.name != "demo.worktrees"}
    assert folders == set(worktrees), "each folder is a worktree and each worktree has its folder"
    assert {branch for branch, _ in worktrees.values()} == set(branches), "each branch has its worktree"
    assert {"refs/heads/" + line[len("branch.") :].split(" ")[0].rpartition(".")[0] for line in settings} <= set(
        branches
    )
    left = [path for path in (box.main / ".git").rglob("*") if path.suffix == ".lock" or path.parent.name == "journal"]
    assert left == [], "a lock or a note is left"
    committed = ask("show", "main:new", cwd=box.main) != ""
    for names, staged in ((FILES, False), ({} if committed else STAGED, True)):
        for name, text in names.items():
            assert text in list(copies(box, worktrees, name, staged)), f"{name} is lost"
    return now


def copies(box: Box, worktrees: Iterable[str], name: str, staged: bool) -> Iterator[str]:
    """What is called so in the worktrees and in the trash, or is staged there under this name."""
    for path in map(Path, worktrees):
        if staged:
            yield ask("show", f":{name}", cwd=path)
        elif (path / name).exists():
            yield (path / name).read_text()
    for ref in ask("for-each-ref", "--format=%(refname)", "refs/wtname/trash", cwd=box.main).split():
        yield ask("show", f"{ref}^2:{name}" if staged else f"{ref}:{name}", cwd=box.main)


def without(now: State, branch: str) -> State:
    branches, worktrees, settings, trash = now
    ref = "refs/heads/" + branch
    others = {path: facts for path, facts in worktrees.items() if facts[0] != ref}
    return {one: oid for one, oid in branches.items() if one != ref}, others, settings, trash


# These go the way of others again: not every kind of fault needs to, too.
MODES = {
    prepare_prune: ("after", "git", "hooks"),
    prepare_undo: ("kill", "after", "hooks"),
    prepare_restore: ("kill", "after", "git", "hooks"),
}
REPAIRS = {"doctor": ["doctor", "--repair"], "next": ["new", "--name", "next"]}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("prepare", PREPARE, ids=lambda prepare: prepare.__name__[8:])
def test_broken_off(box: Box, prepare: Callable[[Box], list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    faults.preload()
    tip = git("rev-parse", BRANCH, cwd=box.main)
    args = prepare(box)
    box.save()
    before = check(box, tip)
    box.run(*args)
    after = check(box, tip)
    assert before != after
    tried: dict[str, int] = {}
    failed: list[str] = []
    for mode in MODES.get(prepare, faults.MODES):
        for at in itertools.count(1):
            box.put_back()
            box.out.unlink(missing_ok=True)
            step, code = faults.attempt(box.folder, box.main, mode, at, box.out, *args)
            if not step:
                break
            tried[mode] = at
            how, repair = list(REPAIRS.items())[at % 2]
            try:
                if mode == "kill":  # the repair may be killed as well
                    faults.attempt(box.folder, box.main, mode, at // 2 % 6 + 1, box.out, *REPAIRS["doctor"])
                box.run(*repair)
                assert (box.folder / "demo.worktrees" / "wt-next").exists() == (how == "next")
                now = without(check(box, tip), "wt-next")
                undescribed = (*after[:2], before[2], after[3])
                assert now in (before, after, *([undescribed] if code == 0 else [])), "neither as before nor as after"
            except AssertionError as error:
                failed.append(f"{mode} {at}: {step} ({how}): {error}\n{box.out.read_text()}")
    with capsys.disabled():
        total = ", ".join(f"{number} {mode}" for mode, number in tried.items())
        print(f" {args[0]}: broken off at {sum(tried.values())} points ({total})", end=" ")
    assert not failed, "\n".join(failed)
    assert all(number > 2 for number in tried.values()) and len(tried) > 2, tried


def test_all_at_once(run: Run, repo: Path) -> None:
    """32 make worktrees for 8 prompts, then 16 remove half of them: exactly what was asked for is there."""
    bugs = "login redirect,json parser,image cache,csv export,search index,webhook retry,dark theme,page footer"
    tasks = [f"Fix crash in the {bug}" for bug in bugs.split(",")]
    names = [run("suggest", task).stdout.strip() for task in tasks]
    assert len(set(names)) == 8 and all(name.startswith("fix-") for name in names)
    started = [start("new", task, cwd=repo) for _ in range(4) for task in tasks]
    answers = [process.communicate() for process in started]
    assert [error for process, (_, error) in zip(started, answers, strict=True) if process.returncode or error] == []
    wanted = {f"wt-{name}{end}" for name in names for end in ("", "-2", "-3", "-4")}
    assert {Path(os.fsdecode(out).rstrip("\n")).name for out, _ in answers} == wanted
    check_all(repo, wanted)
    gone = sorted(wanted)[::2]
    started = [start("remove", branch, cwd=repo) for branch in gone]
    answers = [process.communicate() for process in started]
    assert [error for process, (_, error) in zip(started, answers, strict=True) if process.returncode] == []
    check_all(repo, wanted - set(gone))
    kept = ask("for-each-ref", "--format=%(refname)", "refs/wtname/trash", cwd=repo).split()
    assert sorted(ref.split("/")[3] for ref in kept) == gone


def check_all(repo: Path, wanted: set[str]) -> None:
    folder = repo.parent / "demo.worktrees"
    assert {path.name for path in folder.iterdir()} == wanted
    assert set(ask("branch", "--format=%(refname:short)", cwd=repo).split()) == {"main", *wanted}
    listed = ask("worktree", "list", "--porcelain", cwd=repo).splitlines()
    assert {line for line in listed if line.startswith(("branch", "locked", "prunable"))} == {
        f"branch refs/heads/{branch}" for branch in ("main", *wanted)
    }
    described = ask("config", "--local", "--get-regexp", r"^branch\..*\.description$", cwd=repo).splitlines()
    assert {line.split(" ")[0].split(".")[1] for line in described} == wanted
    assert not (repo / ".git" / "wtname").exists()
    git("fsck", "--no-progress", "--no-dangling", cwd=repo)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_hook_that_hangs(repo: Path, number: signal.Signals) -> None:
    """It is waited for, as git does; who has enough of it gets everything taken back."""
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n: >../begun\nexec sleep 60\n")
    hook.chmod(0o755)
    before = snapshot(repo, repo)
    process = start("new", "--name", "fix-x", cwd=repo)
    begun = repo.parent / "demo.worktrees" / "begun"
    while not begun.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    out, _ = process.communicate()
    assert (process.returncode, out) == (128 + number, b"")
    begun.unlink()
    assert snapshot(repo, repo) == before and list(begun.parent.iterdir()) == []


def test_interrupted_while_git_makes_the_branch(repo: Path) -> None:
    """It is waited for: a branch that comes into being after we looked would stay."""
    hook = repo / ".git" / "hooks" / "reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\n[ "$1" = prepared ] || exit 0\n: >../begun\nsleep 0.5\n')
    hook.chmod(0o755)
    process = start("new", "--name", "fix-x", cwd=repo)
    while not (repo / "begun").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    time.sleep(0.5)
    hook.unlink()
    assert ask("for-each-ref", "--format=%(refname)", cwd=repo) == "refs/heads/main\n"
    assert not (repo / ".git" / "wtname").exists()


def test_killed_while_a_hook_hangs(repo: Path) -> None:
    """Git got to the end of the worktree before the hook: it stays, and what the hook does is its own affair."""
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\n: >../begun\nexec sleep 20\n")
    hook.chmod(0o755)
    process = start("new", "--name", "fix-x", "Fix the x", cwd=repo)
    begun = repo.parent / "demo.worktrees" / "begun"
    while not begun.exists() and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    hook.unlink()
    said = os.fsdecode(start("new", "--name", "other", cwd=repo).communicate()[1])
    assert "wt-fix-x was made when wtname was killed, and stays" in said
    path = begun.with_name("wt-fix-x")
    assert ask("status", "--porcelain", cwd=path) == ""
    assert ask("config", "branch.wt-fix-x.description", cwd=repo) == "Fix the x\n"
    assert not (repo / ".git" / "wtname").exists()


def test_half_made_with_somebodys_file(run: Run, repo: Path) -> None:
    """A checkout that was killed is taken back; what somebody put into its folder since is kept."""
    git(
        "config",
        "filter.slow.smudge",
        "echo $PPID $(ps -o ppid= -p $PPID) $$ >../pids; mv ../pids ../begun; exec sleep 20",
        cwd=repo,
    )
    (repo / ".gitattributes").write_text("z filter=slow\n")
    (repo / "z").touch()
    git("add", ".", cwd=repo)
    git("commit", "-q", "-m", "slow", cwd=repo)
    process = start("new", "--name", "fix-x", cwd=repo)
    path = repo.parent / "demo.worktrees" / "wt-fix-x"
    while not path.with_name("begun").exists() and process.poll() is None:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    checkout, git_itself, sleep = map(int, path.with_name("begun").read_text().split())
    for pid in (git_itself, checkout, sleep):
        os.kill(pid, signal.SIGKILL)
    path.with_name("begun").unlink()
    git("config", "--remove-section", "filter.slow", cwd=repo)
    (path / "mine").write_text("mine\n")
    (told,) = [line for line in run("doctor", "--repair").stdout.splitlines() if "repair:" in line]
    assert "taken back" in told and "wtname restore wt-fix-x/" in told
    assert not path.exists() and ask("branch", "--list", "wt-fix-x", cwd=repo) == ""
    (ref,) = ask("for-each-ref", "--format=%(refname)", "refs/wtname/trash", cwd=repo).split()
    assert ask("show", f"{ref}:mine", cwd=repo) == "mine\n"


@pytest.mark.parametrize("lock", ["config", "packed-refs", "refs/heads/wt-fix-x"])
def test_locks_of_others_are_respected(run: Run, repo: Path, lock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtname.git.refs.PATIENCE", 0.05)
    monkeypatch.setattr("wtname.worktree._PATIENCE", 0.05)
    held = repo / ".git" / f"{lock}.lock"
    held.touch()
    os.utime(held, (0, 0))
    done = run("new", "--name", "fix-x", "Fix the x")
    assert held.exists()
    if lock.startswith("refs"):
        assert done.exit_code == 128 and "lock" in done.stderr and done.stderr.count("\n") == 1
        assert ask("branch", "--list", "wt-*", cwd=repo) == ""
    else:
        assert done.exit_code == 0
        assert ("the branch has no description" in done.stderr) == (lock == "config")
    assert not (repo / ".git" / "wtname").exists()


def test_doctor_tells_and_repairs(run: Run, repo: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = "branch: Created by wtname 20260102T030405Z-0a1b2c3d"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    facts = {"operation": "new", "branch": "wt-x", "commit": head, "description": "", "path": "/nowhere", "above": []}
    file = repo / ".git" / "wtname" / "journal" / "20260102T030405Z-0a1b2c3d.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(facts) + "\n")
    report = {check["what"]: check for check in json.loads(run("doctor", "--json").stdout)}
    assert (report["journal"]["status"], report["journal"]["fix"]) == ("warn", "wtname doctor --repair")
    done = run("doctor", "--repair")
    assert done.exit_code == 0
    assert (
        done.stdout == "ok    repair: wt-x was half made and is taken back\nok    journal: nothing is left half done\n"
    )
    assert ask("branch", "--list", "wt-x", cwd=repo) == ""
    assert run("doctor", "--repair").stdout == "ok    journal: nothing is left half done\n"


def test_git_is_ended_while_its_child_fills_the_folder(repo: Path) -> None:
    """Git clears the folder that its child goes on writing into; what it leaves behind is ours to take away."""
    files = "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); : >$w-$i; done"
    writing = f"for w in 1 2 3 4; do ({files}) & done; : >../begun; wait"
    git("config", "filter.slow.smudge", writing, cwd=repo)
    (repo / ".gitattributes").write_text("z filter=slow\n")
    (repo / "z").touch()
    git("add", ".", cwd=repo)
    git("commit", "-q", "-m", "slow", cwd=repo)
    begun = repo.parent / "demo.worktrees" / "begun"
    for _ in range(3):
        process = start("new", "--name", "fix-x", cwd=repo)
        while not begun.exists() and process.poll() is None:
            time.sleep(0.002)
        process.terminate()
        process.communicate()
        assert process.returncode == 128 + signal.SIGTERM
        time.sleep(0.3)
        begun.unlink()
        assert list(begun.parent.iterdir()) == []
    assert ask("branch", "--list", "wt-*", cwd=repo) == "" and not (repo / ".git" / "wtname").exists()
