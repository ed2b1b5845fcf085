from __future__ import annotations

import json

import pytest

from wtname import log


def test_a_line_each() -> None:
    log.note("fallback", why="two\nlines", name=None)
    log.note("fallback", why="three")
    first, second = log.path().read_text().splitlines()
    assert json.loads(first.split(" ", 2)[2]) == {"why": "two\nlines", "name": None}
    assert second.split(" ")[1] == "fallback"


def test_it_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_LIMIT", 1000)
    for i in range(100):
        log.note("event", number=i)
    files = sorted(path.name for path in log.path().parent.iterdir())
    assert files == ["wtname.log", "wtname.log.1"]
    assert all(path.stat().st_size <= 1000 for path in log.path().parent.iterdir())
    assert '"number": 99' in log.path().read_text()
