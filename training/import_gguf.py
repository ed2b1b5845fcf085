"""Turn a namer's GGUF, the packaged one by default, back into a folder to train on from: `distill --init`, `average`.

python -m training.import_gguf --out models/packaged
python -m training.import_gguf ~/namers/shop --out models/shop
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import gguf
import numpy as np
import torch

from training import agreement
from training.encoder import EncoderShape
from training.export_encoder import LINEAR, NORMS
from training.export_gguf import SEEDS, TEXTS, check_ids, check_tokenizer, tensor_name, unpermute
from training.llama_folder import TOKENIZER, Shape, tensor_shapes
from training.model import EncoderDecoder, Student, save
from training.stage import report, stage_command, writable
from wtname import models
from wtname.engine import POINTER_KEY, PREFIX_KEY
from wtname.errors import ModelError

Weights = dict[str, np.ndarray]


@dataclass(frozen=True)
class Gguf:
    """A GGUF file: its metadata of single values, and its tensors in float32."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Weights

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the metadata, of the file's architecture where the key begins with a dot; f32 with the digits that
        it has. Raises ClickException where there is none and no default."""
        key = f"{self.metadata.get('general.architecture')}{key}" if key.startswith(".") else key
        if (found := self.metadata.get(key, default)) is None:
            raise click.ClickException(f"{self.path} does not say {key}; export it again")
        return float(f"{found:.7g}") if isinstance(found, float) else found

    def tensor(self, name: str) -> np.ndarray:
        """A tensor by GGUF's name. Raises ClickException where there is none."""
        if name not in self.tensors:
            raise click.ClickException(f"{self.path} has no tensor {name}; give a file of training.export_gguf")
        return self.tensors[name]


def read(path: Path) -> Gguf:
    """All of a GGUF file. Raises ClickException where it is none or holds a type that has no inverse here."""
    try:
        reader = gguf.GGUFReader(path)
        tensors = {one.name: gguf.dequantize(one.data, one.tensor_type) for one in reader.tensors}
    except (ValueError, KeyError, IndexError, NotImplementedError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{path} cannot be read ({error}); get the model again") from error
    single = [field for field in reader.fields.values() if field.types and field.types[0] != gguf.GGUFValueType.ARRAY]
    return Gguf(path, {field.name: field.contents() for field in single}, tensors)


def shape_of(file: Gguf) -> Shape:
    """The sizes of a namer. Raises ClickException where it is no Llama."""
    if (kind := file.value("general.architecture")) != "llama":
        raise click.ClickException(f"{file.path} is a model of the kind {kind!r}, not a Llama; only namers go on")
    heads = file.value(".attention.head_count")
    return Shape(
        vocab=len(file.tensor("token_embd.weight")), hidden=file.value(".embedding_length"),
        layers=file.value(".block_count"), heads=heads, inner=file.value(".feed_forward_length"),
        context=file.value(".context_length"), theta=file.value(".rope.freq_base", 10_000.0),
        eps=file.value(".attention.layer_norm_rms_epsilon"), kv_heads=file.value(".attention.head_count_kv", heads),
        prefix=file.value(PREFIX_KEY, False), head_size=file.value(".attention.key_length", 0),
        tied="output.weight" not in file.tensors, pointer=file.value(POINTER_KEY, 0),
    )  # fmt: skip


def namer_weights(file: Gguf, shape: Shape) -> Weights:
    """A namer's weights by the names of `training.model`."""
    out = {}
    for name in tensor_shapes(shape):
        tensor = file.tensor(tensor_name(name))
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = unpermute(tensor, shape.heads if ".q_proj" in name else shape.keys)
        out[name.removeprefix("model.")] = tensor
    return out


def encoder_weights(file: Gguf, layers: int) -> Weights:
    """An encoder's weights by the names of `training.encoder`; what its one type of tokens adds is added to each
    position."""
    out = {
        "words.weight": file.tensor("token_embd.weight"),
        "positions.weight": file.tensor("position_embd.weight") + file.tensor("token_types.weight")[0],
    }
    for kind in ("weight", "bias"):
        out[f"norm.{kind}"] = file.tensor(f"token_embd_norm.{kind}")
    for layer in range(layers):
        ours, theirs = f"layers.{layer}.", f"blk.{layer}."
        for kind in ("weight", "bias"):
            parts = [file.tensor(f"{theirs}attn_{part}.{kind}") for part in "qkv"]
            out[f"{ours}qkv.{kind}"] = np.concatenate(parts)
            for one, name in (LINEAR | NORMS).items():
                out[f"{ours}{one}.{kind}"] = file.tensor(f"{theirs}{name}.{kind}")
    return out


def student_of(namer: Gguf, encoder: Gguf | None) -> Student:
    """The model of a namer's file and its encoder's. Raises ClickException where their tensors are of other sizes than
    they say."""
    shape = shape_of(namer)
    weights = namer_weights(namer, shape)
    if encoder is None:
        student = Student(shape)
    else:
        sizes = EncoderShape(
            encoder.value(".block_count"), encoder.value(".attention.head_count"), encoder.value(".feed_forward_length")
        )
        student = EncoderDecoder(shape, sizes)
        weights |= {f"encoder.{name}": w for name, w in encoder_weights(encoder, sizes.layers).items()}
    try:
        student.load_state_dict({name: torch.from_numpy(np.array(w, np.float32)) for name, w in weights.items()})
    except RuntimeError as error:
        why = " ".join(str(error).splitlines()[1:2]).strip() or str(error)
        raise click.ClickException(
            f"{namer.path} holds other sizes than it says ({why}); get the model again"
        ) from error
    return student.eval()


@stage_command()
@click.argument("model", required=False)
@click.option("--tokenizer", type=click.Path(path_type=Path), help="[default: tokenizer.json beside the model]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("models/packaged"))
@click.option(
    "--compare", default=200, type=click.IntRange(0), help="Name so many seeds with torch and with the file; 0: none."
)
def main(*, model: str | None, tokenizer: Path | None, out: Path, compare: int) -> None:
    """Write OUT, the model of MODEL, a .gguf file or a folder with one; without it, the packaged one."""
    try:
        files = models.parts(models.existing(model).path if model else models.PACKAGED)
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    writable(out)
    tokenizer = tokenizer or files.namer.with_name(TOKENIZER)
    student = student_of(read(files.namer), read(files.encoder) if files.encoder else None)
    check_tokenizer(tokenizer, student.shape.tokens)
    check_ids(files.namer, tokenizer, list(TEXTS))
    save(student, out, tokenizer=tokenizer)
    texts = agreement.spread(SEEDS, compare) if compare else []
    agree = agreement.measure(out, tokenizer, {"gguf": files.namer}, texts, threads=1)["gguf"] if texts else None
    parameters = sum(p.numel() for p in student.parameters())
    report("import_gguf", model=str(files.namer), parameters=parameters, agree=agree, out=str(out))


if __name__ == "__main__":
    main()
