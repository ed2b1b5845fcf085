"""What every stage does alike: a bar on a terminal, files that are whole or not there, one line of figures."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def bar(items: Iterable[T], what: str, total: int | None = None) -> Iterable[T]:
    """The items, counted by a bar on stderr where that is a terminal."""
    return tqdm(items, desc=what, total=total, disable=None, leave=False)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the name once the block ends well and is removed where it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temp
        os.replace(temp, path)
    finally:
        temp.unlink(missing_ok=True)


def report(stage: str, **figures: Any) -> None:
    """Print the stage's figures as one line of JSON, its last."""
    print(json.dumps({"stage": stage, **figures}, ensure_ascii=False), flush=True)
