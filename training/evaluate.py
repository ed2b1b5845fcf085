"""Score namers on files of reference names, side by side.

    python -m training.evaluate --gguf wtname/model/branch-name-generator.gguf ../shared/data/val_*.jsonl

The score is that of shared/tools/score.py, given with --scorer.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from tqdm import tqdm

from training.corpus import read_jsonl
from wtname import naming

COLUMNS = ("score", "form", "type", "f1", "exact", "invented", "dull", "none_p", "none_r")


def load_scorer(path: Path) -> ModuleType:
    """The scorer, a script of its own, as a module."""
    spec = importlib.util.spec_from_file_location("score", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def by_model(gguf: Path) -> Callable[[str], str | None]:
    """The GGUF through Namer, as `wtname suggest` names."""
    from wtname.engine import Engine
    from wtname.namer import Namer

    namer = Namer(gguf, deadline=30.0)

    def name(prompt: str) -> str | None:
        named = namer.name(prompt)
        if named.source == "extract":  # else the words picked would be scored under the model's name
            tqdm.write(f"{gguf.name} did not name {prompt[:60]!r}: {named.why}", file=sys.stderr)
        return named.name

    Engine(gguf).close()
    return name


def by_words(prompt: str) -> str | None:
    """Words picked by rules: what wtname falls back on."""
    return naming.extract(naming.clean(prompt))


def by_slug(prompt: str) -> str:
    """The first four words, slugged; a type by rules so that it has the form."""
    from slugify import slugify

    return (
        f"{naming.kind_of(naming.clean(prompt).words)}-{slugify(' '.join(prompt.split()[:4]), max_length=40) or 'task'}"
    )


def by_yake() -> Callable[[str], str]:
    """The best keyphrase of up to four words (YAKE), with a type by rules."""
    import yake
    from slugify import slugify

    extractor = yake.KeywordExtractor(n=4, top=1)

    def name(prompt: str) -> str:
        found = extractor.extract_keywords(prompt)
        words = found[0][0] if found else " ".join(prompt.split()[:3])
        return f"{naming.kind_of(naming.clean(prompt).words)}-{slugify(words, max_length=40) or 'task'}"

    return name


def by_teacher(folder: Path) -> Callable[[list[str]], list[str]]:
    """The copying teacher, many prompts at a time."""
    from training.copy_teacher import greedy, load_teacher, rows_of

    model, tokenizer = load_teacher(folder)

    def names(prompts: list[str]) -> list[str]:
        rows = rows_of(tokenizer, [naming.clean(p).text for p in prompts])
        out: list[str] = []
        for at in range(0, len(rows), 50):
            out += greedy(model, tokenizer, rows[at : at + 50])[0]
        return out

    return names


def _label(path: Path, others: tuple[Path, ...]) -> str:
    return path.stem if sum(path.stem == other.stem for other in others) == 1 else str(path)


@click.command(context_settings={"show_default": True})
@click.option("--gguf", multiple=True, type=click.Path(path_type=Path, exists=True), help="A model; repeatable.")
@click.option(
    "--teacher", multiple=True, type=click.Path(path_type=Path, exists=True), help="A copying teacher's folder."
)
@click.option("--baselines/--no-baselines", default=True, help="Words picked, slug of the first words, YAKE.")
@click.option("--scorer", type=click.Path(path_type=Path, exists=True), default=Path("../shared/tools/score.py"))
@click.option("--worst", default=0, help="Show so many of the lowest-scoring names of each model.")
@click.argument("refs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(
    *,
    gguf: tuple[Path, ...],
    teacher: tuple[Path, ...],
    baselines: bool,
    scorer: Path,
    worst: int,
    refs: tuple[Path, ...],
) -> None:
    """Print one table: a row for each namer and file of {id, prompt, refs}."""
    score = load_scorer(scorer)
    namers: dict[str, Callable[[str], str | None]] = {_label(path, gguf): by_model(path) for path in gguf}
    if baselines:
        namers |= {"words picked": by_words, "slug": by_slug, "yake": by_yake()}
    results: list[dict[str, Any]] = []
    print(f"{'namer':34} {'file':12} " + " ".join(f"{c:>8}" for c in COLUMNS) + "   ms P50")
    for path in refs:
        rows = list(read_jsonl(path))
        together = {_label(folder, teacher): by_teacher(folder) for folder in teacher}
        for label in (*together, *namers):
            times: list[float] = []
            names: dict[str, str] = {}
            if label in together:
                began = time.perf_counter()
                names = dict(zip([r["id"] for r in rows], together[label]([r["prompt"] for r in rows])))
                times = [(time.perf_counter() - began) / len(rows)]
            else:
                for row in tqdm(rows, desc=label, disable=None, leave=False):
                    began = time.perf_counter()
                    names[row["id"]] = namers[label](row["prompt"]) or naming.NONE
                    times.append(time.perf_counter() - began)
            figures, scored = score.score(rows, names)
            ms = statistics.median(times) * 1000
            cells = " ".join(f"{figures[c]:8}" if figures[c] is not None else f"{'-':>8}" for c in COLUMNS)
            print(f"{label[:34]:34} {path.stem:12} {cells} {ms:8.2f}", flush=True)
            results.append({"namer": label, "file": path.stem, **figures, "ms_p50": round(ms, 2)})
            for points, name, ref, prompt in sorted(scored)[:worst]:
                print(f"    {points:.2f}  {name:42} want {ref:40} <- {prompt[:90]!r}")
    print(json.dumps(results))


if __name__ == "__main__":
    main()
