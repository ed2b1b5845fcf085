"""The only door to llama.cpp: load a model once, and let the search name prompts by it."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any

from wtname import naming, pairs
from wtname.engine.encoder import Encoder
from wtname.engine.llama import Loaded, Watch, bindings
from wtname.engine.llama import silence as silence
from wtname.engine.pointer import POINTER_KEY as POINTER_KEY
from wtname.engine.pointer import Pointer
from wtname.errors import ModelError
from wtname.pairs import ENCODER_KEY as ENCODER_KEY
from wtname.pairs import PAIR_KEY as PAIR_KEY
from wtname.search import CONTEXT, MOST_TOKENS, SEQUENCES, Search
from wtname.search import Guess as Guess

# Metadata of a model whose prompt tokens see one another both ways (a prefix LM, Raffel et al. 2020).
PREFIX_KEY = "wtname.prefix_lm"


class Engine:
    """A loaded model: a namer, and its encoder where it has one. Raises ModelError where a file is missing, damaged
    or not a namer."""

    def __init__(self, gguf: Path, *, threads: int = 1, deadline: float = math.inf) -> None:
        self._c: Any = bindings()
        c = self._c
        silence(c)
        c.llama_backend_init()
        self._watch = Watch(c, deadline)
        self._encoder: Encoder | None = None
        self._pointer: Pointer | None = None
        self._namer = namer = Loaded(c, gguf, self._watch)
        try:
            self._vocab = c.llama_model_get_vocab(namer.model)
            if c.llama_vocab_type(self._vocab) == c.LLAMA_VOCAB_TYPE_NONE:  # to tokenize would end the process
                raise ModelError(f"{gguf} is no namer: it has no vocabulary; install ours: wtname model install")
            self.search = Search(self)
            tokens = c.llama_vocab_n_tokens(self._vocab)
            if (size := namer.metadata(POINTER_KEY)) is not None:
                self._pointer = Pointer(size, tokens, gguf)
                tokens = self._pointer.tokens
            if encoder := pairs.encoder(gguf, namer.metadata):
                self._encoder = Encoder(c, encoder, namer, gguf, tokens, watch=self._watch, threads=threads)
                self._states = namer.batch(MOST_TOKENS, self._encoder.width)
            self._prefix = namer.metadata(PREFIX_KEY) == "true"
            namer.start(
                threads, n_ctx=CONTEXT * 3, n_batch=CONTEXT, n_ubatch=CONTEXT, n_seq_max=SEQUENCES, kv_unified=True
            )
            self._memory = c.llama_get_memory(namer.context)
            self._batch = namer.batch(CONTEXT)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the memory back."""
        if self._encoder:
            self._encoder.close()
        self._namer.close()

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; markers in it count as markers."""
        raw = text.encode()
        size = len(raw) + 8
        out = (self._c.llama_token * size)()
        count = self._c.llama_tokenize(self._vocab, raw, len(raw), out, size, False, True)
        ids: list[int] = out[: max(count, 0)]
        return ids

    def _decode(self, batch: Any, places: list[tuple[int, int, bool]]) -> None:
        """Run a batch through the namer, each row at its (position, sequence, whether its logits are wanted)."""
        batch.n_tokens = len(places)
        for i, (position, sequence, wanted) in enumerate(places):
            batch.pos[i], batch.n_seq_id[i], batch.logits[i] = position, 1, wanted
            batch.seq_id[i][0] = sequence
        self._namer.ran(self._c.llama_decode(self._namer.context, batch))

    def _tokens(self, ids: Sequence[int]) -> Any:
        """A batch of tokens."""
        for i, token in enumerate(ids):
            self._batch.token[i] = token
        return self._batch

    def _encoded(self, ids: Sequence[int], encoder: Encoder) -> Any:
        """A batch of what the encoder makes of tokens."""
        ctypes.memmove(self._states.embd, encoder.read(ids), len(ids) * encoder.width * ctypes.sizeof(ctypes.c_float))
        return self._states

    def read(self, ids: list[int], among: Set[int]) -> Sequence[float]:
        """Scores after a prompt, which becomes sequence 0; all others are forgotten. Only those of tokens `among` these
        are right, here and until the next prompt: of others, nobody asks how likely they are copied."""
        c, context = self._c, self._namer.context
        c.llama_memory_clear(self._memory, False)
        batch = self._encoded(ids, self._encoder) if self._encoder else self._tokens(ids)
        # The markers around the prompt are no words.
        copied = [i for i in range(1, len(ids) - 1) if ids[i] in among] if self._pointer else []
        c.llama_set_causal_attn(context, not self._prefix)
        try:
            wanted = {*copied, len(ids) - 1}
            self._decode(batch, [(i, 0, i in wanted) for i in range(len(ids))])
        finally:
            c.llama_set_causal_attn(context, True)
        if self._pointer:
            self._pointer.read([(ids[i], self._logits(i)) for i in copied])
        return self._scores(len(ids) - 1)

    def write(self, tokens: list[tuple[int, int]], at: int) -> list[Sequence[float]]:
        """Scores after each (token, sequence), put at position `at`."""
        batch = self._tokens([token for token, _ in tokens])
        self._decode(batch, [(at, sequence, True) for _, sequence in tokens])
        return [self._scores(i) for i in range(len(tokens))]

    def copy(self, source: int, to: int) -> None:
        """Let a free sequence begin as another one is now; memory is shared."""
        self._c.llama_memory_seq_cp(self._memory, source, to, -1, -1)

    def forget(self, sequence: int) -> None:
        """Drop a sequence."""
        self._c.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def _logits(self, row: int) -> Any:
        return self._c.llama_get_logits_ith(self._namer.context, row)

    def _scores(self, row: int) -> Sequence[float]:
        scores: Sequence[float] = self._logits(row)
        if self._pointer:
            self._pointer.add(scores)
        return scores

    def suggest(self, prompt: naming.Prompt, n: int = 1, deadline: float = math.inf) -> list[Guess]:
        """Up to `n` names, best first; one Guess of None where the prompt names no task.

        `deadline` is a time.monotonic() after which llama.cpp is told to stop; then ModelError.
        """
        self._watch.stop = deadline
        return self.search.suggest(prompt, n)
