"""Folders of worktrees: made by one alone, and taken away in one step."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wtname.errors import WtnameError


def is_there(path: Path) -> bool:
    """Whether a path is taken; a link to nowhere takes it, too."""
    return os.path.lexists(path)


def is_inside(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or below it."""
    path, folder = Path(os.path.realpath(path)), Path(os.path.realpath(folder))
    return folder == path or folder in path.parents


def make(path: Path, tries: int = 100) -> None:
    """Make a folder that is not there yet, and what is missing above it; who makes it owns the place. Raises OSError:
    FileExistsError where it is there."""
    if not path.parent.is_dir() and path.parent != path:  # a drive that is not there is its own parent
        try:
            make(path.parent)
        except FileExistsError as error:
            if os.path.lexists(path.parent) and not path.parent.is_dir():  # else somebody was faster, and that is fine
                raise NotADirectoryError(error.errno, f"{path.parent} is not a folder") from error
    try:
        path.mkdir()
    except FileNotFoundError:  # somebody takes back what he made, with the empty folders above it
        if not tries or path.parent == path:
            raise
        make(path, tries - 1)


def remove_if_empty(path: Path) -> None:
    """Remove a folder that is empty; one that is not, or is in use, stays."""
    with contextlib.suppress(OSError):
        path.rmdir()


def umask() -> int:
    """The permissions that new files of ours do not get."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def aside(path: Path, mark: str) -> Path:
    """Where a folder goes before it is deleted, beside it and with our mark in its name: whoever finds it half deleted
    knows whose it is and that it may go."""
    return path.with_name(f".wtname-{mark}")


def at_any_length(path: str, platform: str = sys.platform) -> str:
    """An absolute path as Windows takes it beyond 260 characters; node_modules get there."""
    if platform != "win32" or path.startswith("\\\\?\\"):
        return path
    path = path.replace("/", "\\")
    return "\\\\?\\UNC" + path[1:] if path.startswith("\\\\") else "\\\\?\\" + path


def delete(path: Path) -> None:
    """Delete a folder with all that is in it; write protection in it does not count. A git that we interrupted may go
    on writing for a moment. Raises WtnameError where something stays."""
    import shutil

    failed: list[str] = []
    whole = at_any_length(os.path.abspath(path))

    def again(act: Callable[[str], object], name: str, _: object) -> None:
        try:
            if name != whole:  # what lies above is not ours
                os.chmod(os.path.dirname(name), 0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
                shutil.rmtree(name)
            else:
                if sys.platform == "win32":  # there, the file itself is protected; elsewhere it may have other names
                    os.chmod(name, 0o600)
                os.unlink(name)
        except FileNotFoundError:
            pass
        except OSError as error:
            failed.append(f"{name}: {error.strerror}")

    for _ in range(30):
        failed.clear()
        if path.is_symlink():
            path.unlink()
        if is_there(path):
            shutil.rmtree(whole, onerror=again)
        if not is_there(path):
            return
        time.sleep(0.1)
    raise WtnameError(f"cannot delete {failed[0] if failed else path}; delete {path} yourself")
