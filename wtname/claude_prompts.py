"""The last prompt of each Claude Code session, kept for the worktree that it may ask for: private, small, taken once,
and gone after some hours."""

from __future__ import annotations

import contextlib
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from wtname.errors import WtnameError

KEPT = 6 * 3600  # seconds
_KEPT_ONCE = 30 * 24 * 3600  # seconds: longer than a session goes on
_LIMIT = 4000  # characters of a prompt
_PATIENCE = 240.0  # seconds with the same hook at work, installed twice; it may be checking out a large repository
_SESSION = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


class Session(NamedTuple):
    """What is known of a session: its last prompt that nobody took, and whether its branch has its name."""

    prompt: str = ""
    named: bool = False


def folder() -> Path:
    """Where it is kept."""
    # As platformdirs has it, without the 8 ms of its import that each prompt would wait for.
    if sys.platform == "linux":
        data = os.environ.get("XDG_DATA_HOME", "")
        return Path(data if data.strip() else Path.home() / ".local" / "share", "wtname", "claude")
    from platformdirs import user_data_path

    return user_data_path("wtname", appauthor=False) / "claude"


def load(session: str) -> Session:
    """What is known of a session; nothing after some hours, or where a file is not the user's own."""
    import json

    if not _SESSION.match(session):
        return Session()
    try:
        with open(_open(folder() / f"{session}.json", os.O_RDONLY), "rb") as file:
            facts = os.fstat(file.fileno())
            own = not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()
            if not (stat.S_ISREG(facts.st_mode) and own and time.time() - facts.st_mtime < KEPT):
                return Session()
            told = json.loads(file.read(16 * _LIMIT))
    except (OSError, ValueError, RecursionError):
        return Session()
    prompt, named = (told.get("prompt"), told.get("named")) if isinstance(told, dict) else ("", False)
    return Session(prompt if isinstance(prompt, str) else "", named is True)


def store(session: str, known: Session) -> None:
    """Keep what is known of a session, and drop what is old. Where that cannot be written, it is not kept."""
    import json

    if not _SESSION.match(session):
        return
    place = folder()
    file, new = place / f"{session}.json", place / f"{session}.{os.getpid()}.new"
    text = json.dumps(known._replace(prompt=known.prompt[:_LIMIT])._asdict())
    with contextlib.suppress(OSError):
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        try:
            with open(_open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "w", encoding="ascii") as opened:
                opened.write(text)
            os.replace(new, file)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        _forget_old(place)


def take(session: str) -> str:
    """The last prompt of a session, for one who asks first; nothing where there is none."""
    with turn(session, "+"):  # no worktree is called so
        known = load(session)
        if known.prompt:
            store(session, known._replace(prompt=""))
    return known.prompt


@contextlib.contextmanager
def once(session: str, given: str) -> Iterator[str]:
    """What is given for the first worktree of a session; nothing for the later ones, which inherit it. One that cannot
    be made was none. Without a session, or a home that can be written to, each is the first."""
    if not given or not _SESSION.match(session):
        yield given
        return
    mark = folder() / f"{session}.once"
    try:
        mark.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(_open(mark, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        yield ""
        return
    except OSError:
        yield given
        return
    try:
        yield given
    except BaseException:
        with contextlib.suppress(OSError):
            mark.unlink()
        raise


@contextlib.contextmanager
def turn(session: str, what: str = "") -> Iterator[None]:
    """One after the other, where the same hook runs twice at once for the same thing. Raises WtnameError where the
    other does not get ready."""
    if not _SESSION.match(session):
        yield
        return
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = re.sub(r"[^A-Za-z0-9_.-]", "+", f"{session}.{what}"[:200])
        lock = _open(place / f"{name}.lock", os.O_RDWR | os.O_CREAT)
    except OSError:  # a home that cannot be written to is no reason to fail
        yield
        return
    try:
        until = time.monotonic() + _PATIENCE
        while not _lock(lock):
            if time.monotonic() > until:
                raise WtnameError("the same hook is at work for this session already; see `wtname hook claude status`")
            time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def _open(file: Path, flags: int) -> int:
    return os.open(file, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0), 0o600)


def _lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except PermissionError:  # how Windows says it
        return sys.platform != "win32"
    except OSError:  # this file system knows no locks
        return True
    return True


def _forget_old(place: Path) -> None:
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                kept = _KEPT_ONCE if entry.name.endswith(".once") else KEPT
                if time.time() - entry.stat(follow_symlinks=False).st_mtime > kept:
                    os.unlink(entry.path)
