"""Write a trained student as GGUF, f16 and quantised, with the tokenizer inside and beside it.

python -m training.export_gguf --student models/student --tokenizer models/tokenizer.json --out models
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import click
import gguf
import numpy as np
from safetensors.numpy import load_file

from wtname.engine import silence

NAME = "branch-name-generator"


def permute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key projection from transformers' halves to llama.cpp's interleaved rotary pairs."""
    rows, columns = weight.shape
    return weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensor_name(name: str) -> str:
    """GGUF's name for a tensor of transformers' LlamaForCausalLM."""
    fixed = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in fixed:
        return fixed[name]
    layer, rest = name.removeprefix("model.layers.").split(".", 1)
    table = {
        "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }  # fmt: skip
    return f"blk.{layer}.{table[rest.removesuffix('.weight')]}.weight"


def write_f16(student: Path, tokenizer: Path, out: Path) -> None:
    """The student as an f16 GGUF: norms in f32, BPE vocabulary and merges from tokenizer.json."""
    config = json.loads((student / "config.json").read_text())
    heads = config["num_attention_heads"]
    writer = gguf.GGUFWriter(str(out), "llama")
    writer.add_name(NAME)
    writer.add_description("Names git branches: <type>-<words> for a task in plain words")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)

    t = json.loads(tokenizer.read_text(encoding="utf-8"))
    vocab = sorted(t["model"]["vocab"].items(), key=lambda item: item[1])
    special = {token["content"]: token["id"] for token in t["added_tokens"]}
    pieces = [piece for piece, _ in vocab]
    for content, at in special.items():
        if at >= len(pieces):
            pieces.append(content)
    kinds = [gguf.TokenType.CONTROL if p in special else gguf.TokenType.NORMAL for p in pieces]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(m) if isinstance(m, list) else m for m in t["model"]["merges"]])
    writer.add_eos_token_id(special["<|im_end|>"])
    writer.add_pad_token_id(special["<|im_end|>"])
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)

    for name, tensor in load_file(student / "model.safetensors").items():
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = permute(tensor, heads)
        writer.add_tensor(tensor_name(name), tensor.astype(np.float32 if tensor.ndim == 1 else np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantize(source: Path, out: Path, kind: str) -> None:
    """Quantise a GGUF with llama.cpp's own quantiser. Raises RuntimeError where it refuses."""
    import llama_cpp

    types = {"Q4_K_M": llama_cpp.LLAMA_FTYPE_MOSTLY_Q4_K_M, "Q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0,
             "Q6_K": llama_cpp.LLAMA_FTYPE_MOSTLY_Q6_K}  # fmt: skip
    params = llama_cpp.llama_model_quantize_default_params()
    params.ftype = types[kind]
    params.nthread = 2
    temp = out.with_name(out.name + ".tmp")
    if llama_cpp.llama_model_quantize(os.fsencode(source), os.fsencode(temp), params):
        raise RuntimeError(f"llama.cpp did not quantise {source} to {kind}")
    os.replace(temp, out)


@click.command(context_settings={"show_default": True})
@click.option("--student", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--tokenizer", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("models"))
@click.option(
    "--type", "kinds", multiple=True, default=("Q4_K_M", "Q8_0"), type=click.Choice(["Q4_K_M", "Q6_K", "Q8_0"])
)
def main(student: Path, tokenizer: Path, out: Path, kinds: tuple[str, ...]) -> None:
    """Write OUT/branch-name-generator-<type>.gguf for f16 and each --type, and OUT/tokenizer.json."""
    import llama_cpp

    silence(llama_cpp)
    out.mkdir(parents=True, exist_ok=True)
    f16 = out / f"{NAME}-f16.gguf"
    write_f16(student, tokenizer, f16)
    written = {"f16": f16}
    for kind in kinds:
        written[kind] = out / f"{NAME}-{kind}.gguf"
        quantize(f16, written[kind], kind)
    if tokenizer.resolve() != (out / "tokenizer.json").resolve():
        (out / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    print(json.dumps({"stage": "export_gguf", "files": {
        k: {"path": str(p), "bytes": p.stat().st_size, "sha256": hashlib.sha256(p.read_bytes()).hexdigest()}
        for k, p in written.items()}}))  # fmt: skip


if __name__ == "__main__":
    main()
