"""From a prompt to a name, whatever happens: model, then words picked, then random, within one deadline."""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from wtname import naming
from wtname.errors import ModelError

if TYPE_CHECKING:
    from wtname.engine import Engine, Guess

Source = Literal["model", "extract", "random"]
DEADLINE = 1.0


class Named(NamedTuple):
    """A name for a prompt. `name` is None where the prompt names no task; `ms` is the time it took."""

    name: str | None
    type: str | None
    ticket: str | None
    source: Source
    confidence: float | None
    ms: float
    why: str | None = None  # why the model did not name it; for the log and stderr, never for stdout


class Namer:
    """Names prompts; loads the model on first use and does without it where it cannot be had. Raises for no prompt.
    Threads may share one: they take turns at the model."""

    def __init__(self, gguf: Path | None, deadline: float = DEADLINE) -> None:
        self.gguf = gguf
        self.deadline = deadline
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        # Why it does not load, and what its files were like then: a server goes on once another model is in place.
        self._failed: tuple[str, object] | None = None

    def load(self) -> None:
        """Load the model before the first prompt, without a hurry. What goes wrong, the names tell."""
        with suppress(ModelError), self._turn:
            self._load(math.inf)

    def name(self, prompt: str) -> Named:
        """The best name."""
        return self.names(prompt, 1)[0]

    def names(self, prompt: str, n: int, deadline: float | None = None) -> list[Named]:
        """Up to `n` different names, best first; at least one. `deadline`: seconds, if others than usual."""
        began = time.perf_counter()
        stop = time.monotonic() + (self.deadline if deadline is None else deadline)
        cleaned = naming.clean(prompt)
        ticket = cleaned.tickets[0] if cleaned.tickets else None

        def named(name: str | None, source: Source, sure: float | None, why: str | None = None) -> Named:
            kind = name.partition("-")[0] if name else None
            ms = round((time.perf_counter() - began) * 1000, 2)
            return Named(name, kind, ticket, source, sure, ms, why)

        if not naming.content(cleaned):
            return [named(None, "random", None)]
        try:
            if cleaned.foreign:  # of transliterated words it can but invent a task
                raise ModelError("the model does not read this script")
            guesses = self._ask(cleaned, n, stop)
        except ModelError as error:
            guesses, why = [], str(error)
        else:
            why = "the model's names did not pass the gate"
        if not guesses:
            picked = naming.extract(cleaned)
            return [named(picked, "extract" if picked else "random", None, why)]
        return [named(g.name, "model" if g.name else "random", g.confidence) for g in guesses]

    def _ask(self, prompt: naming.Prompt, n: int, stop: float) -> list[Guess]:
        if not self._turn.acquire(timeout=min(max(0.0, stop - time.monotonic()), threading.TIMEOUT_MAX)):
            raise ModelError("the model is busy with other prompts")
        try:
            return self._load(stop).suggest(prompt, n, deadline=stop)
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(f"the engine failed ({error!r})") from error
        finally:
            self._turn.release()

    def _load(self, stop: float) -> Engine:
        if self._engine:
            return self._engine
        if self.gguf is None:
            raise ModelError("no model is installed; install one: wtname model install")
        state = _state(self.gguf)
        if self._failed and self._failed[1] == state:
            raise ModelError(self._failed[0])
        from wtname.engine import Engine  # llama.cpp's 40 ms are paid by those who name

        try:
            self._engine = Engine(self.gguf, deadline=stop)
        except Exception as error:  # whatever it is, there is a name; the reason goes to the log
            why = str(error) if isinstance(error, ModelError) else f"the engine does not start ({error!r})"
            if time.monotonic() < stop:  # a slow load may do better next time
                self._failed = why, state
            raise ModelError(why) from error
        return self._engine


def _state(gguf: Path) -> list[tuple[int, int, int] | None]:
    """What changes when a model, or a file beside it, is put in place."""
    found: list[tuple[int, int, int] | None] = []
    for path in (gguf, gguf.parent):
        try:
            told = path.stat()
        except OSError:
            found.append(None)
        else:
            found.append((told.st_mtime_ns, told.st_size, told.st_ino))
    return found


def random_branch() -> str:
    """`wt-` and eight hexadecimal digits: the branch of a task that nobody named."""
    return f"wt-{os.urandom(4).hex()}"
