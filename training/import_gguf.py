"""Turn a namer's GGUF, the packaged one by default, back into a folder to train on from: `distill --init`, `average`.

python -m training.import_gguf --out models/packaged
python -m training.import_gguf ~/namers/shop --out models/shop
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import gguf
import numpy as np
import torch

from training import agreement, export_encoder
from training.encoder import Encoder, EncoderShape
from training.export_gguf import SEEDS, TEXTS, check_ids, check_tokenizer, tensor_name, unpermute
from training.llama_folder import TOKENIZER, Shape, tensor_shapes
from training.model import EncoderDecoder, Student, save
from training.stage import report, stage_command, writable
from wtname import models
from wtname.engine import POINTER_KEY, PREFIX_KEY
from wtname.errors import ModelError

Weights = dict[str, np.ndarray]
Sizes = dict[str, tuple[int, ...]]
MOST = 1 << 20  # of anything counted


@dataclass(frozen=True)
class Gguf:
    """A GGUF file: its metadata of single values, and its tensors in float32."""

    path: Path
    metadata: Mapping[str, Any]
    tensors: Weights

    def wrong(self, why: str) -> click.ClickException:
        """What to raise where the file is no good."""
        return click.ClickException(f"{self.path} {why}; get the model again, or give one of training.export_gguf")

    def _value(self, key: str) -> tuple[str, Any]:
        key = f"{self.metadata.get('general.architecture')}{key}" if key.startswith(".") else key
        return key, self.metadata.get(key)

    def count(self, key: str, default: int | None = None, least: int = 1, most: int = MOST) -> int:
        """A size in the metadata, of the file's architecture where the key begins with a dot. Raises ClickException
        where there is none and no default, or an absurd one."""
        key, found = self._value(key)
        found = default if found is None else found
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            raise self.wrong(f"has {'no' if found is None else found} {key}")
        return found

    def number(self, key: str, default: float | None = None) -> float:
        """The same for a number over 0: an f32, with the digits that it has."""
        key, found = self._value(key)
        found = default if found is None else found
        if not isinstance(found, float) or not 0 < found < math.inf:
            raise self.wrong(f"has {'no' if found is None else found} {key}")
        return float(f"{found:.7g}")

    def flag(self, key: str) -> bool:
        """The same for yes or no; no where it is not said."""
        key, found = self._value(key)
        if not isinstance(found, bool | None):
            raise self.wrong(f"has {found} {key}")
        return bool(found)

    def check(self, kind: str, sizes: Sizes) -> None:
        """Raise ClickException unless these are the file's tensors, finite and of these sizes."""
        for name, want in sizes.items():
            if name not in self.tensors:
                raise self.wrong(f"has no tensor {name}")
            if (found := self.tensors[name].shape) != want:
                raise self.wrong(f"has a tensor {name} of {found}, not {want}")
            if not np.isfinite(self.tensors[name]).all():
                raise self.wrong(f"has a tensor {name} of no finite numbers")
        if strange := sorted(self.tensors.keys() - sizes.keys()):
            raise self.wrong(f"has a tensor {strange[0]}, which {kind} has not")


def read(path: Path) -> Gguf:
    """All of a GGUF file. Raises ClickException where it is none or holds a type that has no inverse here."""
    try:
        reader = gguf.GGUFReader(path)
        tensors = {one.name: gguf.dequantize(one.data, one.tensor_type) for one in reader.tensors}
        single = [one for one in reader.fields.values() if one.types and one.types[0] != gguf.GGUFValueType.ARRAY]
        metadata = {field.name: field.contents() for field in single}
    except (ValueError, KeyError, IndexError, NotImplementedError) as error:
        raise click.ClickException(f"{path} cannot be read ({error}); get the model again") from error
    return Gguf(path, metadata, tensors)


def shape_of(file: Gguf) -> Shape:
    """The sizes of a namer. Raises ClickException where it is no Llama, or one that cannot be."""
    if (kind := file.metadata.get("general.architecture")) != "llama":
        raise click.ClickException(f"{file.path} is a model of the kind {kind!r}, not a Llama; only namers go on")
    vectors = file.tensors.get("token_embd.weight", np.zeros(0))
    if vectors.ndim != 2:
        raise file.wrong("has no tensor token_embd.weight of two dimensions")
    heads, hidden = file.count(".attention.head_count"), file.count(".embedding_length")
    shape = Shape(
        vocab=len(vectors), hidden=hidden, layers=file.count(".block_count", most=len(file.tensors)), heads=heads,
        inner=file.count(".feed_forward_length"), context=file.count(".context_length"),
        theta=file.number(".rope.freq_base", 10_000.0), eps=file.number(".attention.layer_norm_rms_epsilon"),
        kv_heads=file.count(".attention.head_count_kv", heads), prefix=file.flag(PREFIX_KEY),
        head_size=file.count(".attention.key_length", max(1, hidden // heads)),
        tied="output.weight" not in file.tensors,
        pointer=file.count(POINTER_KEY, 0, least=0, most=(len(vectors) - 1) // 2),
    )  # fmt: skip
    if shape.heads % shape.keys or shape.size % 2:
        raise file.wrong(f"has {shape.heads} heads of {shape.size} over {shape.keys}, which no Llama can")
    file.check("a plain Llama", {tensor_name(name): sizes for name, sizes in tensor_shapes(shape).items()})
    return shape


def namer_weights(file: Gguf, shape: Shape) -> Weights:
    """A namer's weights by the names of `training.model`."""
    out = {}
    for name in tensor_shapes(shape):
        tensor = file.tensors[tensor_name(name)]
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            tensor = unpermute(tensor, shape.heads if ".q_proj" in name else shape.keys)
        out[name.removeprefix("model.")] = tensor
    return out


def encoder_sizes(namer: Shape, encoder: EncoderShape) -> Sizes:
    """The tensors that an encoder for this namer has, by GGUF's names."""
    with torch.device("meta"):  # a file may ask for more than there is room for
        weights = Encoder(encoder, namer.tokens, namer.hidden, namer.context).state_dict()
    out: Sizes = {export_encoder.TYPES: (1, namer.hidden)}
    for ours, theirs in export_encoder.names(encoder.layers).items():
        rows, *columns = weights[ours].shape
        out |= dict.fromkeys(theirs, (rows // len(theirs), *columns))
    return out


def encoder_shape(file: Gguf, namer: Shape) -> EncoderShape:
    """The sizes of a namer's encoder. Raises ClickException where they are not those of its tensors."""
    layers, heads = file.count(".block_count", most=len(file.tensors)), file.count(".attention.head_count")
    shape = EncoderShape(layers, heads, file.count(".feed_forward_length"))
    if namer.hidden % heads:
        raise file.wrong(f"has {heads} heads for {namer.hidden} numbers")
    sizes = encoder_sizes(namer, shape)
    types = file.tensors.get(export_encoder.TYPES)
    if types is not None and types.ndim == 1:  # llama.cpp's quantiser leaves the one row out
        sizes[export_encoder.TYPES] = (namer.hidden,)
    file.check("an encoder of ours", sizes)
    return shape


def encoder_weights(file: Gguf, layers: int) -> Weights:
    """An encoder's weights by the names of `training.encoder`; what its one type of tokens adds is added to each
    position."""
    names = export_encoder.names(layers)
    out = {ours: np.concatenate([file.tensors[name] for name in theirs]) for ours, theirs in names.items()}
    return {**out, "positions.weight": out["positions.weight"] + file.tensors[export_encoder.TYPES]}


def student_of(namer: Gguf, encoder: Gguf | None) -> Student:
    """The model of a namer's file and its encoder's. Raises ClickException where one is no good."""
    shape = shape_of(namer)
    weights = namer_weights(namer, shape)
    if encoder is None:
        student = Student(shape)
    else:
        sizes = encoder_shape(encoder, shape)
        student = EncoderDecoder(shape, sizes)
        weights |= {f"encoder.{name}": w for name, w in encoder_weights(encoder, sizes.layers).items()}
    student.load_state_dict({name: torch.from_numpy(np.array(w, np.float32)) for name, w in weights.items()})
    return student.eval()


@stage_command()
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option("--tokenizer", type=click.Path(path_type=Path), help="[default: tokenizer.json beside the model]")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("models/packaged"))
@click.option(
    "--compare", default=200, type=click.IntRange(0), help="Name so many seeds with torch and with the file; 0: none."
)
@click.option("--least-agree", default=0.85, type=click.FloatRange(0, 1), help="Exit 1 where fewer names agree.")
def main(*, model: Path | None, tokenizer: Path | None, out: Path, compare: int, least_agree: float) -> None:
    """Write OUT, the model of MODEL, a .gguf file or a folder with one; without it, the packaged one."""
    texts = agreement.spread(SEEDS, compare) if compare else []
    try:
        files = models.parts(models.existing(str(model)).path if model else models.PACKAGED)
        if out.resolve() == files.namer.parent.resolve():
            raise click.UsageError(f"--out {out} is where the model itself lies; give another folder")
        tokenizer = tokenizer or files.namer.parent
        tokenizer = tokenizer / TOKENIZER if tokenizer.is_dir() else tokenizer
        student = student_of(read(files.namer), read(files.encoder) if files.encoder else None)
        check_tokenizer(tokenizer, student.shape.tokens)
        check_ids(files.namer, tokenizer, list(TEXTS))
        writable(out)
        save(student, out, tokenizer=tokenizer)
        agree = agreement.measure(out, tokenizer, {"gguf": files.namer}, texts, threads=1)["gguf"] if texts else None
    except ModelError as error:
        raise click.ClickException(str(error)) from error
    parameters = sum(p.numel() for p in student.parameters())
    report("import_gguf", model=str(files.namer), parameters=parameters, agree=agree, out=str(out))
    if agree is not None and agree < least_agree:
        raise click.ClickException(
            f"{out} gives only {agree:.1%} of {files.namer}'s names; give a file of training.export_gguf"
        )


if __name__ == "__main__":
    main()
