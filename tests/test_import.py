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


def test_what_a_type_of_tokens_adds_is_in_every_position() -> None:
    rng = np.random.default_rng(1)
    shapes = {"token_embd.weight": (5, 4), "position_embd.weight": (3, 4), "token_types.weight": (1, 4)}
    tensors = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    tensors |= {f"token_embd_norm.{kind}": np.ones(4, np.float32) for kind in ("weight", "bias")}
    weights = import_gguf.encoder_weights(import_gguf.Gguf(Path("x.gguf"), {}, tensors), 0)
    sums = tensors["token_embd.weight"][[2]] + tensors["position_embd.weight"] + tensors["token_types.weight"]
    assert np.allclose(weights["words.weight"][[2]] + weights["positions.weight"], sums)


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
    assert result.stderr.count("\n") == 1 and not list((tmp_path / "out").glob("*.safetensors"))


def test_an_encoder_alone_is_no_namer(tmp_path: Path) -> None:
    result = invoke(import_gguf.main, models.PACKAGED.with_name(models.ENCODER), "--out", tmp_path, "--compare", 0)
    assert result.exit_code == 1 and "'bert', not a Llama" in result.stderr and result.stderr.count("\n") == 1
