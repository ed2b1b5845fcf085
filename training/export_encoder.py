"""The encoder of a student as a GGUF of its own, without a vocabulary: the namer's tokens are its tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

import gguf
import numpy as np

from training.encoder import Encoder
from training.llama_folder import ENCODER
from wtname.pairs import PAIR_KEY

# Of the quantised types, those whose blocks are as short as the encoder's rows allow; and what its namer's output
# layer gets, as llama.cpp itself is finer there.
OUTPUT_TYPES = {"Q4_0": "Q5_0"}
# What a layer's parts are called here and in GGUF; llama.cpp has three matrices of our one.
LAYER = {
    "qkv": ("attn_q", "attn_k", "attn_v"), "out": ("attn_output",), "up": ("ffn_up",), "down": ("ffn_down",),
    "norm1": ("attn_output_norm",), "norm2": ("layer_output_norm",),
}  # fmt: skip
TYPES = "token_types.weight"


def pair_of(folder: Path) -> str:
    """What a namer and its encoder were made from, in hex: the weights of both."""
    digest = hashlib.sha256()
    for path in (*sorted(folder.glob("model*.safetensors")), folder / ENCODER):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:32]


def write_encoder(encoder: Encoder, pair: str, name: str, out: Path) -> None:
    """The encoder as an f16 GGUF of llama.cpp's architecture `bert`: norms and biases in f32."""
    vocab, hidden = encoder.words.weight.shape
    writer = gguf.GGUFWriter(str(out), "bert")
    writer.add_name(f"{name} encoder")
    writer.add_description("Reads prompts for the namer of the same pair")
    writer.add_context_length(encoder.positions.weight.shape[0])
    writer.add_embedding_length(hidden)
    writer.add_block_count(encoder.shape.layers)
    writer.add_feed_forward_length(encoder.shape.inner)
    writer.add_head_count(encoder.shape.heads)
    writer.add_layer_norm_eps(encoder.norm.eps)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.NONE)
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("none")
    writer.add_token_type_count(1)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_string(PAIR_KEY, pair)
    for at, tensor in tensors(encoder).items():
        exact = tensor.ndim == 1 or at == TYPES
        writer.add_tensor(at, tensor.astype(np.float32 if exact else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def names(layers: int) -> dict[str, tuple[str, ...]]:
    """GGUF's names for each weight of an encoder; those of its parts, one below the other, where it has several."""
    out = {"words.weight": ("token_embd.weight",), "positions.weight": ("position_embd.weight",)}
    for kind in ("weight", "bias"):
        out[f"norm.{kind}"] = (f"token_embd_norm.{kind}",)
    for layer in range(layers):
        for kind in ("weight", "bias"):
            for ours, theirs in LAYER.items():
                out[f"layers.{layer}.{ours}.{kind}"] = tuple(f"blk.{layer}.{name}.{kind}" for name in theirs)
    return out


def tensors(encoder: Encoder) -> dict[str, np.ndarray]:
    """The weights by GGUF's names; a type of tokens that adds nothing is what llama.cpp asks for."""
    weights = {name: w.detach().float().numpy() for name, w in encoder.state_dict().items()}
    out = {TYPES: np.zeros((1, encoder.words.weight.shape[1]), np.float32)}
    for ours, theirs in names(encoder.shape.layers).items():
        out |= zip(theirs, np.split(weights[ours], len(theirs)), strict=True)
    return out
