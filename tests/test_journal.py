from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import git, make_repository, snapshot
from wtname import journal
from wtname.errors import WtnameError
from wtname.git import Repository

ID = "20260102T030405Z-0a1b2c3"
FACTS = {"branch": "wt-x", "commit": "0" * 40, "description": "", "path": "/nowhere/wt-x", "above": [], "there": False}


def notes(repo: Path) -> list[Path]:
    return sorted((repo / ".git" / "wtname" / "journal").glob("*"))


def leave(repo: Path, text: str | bytes, name: str = f"{ID}d.json") -> Path:
    """What a process left that is dead by now."""
    file = repo / ".git" / "wtname" / "journal" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def recover(repo: Path) -> list[str]:
    with Repository(repo) as repository:
        return journal.recover(repository)


def test_written_before_and_gone_after(repo: Path) -> None:
    before = snapshot(repo, repo)
    with Repository() as repository, journal.entry(repository, "new", dict(FACTS)) as entry:
        (file,) = notes(repo)
        assert [json.loads(line) for line in file.read_text().splitlines()] == [{"operation": "new", **FACTS}]
        entry.note(there=True)
        assert json.loads(file.read_text().splitlines()[-1]) == {"there": True}
        assert file.stat().st_mode & 0o777 == 0o600 or os.name == "nt"
    assert snapshot(repo, repo) == before


def test_alive_ones_are_left_alone(repo: Path) -> None:
    with Repository() as repository, journal.entry(repository, "new", dict(FACTS)):
        assert recover(repo) == []
        assert len(notes(repo)) == 1
        dead, unreadable = journal.survey(repository)
        assert (dead, unreadable) == ([], [])


def test_lock_goes_with_the_process(repo: Path) -> None:
    code = (
        "import os, subprocess, sys\n"
        "from wtname import journal\n"
        "from wtname.git import Repository\n"
        "with Repository() as repo, journal.entry(repo, 'new', %r):\n"
        "    subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(30)'])\n"  # a hook's daemon, say
        "    print(flush=True)\n"
        "    sys.stdin.read()\n" % FACTS
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=repo, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout
    process.stdout.readline()
    assert recover(repo) == [] and len(notes(repo)) == 1
    process.kill()
    process.wait()
    assert recover(repo) == [] and notes(repo) == []


@pytest.mark.parametrize(
    "text",
    [
        "not json\n",
        "[1, 2]\n",
        "\0\0\0\0\n",
        b"\xff\xfe\n",
        "[" * 100_000 + "\n",
        json.dumps({"operation": "new"}) + "\n",
        json.dumps({"operation": "new", **FACTS, "path": 7}) + "\n",
        json.dumps({"operation": "new", **FACTS, "branch": "a\0b"}) + "\n",
        json.dumps({"operation": "remove", **FACTS, "branch": None}) + "\n",
        json.dumps({"operation": ["new"], **FACTS}) + "\n",
    ],
)
def test_unreadable_ones_are_put_aside(repo: Path, text: str | bytes) -> None:
    file = leave(repo, text)
    (told,) = recover(repo)
    assert "cannot be read" in told and notes(repo) == [Path(f"{file}.unreadable")]
    assert recover(repo) == []
    with Repository() as repository:
        assert journal.survey(repository) == ([], notes(repo))


@pytest.mark.parametrize("text", ["", '{"operation": "new", "bran', "\0" * 500])
def test_what_had_not_begun_leaves_nothing(repo: Path, text: str) -> None:
    leave(repo, text)
    assert recover(repo) == [] and notes(repo) == []
    assert not (repo / ".git" / "wtname").exists()


def test_a_torn_last_line_was_not_acted_on(repo: Path) -> None:
    kept = {"kept": "refs/wtname/trash/x/20260102T030405Z", "commit": "1" * 40}
    facts = {"operation": "remove", "path": str(repo.parent / "x"), "branch": "x", "head": "1" * 40, "own": True}
    leave(repo, json.dumps({**facts, **kept}) + '\n{"gone": tr')
    git("branch", "x", cwd=repo)
    assert recover(repo) == ["x was about to be removed, and is all there"]
    assert git("rev-parse", "x", cwd=repo)


def test_what_an_entry_left_beside_it_is_swept(repo: Path) -> None:
    stray = [leave(repo, "index", f"{ID}d{end}") for end in (".seen", ".scratch")]
    with Repository() as repository, journal.entry(repository, "new", dict(FACTS)) as entry:
        entry.seen.write_text("index")
        assert recover(repo) == []
        assert entry.seen.exists() and not any(file.exists() for file in stray)
    assert not (repo / ".git" / "wtname").exists()


def test_of_another_version(repo: Path) -> None:
    file = leave(repo, json.dumps({"operation": "teleport"}) + "\n")
    assert "another wtname" in recover(repo)[0]
    assert notes(repo) == [file]


def test_nobody_elses_folder_is_deleted(repo: Path, tmp_path: Path) -> None:
    """Whatever an entry says: what comes with a repository from elsewhere may be hostile."""
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    (precious / "deep" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    head = git("rev-parse", "HEAD", cwd=repo)
    git("update-ref", "--create-reflog", "-m", f"branch: Created by wtname {ID}0", "refs/heads/wt-x", head, cwd=repo)
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("*\n")
    shared = {**FACTS, "path": str(precious), "commit": head, "head": head, "own": True, "gone": True}
    more = {"kept": "refs/heads/main", "tree": head, "made": True, "filled": False, "above": [str(tmp_path / "empty")]}
    more |= {"old": "gone", "new": "wt-x", "to": str(precious / "to"), "undo": False}
    for i, operation in enumerate(("new", "restore", "remove", "rename")):
        leave(repo, json.dumps({"operation": operation, **shared, **more}) + "\n", f"{ID}{i}.json")
    assert len(recover(repo)) >= 3
    assert (precious / "deep" / "file").read_text() == "mine"
    assert (tmp_path / "empty").is_dir()
    assert git("rev-parse", "main", cwd=repo) == head


def test_failing_repair_leaves_the_entry(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = f"branch: Created by wtname {ID}d"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    file = leave(repo, json.dumps({"operation": "new", **FACTS, "commit": head}) + "\n")
    monkeypatch.setattr("wtname.git.refs.PATIENCE", 0.05)
    lock = repo / ".git" / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (0, 0))  # somebody's from before: not ours to remove
    (told,) = recover(repo)
    assert "packed-refs.lock" in told and "\n" not in told
    assert notes(repo) == [file] and lock.exists()
    lock.unlink()
    assert recover(repo) == ["wt-x was half made and is taken back"]
    assert notes(repo) == [] and git("branch", "--format=%(refname:short)", cwd=repo) == "main"


def test_lock_of_a_killed_git_is_removed(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = f"branch: Created by wtname {ID}d"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    leave(repo, json.dumps({"operation": "new", **FACTS, "commit": head}) + "\n")
    monkeypatch.setattr("wtname.git.refs.PATIENCE", 0.1)
    lock = repo / ".git" / "refs" / "heads" / "wt-x.lock"
    lock.touch()
    (told,) = recover(repo)
    assert "wt-x.lock" in told and lock.exists() and git("rev-parse", "wt-x", cwd=repo), "it may be alive"
    os.utime(lock, (time.time() - 61, time.time() - 61))
    assert recover(repo) == ["wt-x was half made and is taken back"]
    assert not lock.exists() and notes(repo) == []


def test_lock_from_long_after_is_left_alone(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a git that takes its time today, while the killed one was yesterday's."""
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = f"branch: Created by wtname {ID}d"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    file = leave(repo, json.dumps({"operation": "new", **FACTS, "commit": head}) + "\n")
    os.utime(file, (time.time() - 86400, time.time() - 86400))
    monkeypatch.setattr("wtname.git.refs.PATIENCE", 0.05)
    lock = repo / ".git" / "packed-refs.lock"
    lock.touch()
    os.utime(lock, (time.time() - 120, time.time() - 120))
    assert "packed-refs.lock" in recover(repo)[0] and lock.exists() and notes(repo) == [file]
    lock.unlink()
    (config := repo / ".git" / "config.lock").touch()  # in nobody's way
    assert recover(repo) == ["wt-x was half made and is taken back"] and config.exists()


def test_two_repair_at_once(repo: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    for i in range(6):
        mark = f"branch: Created by wtname {ID}{i}"
        git("update-ref", "--create-reflog", "-m", mark, f"refs/heads/wt-{i}", head, cwd=repo)
        facts = {**FACTS, "branch": f"wt-{i}", "path": f"/nowhere/wt-{i}", "commit": head}
        leave(repo, json.dumps({"operation": "new", **facts}) + "\n", f"{ID}{i}.json")
    told: list[str] = []
    threads = [threading.Thread(target=lambda: told.extend(recover(repo))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(told) == [f"wt-{i} was half made and is taken back" for i in range(6)]
    assert notes(repo) == [] and git("branch", "--format=%(refname:short)", cwd=repo) == "main"


def test_place_that_cannot_be_written(repo: Path) -> None:
    (repo / ".git" / "wtname").write_text("a file")
    with (
        Repository() as repository,
        pytest.raises(WtnameError, match=r"cannot write into .*journal: .*wtname is not a folder; take it away"),
        journal.entry(repository, "new", dict(FACTS)),
    ):
        pytest.fail("it began")
    assert (repo / ".git" / "wtname").read_text() == "a file"


def test_costs_next_to_nothing(repo: Path) -> None:
    with Repository() as repository:
        repository.common_dir  # noqa: B018  asked already
        began = time.perf_counter()
        assert journal.recover(repository) == []
        with journal.entry(repository, "new", dict(FACTS), durable=False):
            pass
        assert time.perf_counter() - began < 0.05


def test_note_after_a_torn_line(repo: Path) -> None:
    """Killed while it noted, then killed while it was put in order: what is noted then must not join the torn line."""
    path, aside = repo.parent / "x", repo.parent / f".wtname-{ID}d"
    head = git("rev-parse", "HEAD", cwd=repo)
    kept = {"branch": "x", "path": str(path), "head": head, "staged": None, "own": False, "settings": {}}
    tree = git("rev-parse", "HEAD^{tree}", cwd=repo)
    commit = git("commit-tree", tree, "-p", head, "-m", "Removed x", "-m", json.dumps(kept), cwd=repo)
    ref = "refs/wtname/trash/x/20260102T030405Z"
    git("update-ref", ref, commit, cwd=repo)
    git("worktree", "add", "-q", "--detach", path, cwd=repo)
    path.rename(aside)
    facts = {"operation": "remove", "path": str(path), "branch": "x", "head": head, "own": False, "there": True}
    file = leave(repo, json.dumps({**facts, "kept": ref, "commit": commit}) + '\n{"go')
    with Repository() as repository, pytest.MonkeyPatch.context() as patch:
        patch.setattr("wtname.folders.delete", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            journal.recover(repository)
    assert file.read_text().splitlines()[1:] == ['{"gone": true}']
    assert recover(repo) == ["x was half removed, and is removed now; wtname restore x/20260102T030405Z"]
    assert not aside.exists() and notes(repo) == []


@pytest.mark.skipif(os.name == "nt", reason="locks of POSIX")
@pytest.mark.parametrize(("age", "dead"), [(0, False), (23 * 3600, False), (25 * 3600, True)])
def test_where_there_are_no_locks(repo: Path, monkeypatch: pytest.MonkeyPatch, age: int, dead: bool) -> None:
    """Nobody can tell whether its process lives, but none takes a day."""
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = f"branch: Created by wtname {ID}d"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    file = leave(repo, json.dumps({"operation": "new", **FACTS, "commit": head}) + "\n")
    os.utime(file, (time.time() - age, time.time() - age))

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_locks)
    with Repository() as repository, journal.entry(repository, "new", dict(FACTS)):
        assert recover(repo) == (["wt-x was half made and is taken back"] if dead else [])
    assert notes(repo) == ([] if dead else [file])


def test_disk_that_takes_half_a_note(repo: Path) -> None:
    """What is noted next must not join it."""
    with Repository() as repository, journal.entry(repository, "new", dict(FACTS)) as entry:
        (file,) = notes(repo)
        before, write = file.read_bytes(), os.write
        with pytest.MonkeyPatch.context() as patch, pytest.raises(WtnameError, match="No space left"):
            patch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:9]))
            entry.note(made=True)
        assert file.read_bytes() == before
        entry.note(there=True)
        entry.read()


# --- worktrees that were half made ----------------------------------------------------------------------------------


class Half(NamedTuple):
    """A worktree as a killed `wtname new` left it, and git's record of it."""

    path: Path
    record: Path


def half_made(repo: Path, operation: str = "new", **more: object) -> Half:
    head = git("rev-parse", "HEAD", cwd=repo)
    mark = f"branch: Created by wtname {ID}d"
    path = repo.parent / "demo.worktrees" / "wt-x"
    git("update-ref", "--create-reflog", "-m", mark, "refs/heads/wt-x", head, cwd=repo)
    git("worktree", "add", "-q", path, "wt-x", cwd=repo)
    facts = {**FACTS, "operation": operation, "path": str(path), "commit": head, "made": True, **more}
    leave(repo, json.dumps(facts) + "\n")
    return Half(path, repo / ".git" / "worktrees" / "wt-x")


def checking_out(half: Half) -> None:
    (half.record / "index").unlink()
    (half.record / "locked").write_text("initializing")


def remove_from(half: Half, *names: str) -> None:
    for name in names:
        (half.record / name).unlink()


BROKEN = {
    "checking out": checking_out,
    "rolling back": lambda half: remove_from(half, "index"),  # it takes its lock away first
    "rolled back to gitdir": lambda half: remove_from(half, "index", "HEAD", "commondir", "ORIG_HEAD"),
    "rolled back to HEAD": lambda half: remove_from(half, "index", "gitdir", "commondir", "ORIG_HEAD"),
    "rolled back to commondir": lambda half: remove_from(half, "index", "gitdir", "HEAD", "ORIG_HEAD"),
    "folder deleted since": lambda half: shutil.rmtree(half.path),
    "record rolled back": lambda half: shutil.rmtree(half.record),
    "all records rolled back": lambda half: shutil.rmtree(half.record.parent),
}


def nothing_is_left(repo: Path) -> None:
    assert git("branch", "--format=%(refname:short)", cwd=repo) == "main"
    assert git("worktree", "list", cwd=repo).count("\n") == 0 and not (repo / ".git" / "worktrees").exists()
    assert not (repo / ".git" / "wtname").exists()
    git("fsck", "--no-progress", cwd=repo)


@pytest.mark.parametrize("case", BROKEN)
def test_half_made(repo: Path, case: str) -> None:
    half = half_made(repo)
    BROKEN[case](half)
    assert recover(repo) == ["wt-x was half made and is taken back"]
    nothing_is_left(repo)
    assert list(half.path.parent.iterdir()) == []
    assert git("for-each-ref", "refs/wtname", cwd=repo) == ""


def test_made_whole_stays(repo: Path) -> None:
    half = half_made(repo)
    git("worktree", "lock", half.path, cwd=repo)
    before = snapshot(half.path, repo)
    assert recover(repo) == [f"wt-x was made when wtname was killed, and stays: {half.path}"]
    assert snapshot(half.path, repo) == before and (half.record / "locked").exists()


def test_folder_that_git_half_deleted(repo: Path) -> None:
    """A folder that does not say whose it is is left, and told."""
    half = half_made(repo)
    shutil.rmtree(half.record)
    (half.path / ".git").unlink()
    assert recover(repo) == [f"wt-x was half made and is taken back; git left files in {half.path}"]
    nothing_is_left(repo)
    assert (half.path / "README").exists()


def ignore(repo: Path) -> None:
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text("*.o\n/build/\n")


def make_inside(half: Half, name: str) -> None:
    git("init", "-q", half.path / name)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=half.path / name)


STRANGE = {
    "ignored file": (lambda half: (half.path / "a.o").write_text("mine"), "a.o"),
    "ignored folder": (lambda half: ((half.path / "build").mkdir(), (half.path / "build" / "1").touch()), "build/1"),
    "ignored repository": (lambda half: make_inside(half, "build"), "build/.git/HEAD"),
    "repository": (lambda half: make_inside(half, "inner"), "inner/.git/HEAD"),
    "repository without a commit": (lambda half: git("init", "-q", half.path / "inner"), "inner/.git/HEAD"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_half_made_with_what_no_commit_can_keep(repo: Path, case: str) -> None:
    ignore(repo)
    half = half_made(repo)
    put, name = STRANGE[case]
    put(half)
    (half.path / "new").write_text("mine")
    checking_out(half)
    half.path.with_name("wt-x.left").touch()  # that name is taken
    left = half.path.with_name("wt-x.left-2")
    (told,) = recover(repo)
    assert told.startswith("wt-x was half made and is taken back; ") and str(left) in told
    nothing_is_left(repo)
    assert (left / name).exists() and (left / "new").read_text() == "mine" and not (left / ".git").exists()
    assert not half.path.exists()


@pytest.mark.parametrize("lock", ["initializing", "mine"])
def test_half_made_with_a_commit_in_a_submodule(repo: Path, lock: str) -> None:
    git("submodule", "--quiet", "add", make_repository(repo.parent / "inner"), "sub", cwd=repo)
    git("commit", "-q", "-m", "sub", cwd=repo)
    half = half_made(repo)
    git("submodule", "--quiet", "update", "--init", cwd=half.path)
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=half.path / "sub")
    checking_out(half)
    (half.record / "locked").write_text(lock)
    assert recover(repo) == ["wt-x was half made, but somebody works on it by now; it stays"]
    assert git("log", "-1", "--format=%s", cwd=half.path / "sub") == "mine"
    assert (half.record / "locked").exists() == (lock == "mine") and not (repo / ".git" / "wtname").exists()


def test_half_made_with_a_clone_for_a_submodule(repo: Path) -> None:
    git("submodule", "--quiet", "add", make_repository(repo.parent / "inner"), "sub", cwd=repo)
    git("commit", "-q", "-m", "sub", cwd=repo)
    half = half_made(repo)
    git("clone", "-q", repo.parent / "inner", half.path / "sub")
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=half.path / "sub")
    checking_out(half)
    (told,) = recover(repo)
    left = half.path.with_name("wt-x.left")
    assert "wt-x.left" in told and git("log", "-1", "--format=%s", cwd=left / "sub") == "mine"


def test_half_made_and_kept(repo: Path) -> None:
    """What a commit can keep is in the trash."""
    ignore(repo)
    half = half_made(repo)
    (half.path / "new").write_text("mine")
    checking_out(half)
    (told,) = recover(repo)
    assert "; files in it that are no commit's are kept: wtname restore wt-x/" in told
    nothing_is_left(repo)
    (ref,) = git("for-each-ref", "--format=%(refname)", "refs/wtname", cwd=repo).split()
    assert git("show", f"{ref}:new", cwd=repo) == "mine" and list(half.path.parent.iterdir()) == []


def keep(repo: Path, files: dict[str, str]) -> dict[str, object]:
    """Something in the trash with these files, ignored ones as well; what a note of its restoring has to say."""
    head = git("rev-parse", "HEAD", cwd=repo)
    for name, text in files.items():
        (repo / name).write_text(text)
    git("add", "--force", *files, cwd=repo)
    facts = {"branch": "wt-x", "path": "/x", "head": head, "staged": None, "own": True, "settings": {}}
    told = ("-m", "Removed wt-x", "-m", json.dumps(facts))
    oid = git("commit-tree", git("write-tree", cwd=repo), "-p", head, *told, cwd=repo)
    git("reset", "-q", "--hard", cwd=repo)
    git("update-ref", "refs/wtname/trash/wt-x/20260102T030405Z", oid, cwd=repo)
    return {"kept": "refs/wtname/trash/wt-x/20260102T030405Z", "tree": oid}


@pytest.mark.parametrize("strange", [None, "b.o", "a.o"])
def test_half_restored(repo: Path, strange: str | None) -> None:
    """Files of the trash are its own, ignored or not; what somebody made since, or changed, is kept."""
    ignore(repo)
    half = half_made(repo, "restore", **keep(repo, {"a.o": "kept\n", "new": "kept\n"}))
    for name in ("a.o", "new"):
        (half.path / name).write_text("kept\n")
    if strange:
        (half.path / strange).write_text("mine\n")
    (told,) = recover(repo)
    assert "half restored; it is in the trash still: wtname restore wt-x/20260102T030405Z" in told
    nothing_is_left(repo)
    left = half.path.with_name("wt-x.left")
    assert left.exists() == (strange == "b.o") and not half.path.exists()
    refs = git("for-each-ref", "--format=%(refname)", "refs/wtname", cwd=repo).split()
    if strange == "a.o":
        (other,) = (ref for ref in refs if "20260102" not in ref)
        assert git("show", f"{other}:a.o", cwd=repo) == "mine" and "kept: wtname restore wt-x/" in told
    else:
        assert len(refs) == 1


def test_killed_while_the_strange_is_kept(repo: Path) -> None:
    """Put aside by a repair that was killed: the next one looks into it as well."""
    ignore(repo)
    half = half_made(repo)
    (half.path / "a.o").write_text("mine")
    checking_out(half)
    half.path.rename(half.path.with_name(f".wtname-{ID}d"))
    (told,) = recover(repo)
    assert (half.path.with_name("wt-x.left") / "a.o").read_text() == "mine" and "wt-x.left" in told
    nothing_is_left(repo)
