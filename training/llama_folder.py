"""Read a Llama as transformers lays it out in a folder: its shape, its weights by name, its tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    import numpy as np

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class LlamaShape:
    """Sizes of a Llama; `size` is that of a head, `keys` the heads of keys and values, `tied`: no output layer."""

    vocab: int
    hidden: int
    layers: int
    heads: int
    keys: int
    size: int
    inner: int
    context: int
    theta: float
    eps: float
    tied: bool
    prefix: bool


def tensor_shapes(shape: LlamaShape) -> dict[str, tuple[int, ...]]:
    """Every tensor that a LlamaForCausalLM of this shape has, by transformers' names."""
    queries, keys = shape.heads * shape.size, shape.keys * shape.size
    out: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (shape.vocab, shape.hidden),
        "model.norm.weight": (shape.hidden,),
    }
    if not shape.tied:
        out["lm_head.weight"] = (shape.vocab, shape.hidden)
    for layer in range(shape.layers):
        at = f"model.layers.{layer}"
        out[f"{at}.input_layernorm.weight"] = out[f"{at}.post_attention_layernorm.weight"] = (shape.hidden,)
        out[f"{at}.self_attn.q_proj.weight"] = (queries, shape.hidden)
        out[f"{at}.self_attn.k_proj.weight"] = out[f"{at}.self_attn.v_proj.weight"] = (keys, shape.hidden)
        out[f"{at}.self_attn.o_proj.weight"] = (shape.hidden, queries)
        out[f"{at}.mlp.gate_proj.weight"] = out[f"{at}.mlp.up_proj.weight"] = (shape.inner, shape.hidden)
        out[f"{at}.mlp.down_proj.weight"] = (shape.hidden, shape.inner)
    return out


class LlamaFolder:
    """A folder with config.json and safetensors. Raises click.ClickException where it is no Llama that we can write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files = _weights(folder)
        self.shape = _shape(folder, _read_json(folder / "config.json"), headless="lm_head.weight" not in self._files)
        self._shapes = tensor_shapes(self.shape)
        for name, shape in self._shapes.items():
            if name not in self._files:
                raise click.ClickException(f"{folder} has no tensor {name}; save the whole model with save_pretrained")
            if (found := self._files[name][1]) != shape:
                raise click.ClickException(
                    f"{folder}: {name} is {found} where config.json means {shape}; mend config.json"
                )
        spare = {n for n in self._files if n == "lm_head.weight" or n.endswith("rotary_emb.inv_freq")}
        if strange := sorted(self._files.keys() - self._shapes.keys() - spare):
            raise click.ClickException(f"{folder} is no plain Llama: it has {strange[0]}; merge adapters, drop biases")

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, float32 array) of each tensor, one in memory at a time; bf16 is widened."""
        from safetensors import safe_open

        for name in self._shapes:
            with safe_open(self._files[name][0], framework="pt") as file:
                yield name, file.get_tensor(name).float().numpy()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(f"no model in {path.parent}: cannot read {path.name} ({error.strerror})") from error
    except ValueError as error:
        raise click.ClickException(f"{path} is no JSON ({error}); save the model again") from error
    if not isinstance(value, dict):
        raise click.ClickException(f"{path} holds no JSON object; save the model again")
    return value


def _weights(folder: Path) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """The file and the shape of each tensor, in one file or in the shards that the index names."""
    from safetensors import SafetensorError, safe_open

    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    files = [whole] if whole.exists() or not index.exists() else [
        folder / name for name in sorted(set(_read_json(index)["weight_map"].values()))
    ]  # fmt: skip
    out = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors file is no dict
                    out[name] = (path, tuple(file.get_slice(name).get_shape()))
        except FileNotFoundError as error:
            raise click.ClickException(
                f"no model in {folder}: {path.name} is missing; train or copy one there"
            ) from error
        except SafetensorError as error:
            raise click.ClickException(f"{path} is damaged ({error}); save the model again") from error
    return out


def _shape(folder: Path, config: dict[str, Any], *, headless: bool) -> LlamaShape:
    """The shape that config.json tells, as transformers 4 or 5 writes it; `headless`: there is no lm_head."""
    if (kind := config.get("model_type")) not in ("llama", None) or config.get("hidden_act", "silu") != "silu":
        raise click.ClickException(f"{folder} is no Llama but {kind!r}; only LlamaForCausalLM can be exported")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if (rotary := rope.get("rope_type", rope.get("type", "default"))) != "default":
        raise click.ClickException(f"{folder} scales its rotary embedding ({rotary}), which is not supported")
    try:
        heads = config["num_attention_heads"]
        return LlamaShape(
            vocab=config["vocab_size"], hidden=config["hidden_size"], layers=config["num_hidden_layers"], heads=heads,
            keys=config.get("num_key_value_heads") or heads,
            size=config.get("head_dim") or config["hidden_size"] // heads, inner=config["intermediate_size"],
            context=config.get("max_position_embeddings", 2048),
            theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
            eps=float(config.get("rms_norm_eps", 1e-6)),
            tied=bool(config.get("tie_word_embeddings", headless)), prefix=bool(config.get("prefix_lm")),
        )  # fmt: skip
    except KeyError as error:
        raise click.ClickException(f"{folder}/config.json lacks {error}; save the model again") from error


def tokenizer_at(path: Path) -> Any:
    """The tokenizers.Tokenizer of a tokenizer.json; click.ClickException where there is none."""
    from tokenizers import Tokenizer

    if not path.exists():
        raise click.ClickException(f"no tokenizer at {path}; give it with --tokenizer")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise click.ClickException(f"{path} is no tokenizer ({error}); save it again") from error
