"""A small log of what went wrong, for `wtname doctor`. It never holds a prompt and never fails a command."""

from __future__ import annotations

import json
import time
from pathlib import Path

_LIMIT = 256 * 1024


def path() -> Path:
    """The log file; the one before it has `.1` at its end."""
    from platformdirs import user_log_path

    return user_log_path("wtname", appauthor=False) / "wtname.log"


def note(event: str, **facts: object) -> None:
    """Append one line: when, what, and its facts as JSON. Lines of concurrent processes stay whole."""
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    line = f"{stamp} {event} {json.dumps(facts, default=str)}\n"
    try:
        file = path()
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size + len(line) > _LIMIT:
            file.replace(f"{file}.1")
        with file.open("a", encoding="utf-8") as log:
            log.write(line)
    except OSError:
        pass  # a home that cannot be written to is no reason to fail
