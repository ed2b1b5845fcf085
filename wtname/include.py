"""Take along what git ignores and a worktree needs: the files that .worktreeinclude names, copied."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from wtname.git import Repository
from wtname.git.ignored import matching

LIST = ".worktreeinclude"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_FICLONE = 0x40049409  # linux/fs.h
_NO_CLONE = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.EISDIR}


class Copied(NamedTuple):
    """How many files came along and their size; `failed` has a line for what did not."""

    files: int
    size: int
    failed: list[str]


def source(repo: Repository) -> Path | None:
    """The worktree that has a list of what comes along: the main one, or in a bare repository the one we stand in."""
    root: Path | None = repo.main
    if repo.config.get("core.bare") == "true":
        root = repo.worktree()
    return root if root and (root / LIST).is_file() and not (root / LIST).is_symlink() else None


def copy(repo: Repository, root: Path, target: Path, progress: Callable[[int, int], None]) -> Copied:
    """Copy the ignored files that the list in `root` names into a new worktree; nothing there is written over.

    Progress is called with the number done and the number of all. Raises GitError if git cannot list the files.
    """
    wanted = matching(repo, root, root / LIST)
    copier = _Copier(root, target)
    files, size, failed = 0, 0, []
    for i, path in enumerate(wanted):
        progress(i, len(wanted))
        try:
            copied = copier.copy(path)
        except OSError as error:
            failed.append(f"{path}: {error.strerror}")
            if error.errno in _FULL:
                break
            continue
        if copied is not None:
            files, size = files + 1, size + copied
    return Copied(files, size, failed)


class _Copier:
    def __init__(self, root: Path, target: Path) -> None:
        self._root = root
        self._target = target
        self._folders = {PurePosixPath(".")}  # those of the target that are real ones
        self._clones = True

    def copy(self, path: str) -> int | None:
        """The size of what was copied; None where it is left out: no file, or in the way of what is there."""
        parts = PurePosixPath(path)
        if any(part == ".." or part.lower() == ".git" for part in parts.parts) or parts.is_absolute():
            return None
        old, new = self._root / parts, self._target / parts
        facts = old.lstat()
        if not (stat.S_ISREG(facts.st_mode) or stat.S_ISLNK(facts.st_mode)):
            return None
        if not self._folder(parts.parent):
            raise OSError(errno.ENOTDIR, "a link or a file is in the place of its folder")
        try:
            if stat.S_ISLNK(facts.st_mode):
                os.symlink(os.readlink(old), new, target_is_directory=old.is_dir())
                return 0
            self._file(old, new)
        except FileExistsError:  # whatever it is, it stays
            return None
        return facts.st_size

    def _folder(self, folder: PurePosixPath) -> bool:
        """Make a folder of the target's like the root's; False if a link or a file is in its place."""
        import shutil

        if folder in self._folders:
            return True
        if not self._folder(folder.parent):
            return False
        place = self._target / folder
        try:
            place.mkdir()
            shutil.copymode(self._root / folder, place)
        except FileExistsError:
            if not _is_real_folder(place):
                return False
        self._folders.add(folder)
        return True

    def _file(self, old: Path, new: Path) -> None:
        import shutil

        if sys.platform == "darwin" and self._clones:
            self._clones = _clonefile(old, new)
            if self._clones:
                return
        reading = os.open(old, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        with open(reading, "rb") as source:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            made = os.open(new, flags, 0o600)  # not readable to others before it has its mode
            try:
                with open(made, "wb") as target:
                    self._clones = self._clones and _reflink(source.fileno(), target.fileno())
                    if not self._clones:
                        shutil.copyfileobj(source, target, 1 << 20)
                shutil.copystat(old, new)
            except BaseException:
                os.unlink(new)
                raise


def _is_real_folder(path: Path) -> bool:
    facts = path.lstat()
    junction = getattr(facts, "st_file_attributes", 0) & getattr(stat, "FILE_ATTRIBUTE_REPARSE_POINT", 0)
    return stat.S_ISDIR(facts.st_mode) and not junction


def _reflink(source: int, target: int) -> bool:
    """Have a file share the other's blocks, where the file system can."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno not in _NO_CLONE:
            raise
        return False
    return True


def _clonefile(old: Path, new: Path) -> bool:
    import ctypes

    clone = getattr(ctypes.CDLL(None, use_errno=True), "clonefile", None)
    if clone is None:
        return False
    if clone(os.fsencode(old), os.fsencode(new), 1) == 0:  # CLONE_NOFOLLOW
        return True
    code = ctypes.get_errno()
    if code in _NO_CLONE | {errno.ENOTSUP}:
        return False
    raise OSError(code, os.strerror(code), str(new))
