"""Where a namer is good and where it is not, pure: by group of prompts, by type, by its own confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wtname import naming

KINDS = (*naming.TYPES, naming.NONE)
LENGTHS = ((12, "<=12"), (20, "13-20"), (45, "21-45"))
LONGER = ">45"
THRESHOLDS = tuple(round(i / 20, 2) for i in range(1, 20))
Row = dict[str, Any]


def length_of(row: Row) -> str:
    """The class of a prompt by its words."""
    words = len(row["prompt"].split())
    return next((label for most, label in LENGTHS if words <= most), LONGER)


def kind_of(name: str) -> str:
    """The type of a name, or `none`."""
    return name.partition("-")[0]


def groups(rows: Sequence[Row]) -> dict[str, dict[str, list[Row]]]:
    """The rows by type of their first reference, by their own kind where they have one, and by length; in order."""
    keys: dict[str, Callable[[Row], str]] = {"type": lambda row: kind_of(row["refs"][0])}
    if all(row.get("kind") for row in rows):
        keys["kind"] = lambda row: row["kind"]
    keys["length"] = length_of
    order = {"type": KINDS, "length": (*(label for _, label in LENGTHS), LONGER)}
    out: dict[str, dict[str, list[Row]]] = {}
    for key, of in keys.items():
        found: dict[str, list[Row]] = {}
        for row in rows:
            found.setdefault(of(row), []).append(row)
        labels = [label for label in order.get(key, sorted(found)) if label in found]
        out[key] = {label: found[label] for label in labels}
    return out


def confusion(rows: Sequence[Row], names: dict[str, str]) -> dict[str, dict[str, int]]:
    """How often each wanted type was given each type; a type of any reference counts as the one wanted."""
    out = {want: dict.fromkeys(KINDS, 0) for want in KINDS}
    for row in rows:
        got = kind_of(names[row["id"]])
        wanted = [kind_of(ref) for ref in row["refs"]]
        out[got if got in wanted else wanted[0]][got] += 1
    return out


def by_type(table: dict[str, dict[str, int]]) -> dict[str, dict[str, Any]]:
    """Precision and recall of each type, None where it was never given or wanted."""
    out = {}
    for kind in table:
        right = table[kind][kind]
        given = sum(row[kind] for row in table.values())
        wanted = sum(table[kind].values())
        out[kind] = {
            "wanted": wanted,
            "given": given,
            "precision": share(right, given),
            "recall": share(right, wanted),
        }
    return out


def calibration(sure: Iterable[float], points: Iterable[float], bins: int = 10) -> dict[str, Any]:
    """Bins of equal width of confidence with their means, and the expected calibration error (Guo et al. 2017).

    The error is the mean over all answers of how far a bin's points are from its confidence. Empty bins are left out.
    """
    found: dict[int, list[tuple[float, float]]] = {}
    for confidence, got in zip(sure, points, strict=True):
        found.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, got))
    out, off, total = [], 0.0, sum(map(len, found.values()))
    for at in sorted(found):
        n = len(found[at])
        confidence, got = (sum(values) / n for values in zip(*found[at]))
        off += abs(confidence - got) * n
        out.append({"from": at / bins, "n": n, "confidence": round(confidence, 4), "points": round(got, 4)})
    return {"n": total, "ece": round(off / total, 4) if total else None, "bins": out}


def abstaining(none: Sequence[float], wanted: Sequence[bool]) -> list[dict[str, Any]]:
    """Precision and recall of abstaining wherever P(none) is at least a threshold."""
    out = []
    for threshold in THRESHOLDS:
        said = [want for p, want in zip(none, wanted, strict=True) if p >= threshold]
        right = sum(said)
        out.append({"threshold": threshold, "said": len(said), "precision": share(right, len(said)),
                    "recall": share(right, sum(wanted))})  # fmt: skip
    return out


def share(part: float, of: int) -> float | None:
    """A part of a whole to four digits; None of nothing."""
    return round(part / of, 4) if of else None
