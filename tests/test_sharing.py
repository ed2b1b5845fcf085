from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository
from wtname.errors import WtnameError
from wtname.git import Repository, sharing

pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")

DIR, FILE = stat.S_IFDIR, stat.S_IFREG


@pytest.mark.parametrize(
    "value", ["umask", "false", "0", "group", "true", "1", "all", "world", "2", "0660", "0640", "666"]
)
def test_like_git(tmp_path: Path, value: str) -> None:
    """What git makes itself has the modes that we would give."""
    before = os.umask(0o027)
    try:
        git("init", "-q", f"--shared={value}", tmp_path / "demo")
        plain = tmp_path / "plain"
        plain.mkdir()
        (plain / "file").touch()
    finally:
        os.umask(before)
    ours = {sharing.adjusted(place.stat().st_mode, value) for place in (plain, plain / "file")}
    theirs = {(tmp_path / "demo" / ".git" / name).stat().st_mode for name in ("refs", "HEAD")}
    assert ours == theirs


@pytest.mark.parametrize(
    ("mode", "value", "expected"),
    [
        (FILE | 0o600, "group", FILE | 0o660),
        (FILE | 0o400, "group", FILE | 0o440),
        (FILE | 0o700, "group", FILE | 0o770),
        (FILE | 0o644, "0640", FILE | 0o640),
        (DIR | 0o755, "everybody", DIR | stat.S_ISGID | 0o775),
        (FILE | 0o600, "nonsense", FILE | 0o600),
        (FILE | 0o600, "99", FILE | 0o600),
        (FILE | 0o600, "", FILE | 0o600),
    ],
)
def test_adjusted(mode: int, value: str, expected: int) -> None:
    assert oct(sharing.adjusted(mode, value)) == oct(expected)


@pytest.mark.parametrize(("value", "folder", "file"), [("group", 0o2775, 0o660), ("umask", 0o755, 0o600)])
def test_what_we_leave_in_gits_folder(run: Run, tmp_path: Path, value: str, folder: int, file: int) -> None:
    git("config", "--global", "--add", "wtname.postcreate", "true &")
    git("init", "-q", f"--shared={value}", tmp_path / "demo")
    git("commit", "-q", "--allow-empty", "-m", "first", cwd=tmp_path / "demo")
    hook = tmp_path / "demo" / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!{sys.executable}\nimport pathlib\nours = pathlib.Path({str(tmp_path / 'demo' / '.git' / 'wtname')!r})\n"
        "for path in (ours, ours / 'journal', *ours.glob('journal/*.json')):\n"
        "    print(oct(path.stat().st_mode & 0o7777)[2:])\n"
    )
    hook.chmod(0o755)
    before = os.umask(0o022)
    try:
        done = run("new", "-C", tmp_path / "demo", "--name", "x")
    finally:
        os.umask(before)
    assert done.exit_code == 0
    modes = [int(line, 8) for line in done.stderr.splitlines() if line.isdigit()]
    assert modes == [folder, folder, file]
    logs = tmp_path / "demo" / ".git" / "wtname" / "log"
    assert stat.S_IMODE(logs.stat().st_mode) == folder
    assert stat.S_IMODE((logs / "wt-x.log").stat().st_mode) == file


@pytest.fixture(params=["link", "link to nowhere", "file"])
def place(request: pytest.FixtureRequest, repo: Path, tmp_path: Path) -> Path:
    """Where our folder would be, and something else is."""
    place = repo / ".git" / "wtname"
    (tmp_path / "outside").mkdir()
    if request.param == "file":
        place.touch()
    else:
        place.symlink_to(tmp_path / ("outside" if request.param == "link" else "nowhere"))
    return place


def test_no_folder_of_ours(repo: Path, tmp_path: Path, place: Path) -> None:
    with Repository() as repository, pytest.raises(NotADirectoryError, match=str(place)):
        sharing.make_folder(repository, "wtname", "journal")
    assert list((tmp_path / "outside").iterdir()) == []


def test_new_says_what_is_in_the_way(run: Run, place: Path) -> None:
    done = run("new", "--name", "x")
    assert (done.exit_code, done.stdout) == (1, "")
    assert f"{place} is " in done.stderr and done.stderr.endswith("; take it away\n") and done.stderr.count("\n") == 1


def test_a_repository_that_is_gone_is_no_endless_loop(tmp_path: Path) -> None:
    from wtname import journal

    path = make_repository(tmp_path / "demo")
    with Repository(path) as repository:
        assert repository.common_dir
        path.rename(tmp_path / "moved")
        with pytest.raises(WtnameError, match="is gone"), journal.entry(repository, "new", {}):
            raise AssertionError
