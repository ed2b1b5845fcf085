"""A Llama as transformers lays it out in a folder: its shape, its weights by name, its tokenizer."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from training.stage import whole
from wtname import naming

if TYPE_CHECKING:
    import numpy as np

TOKENIZER = "tokenizer.json"
ENCODER = "encoder.safetensors"  # beside a Llama that reads its prompt through an encoder


@dataclass(frozen=True)
class Shape:
    """Sizes of a model; `vocab` rows of embedding are shared with the output layer where it is tied, and the last of
    them are no tokens in one with a pointer."""

    vocab: int = 8192
    hidden: int = 256
    layers: int = 4
    heads: int = 4
    inner: int = 1024
    context: int = 256
    theta: float = 10_000.0
    eps: float = 1e-5
    kv_heads: int = 0  # 0: as many as heads
    prefix: bool = False  # the prompt's tokens see one another both ways (a prefix LM, Raffel et al. 2020)
    head_size: int = 0  # 0: hidden / heads
    tied: bool = True
    pointer: int = 0  # numbers in a query and in a key for copying from the prompt (training.pointer); 0: no copying

    @property
    def keys(self) -> int:
        """Heads of keys and values, each shared by heads / keys heads of queries."""
        return self.kv_heads or self.heads

    @property
    def tokens(self) -> int:
        """Rows of the embedding that are tokens."""
        return self.vocab - 2 * self.pointer

    @property
    def size(self) -> int:
        """Numbers in one head."""
        return self.head_size or self.hidden // self.heads


def has_encoder(folder: Path) -> bool:
    """Whether a model's folder holds one that reads its prompt through an encoder."""
    return (folder / ENCODER).exists()


def is_llama(folder: Path) -> bool:
    """Whether a model's folder holds a Llama, which `training.model` runs by itself, by its config.json.

    Raises click.ClickException where that cannot be read.
    """
    return _kind(_read_json(folder / "config.json")) == "llama"


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
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


def parameters(shape: Shape) -> int:
    """How many parameters a model of this shape has."""
    return sum(math.prod(sizes) for sizes in tensor_shapes(shape).values())


class LlamaFolder:
    """A folder with config.json and safetensors, in one file or several, its head tied or not.

    Raises click.ClickException, one line, where the folder holds no plain Llama.
    """

    def __init__(self, folder: Path) -> None:
        self._files = _weights(folder)
        self.shape = shape_of(folder, headless="lm_head.weight" not in self._files)
        self._shapes = tensor_shapes(self.shape)
        differs = f"{folder}: the weights are not those that config.json tells of"
        for name, shape in self._shapes.items():
            if name not in self._files:
                raise click.ClickException(f"{differs}: no tensor {name}; save the whole model with save_pretrained")
            if (found := self._files[name][1]) != shape:
                raise click.ClickException(f"{differs}: {name} is {found}, not {shape}; mend config.json")
        # Weights that are tied are written once, by some programs twice.
        spare = {n for n in self._files if n == "lm_head.weight" or n.endswith("rotary_emb.inv_freq")}
        if strange := sorted(self._files.keys() - self._shapes.keys() - spare):
            raise click.ClickException(f"{differs}: no plain Llama has {strange[0]}; merge adapters, drop biases")

    def tensors(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name, float32 array) of each tensor, one in memory at a time; bf16 is widened."""
        from safetensors import safe_open

        for name in self._shapes:
            with safe_open(self._files[name][0], framework="pt") as file:
                yield name, file.get_tensor(name).float().numpy()


def _kind(config: dict[str, Any]) -> str:
    return config.get("model_type") or "llama"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise click.ClickException(
            f"{path.parent} holds no model that can be used: cannot read {path.name} ({error.strerror})"
        ) from error
    except ValueError as error:
        raise click.ClickException(f"{path} is no JSON ({error}); save the model again") from error
    if not isinstance(value, dict):
        raise click.ClickException(f"{path} holds no JSON object; save the model again")
    return value


def _weights(folder: Path) -> dict[str, tuple[Path, tuple[int, ...]]]:
    """The file and the shape of each tensor, in one file or in the shards that the index names."""
    from safetensors import SafetensorError, safe_open

    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    files = [single] if single.exists() or not index.exists() else [
        folder / name for name in sorted(set(_read_json(index).get("weight_map", {}).values()))
    ]  # fmt: skip
    out = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118 - a safetensors file is no dict
                    out[name] = (path, tuple(file.get_slice(name).get_shape()))
        except FileNotFoundError as error:
            raise click.ClickException(
                f"{folder} holds no model that can be used: {path.name} is missing; train or copy one there"
            ) from error
        except (OSError, SafetensorError) as error:
            raise click.ClickException(f"{path} is damaged ({error}); save the model again") from error
    return out


def shape_of(folder: Path, *, headless: bool) -> Shape:
    """The shape in config.json, of transformers 4 or 5; `headless`: there is no lm_head.

    Raises click.ClickException where there is no config.json or it tells of what is not built here.
    """
    config = _read_json(folder / "config.json")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind, activation = _kind(config), config.get("hidden_act", "silu")
    scaling = rope.get("rope_type", rope.get("type", "default"))
    for what, there in (
        (f"a model of type {kind!r}", kind != "llama"),
        (f"one with {scaling}-scaled rotary positions", scaling != "default"),
        ("one with biases", config.get("attention_bias") or config.get("mlp_bias")),
        (f"one with the activation {activation!r}", activation != "silu"),
    ):
        if there:
            raise click.ClickException(
                f"{folder} is no Llama that can be used: {what} is not supported; give a plain one"
            )

    def size(name: str) -> int:
        value = config.get(name)
        if not isinstance(value, int) or value < 1:
            raise click.ClickException(
                f"{folder} lacks a size: config.json has no {name!r} of 1 or more; save the model again"
            )
        return value

    pointer = config.get("pointer", 0)
    if not isinstance(pointer, int) or not 0 <= 2 * pointer < size("vocab_size"):
        raise click.ClickException(
            f"{folder} has no room for a pointer of {pointer!r} in its vocabulary; save the model again"
        )
    hidden, heads = size("hidden_size"), size("num_attention_heads")
    return Shape(
        vocab=size("vocab_size"), hidden=hidden, layers=size("num_hidden_layers"), heads=heads,
        inner=size("intermediate_size"), context=config.get("max_position_embeddings", 2048),
        theta=float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        eps=float(config.get("rms_norm_eps", 1e-6)), kv_heads=config.get("num_key_value_heads") or heads,
        prefix=bool(config.get("prefix_lm")), head_size=config.get("head_dim") or hidden // heads,
        tied=bool(config.get("tie_word_embeddings", headless)), pointer=pointer,
    )  # fmt: skip


def config_of(s: Shape, end: int) -> dict[str, Any]:
    """What config.json says of a shape; `end` is the token that ends a name."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": s.vocab,
        "hidden_size": s.hidden,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.keys,
        "head_dim": s.size,
        "intermediate_size": s.inner,
        "max_position_embeddings": s.context,
        "rope_theta": s.theta,
        "rms_norm_eps": s.eps,
        "hidden_act": "silu",
        "tie_word_embeddings": s.tied,
        "bos_token_id": None,
        "eos_token_id": end,
        "pad_token_id": end,
        "torch_dtype": "float32",
        "prefix_lm": s.prefix,
        **({"pointer": s.pointer} if s.pointer else {}),
    }


def tokenizer_at(path: Path) -> Any:
    """The tokenizers.Tokenizer of a tokenizer.json, without padding or truncation; click.ClickException for none."""
    from tokenizers import Tokenizer

    if not path.exists():
        raise click.ClickException(f"no tokenizer at {path}; put the model's own there")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception
        raise click.ClickException(f"{path} is no tokenizer ({error}); save it again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def copy_tokenizer(source: Path, folder: Path, context: int) -> int:
    """Copy tokenizer.json and its config into `folder`, a plain config where there is none; the id of naming.END.

    Raises click.ClickException where there is no tokenizer, or none with a token for naming.END.
    """
    path = source / TOKENIZER if source.is_dir() else source
    end: int | None = tokenizer_at(path).token_to_id(naming.END)
    if end is None:
        raise click.ClickException(f"{path} has no token {naming.END!r}; make one with training.train_tokenizer")
    text = path.read_text(encoding="utf-8")
    beside = path.with_name("tokenizer_config.json")
    how = {
        "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": naming.END, "pad_token": naming.END,
        "clean_up_tokenization_spaces": False, "model_max_length": context,
    }  # fmt: skip
    config = beside.read_text(encoding="utf-8") if beside.exists() else json.dumps(how, indent=1) + "\n"
    for name, content in ((TOKENIZER, text), ("tokenizer_config.json", config)):
        with whole(folder / name) as temp:
            temp.write_text(content, encoding="utf-8")
    return end
