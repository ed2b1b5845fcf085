"""A student put on the grid of four bits without training: matrices by what they read, and the stage on real rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import copying  # noqa: E402
import gguf  # noqa: E402
import llamas  # noqa: E402
from conftest import invoke  # noqa: E402
from students import model_of  # noqa: E402

from training import export_gguf, gptq  # noqa: E402
from training.grid import bits_of, snap  # noqa: E402
from training.model import load, save  # noqa: E402
from wtname import models  # noqa: E402


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def correlated(width: int, rows: int = 512) -> torch.Tensor:
    """Vectors (rows, width) whose values go together, as hidden states do."""
    draw = torch.Generator().manual_seed(3)
    return torch.randn(rows, width // 4, generator=draw) @ torch.randn(width // 4, width, generator=draw)


@pytest.mark.parametrize("bits", [4, 5])
def test_outputs_are_nearer_than_those_of_the_nearest_values_and_ggml_keeps_them(bits: int) -> None:
    weight = torch.randn(24, 96, generator=torch.Generator().manual_seed(1)) * 0.05
    weight[5] = 0.0
    seen = correlated(96)
    got, nearest = gptq.compensated(weight, seen.T @ seen, bits), snap(weight, bits)
    error = [((seen @ (w - weight).T).square().sum()) for w in (got, nearest)]
    assert error[0] < 0.5 * error[1]
    assert (got - weight).square().sum() > (nearest - weight).square().sum()
    assert torch.equal(snap(got, bits), got) and not got[5].any()
    kind = gguf.GGMLQuantizationType.Q4_0 if bits == 4 else gguf.GGMLQuantizationType.Q5_0
    assert np.array_equal(gguf.quants.dequantize(gguf.quants.quantize(got.numpy(), kind), kind), got.numpy())


@pytest.mark.parametrize(
    "moments", [torch.eye(64), torch.zeros(64, 64), torch.ones(64, 64)], ids=["even", "none", "one"]
)
def test_what_is_on_the_grid_stays(moments: torch.Tensor) -> None:
    on = snap(torch.randn(8, 64, generator=torch.Generator().manual_seed(2)))
    assert torch.allclose(gptq.compensated(on, moments), on, atol=1e-6)


def test_moments_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(torch.linalg.LinAlgError):
        gptq.compensated(torch.ones(2, 32), torch.full((32, 32), torch.nan))


@pytest.mark.parametrize("encoder", [True, False], ids=["encoder", "llama"])
def test_every_matrix_of_the_layers_is_met_once(encoder: bool) -> None:
    model = model_of(300, pointer=16 * encoder, encoder=encoder)
    met = [id(linear.weight) for group in gptq.readers(model) for linear in group.linears]
    layers = [
        p for name, p in model.named_parameters() if p.dim() == 2 and name.startswith(("layers.", "encoder.layers."))
    ]
    assert sorted(met) == sorted(map(id, layers)) and len(layers) == 14 + 8 * encoder


def test_what_a_matrix_reads_is_what_it_is_multiplied_by() -> None:
    model = model_of(300, encoder=False)
    rows = [gptq.Row(torch.tensor([[5, 6, 7, 8]]), torch.tensor([3]))]
    vectors = model.layers[0].input_layernorm(model.embed_tokens(rows[0].ids))[0]
    first, second, *_ = gptq.readers(model)
    assert torch.allclose(gptq.moments_of(model, first, rows), vectors.T @ vectors, atol=1e-4)
    assert not model.layers[0].input_layernorm._forward_hooks and not second.source._forward_pre_hooks


@pytest.fixture(scope="module", params=[True, False], ids=["encoder", "llama"])
def rounded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A student that the stage has put on the grid, and what the stage told."""
    place = tmp_path_factory.mktemp("gptq")
    tokenizer = llamas.byte_level()
    tokenizer.save(str(place / "tokenizer.json"))
    model = model_of(tokenizer.get_vocab_size(), pointer=16 * request.param, encoder=request.param)
    save(model, place / "student", tokenizer=place)
    rows = place / "rows.jsonl"
    rows.write_text("".join(json.dumps({"prompt": r.text, "name": r.name}) + "\n" for r in copying.ROWS))
    args = ["--student-dir", place / "student", "--rows", rows, "--limit", 200, "--out", place / "rounded"]
    result = invoke(gptq.main, *args)
    assert result.exit_code == 0, result.output
    return place / "rounded", json.loads(result.stdout)


def test_its_names_are_nearer_than_by_the_nearest_values(rounded: tuple[Path, dict[str, float]]) -> None:
    _, told = rounded
    assert 0 < told["kl"] < told["kl_nearest"]


def test_the_file_holds_what_torch_has(rounded: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    folder, _ = rounded
    model = load(folder)
    for name, p in gptq.held(model).items():
        if bits := bits_of(name, p):
            assert torch.equal(snap(p, bits), p), name
    result = invoke(export_gguf.main, "--student-dir", folder, "--out", tmp_path, "--type", "Q4_0", "--compare", 0)
    assert result.exit_code == 0, result.output
    file = Path(json.loads(result.stdout)["files"]["Q4_0"]["path"])
    tensor = next(t for t in gguf.GGUFReader(file).tensors if t.name == "blk.1.ffn_down.weight")
    held = dict(model.named_parameters())["layers.1.mlp.down_proj.weight"].detach().numpy()
    assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), held)
    assert file.name.startswith(models.GGUF.removesuffix(".gguf"))


@pytest.mark.parametrize(
    ("rows", "told"), [("", "fewer than two rows"), ('{"prompt": "Fix crash"}\n', "name")], ids=["empty", "nameless"]
)
def test_rows_that_will_not_do_are_one_line(rows: str, told: str, tmp_path: Path) -> None:
    tokenizer = llamas.byte_level()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    save(model_of(tokenizer.get_vocab_size(), encoder=False), tmp_path / "student", tokenizer=tmp_path)
    (tmp_path / "rows.jsonl").write_text(rows)
    args = ["--student-dir", tmp_path / "student", "--rows", tmp_path / "rows.jsonl", "--out", tmp_path / "out"]
    result = invoke(gptq.main, *args)
    assert result.exit_code == 1 and told in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
