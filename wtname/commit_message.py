"""The file in which git hands a commit's message to its hooks and to the editor."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

_READ = 64 * 1024  # bytes of a message that a name is made from
_LARGEST = 1024 * 1024  # bytes of a message file that is written anew
# git's own words above a message that it will clean; every other way to clean leaves comments in.
_STRIPPED = re.compile(rb"^(?P<mark>[^\n]{1,80}?) with '(?P=mark)' will be (?P<what>ignored|kept)\b", re.M)
_SCISSORS = re.compile(rb"^[^\n]{1,80}? -{20,} >8 -{20,}$", re.M)  # a diff may follow


def read(file: Path) -> str:
    """The text of a message, without comments where git strips them; nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(_READ)
    except (OSError, ValueError):
        return ""
    if mark := _mark(raw)[0]:
        raw = b"\n".join(line for line in _SCISSORS.split(raw, 1)[0].split(b"\n") if not line.startswith(mark))
    return raw.decode("utf-8", "replace").replace("\r\n", "\n").strip()


def write(file: Path, comment: list[str]) -> bool:
    """Put lines above the comment that git strips from a message file, in one step; tells whether they are there: a
    commit that keeps its comments gets none."""
    from wtname.display import visible

    file = Path(os.path.realpath(file))
    beside = file.with_name(file.name + ".wtname")
    try:
        if file.stat().st_size > _LARGEST:
            return False
        raw = file.read_bytes()
        at = _before_comments(raw)
        if at is None:
            return False
        told = b"".join(_mark(raw)[0] + visible(line).encode() + b"\n" for line in comment)
        beside.write_bytes(raw[:at] + told + raw[at:])
        beside.chmod(file.stat().st_mode & 0o777)
        os.replace(beside, file)
    except (OSError, ValueError):
        with contextlib.suppress(OSError):
            beside.unlink()
        return False
    return True


def _mark(raw: bytes) -> tuple[bytes, int]:
    """With which mark git says that it strips comments, and where it says so; nothing where it says otherwise. What it
    says comes last: before that, a template may say anything."""
    found = [*_STRIPPED.finditer(_SCISSORS.split(raw, 1)[0])]
    return (found[-1]["mark"], found[-1].start()) if found and found[-1]["what"] == b"ignored" else (b"", 0)


def _before_comments(raw: bytes) -> int | None:
    """Where the comment begins in which git says so."""
    mark, at = _mark(raw)
    while mark and at:
        start = raw.rfind(b"\n", 0, at - 1) + 1
        if not raw[start:at].startswith(mark):
            return at
        at = start
    return at if mark else None
