"""Folders of worktrees: made by one alone, and taken away in one step."""

from __future__ import annotations

import contextlib
import os
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


def make(path: Path) -> None:
    """Make a folder that is not there yet, and what is missing above it; who makes it owns the place."""
    while not path.parent.is_dir():
        try:
            make(path.parent)
        except FileExistsError as error:
            if not path.parent.is_dir():  # else somebody was faster, and that is fine
                raise NotADirectoryError(error.errno, f"{path.parent} is not a folder") from error
    path.mkdir()


def remove_if_empty(path: Path) -> None:
    """Remove a folder that is empty; one that is not, or is in use, stays."""
    with contextlib.suppress(OSError):
        path.rmdir()


def aside(path: Path, mark: str) -> Path:
    """Where a folder goes before it is deleted, beside it and with our mark in its name: whoever finds it half deleted
    knows whose it is and that it may go."""
    return path.with_name(f".wtname-{mark}")


def delete(path: Path) -> None:
    """Delete a folder with all that is in it; write protection in it does not count. A git that we interrupted may go
    on writing for a moment. Raises WtnameError where something stays."""
    import shutil

    failed: list[str] = []

    def again(act: Callable[[str], object], name: str, _: object) -> None:
        try:
            if name != str(path):  # what lies above is not ours
                os.chmod(os.path.dirname(name), 0o700)
            if os.path.isdir(name) and not os.path.islink(name):
                os.chmod(name, 0o700)
                shutil.rmtree(name)
            else:
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
            shutil.rmtree(path, onerror=again)
        if not is_there(path):
            return
        time.sleep(0.1)
    raise WtnameError(f"cannot delete {failed[0] if failed else path}; delete {path} yourself")
