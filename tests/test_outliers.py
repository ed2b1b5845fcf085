"""Channels that drown their neighbours once ggml rounds them: which they are, and where they go."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

import gguf  # noqa: E402
from students import model_of  # noqa: E402

from training import gptq, outliers  # noqa: E402
from training.grid import BLOCK  # noqa: E402

WIDTH = 4 * BLOCK


def sizes(**channels: float) -> torch.Tensor:
    """Mean squares of channels of about 1, but for those given as c<number>."""
    out = 0.5 + torch.rand(WIDTH, generator=torch.Generator().manual_seed(5))
    for name, size in channels.items():
        out[int(name[1:])] = size**2
    return out


@pytest.mark.parametrize("size", [1.0, 20.0, float("nan")])
def test_channels_like_the_others_stay(size: float) -> None:
    assert outliers.order(sizes(c40=size), torch.ones(8, WIDTH)) is None


def test_an_outlier_is_put_among_those_that_count_least() -> None:
    weight = torch.ones(8, WIDTH)
    weight[:, 64:] = 0.01
    got = outliers.order(sizes(c40=600.0, c100=200.0), weight)
    assert got is not None and got[0] == 40 and got[BLOCK] == 100
    assert sorted(got.tolist()) == list(range(WIDTH))
    neighbours = [*got[1:BLOCK].tolist(), *got[BLOCK + 1 : 2 * BLOCK].tolist()]
    assert min(neighbours) >= 64
    rest = got[2 * BLOCK :].tolist()
    assert rest == sorted(rest) and set(range(64)) - {40} < set(rest)


@pytest.mark.parametrize("many", [4, 5, WIDTH // 2 - 1])
def test_there_are_no_more_of_them_than_blocks(many: int) -> None:
    size = sizes(**{f"c{c}": 100.0 + c for c in range(many)})
    got = outliers.order(size, torch.ones(8, WIDTH))
    assert got is not None and sorted(got.tolist()) == list(range(WIDTH))
    assert got[::BLOCK].tolist() == [many - 1, many - 2, many - 3, many - 4]


def rounded(vectors: torch.Tensor) -> torch.Tensor:
    """The vectors as llama.cpp multiplies them with a matrix of Q4_0."""
    kind = gguf.GGMLQuantizationType.Q8_0
    return torch.from_numpy(gguf.quants.dequantize(gguf.quants.quantize(vectors.numpy(), kind), kind))


def test_what_ggml_multiplies_is_nearer_to_the_truth() -> None:
    draw = torch.Generator().manual_seed(6)
    vectors, weight = torch.randn(50, WIDTH, generator=draw), torch.randn(8, WIDTH, generator=draw)
    vectors[:, 40] *= 600
    weight[:, 64:96] *= 0.01
    order = outliers.order(vectors.square().mean(0), weight)
    true = vectors @ weight.T
    before = (rounded(vectors) @ weight.T - true).square().mean()
    after = (rounded(vectors[:, order].contiguous()) @ weight[:, order].T - true).square().mean()
    assert after < 0.1 * before


@pytest.mark.parametrize("encoder", [True, False], ids=["encoder", "llama"])
def test_a_student_gives_what_it_gave(encoder: bool) -> None:
    model = model_of(300, pointer=16 * encoder, encoder=encoder)
    rows = [gptq.Row(torch.tensor([[5, 6, 7, 8, 9]]), torch.tensor([3]))]
    want = gptq.logits_of(model, rows)[0]
    met = [group for group in gptq.readers(model) if group.writers]
    assert len(met) == 2 + 2 * encoder
    for group in met:
        width = group.linears[0].in_features
        before = group.linears[0].weight.detach().clone()
        outliers.reorder(group.writers, group.linears, torch.arange(width).flip(0))
        assert torch.equal(group.linears[0].weight, before.flip(1))
    assert torch.allclose(gptq.logits_of(model, rows)[0], want, atol=1e-4)


@pytest.mark.parametrize(("factor", "moved"), [(1.0, False), (3000.0, True)], ids=["none", "one"])
def test_rounding_a_student_moves_its_outliers(factor: float, moved: bool) -> None:
    model = model_of(300, encoder=False)
    up = model.layers[1].mlp["up_proj"]
    with torch.no_grad():
        up.weight[50] *= factor
    told = up.weight.detach()[50].abs().max()
    gptq.put_on_grid(model, [gptq.Row(torch.tensor([[5, 6, 7, 8, 9, 10]]), torch.tensor([3]))])
    largest = int(up.weight.abs().amax(1).argmax()) if moved else 50
    assert largest == (0 if moved else 50)
    assert torch.allclose(up.weight.detach()[largest].abs().max(), told, rtol=0.1)
