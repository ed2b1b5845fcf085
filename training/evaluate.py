"""Score namers on files of reference names, side by side, and show where each is good and where it is not.

    python -m training.evaluate --gguf wtname/model/branch-name-generator.gguf DATA/val_*.jsonl
    python -m training.evaluate --branches titles_human.jsonl.gz --plot plots titles.jsonl

What the figures mean is said in training/scoring.py. --scorer puts another one in its place: a script whose function
`score` takes the rows and a dict of names by id, and returns the same figures and (points from 0 to 1, name, reference,
prompt) of each row.
"""

from __future__ import annotations

import runpy
import statistics
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from training import breakdown, namers, scoring
from training.corpus import read_jsonl, rows_in
from training.namers import Answer, suffixed
from training.stage import report, stage_command, writable
from wtname import naming
from wtname.errors import ModelError
from wtname.models import GGUF

COLUMNS = ("score", "form", "type", "f1", "exact", "invented", "dull", "none_p", "none_r")
PEOPLE = "people's branches"
Row = dict[str, Any]
Score = Callable[[list[Row], dict[str, str]], tuple[dict[str, Any], list[Any]]]
WANTED = "see training/scoring.py for what it takes and returns"


def load_scorer(path: Path) -> Score:
    """The function `score` of a script. Raises click.ClickException where it has none that gives our figures."""
    rows = [{"id": "0", "prompt": "Fix the login page", "refs": ["fix-login-page"]}]
    try:
        score: Score = runpy.run_path(str(path))["score"]
        figures, [_] = score(rows, {"0": "fix-login-page"})
        missing = [column for column in ("n", *COLUMNS) if column not in figures]
    except (Exception, SystemExit) as error:  # the script is not ours: it may raise anything
        raise click.ClickException(
            f"--scorer {path} has no function `score` that works: {error!r}; {WANTED}"
        ) from error
    if missing:
        raise click.ClickException(f"--scorer {path} gives no {', '.join(missing)}; {WANTED}")
    return score


def read_refs(path: Path, limit: int = 0) -> list[Row]:
    """Rows of {id, prompt, refs} or {prompt, name}; `limit` of them, evenly spread. click.ClickException for others."""
    rows = []
    try:
        for at, row in enumerate(read_jsonl(path)):
            refs = row["refs"] if "refs" in row else [row["name"]]
            said = (row["prompt"], row.get("branch") or "", row.get("human") or "", *refs)
            if not (refs and all(isinstance(text, str) for text in said)):
                raise TypeError("a prompt and names are wanted")
            rows.append({**row, "id": str(row.get("id", at)), "refs": refs})
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise click.ClickException(
            f"{path}, row {len(rows) + 1}: {error}; wanted are lines of {{id, prompt, refs}} or {{prompt, name}}"
        ) from error
    if not rows:
        raise click.ClickException(f"{path} has no rows")
    if len({row["id"] for row in rows}) < len(rows):
        raise click.ClickException(f"{path} has an id twice")
    count = min(limit or len(rows), len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]


def people(rows: Sequence[Row], files: Sequence[Path]) -> dict[str, str]:
    """By id, what the people's own branch is as a name, where a row, or a row of `files` with its prompt, has one.

    Raises ClickException for a row that is none.
    """
    wanted = {row["prompt"] for row in rows}
    chosen: dict[str, Row] = {}
    for path in files:
        for number, row in rows_in(path):
            if not all(isinstance(row.get(key) or "", str) for key in ("prompt", "branch", "name")):
                raise click.ClickException(f"{path}, row {number}: prompt, branch and name are strings; mend that row")
            if row.get("prompt") in wanted:
                chosen.setdefault(row["prompt"], row)
    out = {}
    for row in rows:
        found = chosen.get(row["prompt"], {})
        if human := row.get("human") or (found.get("name") if found.get("branch") else None):
            out[row["id"]] = human
        elif branch := row.get("branch") or found.get("branch"):
            out[row["id"]] = namers.from_branch(branch, row["prompt"])
    return out


def figures_of(score: Score, rows: list[Row], answers: dict[str, Answer]) -> tuple[dict[str, Any], list[Any]]:
    """The scorer's figures and ours for one namer on one file, and the scored rows."""
    names = {row["id"]: answers[row["id"]].name or naming.NONE for row in rows}
    given = [answers[row["id"]] for row in rows]
    figures, scored = score(rows, names)
    out: dict[str, Any] = {**figures, "ms_p50": round(statistics.median(a.ms for a in given), 2)}
    for key, found in breakdown.groups(rows).items():
        parts = {label: score(part, names)[0] for label, part in found.items()}
        out[f"by_{key}"] = {g: {c: f[c] for c in ("n", "score", "type", "f1", "exact")} for g, f in parts.items()}
    out["confusion"] = breakdown.confusion(rows, names)
    out["types"] = breakdown.by_type(out["confusion"])
    if sure := [(a.sure, points) for a, (points, *_) in zip(given, scored) if a.sure is not None]:
        out["calibration"] = breakdown.calibration(*zip(*sure))
    if all(a.none is not None for a in given):
        wanted = [naming.NONE in row["refs"] for row in rows]
        out["abstaining"] = breakdown.abstaining([a.none or 0.0 for a in given], wanted)
    return out, scored


def details(results: list[dict[str, Any]]) -> str:
    """For one file: the score of every namer by group, then precision and recall of types of those with confidence."""
    lines = [f"\n{results[0]['file'] + ', score of':28}{'n':>6}" + "".join(f"{r['namer'][-21:]:>22}" for r in results)]
    for key in ("by_type", "by_kind", "by_length"):
        for label, first in results[0].get(key, {}).items():
            cells = "".join(f"{r[key][label]['score']:>22}" for r in results)
            lines.append(f"{key[3:] + ' ' + label:28}{first['n']:>6}{cells}")
    for result in results:
        if "calibration" in result:
            types = (f"{k} {t['precision']}/{t['recall']}" for k, t in result["types"].items() if t["wanted"])
            lines.append(f"{result['namer']}: precision/recall of {', '.join(types)}")
            lines.append(f"{result['namer']}: expected calibration error {result['calibration']['ece']}")
    return "\n".join(lines)


def draw(results: list[dict[str, Any]], folder: Path) -> None:
    """Calibration, abstaining, confusion and score by length as pictures in `folder`."""
    from training import plots

    def picture(of: str) -> Path:
        return folder / f"{of.replace('/', '-').replace(' ', '-')}.svg"

    models = {f"{r['namer']}, {r['file']}": r for r in results if "calibration" in r}
    if models:
        plots.draw_calibration({k: r["calibration"] for k, r in models.items()}, folder / "calibration.svg")
    if curves := {k: r["abstaining"] for k, r in models.items() if any(c["recall"] for c in r["abstaining"])}:
        plots.draw_abstaining(curves, folder / "abstaining.svg")
    for label, result in models.items():
        plots.draw_confusion(result["confusion"], label, picture(f"confusion-{result['namer']}-{result['file']}"))
    for file in dict.fromkeys(r["file"] for r in results):
        lengths = {r["namer"]: r["by_length"] for r in results if r["file"] == file}
        plots.draw_lengths(lengths, picture(f"length-{file}"))


def _label(path: Path, others: tuple[Path, ...]) -> str:
    """What no other has: the name alone, or of models that have all one name the two folders, else all of the path."""
    if sum(path.stem == other.stem for other in others) == 1:
        return path.stem
    folders = ["/".join(other.absolute().parts[-3:-1]) for other in others if other.name == GGUF]
    here = "/".join(path.absolute().parts[-3:-1])
    return here if path.name == GGUF and folders.count(here) == 1 else str(path)


def _namers(
    stack: ExitStack, gguf: tuple[Path, ...], other: tuple[Path, ...], teacher: tuple[Path, ...], baselines: bool
) -> dict[str, namers.Namer]:
    every = (*gguf, *other, *teacher)
    found = {_label(path, every): namers.by_gguf(path, stack) for path in gguf}
    found |= {_label(path, every): namers.by_search(path, stack) for path in other}
    found |= {_label(path, every): namers.by_teacher(path) for path in teacher}
    if baselines:
        rules = {"words picked": namers.words_picked, "slug": namers.slug, "yake": namers.by_yake()}
        found |= {label: namers.one_by_one(label, name) for label, name in rules.items()}
    return found


File = click.Path(path_type=Path, exists=True, dir_okay=False)
Folder = click.Path(path_type=Path, exists=True, file_okay=False)


@stage_command()
@click.option("--gguf", multiple=True, type=File, callback=suffixed, help="A model for llama.cpp; repeatable.")
@click.option("--onnx", multiple=True, type=File, callback=suffixed, help="A model for ONNX Runtime; repeatable.")
@click.option("--torch", "folders", multiple=True, type=Folder, help="A folder of transformers; repeatable.")
@click.option("--teacher", multiple=True, type=Folder, help="A copying teacher's folder; repeatable.")
@click.option("--baselines/--no-baselines", default=True, help="Words picked, slug of the first words, YAKE.")
@click.option(
    "--branches",
    multiple=True,
    type=File,
    help="Rows of {prompt, branch}, and {name} where it is in our form: score people's own branches too.",
)
@click.option("--scorer", type=File, help="A script with a function `score`, in place of training/scoring.py.")
@click.option("--limit", default=0, help="Take so many rows of each file, evenly spread; 0: all.")
@click.option("--detail/--no-detail", default=True, help="Print scores by type, kind and length too.")
@click.option("--worst", default=0, help="Show so many of the lowest-scoring names of each namer.")
@click.option("--plot", type=click.Path(path_type=Path, file_okay=False), help="Draw the figures into this folder.")
@click.argument("refs", nargs=-1, required=True, type=File)
def main(
    *, gguf: tuple[Path, ...], onnx: tuple[Path, ...], folders: tuple[Path, ...], teacher: tuple[Path, ...],
    baselines: bool, branches: tuple[Path, ...], scorer: Path | None, limit: int, detail: bool, worst: int,
    plot: Path | None, refs: tuple[Path, ...],
) -> None:  # fmt: skip
    """Print a row for each namer and file of {id, prompt, refs} or {prompt, name}."""
    score: Score = load_scorer(scorer) if scorer else scoring.score
    files = {_label(path, refs): read_refs(path, limit) for path in refs}
    branched = {file: people(rows, branches) for file, rows in files.items()}
    if not (gguf or onnx or folders or teacher or baselines or any(branched.values())):
        raise click.UsageError("nothing to score; give --gguf, --onnx, --torch or --teacher a model")
    if plot:
        writable(plot)
    results: list[dict[str, Any]] = []
    print(f"{'namer':34} {'file':22} {'n':>5} " + " ".join(f"{c:>8}" for c in COLUMNS) + "   ms P50")
    with ExitStack() as stack:
        try:
            asked = _namers(stack, gguf, (*onnx, *folders), teacher, baselines)
        except ModelError as error:
            raise click.ClickException(str(error)) from error
        for file, rows in files.items():
            prompts = [row["prompt"] for row in rows]
            ids = [row["id"] for row in rows]
            answers = {label: dict(zip(ids, namer(prompts))) for label, namer in asked.items()}
            parts = {file: (rows, answers)}
            if human := branched[file]:
                own = {**answers, PEOPLE: {at: Answer(name) for at, name in human.items()}}
                part = [row for row in rows if row["id"] in human]
                # A namer is only compared with people where people have named.
                parts = {file: (rows, own)} if len(part) == len(rows) else {**parts, f"{file} branched": (part, own)}
            for label, (part, named) in parts.items():
                done = [_scored(score, label, part, namer, found, worst) for namer, found in named.items()]
                if detail and done:
                    print(details(done) + "\n")
                results += done
    if plot:
        draw(results, plot)
    report("evaluate", rows=results)


def _scored(
    score: Score, file: str, rows: list[Row], namer: str, answers: dict[str, Answer], worst: int
) -> dict[str, Any]:
    """One namer's figures on one file, printed as a row of the table."""
    figures, scored = figures_of(score, rows, answers)
    cells = " ".join(f"{figures[c]:8}" if figures[c] is not None else f"{'-':>8}" for c in COLUMNS)
    print(f"{namer[:34]:34} {file[-22:]:22} {len(rows):5} {cells} {figures['ms_p50']:8.2f}", flush=True)
    for points, name, ref, prompt in sorted(scored)[:worst]:
        print(f"    {points:.2f}  {name:42} want {ref:40} <- {prompt[:90]!r}")
    return {"namer": namer, "file": file, **figures}


if __name__ == "__main__":
    main()
