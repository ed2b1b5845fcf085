from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import make_repository
from wtname import folders
from wtname.errors import WtnameError


@contextmanager
def at(event: str, path: Path, act: Callable[[], object], times: int) -> Iterator[None]:
    """Do something just before this happens to this path."""
    left = [times]

    def hook(name: str, args: tuple[object, ...]) -> None:
        if left[0] and name == event and str(args[0]) == str(path):
            left[0] -= 1
            act()

    sys.addaudithook(hook)
    try:
        yield
    finally:
        left[0] = 0


@pytest.mark.parametrize("times", [0, 1, 5])
def test_made_while_another_takes_back_the_folder_above(tmp_path: Path, times: int) -> None:
    path = tmp_path / "above" / "wt-x"
    with at("os.mkdir", path, path.parent.rmdir, times):
        folders.make(path)
    assert path.is_dir()


@pytest.mark.parametrize("times", [0, 1])
def test_made_while_another_makes_the_folder_above(tmp_path: Path, times: int) -> None:
    path = tmp_path / "above" / "wt-x"
    with at("os.mkdir", path.parent, path.parent.mkdir, times):
        folders.make(path)
    assert path.is_dir()


def test_made_by_another(tmp_path: Path) -> None:
    path = tmp_path / "above" / "wt-x"
    with at("os.mkdir", path, path.mkdir, 1), pytest.raises(FileExistsError):
        folders.make(path)


@pytest.mark.parametrize("kind", ["file", "link to nowhere"])
def test_no_folder_above(tmp_path: Path, kind: str) -> None:
    above = tmp_path / "above"
    above.touch() if kind == "file" else above.symlink_to(tmp_path / "nowhere")
    with pytest.raises(NotADirectoryError, match="above is not a folder"):
        folders.make(above / "wt-x")


def test_no_such_drive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a path begins there may be nothing, and what is above that is itself."""
    monkeypatch.setattr(Path, "is_dir", lambda path: False)
    with pytest.raises(OSError):
        folders.make(Path("/wt-x"))


@pytest.mark.skipif(os.name == "nt", reason="a folder that is used cannot be removed there")
def test_made_where_we_stand_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(FileNotFoundError):
        folders.make(Path("wt-x"))


@pytest.mark.parametrize(
    ("path", "platform", "expected"),
    [
        (r"C:\src\wt-x", "win32", r"\\?\C:\src\wt-x"),
        ("C:/src/wt-x", "win32", r"\\?\C:\src\wt-x"),
        (r"\\server\share\wt-x", "win32", r"\\?\UNC\server\share\wt-x"),
        (r"\\?\C:\src", "win32", r"\\?\C:\src"),
        ("/src/wt-x", "linux", "/src/wt-x"),
        ("/src/wt-x", "darwin", "/src/wt-x"),
    ],
)
def test_at_any_length(path: str, platform: str, expected: str) -> None:
    assert folders.at_any_length(path, platform) == expected


def test_delete(tmp_path: Path) -> None:
    path = make_repository(tmp_path / "demo")  # git's objects are write-protected
    (path / "deep" / "er").mkdir(parents=True)
    (path / "deep" / "er" / "file").touch(mode=0o400)
    (path / "deep" / "er").chmod(0o500)
    (tmp_path / "kept").mkdir()
    (path / "link").symlink_to(tmp_path / "kept")
    folders.delete(path)
    folders.delete(path)  # it is gone, and that is fine
    assert [found.name for found in tmp_path.iterdir()] == ["kept"]


def test_delete_leaves_other_names_of_a_file_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "mine").touch(mode=0o400)
    os.link(tmp_path / "mine", tmp_path / "demo" / "also")
    folders.delete(tmp_path / "demo")
    assert (tmp_path / "mine").stat().st_mode & 0o777 == 0o400


def test_delete_what_windows_protects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There, a file that is read-only cannot be deleted."""
    unlink = os.unlink

    def like_windows(name: str, **how: int) -> None:
        at = name if "dir_fd" not in how else f"/proc/self/fd/{how['dir_fd']}/{name}"
        if not os.stat(at).st_mode & 0o200:
            raise PermissionError(13, "Access is denied", name)
        unlink(name, **how)

    if not Path("/proc/self/fd").exists():
        pytest.skip("what is deleted is found by /proc")
    path = make_repository(tmp_path / "demo")
    monkeypatch.setattr(os, "unlink", like_windows)
    monkeypatch.setattr(folders.time, "sleep", lambda seconds: None)
    with pytest.raises(WtnameError, match="Access is denied"):
        folders.delete(path)
    monkeypatch.setattr(folders.sys, "platform", "win32")
    monkeypatch.setattr(folders, "at_any_length", lambda path: path)
    folders.delete(path)
    assert not path.exists()
