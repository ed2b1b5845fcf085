"""Files byte by byte: what git makes of a file when it takes it in (other line ends, a notebook without its outputs)
may not give back the same bytes, and then those are kept as well."""

from __future__ import annotations

import contextlib
import filecmp
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, TypeVar

from wtname.errors import GitError, WtnameError
from wtname.git.booleans import NO
from wtname.git.process import Running
from wtname.git.repository import Repository

_CONVERTING = {"text", "eol", "crlf", "ident", "filter", "working-tree-encoding"}
_FAITHFUL = ("filter", "lfs")  # it keeps the bytes elsewhere, and they may be gigabytes
_AT_ONCE = 100  # files
_T = TypeVar("_T")


class Git(Protocol):
    """A git that knows a folder and an index of its files."""

    def __call__(self, *args: str, given: bytes | None = None) -> Running: ...


def tree(git: Git, path: Path) -> str | None:
    """A tree of those files in the index that git would not write as they lie in the folder, as they lie there; None
    where there are none. The index is emptied."""
    stored = {name: oid for name, oid in _converted(git).items() if _is_file(path / name)}
    wanted = _not_given_back(git, path, _not_as_stored(git, stored))
    if not wanted:
        return None
    lines = b""
    for names in _some(wanted):
        oids = git("hash-object", "-w", "--no-filters", "--", *names).output().split()
        lines += b"".join(os.fsencode(f"100644 {oid}\t{name}\0") for oid, name in zip(oids, names, strict=True))
    git("read-tree", "--empty").output()
    git("update-index", "-z", "--index-info", given=lines).output()
    return git("write-tree").output().strip()


def _converted(git: Git) -> dict[str, str]:
    """The files of the index that git may write otherwise than it has stored them, and the blob of each."""
    listing = git("ls-files", "--stage", "-z")
    setting = git("config", "--get", "core.autocrlf").output(empty=1).strip().lower()
    rows = (line.partition("\t") for line in listing.output().split("\0"))
    files = {name: facts.split(" ")[1] for facts, _, name in rows if facts.startswith("100")}
    given = os.fsencode("".join(name + "\0" for name in files))
    told = git("check-attr", "-z", "--all", "--stdin", given=given).output().split("\0")[:-1]
    attributes = list(zip(told[::3], zip(told[1::3], told[2::3], strict=True), strict=True))
    faithful = {name for name, attribute in attributes if attribute == _FAITHFUL}
    everything = setting not in ("", *NO)
    converted = {name for name, (key, value) in attributes if key in _CONVERTING and value != "unset"}
    return {name: oid for name, oid in files.items() if name not in faithful and (everything or name in converted)}


def _not_as_stored(git: Git, files: Mapping[str, str]) -> list[str]:
    """Those of these files whose bytes are not those of their blob."""
    lines = [name for name in files if "\n" not in name]
    found = git("hash-object", "--no-filters", "--stdin-paths", given=_lines(lines)).output().split() if lines else []
    same = {name for name, oid in zip(lines, found, strict=True) if files[name] == oid}
    return [name for name in files if name not in same]


def _lines(names: Iterable[str]) -> bytes:
    return os.fsencode("".join(f"./{name}\n" for name in names))  # a quote at the beginning would be taken for one


def _not_given_back(git: Git, path: Path, names: list[str]) -> list[str]:
    """Those of these files that git would not write as they are."""
    if not names:
        return []
    import tempfile

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        given = os.fsencode("".join(name + "\0" for name in names))
        with contextlib.suppress(GitError):  # a filter that is not there any more gives nothing back
            git("checkout-index", "--quiet", "-z", "--stdin", f"--prefix={place}/", given=given).output()
        return [name for name in names if not _is_same(path / name, Path(place, name))]


def _is_same(file: Path, other: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return filecmp.cmp(file, other, shallow=False)
    return False


def _is_file(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISREG(path.lstat().st_mode)
    return False


def fill(repo: Repository, path: Path, tree: str) -> None:
    """Give files of a worktree the bytes that they have in this tree; those that it does not track stay as they are."""
    rows = (line.partition("\t") for line in repo.ask_in(path, "ls-files", "--stage", "-z").output().split("\0"))
    tracked = {name for facts, _, name in rows if facts.startswith("100")}
    rows = (line.partition("\t") for line in repo.act("ls-tree", "-r", "-z", "--full-tree", tree).output().split("\0"))
    wanted = [(facts.split(" ")[2], name) for facts, _, name in rows if name in tracked]
    for some in _some(wanted):
        given = "".join(f"{oid}\n" for oid, _ in some).encode()
        git_dir = f"--git-dir={repo.common_dir}"
        asked = Running(git_dir, "cat-file", "--batch", cwd=repo.common_dir, env=repo.environment, given=given)
        told = asked.read()
        for _, name in some:
            facts, _, told = told.partition(b"\n")
            if facts.endswith(b" missing"):
                raise GitError(f"the bytes of {name} are missing; see what git fsck says")
            size = int(facts.split(b" ")[2])
            _write(path / name, told[:size])
            told = told[size + 1 :]


def _write(file: Path, content: bytes) -> None:
    # In place, with its mode: git has just made it. No link of somebody else's is followed.
    how = os.O_WRONLY | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    try:
        with open(os.open(file, how), "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise WtnameError(f"cannot write {file}: {error.strerror}; make room there") from error


def _some(items: list[_T]) -> Iterator[list[_T]]:
    for i in range(0, len(items), _AT_ONCE):
        yield items[i : i + _AT_ONCE]
