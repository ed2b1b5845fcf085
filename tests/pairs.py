"""Models of two files, made on the spot: a tiny BERT that reads, a tiny Llama that writes, random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import numpy as np

from training.export_gguf import add_tokenizer
from training.llama_folder import tokenizer_at
from wtname import models, pairs
from wtname.engine import POINTER_KEY

TOKENIZER = models.PACKAGED.with_name(models.TOKENIZER)
TOKENS = 1 + max(tokenizer_at(TOKENIZER).get_vocab(with_added_tokens=True).values())
CONTEXT = 256


def make(folder: Path, pair: str | None = "aa11", pointer: int = 0) -> Path:
    """A namer and its encoder in a folder, under the names of an installed model; where the namer is."""
    folder.mkdir(parents=True, exist_ok=True)
    encoder(folder / models.ENCODER, pair=pair)
    return namer(folder / models.GGUF, pair=pair, pointer=pointer)


def encoder(
    path: Path,
    *,
    pair: str | None = "aa11",
    width: int = 64,
    context: int = CONTEXT,
    tokens: int = TOKENS,
    seed: int = 1,
) -> Path:
    """A BERT of three layers without a vocabulary."""
    inner = 2 * width
    writer = gguf.GGUFWriter(str(path), "bert")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(3)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.NONE)
    writer.add_vocab_size(tokens)
    writer.add_tokenizer_model("none")
    writer.add_token_type_count(1)
    tell(writer, pairs.PAIR_KEY, pair)
    shapes = {"token_embd": (tokens, width), "position_embd": (context, width), "token_types": (1, width)}
    norms = {"token_embd_norm": width}
    for at in range(3):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{at}.{name}"] = (width, width)
        shapes |= {f"blk.{at}.ffn_up": (inner, width), f"blk.{at}.ffn_down": (width, inner)}
        norms |= {f"blk.{at}.attn_output_norm": width, f"blk.{at}.layer_output_norm": width}
    biased = [name for name in shapes if name.startswith("blk.")]
    return write(writer, path, shapes, norms, [*biased, *norms], seed)


def namer(
    path: Path, *, pair: str | None = "aa11", encoder: Any = models.ENCODER, width: int = 64, prefix: bool = True,
    seed: int = 2, pointer: int | str = 0,
) -> Path:  # fmt: skip
    """A Llama of two layers with the tokenizer of the package."""
    inner = 2 * width
    rows = TOKENS + 2 * (pointer if isinstance(pointer, int) and pointer < TOKENS // 2 else 0)
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_name("tiny")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(width)
    writer.add_block_count(2)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_rope_dimension_count(width // 4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(rows)
    writer.add_bool("wtname.prefix_lm", prefix)
    tell(writer, pairs.PAIR_KEY, pair)
    tell(writer, pairs.ENCODER_KEY, encoder)
    tell(writer, POINTER_KEY, None if pointer == 0 else pointer)
    add_tokenizer(writer, TOKENIZER, rows)
    shapes = {"token_embd": (rows, width)}
    norms = {"output_norm": width}
    for at in range(2):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            shapes[f"blk.{at}.{name}"] = (width, width)
        shapes |= dict.fromkeys((f"blk.{at}.ffn_gate", f"blk.{at}.ffn_up"), (inner, width))
        shapes[f"blk.{at}.ffn_down"] = (width, inner)
        norms |= dict.fromkeys((f"blk.{at}.attn_norm", f"blk.{at}.ffn_norm"), width)
    return write(writer, path, shapes, norms, [], seed)


def tell(writer: Any, key: str, value: str | int | None) -> None:
    """Put a value into the metadata, be it empty, too."""
    if value is not None:
        kind = gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32
        writer.add_key_value(key, value, kind)


def write(
    writer: Any, path: Path, shapes: dict[str, tuple[int, int]], norms: dict[str, int], biased: list[str], seed: int
) -> Path:
    """Random weights large enough to tell prompts apart."""
    random = np.random.default_rng(seed)

    def normal(*shape: int, scale: float) -> np.ndarray:
        return random.normal(scale=scale, size=shape).astype(np.float32)

    for name, (rows, columns) in shapes.items():
        writer.add_tensor(f"{name}.weight", normal(rows, columns, scale=0.2))
        if name in biased:
            writer.add_tensor(f"{name}.bias", normal(rows, scale=0.1))
    for name, size in norms.items():
        writer.add_tensor(f"{name}.weight", 1 + normal(size, scale=0.1))
        if name in biased:
            writer.add_tensor(f"{name}.bias", normal(size, scale=0.1))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
