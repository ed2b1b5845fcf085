"""Many prompts in one run: JSON lines in, answers out, in the same order and each as soon as it is there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn

from wtname.namer import Named, Namer


def answers(
    lines: Iterable[bytes],
    namer: Namer,
    facts: Callable[[Named], dict[str, object]],
    explain: Callable[[Named], None],
) -> Iterator[dict[str, object]]:
    """An answer to each line; a line that cannot be read gets an error and the rest go on.
    Each reason to do without the model is told once."""
    told: set[str] = set()
    loaded = False
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        try:
            request = _read(line.decode("utf-8-sig" if number == 0 else "utf-8"))
        except (ValueError, RecursionError) as error:
            yield {"id": None, "error": f"not JSON: {error}"}
            continue
        key = request.get("id") if isinstance(request, dict) else None
        if not isinstance(request, dict) or not isinstance(request.get("prompt"), str):
            yield {"id": key, "error": 'needs {"id": ..., "prompt": "text"}'}
            continue
        if not loaded:  # the clock of the first prompt is not to run meanwhile: many are wanted, alike in every run
            namer.load()
            loaded = True
        named = namer.name(request["prompt"])
        if named.why and named.source == "extract" and named.why not in told:
            told.add(named.why)
            explain(named)
        yield {"id": key, **facts(named)}


def _read(text: str) -> Any:
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
