"""The journal: what is about to change is written down first, so that what a killed process left can be put in order.

An entry is one file in the common git folder, JSON lines whose facts add up, locked as long as its process lives.
What fails is taken back by the same code that puts things in order after a kill.
"""

from __future__ import annotations

import calendar
import contextlib
import errno
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

from wtname.errors import GitError, WtnameError
from wtname.git import Repository, is_busy, records, refs, sharing

# Which module knows an operation: its `mend(repo, entry)` puts things in order and says in a line what it did.
_MENDERS = {"new": "worktree", "restore": "restoring", "remove": "removal", "rename": "renaming"}
_FAR = 1 << 30  # the byte that Windows locks: others may read the text before it
_STAMP = "%Y%m%dT%H%M%SZ"
_BAD = ".unreadable"
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BESIDE = (".scratch", ".seen")
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)
_DAY = 24 * 60 * 60
_LAST = 60 * 60  # seconds after the last note that its git may have gone on
_LOCKS = 10  # of a killed git that are in the way, at most
_REPAIR = "run `wtname doctor --repair` once that is mended"


class Unreadable(Exception):
    """An entry that does not say what it should."""


class Entry:
    """What one operation is about to do. `alive`: its own process looks at it, not one that found it."""

    def __init__(self, file: Path, descriptor: int, alive: bool, durable: bool = True) -> None:
        self.file = file
        self.alive = alive
        self.facts: dict[str, object] = {}
        self.descriptor = descriptor
        self._durable = durable

    @property
    def id(self) -> str:
        """What marks the things that this operation made."""
        return self.file.stem

    @property
    def began(self) -> float:
        """When it was noted, in seconds since 1970; raises Unreadable where its name does not tell."""
        try:
            return float(calendar.timegm(time.strptime(self.id.partition("-")[0], _STAMP)))
        except ValueError as error:
            raise Unreadable(self.id) from error

    def locks(self, repo: Repository) -> list[Path]:
        """The locks that git takes for the operation."""
        branches = [f"refs/heads/{branch}" for fact in ("branch", "old", "new") if (branch := self.facts.get(fact))]
        names = ["config", "packed-refs", *branches, str(self.facts.get("kept") or "config")]
        paths = [Path(path) for fact in ("path", "to") if isinstance(path := self.facts.get(fact), str) and path]
        heads = [found / "HEAD.lock" for path in paths if (found := records.record(repo, path))]
        inside = [name for name in names if not name.startswith("/") and ".." not in name]
        return [*(repo.common_dir / f"{name}.lock" for name in inside), *heads]

    @property
    def scratch(self) -> Path:
        """A file for what is needed meanwhile; it goes with the entry."""
        return self.file.with_suffix(".scratch")

    @property
    def seen(self) -> Path:
        """The index of the files that were looked at last; it goes with the entry."""
        return self.file.with_suffix(".seen")

    def note(self, **facts: object) -> None:
        """Write down more before it happens."""
        import json

        self.facts.update(facts)
        line = (json.dumps(facts) + "\n").encode()
        size = os.fstat(self.descriptor).st_size
        try:
            if os.write(self.descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._durable:  # with its first bytes, a journaling file system keeps the file's name, too
                os.fsync(self.descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # or the next note would join it
                os.ftruncate(self.descriptor, size)
            raise WtnameError(f"cannot write {self.file}: {error.strerror}; make room there") from error

    def text(self, fact: str) -> str:
        """A fact that is text; raises Unreadable where it is not there."""
        value = self.facts.get(fact)
        if not isinstance(value, str) or "\0" in value:
            raise Unreadable(fact)
        return value

    def oid(self, fact: str) -> str:
        """A fact that is the name of an object; raises Unreadable where it is not there."""
        if not _OID.fullmatch(value := self.text(fact)):
            raise Unreadable(fact)
        return value

    def texts(self, fact: str) -> list[str]:
        """A fact that is a list of texts; raises Unreadable where it is not there."""
        value = self.facts.get(fact)
        if not isinstance(value, list) or not all(isinstance(one, str) and "\0" not in one for one in value):
            raise Unreadable(fact)
        return value

    def read(self) -> None:
        """Add up what is written; raises Unreadable. A last line that was not finished was not acted on."""
        import json

        with open(self.descriptor, "rb", closefd=False) as file:
            file.seek(0)
            lines = file.read().split(b"\n")
        try:
            for line in lines[:-1]:
                self.facts.update(json.loads(line))
        except (ValueError, TypeError, RecursionError) as error:
            raise Unreadable(str(error)) from error
        if lines[-1] and not self.alive:
            os.ftruncate(self.descriptor, sum(len(line) + 1 for line in lines[:-1]))  # or the next note would join it

    def remove(self) -> None:
        """The operation is over."""
        if sys.platform == "win32":  # an open file cannot be removed there; who has it open must find nothing in it
            with contextlib.suppress(OSError):
                os.ftruncate(self.descriptor, 0)
            self.close()
        for file in (self.scratch, self.scratch.with_suffix(".scratch.lock"), self.seen, self.file):
            with contextlib.suppress(OSError):
                file.unlink()
        for folder in (self.file.parent, self.file.parent.parent):
            with contextlib.suppress(OSError):  # not empty
                folder.rmdir()

    def close(self) -> None:
        """Let go of the lock."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


@contextlib.contextmanager
def entry(repo: Repository, operation: str, facts: dict[str, object], durable: bool = True) -> Iterator[Entry]:
    """Note an operation before its first change. What is raised inside takes the operation back; where even that
    fails, the entry stays for the next command. Not durable: it outlives the process, but perhaps not a power cut."""
    made = _create(repo, durable)
    try:
        try:
            made.note(operation=operation, **facts)
        except WtnameError:
            made.remove()
            raise
        try:
            yield made
        except BaseException as error:
            try:
                _mend(repo, made, killed=isinstance(error, GitError) and error.killed)
            except (WtnameError, OSError) as second:
                if isinstance(error, WtnameError) and str(error) != str(second):
                    raise WtnameError(f"{error}; what was done stays for now: {_REPAIR}", error.code) from second
                raise error from second
            made.remove()
            raise
        made.remove()
    finally:
        made.close()


def recover(repo: Repository) -> list[str]:
    """Put in order what dead processes left; a line for each says what was done, or why it could not be."""
    told = []
    for file in entries(repo):
        try:
            with _taken(file) as found:
                if found and (line := _recover(repo, found)):
                    told.append(line)
        except (WtnameError, OSError) as error:
            what, _, fix = str(error).partition("; ")
            why = error.strerror if isinstance(error, OSError) else what
            told.append(f"cannot put in order what {file} tells of: {why}; {fix or _REPAIR}")
    _sweep(_folder(repo))
    return told


def put_in_order(repo: Repository, say: Callable[[str], None]) -> None:
    """The same before something else is changed, and tell people, who did not ask for it."""
    for line in recover(repo):
        say(line)


def _sweep(folder: Path) -> None:
    """Remove what an entry could not take along when it went."""
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if name.endswith(_BESIDE) and not (file := folder / name).with_suffix(".json").exists():
                file.unlink()


def entries(repo: Repository) -> list[Path]:
    """What is noted now, oldest first: operations under way and what dead processes left."""
    folder = _folder(repo)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [folder / name for name in sorted(names) if name.endswith(".json")]


def under_way(repo: Repository, entry: Entry, fact: str) -> bool:
    """Whether another process, alive, is at the same kind of operation with the same value for this fact."""
    for file in entries(repo):
        if file == entry.file:
            continue
        with contextlib.suppress(OSError, Unreadable), open(file, "rb") as lines:
            other = Entry(file, lines.fileno(), True)
            other.read()
            if all(other.facts.get(key) == entry.facts[key] for key in ("operation", fact)):
                return True
    return False


def survey(repo: Repository) -> tuple[list[Path], list[Path]]:
    """Entries of dead processes, and entries that could not be read."""
    dead = []
    for file in entries(repo):
        with contextlib.suppress(OSError), _taken(file) as found:
            if found:
                dead.append(file)
    return dead, sorted(_folder(repo).glob("*" + _BAD))


def _recover(repo: Repository, found: Entry) -> str | None:
    try:
        found.read()
        if not found.facts:  # killed before it had begun
            found.remove()
            return None
        if found.text("operation") not in _MENDERS:
            return f"{found.file} was written by another wtname; run that one's `wtname doctor --repair`"
        line = _mend(repo, found, killed=True)
    except (Unreadable, ValueError):  # a path without a name is none
        aside = found.file.with_name(found.file.name + _BAD)
        found.close()
        found.file.replace(aside)
        return f"{aside} cannot be read; look at `git worktree list` and `git branch`, then delete it"
    found.remove()
    return line


def _mend(repo: Repository, entry: Entry, killed: bool) -> str | None:
    """Put in order what an operation left; a git of its that was killed has left its locks, too."""
    mender = import_module("wtname." + _MENDERS[entry.text("operation")])
    when = entry.began, os.fstat(entry.descriptor).st_mtime + _LAST
    for _ in range(_LOCKS):
        try:
            line = mender.mend(repo, entry)
        except GitError as error:
            if not (killed and is_busy(error) and refs.break_lock(repo, error, when)):
                raise
        else:
            assert line is None or isinstance(line, str)
            if killed:
                refs.release(entry.locks(repo), when)
            return line
    raise WtnameError("git's locks come back again and again; see that no other git is at work")


def _folder(repo: Repository) -> Path:
    return repo.common_dir / "wtname" / "journal"


def _create(repo: Repository, durable: bool) -> Entry:
    folder = _folder(repo)
    while True:
        try:
            sharing.make_folder(repo, "wtname", "journal")
            stamp = time.strftime(_STAMP, time.gmtime())
            file = folder / f"{stamp}-{os.urandom(4).hex()}.json"
            made = Entry(file, _open(file, os.O_CREAT | os.O_EXCL), True, durable)
        except FileNotFoundError as error:  # somebody finished and took the empty folder along
            if not repo.common_dir.is_dir():
                raise WtnameError(f"{repo.common_dir} is gone; make the repository again") from error
            continue
        except FileExistsError:
            continue
        except NotADirectoryError as error:
            raise WtnameError(f"cannot write into {folder}: {error.strerror}; take it away") from error
        except OSError as error:
            raise WtnameError(f"cannot write into {folder}: {error.strerror}; make it writable") from error
        _lock(made.descriptor, wait=True)
        if _is_there(made):
            sharing.share(repo, file)
            return made
        made.close()  # somebody took it for a dead one's


@contextlib.contextmanager
def _taken(file: Path) -> Iterator[Entry | None]:
    """An entry whose process is dead, ours as long as we look at it."""
    try:
        found = Entry(file, _open(file), False)
    except FileNotFoundError:
        yield None
        return
    try:
        yield found if _lock(found.descriptor, wait=False) and _is_there(found) else None
    finally:
        found.close()


def _open(file: Path, flags: int = 0) -> int:
    return os.open(file, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0) | flags, 0o600)


def _is_there(entry: Entry) -> bool:
    try:
        return os.path.samestat(os.fstat(entry.descriptor), os.stat(entry.file))
    except FileNotFoundError:
        return False


def _lock(descriptor: int, wait: bool) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, _FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Where a file system knows no locks, whoever does not end within a day counts as dead.
        return error.errno in _NO_LOCKS and not wait and time.time() - os.fstat(descriptor).st_mtime > _DAY
    return True
