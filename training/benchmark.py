"""How long a name takes, how long loading does and how much memory it wants: GGUF, ONNX and torch side by side.

    python -m training.benchmark --gguf models/branch-name-generator-Q4_K_M.gguf \\
        --onnx models/branch-name-generator-int8.onnx --torch models/student

Each model runs in a process of its own, in turns, so that a busy machine slows all alike; every figure is the median of
the rounds.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click

from training.namers import suffixed
from training.stage import bar, report, stage_command, whole, writable
from wtname import naming
from wtname.bench import PROMPTS, percentiles

TARGET_MS = 100.0
COLUMNS = {"p50_ms": "P50 ms", "p95_ms": "P95 ms", "p99_ms": "P99 ms", "load_ms": "load ms", "memory_mb": "memory MB",
           "file_mb": "file MB"}  # fmt: skip


def peak_memory() -> float | None:
    """The most memory that this process has had resident so far, in MB; None where the system does not tell."""
    try:
        with open("/proc/self/status") as status:
            kilobytes = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        return round(int(kilobytes) / 1024, 1)
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


def size_mb(path: Path) -> float:
    """The size of a file, or of a folder's weights, in MB."""
    files = [path] if path.is_file() else path.glob("*.safetensors")
    return round(sum(file.stat().st_size for file in files) / 1e6, 2)


def measure(path: Path, n: int, threads: int) -> dict[str, Any]:
    """Figures of `n` names by one model, in this process, which should have done nothing before."""
    began = time.perf_counter()
    from training.backends import search_at

    with search_at(path, threads=threads) as search:
        search.suggest(naming.clean(PROMPTS[0]))  # what is put off until the first name belongs to loading
        load = (time.perf_counter() - began) * 1000
        times = []
        for prompt in itertools.islice(itertools.cycle(PROMPTS), n):
            began = time.perf_counter()
            search.suggest(naming.clean(prompt))
            times.append((time.perf_counter() - began) * 1000)
    ranks = percentiles(times)
    return {"p50_ms": ranks.p50, "p95_ms": ranks.p95, "p99_ms": ranks.p99, "load_ms": round(load, 1),
            "memory_mb": peak_memory(), "file_mb": size_mb(path)}  # fmt: skip


def measure_apart(path: Path, n: int, threads: int) -> dict[str, Any]:
    """`measure` in a fresh process. Raises click.ClickException with that process's last words where it fails."""
    code = "import json, sys; from pathlib import Path; from training.benchmark import measure; " \
           "print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))"  # fmt: skip
    root = str(Path(__file__).parent.parent)
    environment = {
        **os.environ, "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")])),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(n), str(threads)],
        env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", errors="replace",
    )  # fmt: skip
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise click.ClickException(f"{path} cannot be measured: {why[0].partition(': ')[2] or why[0]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each figure over the rounds; None where a round has none."""
    return {
        key: None if any(r[key] is None for r in rounds) else round(statistics.median(r[key] for r in rounds), 2)
        for key in rounds[0]
    }


def verdicts(rows: list[dict[str, Any]]) -> list[str]:
    """What the figures say: who keeps to the target, and whether ONNX is the quicker way out."""
    out = []
    for row in rows:
        met = "met" if row["p95_ms"] < TARGET_MS else "not met"
        out.append(f"target P95 < {TARGET_MS:.0f} ms: {met} by {row['model']} ({row['p95_ms']:.1f} ms)")
    best = {
        kind: min((r for r in rows if r["backend"] == kind), key=lambda r: r["p95_ms"], default=None)
        for kind in ("gguf", "onnx")
    }
    if best["gguf"] and best["onnx"]:
        times = best["gguf"]["p95_ms"] / best["onnx"]["p95_ms"]
        if times > 1:
            out.append(f"ONNX is quicker than GGUF: {times:.1f} times (P95)")
        else:
            out.append(f"GGUF is quicker than ONNX: {1 / times:.1f} times (P95)")
    return out


def table(rows: list[dict[str, Any]]) -> str:
    """The rows for people."""
    lines = [f"{'model':44}" + "".join(f"{title:>11}" for title in COLUMNS.values())]
    for row in rows:
        cells = "".join(f"{'-' if row[key] is None else row[key]:>11}" for key in COLUMNS)
        lines.append(f"{row['model'][-43:]:44}{cells}")
    return "\n".join(lines)


Model = click.Path(path_type=Path, exists=True, dir_okay=False)
Folder = click.Path(path_type=Path, exists=True, file_okay=False)
Written = click.Path(path_type=Path, dir_okay=False)


@stage_command()
@click.option("--gguf", multiple=True, type=Model, callback=suffixed, help="A file for llama.cpp; repeatable.")
@click.option("--onnx", multiple=True, type=Model, callback=suffixed,
              help="A file of training.export_gguf --format onnx; repeatable.")  # fmt: skip
@click.option("--torch", "folders", multiple=True, type=Folder, help="A folder of transformers; repeatable.")
@click.option("--n", default=50, type=click.IntRange(1), help="Names in a round.")
@click.option("--rounds", default=3, type=click.IntRange(1))
@click.option("--threads", default=1, type=click.IntRange(1))
@click.option("--out", type=Written, help="Write the figures to this JSON file too.")
@click.option("--plot", type=Written, help="Draw them: FILE.svg or FILE.png.")
def main(
    *, gguf: tuple[Path, ...], onnx: tuple[Path, ...], folders: tuple[Path, ...], n: int, rounds: int, threads: int,
    out: Path | None, plot: Path | None,
) -> None:  # fmt: skip
    """Print P50, P95 and P99 of a name, time to load, peak memory and file size of each model."""
    models = [("gguf", p) for p in gguf] + [("onnx", p) for p in onnx] + [("torch", p) for p in folders]
    if not models:
        raise click.UsageError("nothing to measure; give --gguf, --onnx or --torch a model")
    if plot and plot.suffix not in (".svg", ".png"):
        raise click.UsageError(f"--plot draws .svg and .png, not {plot.name}")
    for file in filter(None, (out, plot)):
        writable(file.parent)
    seen: dict[Path, list[dict[str, Any]]] = {path: [] for _, path in models}
    for _, (_, path) in bar(list(itertools.product(range(rounds), models)), "benchmark"):
        seen[path].append(measure_apart(path, n, threads))
    rows = [{"model": str(path), "backend": kind, **medians(seen[path])} for kind, path in models]
    print(table(rows))
    for line in verdicts(rows):
        print(line)
    figures = {"n": n, "rounds": rounds, "threads": threads, "target_p95_ms": TARGET_MS, "models": rows}
    if out:
        with whole(out) as temp:
            temp.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if plot:
        from training.plots import draw_latency

        draw_latency(rows, TARGET_MS, plot)
    report("benchmark", **figures)


if __name__ == "__main__":
    main()
