"""Names by other runtimes than llama.cpp, torch and ONNX Runtime, with the engine's own search over their scores."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from training.llama_folder import TOKENIZER, LlamaFolder, has_encoder, tokenizer_at
from wtname.engine import Engine
from wtname.errors import ModelError
from wtname.search import Search

if TYPE_CHECKING:  # the memory that a runtime wants is measured with nothing else loaded
    import numpy as np
    from tokenizers import Tokenizer

    from training.pointer import Copies

# Keys and values of every layer: (2 * layers, heads of keys, positions, size of a head), never changed in place.
Past = Any


class Network(Protocol):
    """A Llama that keeps what it has read in a value of its own."""

    def run(self, ids: list[int], past: Past | None) -> tuple[np.ndarray, Past]:
        """Scores (vocabulary) after the tokens that follow `past`, and what to go on from."""


class Remembering:
    """A network as the search wants it: with numbered sequences."""

    def __init__(self, network: Network, tokenizer: Tokenizer) -> None:
        self._network = network
        self._tokenizer = tokenizer
        self._past: dict[int, Past] = {}

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text; markers in it count as markers."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def read(self, ids: list[int], among: Set[int]) -> Sequence[float]:
        """Scores after a prompt, which becomes sequence 0; all others are forgotten. Those of all tokens are right."""
        scores, past = self._network.run(ids, None)
        self._past = {0: past}
        return memoryview(scores)

    def write(self, tokens: list[tuple[int, int]], at: int) -> list[Sequence[float]]:
        """Scores after each (token, sequence), put at position `at`."""
        out = []
        for token, sequence in tokens:
            past = self._past[sequence][:, :, :at]
            scores, self._past[sequence] = self._network.run([token], past)
            out.append(memoryview(scores))
        return out

    def copy(self, source: int, to: int) -> None:
        """Let a free sequence begin as another one is now."""
        self._past[to] = self._past[source]

    def forget(self, sequence: int) -> None:
        """Drop a sequence."""
        self._past.pop(sequence, None)


class TorchLlama:
    """transformers' LlamaForCausalLM in float32 on the CPU, prefix LMs too."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import torch
        from transformers import LlamaForCausalLM
        from transformers.utils import logging

        self._prefix = LlamaFolder(folder).shape.prefix
        torch.set_num_threads(threads)
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        self._model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        # Renamed in transformers 5.
        named = inspect.signature(LlamaForCausalLM.forward).parameters
        self._cache = "past_key_values" if "past_key_values" in named and "cache" not in named else "cache"

    def run(self, ids: list[int], past: Past | None) -> tuple[np.ndarray, Past]:
        """Scores (vocabulary) after the tokens that follow `past`, and what to go on from."""
        import torch
        from transformers import DynamicCache

        cache = DynamicCache()
        if past is not None:
            for layer in range(len(past) // 2):
                cache.update(past[2 * layer][None], past[2 * layer + 1][None], layer)
        given: dict[str, Any] = {self._cache: cache}
        if self._prefix and past is None:
            # A mask of four dimensions is taken as it is: here nothing is hidden.
            given["attention_mask"] = torch.zeros(1, 1, len(ids), len(ids))
        with torch.inference_mode():
            out = self._model(torch.tensor([ids]), use_cache=True, logits_to_keep=1, **given)
        return out.logits[0, -1].numpy(), torch.cat([t for layer in cache.layers for t in (layer.keys, layer.values)])


class TorchStudent:
    """A student that transformers does not know, with an encoder or a pointer, in float32 on the CPU."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        import torch

        from training.model import load

        torch.set_num_threads(threads)
        self._model = load(folder).eval()
        self._copies: Copies | None = None  # of the prompt that was read last

    def run(self, ids: list[int], past: Past | None) -> tuple[np.ndarray, Past]:
        """Scores (vocabulary) after the tokens that follow `past`, and what to go on from."""
        import torch

        known: list[list[torch.Tensor]] = [[] for _ in self._model.layers]
        if past is not None:
            known = [[past[2 * i][None], past[2 * i + 1][None]] for i in range(len(known))]
        given = torch.tensor([ids])
        prompt = torch.tensor([len(ids)]) if past is None else None
        with torch.inference_mode():
            hidden = self._model(given, prompt, known)
            if prompt is not None:
                self._copies = self._model.copies(given, prompt, hidden)
            scores = self._model.logits(hidden[:, -1], self._copies)
        return scores[0].numpy(), torch.cat([t for layer in known for t in layer])


class OnnxLlama:
    """A file of training.export_onnx in ONNX Runtime on the CPU."""

    def __init__(self, file: Path, threads: int = 1) -> None:
        import numpy as np
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
            past = next(i for i in self._session.get_inputs() if i.name == "past")
        except Exception as error:  # onnxruntime's own, made in C++
            raise ModelError(
                f"{file} is no model of ours that ONNX Runtime loads ({error}); export it again"
            ) from error
        self._empty = np.zeros((past.shape[0], past.shape[1], 0, past.shape[3]), np.float32)

    def run(self, ids: list[int], past: Past | None) -> tuple[np.ndarray, Past]:
        """Scores (vocabulary) after the tokens that follow `past`, and what to go on from."""
        import numpy as np

        given = {"ids": np.array([ids], np.int64), "past": self._empty if past is None else past}
        scores, present = self._session.run(["logits", "present"], given)
        return scores, present


@contextmanager
def search_at(path: Path, tokenizer: Path | None = None, *, threads: int = 1) -> Iterator[Search]:
    """The search over a model: a .gguf file, an .onnx file or transformers' folder, its tokenizer.json in or beside it.

    Raises ModelError or click.ClickException where there is no namer at `path`.
    """
    if path.suffix == ".gguf":
        engine = Engine(path, threads=threads)
        try:
            yield engine.search
        finally:
            engine.close()
    elif path.is_dir():
        ids = tokenizer_at(tokenizer or path / TOKENIZER)
        ours = has_encoder(path) or LlamaFolder(path).shape.pointer
        torch_model = TorchStudent if ours else TorchLlama
        yield Search(Remembering(torch_model(path, threads), ids))
    else:
        ids = tokenizer_at(tokenizer or path.with_name(TOKENIZER))
        yield Search(Remembering(OnnxLlama(path, threads), ids))
