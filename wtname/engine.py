"""The only door to llama.cpp: load a GGUF once, then name prompts, greedily and grounded in their words."""

from __future__ import annotations

import importlib
import importlib.util
import math
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from wtname import naming
from wtname.errors import ModelError
from wtname.grounding import Node, Step, log_softmax, steps, trie
from wtname.grounding import Path as Written
from wtname.words import Words, read_words

CONTEXT = 256
# How much likelier than a grounded word a free one must be, in nats.
FREE_COST = 3.0
# A prompt names no task where the model is at least this sure of it.
ABSTAIN = 0.5
# The narrowest beam for several names.
BEAM = 4
# Twice the widest beam: a step's children live beside their parents for a moment.
SEQUENCES = 48
MOST_STEPS = 30
MOST_TOKENS = CONTEXT - MOST_STEPS - 10


class Guess(NamedTuple):
    """A name, or None where the prompt names no task, and how sure the model is, from 0 to 1."""

    name: str | None
    confidence: float


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
            self._start()
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
        self._words: Words | None = None

    def _start(self) -> None:
        """Find the tokens that a namer must have."""
        single = {}
        for text in (naming.USER, naming.ASSISTANT, naming.END, *(f" {w}" for w in (*naming.TYPES, naming.NONE))):
            ids = self.tokenize(text)
            if len(ids) != 1:
                raise ModelError(
                    "the model is no namer: its vocabulary lacks our markers; install ours: wtname model install"
                )
            single[text] = ids[0]
        self._end = single[naming.END]
        self._kinds = {single[f" {w}"]: w for w in (*naming.TYPES, naming.NONE)}

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

    def suggest(self, prompt: naming.Prompt, n: int = 1, deadline: float = math.inf) -> list[Guess]:
        """Up to `n` names, best first; one Guess of None where the prompt names no task.

        `deadline` is a time.monotonic() after which llama.cpp is told to stop; then ModelError.
        """
        c = self._c
        self.deadline = deadline
        ids = self.tokenize(naming.render(prompt.text))
        if len(ids) > MOST_TOKENS:  # words of many tokens: the end of the prompt goes, the marker after it stays
            ids = [*ids[: MOST_TOKENS - 1], ids[-1]]
        c.llama_memory_clear(self._memory, False)
        self._decode([(t, i, 0, i == len(ids) - 1) for i, t in enumerate(ids)])
        logits = c.llama_get_logits_ith(self._context, len(ids) - 1)
        kinds = sorted(zip(log_softmax([logits[t] for t in self._kinds]), self._kinds, strict=True), reverse=True)
        none = next(p for p, t in kinds if self._kinds[t] == naming.NONE)
        if none >= math.log(ABSTAIN):
            return [Guess(None, round(math.exp(none), 4))]
        real = [k for k in kinds if self._kinds[k[1]] != naming.NONE]
        root = self._trie(prompt)
        best = self._write(prompt, root, real, len(ids), 1)
        if n == 1:
            return best
        for seq in range(SEQUENCES):
            c.llama_memory_seq_rm(self._memory, seq, len(ids) if seq == 0 else -1, -1)
        # The first is the one that stands alone too; the beam may rank others before it.
        try:
            more = self._write(prompt, root, real, len(ids), min(max(n, BEAM), SEQUENCES // 2))
        except ModelError:  # out of time: what there is already is better than nothing
            return best
        return [*best, *(g for g in more if g.name not in {b.name for b in best})][:n]

    def _trie(self, prompt: naming.Prompt) -> Node:
        """The words that a name for this prompt may be made of."""
        if self._words is None:
            self._words = read_words(Path(__file__).with_name("words.txt").read_text(encoding="utf-8"))
            self._free = {w: tuple(self.tokenize(f" {w}")) for w in self._words.free}
        grounded, free = naming.allowed(prompt, self._words)
        own = [(w, self.tokenize(f" {w}"), 0.0) for w in grounded]
        return trie([*own, *((w, self._free[w], FREE_COST) for w in free)])

    def _write(
        self, prompt: naming.Prompt, root: Node, kinds: list[tuple[float, int]], at: int, width: int
    ) -> list[Guess]:
        """Beam search through the trie; a beam of one is greedy. `kinds` are (log-probability, token), best first."""
        c = self._c
        least = min(2, naming.telling(prompt))
        paths = [Written(i, t, self._kinds[t], (), root, p, 1) for i, (p, t) in enumerate(kinds[:width])]
        for path in paths[1:]:
            c.llama_memory_seq_cp(self._memory, 0, path.seq, -1, -1)
        done: dict[str, float] = {}  # mean log-probability of a token
        for step in range(MOST_STEPS):
            self._decode([(p.token, at + step, p.seq, True) for p in paths])
            grown: list[tuple[float, Written, Step]] = []
            for i, path in enumerate(paths):
                logits = c.llama_get_logits_ith(self._context, i)
                for way in steps(path, root, logits, self._end, least):
                    grown.append(((path.score + way.score) / (path.steps + 1), path, way))
            grown.sort(key=lambda g: -g[0])
            kept = []
            for mean, path, way in grown[:width]:
                if way.node is None:
                    name = naming.fit("-".join((path.kind, *way.words)))
                    done.setdefault(name, mean)
                else:
                    kept.append((path, way))
            if not kept or len(done) >= width:
                break
            paths = self._advance(paths, kept)
        best = sorted(((mean, name) for name, mean in done.items() if naming.gate(name, prompt)), reverse=True)
        return [Guess(name, round(math.exp(mean), 4)) for mean, name in best]

    def _advance(self, paths: list[Written], kept: list[tuple[Written, Step]]) -> list[Written]:
        """The chosen steps as paths, each with a sequence of its own; the first to go on keeps its parent's."""
        c = self._c
        spare = sorted(set(range(SEQUENCES)) - {p.seq for p in paths})
        out: list[Written] = []
        for path, way in kept:
            assert way.node is not None
            seq = path.seq
            if any(p.seq == seq for p in out):
                seq = spare.pop()
                c.llama_memory_seq_cp(self._memory, path.seq, seq, -1, -1)
            out.append(Written(seq, way.token, path.kind, way.words, way.node, path.score + way.score, path.steps + 1))
        for seq in {p.seq for p in paths} - {p.seq for p in out}:
            c.llama_memory_seq_rm(self._memory, seq, -1, -1)
        return out


def check_magic(gguf: Path) -> None:
    """Raise ModelError unless the file begins as a GGUF does; llama.cpp is spared the rest."""
    try:
        with open(gguf, "rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise ModelError(f"no model at {gguf} ({error.strerror}); install one: wtname model install") from error
    if magic != b"GGUF":
        raise ModelError(f"{gguf} is not a GGUF file; install a model again: wtname model install")
