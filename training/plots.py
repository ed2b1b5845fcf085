"""Pictures of what benchmark and evaluate measure. The same figures give the same file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from training.stage import whole

INK, SOFT = "#333333", "#999999"
COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377", "#bbbbbb")  # Tol's bright scheme


@contextmanager
def figure(path: Path, width: float = 6.4, height: float = 4.0) -> Iterator[Any]:
    """Axes to draw on; the picture is at `path` once the block ends well."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    # Without these a file holds today's date and ids made by chance.
    style = {"svg.hashsalt": "wtname", "svg.fonttype": "none", "font.size": 9, "axes.spines.top": False,
             "axes.spines.right": False, "axes.prop_cycle": matplotlib.cycler(color=COLOURS)}  # fmt: skip
    with matplotlib.rc_context(style):
        drawing, axes = pyplot.subplots(figsize=(width, height), layout="constrained")
        try:
            yield axes
            with whole(path) as temp:
                kind = path.suffix[1:]
                drawing.savefig(temp, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
        finally:
            pyplot.close(drawing)


def draw_latency(rows: list[dict[str, Any]], target: float, path: Path) -> None:
    """P50, P95 and P99 of each row of the benchmark, and the target."""
    with figure(path, height=1.2 + 0.6 * len(rows)) as axes:
        for at, key in enumerate(("p50_ms", "p95_ms", "p99_ms")):
            places = [i + (at - 1) * 0.26 for i in range(len(rows))]
            bars = axes.barh(places, [row[key] for row in rows], 0.24, label=key[:3].upper())
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=7)
        axes.axvline(target, color=INK, linestyle=":", label=f"target of the P95: {target:.0f} ms")
        axes.set_yticks(range(len(rows)), [Path(row["model"]).name for row in rows])
        axes.invert_yaxis()
        axes.set_xlabel("ms for a name, model loaded")
        axes.legend(frameon=False)


def draw_calibration(series: dict[str, dict[str, Any]], path: Path) -> None:
    """Mean points against mean confidence of each bin; the diagonal is a model that knows how good it is."""
    with figure(path) as axes:
        axes.plot([0, 1], [0, 1], color=SOFT, linestyle=":")
        for label, calibration in series.items():
            bins = calibration["bins"]
            axes.plot(
                [b["confidence"] for b in bins], [b["points"] for b in bins], marker="o", markersize=4,
                label=f"{label}, expected error {calibration['ece']:.3f}",
            )  # fmt: skip
        axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="points of the scorer")
        axes.legend(frameon=False)


def draw_abstaining(series: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Precision and recall of abstaining against the probability of `none` that it takes."""
    with figure(path) as axes:
        for at, (label, curve) in enumerate(series.items()):
            for key, line in (("precision", "-"), ("recall", "--")):
                points = [(c["threshold"], c[key]) for c in curve if c[key] is not None]
                thresholds, values = [p[0] for p in points], [p[1] for p in points]
                axes.plot(thresholds, values, line, color=COLOURS[at % len(COLOURS)], label=f"{label}, {key}")
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="abstain from this P(none) on", ylabel="share")
        axes.legend(frameon=False)


def draw_confusion(confusion: dict[str, dict[str, int]], title: str, path: Path) -> None:
    """How often a wanted type (row) was given each type (column), as shares of the row."""
    kinds = list(confusion)
    sums = {kind: sum(confusion[kind].values()) or 1 for kind in kinds}
    shares = [[confusion[want].get(got, 0) / sums[want] for got in kinds] for want in kinds]
    with figure(path, 5.2, 4.6) as axes:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, want in enumerate(kinds):
            for j, got in enumerate(kinds):
                if count := confusion[want].get(got, 0):
                    axes.text(j, i, str(count), ha="center", va="center", color="white" if shares[i][j] > 0.5 else INK)
        axes.set_xticks(range(len(kinds)), kinds, rotation=45)
        axes.set_yticks(range(len(kinds)), kinds)
        axes.set(xlabel="given", ylabel="wanted", title=title)


def draw_lengths(series: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """The score of each namer by the length of the prompt."""
    labels = list(dict.fromkeys(length for groups in series.values() for length in groups))
    with figure(path) as axes:
        wide = 0.8 / max(1, len(series))
        for at, (label, groups) in enumerate(series.items()):
            places = [i + (at - (len(series) - 1) / 2) * wide for i in range(len(labels))]
            axes.bar(places, [groups.get(length, {}).get("score") or 0 for length in labels], wide * 0.9, label=label)
        axes.set_xticks(range(len(labels)), [f"{length} words" for length in labels])
        axes.set(ylim=(0, 100), ylabel="score")
        axes.legend(frameon=False, fontsize=7, ncols=2)
