"""Which commands of which repository the user has looked at and trusts. One file each, named by what it vouches for."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import NamedTuple

from wtname.errors import WtnameError


class Batch(NamedTuple):
    """Commands of one source (git config, or a file) in one repository, named by its git folder."""

    repository: Path
    source: str
    commands: list[str]

    @property
    def digest(self) -> str:
        """The SHA-256 of all of it: other commands, or the same ones elsewhere, are another matter."""
        told = json.dumps([os.fspath(self.repository), self.source, self.commands])
        return hashlib.sha256(told.encode("ascii")).hexdigest()


def folder() -> Path:
    """Where trust is kept."""
    from platformdirs import user_data_path

    return user_data_path("wtname", appauthor=False) / "trust"


def _file(batch: Batch) -> Path:
    return folder() / f"{batch.digest}.json"


def is_trusted(batch: Batch) -> bool:
    """Whether the user has trusted exactly this."""
    try:
        facts = _file(batch).lstat()
    except OSError:
        return False
    own = not hasattr(os, "geteuid") or facts.st_uid == os.geteuid()
    return stat.S_ISREG(facts.st_mode) and own


def add(batch: Batch) -> None:
    """Trust this from now on. Raises WtnameError where that cannot be written down."""
    import tempfile

    file = _file(batch)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=".new")  # 0600
        try:
            with open(handle, "w", encoding="ascii") as new:
                json.dump({**batch._asdict(), "repository": os.fspath(batch.repository)}, new)
                new.flush()
                os.fsync(new.fileno())
            os.replace(name, file)
        except BaseException:
            os.unlink(name)
            raise
    except OSError as error:
        raise WtnameError(f"cannot write {file}: {error.strerror}; make its folder writable") from error


def revoke(repository: Path) -> int:
    """Trust nothing of a repository any more; how many batches that were.

    Raises WtnameError where one of them cannot be removed.
    """
    count = 0
    for file in sorted(folder().glob("*.json")):
        try:
            if json.loads(file.read_text("ascii")).get("repository") == os.fspath(repository):
                file.unlink()
                count += 1
        except (ValueError, AttributeError):
            continue  # none of ours
        except OSError as error:
            raise WtnameError(f"cannot remove {file}: {error.strerror}; remove it by hand") from error
    return count
