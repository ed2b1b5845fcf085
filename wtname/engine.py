"""The only door to llama.cpp: load a GGUF once, and let the search name prompts by it."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from wtname import naming
from wtname.errors import ModelError
from wtname.search import CONTEXT, SEQUENCES, Search
from wtname.search import Guess as Guess

# Metadata of a model whose prompt tokens see one another both ways (a prefix LM, Raffel et al. 2020).
PREFIX_KEY = "wtname.prefix_lm"


def _bindings() -> ModuleType:
    """llama_cpp.llama_cpp without its package's __init__, which imports numpy and jinja2 for a quarter of a second."""
    if module := sys.modules.get("llama_cpp.llama_cpp"):
        return module
    if "llama_cpp" in sys.modules:
        return importlib.import_module("llama_cpp.llama_cpp")
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or spec.submodule_search_locations is None:
        raise ModelError("llama-cpp-python is not installed; install it with: pip install llama-cpp-python")
    shell = ModuleType("llama_cpp")
    shell.__path__ = list(spec.submodule_search_locations)
    shell.__spec__ = spec
    sys.modules["llama_cpp"] = shell
    try:
        return importlib.import_module("llama_cpp.llama_cpp")
    except Exception as error:
        raise ModelError(f"llama-cpp-python does not load ({error}); reinstall it") from error
    finally:
        # Whoever imports the whole package later in this process gets the real one.
        sys.modules.pop("llama_cpp", None)


_quiet: Any = None


def silence(c: Any) -> None:
    """Keep llama.cpp's log from the terminal. The callback outlives every engine: llama.cpp goes on calling it."""
    global _quiet
    _quiet = _quiet or c.llama_log_callback(lambda *_: None)
    c.llama_log_set(_quiet, None)


class Engine:
    """A loaded model. Raises ModelError where the file is missing, damaged or not a namer."""

    def __init__(self, gguf: Path, *, threads: int = 1, deadline: float = math.inf) -> None:
        check_magic(gguf)
        self._c: Any = _bindings()
        c = self._c
        silence(c)
        c.llama_backend_init()
        self.deadline = deadline
        self._going_on = c.llama_progress_callback(lambda *_: time.monotonic() < self.deadline)
        params = c.llama_model_default_params()
        params.n_gpu_layers = 0
        params.progress_callback = self._going_on
        self._model = c.llama_model_load_from_file(os.fsencode(gguf), params)
        if not self._model and time.monotonic() > self.deadline:
            raise ModelError("the model took too long to load; the words of the prompt name it instead")
        if not self._model:
            raise ModelError(f"{gguf} is not a model that llama.cpp can load; install it again: wtname model install")
        self._context = None
        try:
            self._vocab = c.llama_model_get_vocab(self._model)
            self._prefix = self._metadata(PREFIX_KEY) == "true"
            self.search = Search(self)
            context = c.llama_context_default_params()
            context.n_ctx = CONTEXT * 3
            context.n_batch = context.n_ubatch = CONTEXT
            context.n_seq_max = SEQUENCES
            context.kv_unified = True
            context.n_threads = context.n_threads_batch = threads
            context.no_perf = True
            self._abort = c.ggml_abort_callback(lambda _: time.monotonic() > self.deadline)
            context.abort_callback = self._abort
            self._context = c.llama_init_from_model(self._model, context)
            if not self._context:
                raise ModelError(f"{gguf} loads, but llama.cpp makes no context for it; install it again")
            self._memory = c.llama_get_memory(self._context)
            self._batch = c.llama_batch_init(CONTEXT, 0, 1)
        except BaseException:
            self.close()
            raise

    def _metadata(self, key: str) -> str | None:
        """A short value of the model's metadata as text."""
        out = ctypes.create_string_buffer(64)
        found = self._c.llama_model_meta_val_str(self._model, key.encode(), out, len(out))
        return None if found < 0 else out.value.decode("utf-8", "replace")

    def close(self) -> None:
        """Give the memory back."""
        if self._context:
            self._c.llama_batch_free(self._batch)
            self._c.llama_free(self._context)
            self._context = None
        if self._model:
            self._c.llama_model_free(self._model)
            self._model = None

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; markers in it count as markers."""
        raw = text.encode()
        size = len(raw) + 8
        out = (self._c.llama_token * size)()
        count = self._c.llama_tokenize(self._vocab, raw, len(raw), out, size, False, True)
        ids: list[int] = out[: max(count, 0)]
        return ids

    def _decode(self, items: list[tuple[int, int, int, bool]]) -> None:
        """Run (token, position, sequence, whether its logits are wanted) through the model."""
        batch = self._batch
        batch.n_tokens = len(items)
        for i, (token, position, seq, wanted) in enumerate(items):
            batch.token[i] = token
            batch.pos[i] = position
            batch.n_seq_id[i] = 1
            batch.seq_id[i][0] = seq
            batch.logits[i] = wanted
        if code := self._c.llama_decode(self._context, batch):
            why = "ran out of its time" if time.monotonic() > self.deadline else f"failed with code {code}"
            raise ModelError(f"the model {why}; the words of the prompt name it instead")

    def read(self, ids: list[int]) -> Sequence[float]:
        """Scores after a prompt, which becomes sequence 0; all others are forgotten."""
        c = self._c
        c.llama_memory_clear(self._memory, False)
        items = [(t, i, 0, i == len(ids) - 1) for i, t in enumerate(ids)]
        if self._prefix:
            c.llama_set_causal_attn(self._context, False)
            try:
                self._decode(items)
            finally:
                c.llama_set_causal_attn(self._context, True)
        else:
            self._decode(items)
        return self._scores(len(ids) - 1)

    def write(self, tokens: list[tuple[int, int]], at: int) -> list[Sequence[float]]:
        """Scores after each (token, sequence), put at position `at`."""
        self._decode([(token, at, sequence, True) for token, sequence in tokens])
        return [self._scores(i) for i in range(len(tokens))]

    def copy(self, source: int, to: int) -> None:
        """Let a free sequence begin as another one is now; memory is shared."""
        self._c.llama_memory_seq_cp(self._memory, source, to, -1, -1)

    def forget(self, sequence: int, at: int = 0) -> None:
        """Drop a sequence from position `at` on."""
        self._c.llama_memory_seq_rm(self._memory, sequence, at, -1)

    def _scores(self, row: int) -> Sequence[float]:
        scores: Sequence[float] = self._c.llama_get_logits_ith(self._context, row)
        return scores

    def suggest(self, prompt: naming.Prompt, n: int = 1, deadline: float = math.inf) -> list[Guess]:
        """Up to `n` names, best first; one Guess of None where the prompt names no task.

        `deadline` is a time.monotonic() after which llama.cpp is told to stop; then ModelError.
        """
        self.deadline = deadline
        return self.search.suggest(prompt, n)


def check_magic(gguf: Path) -> None:
    """Raise ModelError unless the file begins as a GGUF does; llama.cpp is spared the rest."""
    try:
        with open(gguf, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"no model at {gguf} ({error.strerror}); install one: wtname model install") from error
    if magic != b"GGUF":
        raise ModelError(f"{gguf} is not a GGUF file; install a model again: wtname model install")
