"""Where a stage keeps what a kill would cost it: beside what it writes, a folder for each recipe."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from wtname.models import sha256


def contents(path: Path) -> str | dict[str, str]:
    """The SHA-256 of a file, or of each file in a folder by its name: neither place nor date counts."""
    if path.is_dir():
        return {file.name: sha256(file) for file in sorted(path.iterdir()) if file.is_file()}
    return sha256(path)


def recipe(options: Mapping[str, Any], rows: Iterable[bytes]) -> str:
    """What tells one training from another: its options, a Path among them by what is in it, and its rows."""
    told = {name: contents(value) if isinstance(value, Path) else str(value) for name, value in options.items()}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for part in rows:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def folder_of(out: Path) -> Path:
    """The folder for the checkpoints of all that is to become `out`; each recipe has one of its own in it."""
    return out.with_name(f"{out.name}.checkpoints")


def forget(out: Path) -> None:
    """Remove the checkpoints of every recipe for `out`, once that is whole and has been measured."""
    shutil.rmtree(folder_of(out), ignore_errors=True)
