"""Names for tasks, for Python programs: `from wtname import suggest`."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

from wtname import models, settings, template
from wtname.errors import WtnameError
from wtname.namer import DEADLINE, Named, Namer, Source, random_branch


class Suggestion(NamedTuple):
    """A name for a task. `name` and `type` are None where the prompt names no task; there is a `branch` even then.

    `source` is "model", "extract" (words picked from the prompt, as the model could not be had) or "random";
    `confidence` is the model's, from 0 to 1."""

    name: str | None
    type: str | None
    ticket: str | None
    source: Source
    confidence: float | None
    branch: str


def suggest(
    prompt: str,
    *,
    template: str = settings.Settings().template,
    user: str = "",
    deadline: float = DEADLINE,
    model: str | os.PathLike[str] | None = None,
) -> Suggestion:
    """The best name for a task. Any thread may call it; the model is loaded once.

    `template` makes the branch, with the fields of wtname.template; `deadline` is in seconds, after it the name is
    made of the prompt's words; `model` is a GGUF file or a folder with one.

    Raises TypeError where the prompt is no text and WtnameError where the template makes no branch; never for what
    the prompt says, and never because of the model."""
    return suggestions(prompt, 1, template=template, user=user, deadline=deadline, model=model)[0]


def suggestions(
    prompt: str,
    count: int,
    *,
    template: str = settings.Settings().template,
    user: str = "",
    deadline: float = DEADLINE,
    model: str | os.PathLike[str] | None = None,
) -> list[Suggestion]:
    """Up to `count` different names, the best first; at least one. The rest is as for `suggest`."""
    if not isinstance(prompt, str):
        raise TypeError(f"the prompt has to be text, not {type(prompt).__name__}")
    if not (count >= 1 and deadline >= 0):  # nan is neither
        raise ValueError("count is 1 or more, deadline 0 seconds or more")
    named = _namer(model).names(prompt, count, deadline)
    return [Suggestion(n.name, n.type, n.ticket, n.source, n.confidence, _branch(n, template, user)) for n in named]


def _branch(named: Named, pattern: str, user: str) -> str:
    if not named.name:
        return random_branch()
    fields = template.Fields(named.ticket or "", user, time.strftime("%Y-%m-%d"))
    branch = next(template.branches(pattern, named.name, fields, template.excess))[1]
    if not template.is_legal(branch):
        raise WtnameError(f"{branch!r} is no legal branch name; change the template or the user")
    return branch


_namers: dict[Path, Namer] = {}
_lock = threading.Lock()


def _namer(model: str | os.PathLike[str] | None) -> Namer:
    """The namer of a model, one for all threads of this process."""
    path = models.find(os.fspath(model) if model else None).path
    with _lock:
        return _namers.setdefault(path, Namer(path))


def _start_over() -> None:
    """In a forked child: another thread of the parent's may have held a lock, or the model, and is not here."""
    global _lock
    _lock = threading.Lock()
    _namers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
