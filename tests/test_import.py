"""GGUF files back in torch: the weights that they were written from, the packaged model's to the bit."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

import click  # noqa: E402
import gguf  # noqa: E402
import llamas  # noqa: E402
from conftest import invoke  # noqa: E402
from students import model_of  # noqa: E402
from test_export import SHAPES  # noqa: E402

from training import export_gguf, import_gguf  # noqa: E402
from training.llama_folder import LlamaFolder  # noqa: E402
from training.model import EncoderDecoder, load, save  # noqa: E402
from wtname import models  # noqa: E402


def imported(*args: object) -> dict[str, Any]:
    result = invoke(import_gguf.main, *args)
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def rounded(weight: torch.Tensor) -> torch.Tensor:
    """As an f16 file has it: vectors in f32."""
    return weight if weight.dim() == 1 else weight.half().float()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_llama_comes_back(shape: str, tmp_path: Path) -> None:
    folder = llamas.make(tmp_path / "model", llamas.byte_level(), **SHAPES[shape])
    export_gguf.write_f16(LlamaFolder(folder), folder / "tokenizer.json", tmp_path / "m.gguf")
    imported(tmp_path / "m.gguf", "--tokenizer", folder / "tokenizer.json", "--out", tmp_path / "out", "--compare", 0)
    before, after = LlamaFolder(folder), LlamaFolder(tmp_path / "out")
    assert (before.shape.keys, before.shape.size) == (after.shape.keys, after.shape.size)
    assert (before.shape.theta, before.shape.tied, before.shape.prefix, before.shape.vocab) == (
        after.shape.theta, after.shape.tied, after.shape.prefix, after.shape.vocab
    )  # fmt: skip
    for (name, want), (other, got) in zip(before.tensors(), after.tensors(), strict=True):
        assert name == other and np.array_equal(rounded(torch.from_numpy(want)), got), name


@pytest.mark.parametrize("pointer", [0, 32])
def test_a_pair_comes_back_and_names_as_its_files_do(pointer: int, tmp_path: Path) -> None:
    tokenizer = llamas.byte_level()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    model = model_of(tokenizer.get_vocab_size(), pointer=pointer)
    save(model, tmp_path / "model", tokenizer=tmp_path)
    files = ["--student-dir", tmp_path / "model", "--out", tmp_path, "--type", "f16", "--compare", 0]
    assert invoke(export_gguf.main, *files).exit_code == 0
    figures = imported(tmp_path / "f16", "--out", tmp_path / "out", "--compare", 20)
    # Names of random weights hang on their last digits.
    assert figures["agree"] >= 0.85 and figures["parameters"] == sum(p.numel() for p in model.parameters())
    back = load(tmp_path / "out")
    assert isinstance(back, EncoderDecoder) and back.shape == replace(model.shape, kv_heads=4, head_size=16)
    for name, want in model.state_dict().items():
        assert torch.equal(rounded(want), back.state_dict()[name]), name


@pytest.fixture(scope="module")
def pair() -> tuple[import_gguf.Gguf, import_gguf.Gguf]:
    """The packaged model's files."""
    files = models.parts(models.PACKAGED)
    assert files.encoder
    return import_gguf.read(files.namer), import_gguf.read(files.encoder)


@pytest.mark.parametrize("shape", [(384,), (1, 384)], ids=["quantised", "f16"])
def test_what_a_type_of_tokens_adds_is_in_every_position(
    shape: tuple[int, ...], pair: tuple[import_gguf.Gguf, import_gguf.Gguf]
) -> None:
    namer, encoder = pair
    types = np.arange(384, dtype=np.float32)
    other = replace(encoder, tensors={**encoder.tensors, "token_types.weight": types.reshape(shape)})
    layers = import_gguf.encoder_shape(other, import_gguf.shape_of(namer)).layers
    before, after = (import_gguf.encoder_weights(file, layers) for file in (encoder, other))
    assert np.array_equal(after["positions.weight"], before["positions.weight"] + types)
    assert np.array_equal(after["words.weight"], before["words.weight"])


ABSURD = [0, -5, 1 << 31, "x", 2.5, True, [1]]
METADATA = {
    **{f"llama.{key}": ABSURD for key in ("block_count", "attention.head_count", "attention.head_count_kv",
       "attention.key_length", "feed_forward_length", "context_length", "embedding_length")},
    "llama.rope.freq_base": [0.0, -1.0, float("nan"), float("inf"), "x", 10_000],
    "llama.attention.layer_norm_rms_epsilon": [None, 0.0, float("nan"), "x"],
    "wtname.pointer": [-1, 1_000_000, "x", 2.5, True],
    "wtname.prefix_lm": ["maybe", 1],
    "general.architecture": [None, "bert", 3],
    **{f"bert.{key}": ABSURD for key in ("block_count", "attention.head_count", "feed_forward_length")},
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in METADATA.items() for value in values])
def test_metadata_that_cannot_be_is_refused(
    key: str, value: Any, pair: tuple[import_gguf.Gguf, import_gguf.Gguf]
) -> None:
    namer, encoder = (replace(file, metadata={**file.metadata, key: value}) for file in pair)
    told = pair[1] if key.startswith("bert.") else pair[0]
    files = (pair[0], encoder) if key.startswith("bert.") else (namer, pair[1])
    with pytest.raises(click.ClickException) as failed:
        import_gguf.student_of(*files)
    assert failed.value.message.startswith(str(told.path)) and "\n" not in failed.value.message


@pytest.mark.parametrize("key", ["llama.block_count", "llama.attention.head_count", "bert.block_count"])
def test_other_sizes_than_the_tensors_are_refused(
    key: str, pair: tuple[import_gguf.Gguf, import_gguf.Gguf]
) -> None:
    """One more, one less, or the same."""
    for change in (1, -1, 0):
        more = [{key: file.metadata[key] + change} if key in file.metadata else {} for file in pair]
        files = [replace(file, metadata={**file.metadata, **other}) for file, other in zip(pair, more, strict=True)]
        if change:
            with pytest.raises(click.ClickException):
                import_gguf.student_of(*files)
        else:
            import_gguf.student_of(*files)


TENSORS = {
    "gone": lambda tensors, name: tensors.pop(name),
    "one row less": lambda tensors, name: tensors.update({name: tensors[name][:-1]}),
    "flat": lambda tensors, name: tensors.update({name: tensors[name].reshape(-1, 1)}),
    "no number": lambda tensors, name: tensors.update({name: np.full_like(tensors[name], np.nan)}),
    "one more": lambda tensors, name: tensors.update({name.replace("weight", "bias2"): tensors[name]}),
}


@pytest.mark.parametrize("fault", TENSORS)
@pytest.mark.parametrize(
    ("at", "name"),
    [(0, "token_embd.weight"), (0, "blk.1.attn_q.weight"), (0, "output_norm.weight"), (1, "blk.5.attn_k.weight"),
     (1, "position_embd.weight"), (1, "token_types.weight")],
)  # fmt: skip
def test_tensors_that_cannot_be_are_refused(
    at: int, name: str, fault: str, pair: tuple[import_gguf.Gguf, import_gguf.Gguf]
) -> None:
    files = [replace(file, tensors={**file.tensors}) for file in pair]
    TENSORS[fault](files[at].tensors, name)
    with pytest.raises(click.ClickException) as failed:
        import_gguf.student_of(*files)
    # Fewer tokens than the encoder has are noticed there.
    assert failed.value.message.startswith((str(pair[at].path), str(pair[1].path)))
    assert "\n" not in failed.value.message


def test_the_packaged_model_is_written_again_to_the_bit(tmp_path: Path) -> None:
    imported("--out", tmp_path / "packaged", "--compare", 0)
    files = ["--student-dir", tmp_path / "packaged", "--out", tmp_path, "--type", "Q4_0", "--compare", 0]
    assert invoke(export_gguf.main, *files).exit_code == 0
    for name in (models.GGUF, models.ENCODER):
        ours = {t.name: t for t in gguf.GGUFReader(models.PACKAGED.with_name(name)).tensors}
        for tensor in gguf.GGUFReader(tmp_path / "Q4_0" / name).tensors:
            assert tensor.tensor_type == ours[tensor.name].tensor_type
            assert np.array_equal(tensor.data, ours[tensor.name].data), (name, tensor.name)


def _shorter(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def _without(path: Path, name: str) -> None:
    """Give a tensor another name."""
    data = path.read_bytes()
    assert data.count(name.encode()) == 1
    path.write_bytes(data.replace(name.encode(), name[:-1].encode() + b"x"))


FAULTS = {
    "none there": (lambda folder: (folder / models.GGUF).unlink(), "is missing"),
    "cut short": (lambda folder: _shorter(folder / models.GGUF), "cut short"),
    "no GGUF": (lambda folder: (folder / models.GGUF).write_text("GGML"), "is not a GGUF file"),
    "its encoder cut short": (lambda folder: _shorter(folder / models.ENCODER), "cut short"),
    "its encoder gone": (lambda folder: (folder / models.ENCODER).unlink(), "is missing, which"),
    "a tensor missing": (lambda folder: _without(folder / models.GGUF, "blk.1.ffn_down.weight"), "no tensor blk.1.ffn"),
    "no tokenizer": (lambda folder: (folder / "tokenizer.json").unlink(), "no tokenizer at"),
    "another's tokenizer": (
        lambda folder: llamas.byte_level().save(str(folder / "tokenizer.json")), "differently from",
    ),
    "a folder of nothing": (lambda folder: shutil.rmtree(folder), "is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_is_no_good_is_one_line(fault: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models.PACKAGED.parent, folder)
    break_it, says = FAULTS[fault]
    break_it(folder)
    result = invoke(import_gguf.main, folder, "--out", tmp_path / "out", "--compare", 0)
    assert result.exit_code == 1 and says in result.stderr, result.output
    assert result.stderr.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("at", range(24, 400, 37))
def test_a_header_that_is_damaged_is_one_line(at: int, tmp_path: Path) -> None:
    """Or is read all the same: it may be a name that nobody asks for."""
    shutil.copytree(models.PACKAGED.parent, tmp_path / "model")
    path = tmp_path / "model" / models.GGUF
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)
    try:
        import_gguf.student_of(import_gguf.read(path), import_gguf.read(path.with_name(models.ENCODER)))
    except click.ClickException as error:
        assert str(path) in error.message and "\n" not in error.message


def test_the_model_s_own_folder_is_not_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(models.PACKAGED.parent, folder)
    before = sorted(path.name for path in folder.iterdir())
    result = invoke(import_gguf.main, folder, "--out", folder / ".." / "model", "--compare", 0)
    assert result.exit_code == 2 and "is where the model itself lies" in result.stderr
    assert sorted(path.name for path in folder.iterdir()) == before


def test_names_that_are_not_the_file_s_end_with_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_gguf, "unpermute", lambda weight, heads: weight)
    result = invoke(import_gguf.main, "--out", tmp_path / "out", "--compare", 20)
    assert result.exit_code == 1 and "of" in result.stderr and json.loads(result.stdout)["agree"] < 0.85
    assert result.stderr.splitlines()[-1].startswith(f"Error: {tmp_path / 'out'} gives only ")


def test_an_encoder_alone_is_no_namer(tmp_path: Path) -> None:
    result = invoke(import_gguf.main, models.PACKAGED.with_name(models.ENCODER), "--out", tmp_path, "--compare", 0)
    assert result.exit_code == 1 and "'bert', not a Llama" in result.stderr and result.stderr.count("\n") == 1
