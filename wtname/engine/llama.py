"""llama.cpp's library through ctypes, and a GGUF that it holds."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from wtname.errors import ModelError


def bindings() -> ModuleType:
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


class Watch:
    """A time.monotonic() to stop at, and how llama.cpp asks for it; has to live as long as what it is given to."""

    def __init__(self, c: Any, stop: float) -> None:
        self.stop = stop
        self.loading = c.llama_progress_callback(lambda *_: not self.over())
        self.running = c.ggml_abort_callback(lambda _: self.over())

    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.stop


class Loaded:
    """A GGUF in memory, with a context once it is started. Raises ModelError where llama.cpp cannot load it."""

    def __init__(self, c: Any, gguf: Path, watch: Watch) -> None:
        check_magic(gguf)
        self._c, self._gguf, self._watch = c, gguf, watch
        self._batches: list[Any] = []
        self.context: Any = None
        params = c.llama_model_default_params()
        params.n_gpu_layers = 0
        params.progress_callback = watch.loading
        self.model = c.llama_model_load_from_file(os.fsencode(gguf), params)
        if not self.model and watch.over():
            raise ModelError("the model took too long to load; the words of the prompt name it instead")
        if not self.model:
            raise ModelError(f"{gguf} is not a model that llama.cpp can load; install it again: wtname model install")

    def metadata(self, key: str) -> str | None:
        """A value of the metadata as text."""
        size = 64
        while True:
            out = ctypes.create_string_buffer(size)
            found = self._c.llama_model_meta_val_str(self.model, key.encode(), out, size)
            if found < size:
                return None if found < 0 else out.value.decode("utf-8", "replace")
            size = found + 1

    def start(self, threads: int, **settings: Any) -> None:
        """Make the context that runs it."""
        params = self._c.llama_context_default_params()
        for name, value in settings.items():
            setattr(params, name, value)
        params.n_threads = params.n_threads_batch = threads
        params.no_perf = True
        params.abort_callback = self._watch.running
        self.context = self._c.llama_init_from_model(self.model, params)
        if not self.context:
            raise ModelError(f"{self._gguf} loads, but llama.cpp makes no context for it; install it again")

    def batch(self, size: int, width: int = 0) -> Any:
        """Room for as many tokens, or for embeddings of a width."""
        batch = self._c.llama_batch_init(size, width, 1)
        self._batches.append(batch)
        return batch

    def ran(self, code: int) -> None:
        """Raise ModelError unless a run ended well."""
        if code:
            why = "ran out of its time" if self._watch.over() else f"failed with code {code}"
            raise ModelError(f"the model {why}; the words of the prompt name it instead")

    def close(self) -> None:
        """Give the memory back."""
        while self._batches:
            self._c.llama_batch_free(self._batches.pop())
        if self.context:
            self._c.llama_free(self.context)
            self.context = None
        if self.model:
            self._c.llama_model_free(self.model)
            self.model = None


def check_magic(gguf: Path) -> None:
    """Raise ModelError unless the file begins as a GGUF does; llama.cpp is spared the rest."""
    try:
        with open(gguf, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"no model at {gguf} ({error.strerror}); install one: wtname model install") from error
    if magic != b"GGUF":
        raise ModelError(f"{gguf} is not a GGUF file; install a model again: wtname model install")
