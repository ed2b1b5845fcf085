"""Files and folders of ours in git's folder, open to whom core.sharedRepository lets in."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path

from wtname.git.repository import Repository

_GROUP, _EVERYBODY = 0o660, 0o664
_WORDS = {"group": _GROUP, "all": _EVERYBODY, "world": _EVERYBODY, "everybody": _EVERYBODY, "1": _GROUP}
_WORDS |= dict.fromkeys(("true", "yes", "on"), _GROUP) | {"2": _EVERYBODY}


def adjusted(mode: int, value: str) -> int:
    """The mode that git gives under this core.sharedRepository to a file or a folder that has another."""
    exact = value.isdigit() and value not in ("0", "1", "2") and set(value) <= set("01234567")
    asked = int(value, 8) & 0o666 if exact else _WORDS.get(value.lower(), 0)
    if not asked:
        return mode
    if not mode & stat.S_IWUSR:
        asked &= ~0o222
    if stat.S_ISDIR(mode):
        asked |= (asked & 0o444) >> 2 | stat.S_ISGID
    elif mode & stat.S_IXUSR:
        asked |= (asked & 0o444) >> 2
    return (mode & ~0o777 if exact else mode) | asked


def share(repo: Repository, path: Path) -> None:
    """Give a file or folder that we made the mode that git would. Raises FileNotFoundError where it is gone."""
    value = repo.config.get("core.sharedrepository", "")
    if not value or sys.platform == "win32":
        return
    mode = path.lstat().st_mode
    wanted = adjusted(mode, value)
    if wanted != mode and not stat.S_ISLNK(mode):
        with contextlib.suppress(PermissionError):  # a file system without modes
            os.chmod(path, stat.S_IMODE(wanted))


def make_folder(repo: Repository, *names: str) -> Path:
    """Folders in the git folder, one in the other, made where they are missing; no link is followed.

    Raises OSError: FileNotFoundError where somebody takes an empty one away meanwhile, so that another try will do."""
    place = repo.common_dir
    for name in names:
        place /= name
        try:
            place.mkdir()
            share(repo, place)
        except FileExistsError:
            mode = place.lstat().st_mode
            if not stat.S_ISDIR(mode):
                what = "a link" if stat.S_ISLNK(mode) else "not a folder"
                raise NotADirectoryError(errno.ENOTDIR, f"{place} is {what}") from None
    return place
