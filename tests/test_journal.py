from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import git, snapshot
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
        pytest.raises(WtnameError, match=r"cannot write into .*journal: .*; make it writable"),
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
    aside.mkdir()
    (aside / "file").touch()
    head = git("rev-parse", "HEAD", cwd=repo)
    facts = {"operation": "remove", "path": str(path), "branch": "x", "head": head, "own": False, "there": True}
    file = leave(repo, json.dumps({**facts, "kept": "refs/wtname/trash/x/1", "commit": head}) + '\n{"go')
    with Repository() as repository, pytest.MonkeyPatch.context() as patch:
        patch.setattr("wtname.folders.delete", lambda path: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            journal.recover(repository)
    assert file.read_text().splitlines()[1:] == ['{"gone": true}']
    assert recover(repo) == ["x was half removed, and is removed now; wtname restore x/1"]
    assert not aside.exists() and notes(repo) == []
