"""The benchmark for real: the packaged model in processes of its own, and other runtimes where they are installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from conftest import invoke

from training import benchmark
from wtname import models

FIGURES = {"model", "backend", "p50_ms", "p95_ms", "p99_ms", "load_ms", "memory_mb", "file_mb"}


def run(*args: object) -> Result:
    return invoke(benchmark.main, *args)


def test_a_model_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    ballast = bytearray(400 << 20)  # ours, which must not count
    ballast[:: 1 << 12] = b"x" * len(range(0, len(ballast), 1 << 12))
    result = run("--gguf", models.PACKAGED, "--n", 12, "--rounds", 2, "--out", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    (row,) = figures["models"]
    assert row.keys() == FIGURES and row["backend"] == "gguf"
    assert 0 < row["p50_ms"] <= row["p95_ms"] <= row["p99_ms"]
    assert row["load_ms"] > row["p50_ms"]
    assert row["file_mb"] == pytest.approx(models.PACKAGED.stat().st_size / 1e6, abs=0.01)
    assert row["memory_mb"] is None or row["file_mb"] < row["memory_mb"] < 300
    assert (figures["n"], figures["rounds"], figures["threads"]) == (12, 2, 1)
    written = json.loads((tmp_path / "figures.json").read_text())
    assert {"stage": "benchmark", **written} == figures
    assert "target P95 < 100 ms: " in result.stdout
    assert len(ballast)


@pytest.mark.timeout(400)  # importing torch and transformers in a fresh process is slow on a busy machine
def test_every_runtime_is_measured_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in ("torch", "transformers", "onnxruntime", "onnx"):
        pytest.importorskip(needed)
    from llamas import byte_level, make

    from training import export_gguf

    folder = make(tmp_path / "model", byte_level())
    for form in ("gguf", "onnx"):
        args = [
            "--student-dir",
            str(folder),
            "--out",
            str(tmp_path),
            "--format",
            form,
            "--type",
            "f16",
            "--compare",
            "0",
        ]
        assert invoke(export_gguf.main, *args).exit_code == 0
    gguf, onnx = tmp_path / "branch-name-generator-f16.gguf", tmp_path / "branch-name-generator-int8.onnx"
    order = []
    apart = benchmark.measure_apart
    monkeypatch.setattr(benchmark, "measure_apart", lambda path, *rest: order.append(path) or apart(path, *rest))
    result = run("--gguf", gguf, "--onnx", onnx, "--torch", folder, "--n", 2, "--rounds", 1)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.splitlines()[-1])["models"]
    assert [row["backend"] for row in rows] == ["gguf", "onnx", "torch"]
    assert order == [gguf, onnx, folder]
    assert rows[2]["file_mb"] == pytest.approx((folder / "model.safetensors").stat().st_size / 1e6, abs=0.01)
    assert "quicker than" in result.stdout


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        ([], 2, "nothing to measure"),
        (["--gguf", "none.gguf"], 2, "does not exist"),
        (["--gguf", "bad.gguf"], 1, "bad.gguf is not a GGUF file"),
        (["--onnx", "bad.onnx"], 1, "bad.onnx"),
        (["--torch", "."], 1, "tokenizer"),
        (["--gguf", "bad.onnx"], 2, "bad.onnx is no .gguf file"),
        (["--onnx", "bad.gguf"], 2, "bad.gguf is no .onnx file"),
        (["--onnx", "."], 2, "is a directory"),
        (["--torch", "bad.gguf"], 2, "is a file"),
        (["--gguf", "bad.gguf", "--plot", "x.gif"], 2, ".svg and .png"),
        # Before the model is found to be none.
        (["--gguf", "bad.gguf", "--out", "."], 2, "is a directory"),
        (["--gguf", "bad.gguf", "--out", "bad.onnx/x.json"], 1, "bad.onnx cannot be read or written"),
        (["--gguf", "bad.gguf", "--plot", "bad.onnx/x.svg"], 1, "bad.onnx cannot be read or written"),
    ],
)
def test_what_cannot_be_measured_is_one_line(
    args: list[str], code: int, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("bad.gguf", "bad.onnx"):
        Path(name).write_bytes(b"nothing of the kind")
    result = run(*args, "--n", 1, "--rounds", 1)
    assert result.exit_code == code and result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert why in last and (code == 2 or len(result.stderr.splitlines()) == 1), result.stderr


def row(backend: str, p95: float) -> dict[str, Any]:
    return {"model": f"m.{backend}", "backend": backend, "p50_ms": p95 / 2, "p95_ms": p95, "p99_ms": p95 * 2}


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("gguf", 99.9)], ["met by m.gguf"]),
        ([row("gguf", 100.0)], ["not met by m.gguf"]),
        ([row("gguf", 40.0), row("onnx", 20.0)], ["met", "met", "ONNX is quicker than GGUF: 2.0 times"]),
        ([row("gguf", 20.0), row("onnx", 30.0)], ["met", "met", "GGUF is quicker than ONNX: 1.5 times"]),
        ([row("gguf", 90.0), row("gguf", 10.0), row("onnx", 20.0)], ["met"] * 3 + ["GGUF is quicker than ONNX: 2.0"]),
    ],
)  # fmt: skip
def test_verdicts(rows: list[dict[str, Any]], said: list[str]) -> None:
    got = benchmark.verdicts(rows)
    assert len(got) == len(said) and all(part in line for part, line in zip(said, got, strict=True))
    assert [("not met" in line) for line in got] == [("not met" in part) for part in said]


def test_a_figure_is_the_median_of_the_rounds() -> None:
    rounds = [{"p95_ms": ms, "memory_mb": mb} for ms, mb in ((9.0, 50.0), (1.0, None), (2.0, 50.0))]
    assert benchmark.medians(rounds) == {"p95_ms": 2.0, "memory_mb": None}


def test_the_same_figures_draw_the_same_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from training.plots import draw_latency

    for name in ("a.svg", "b.svg", "c.png"):
        draw_latency([row("gguf", 20.0), row("onnx", 30.0)], 100.0, tmp_path / name)
    first = (tmp_path / "a.svg").read_text()
    assert first == (tmp_path / "b.svg").read_text()
    assert "m.gguf" in first and "dc:date" not in first
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 3
