"""An encoder reads the whole prompt at once; its states are what the namer begins from, in the place of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wtname import pairs
from wtname.engine.llama import Loaded, Watch
from wtname.errors import ModelError
from wtname.search import MOST_TOKENS


class Encoder:
    """The loaded encoder of a namer. Raises ModelError where it cannot be loaded or is another's."""

    def __init__(self, c: Any, gguf: Path, namer: Loaded, of: Path, wanted: int, *, watch: Watch, threads: int) -> None:
        self._c = c
        self._loaded = loaded = Loaded(c, gguf, watch)
        try:
            pairs.check(of, namer.metadata, gguf, loaded.metadata)
            # What llama.cpp itself goes by: where these differ, it would read or write beyond what is there.
            self.width: int = c.llama_model_n_embd_out(loaded.model)
            self._tokens: int = c.llama_vocab_n_tokens(c.llama_model_get_vocab(loaded.model))
            if self.width != c.llama_model_n_embd_inp(namer.model) or self._tokens < wanted:
                raise ModelError(f"{gguf} does not fit {of.name}; install the whole model again: wtname model install")
            size = {"n_ctx": MOST_TOKENS, "n_batch": MOST_TOKENS, "n_ubatch": MOST_TOKENS}
            loaded.start(threads, **size, embeddings=True, pooling_type=c.LLAMA_POOLING_TYPE_NONE)
            self._batch = loaded.batch(MOST_TOKENS)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give the memory back."""
        self._loaded.close()

    def read(self, ids: Sequence[int]) -> Any:
        """A pointer to the states of a prompt's tokens, good until the next call."""
        if max(ids) >= self._tokens:
            raise ModelError("the namer has tokens that its encoder lacks; install the whole model again")
        batch = self._batch
        batch.n_tokens = len(ids)
        for i, token in enumerate(ids):
            batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, True
            batch.seq_id[i][0] = 0
        self._loaded.ran(self._c.llama_encode(self._loaded.context, batch))
        return self._c.llama_get_embeddings(self._loaded.context)
