"""Fresh processes of our own: to time a cold start, and to let a strange model crash somebody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run(*args: str) -> subprocess.CompletedProcess[str]:
    """Run `python ARGS` as it runs here, and catch what it says. It starts in the folder that holds our package:
    `-m` looks into the current folder first, and that may hold a stranger's `wtname`."""
    return subprocess.run(
        [sys.executable, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        cwd=Path(__file__).parent.parent,
    )
