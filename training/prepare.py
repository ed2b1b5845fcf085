"""Clean the data folder's prompts into rows of {text, name}: careful, faithful human, by rules, and raw.

python -m training.prepare --data DATA --seeds training/seeds.jsonl --judged training/judged.txt --out data/train
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from training.corpus import data_file, held_out, rows_with, write_jsonl
from training.stage import bar, report, stage_command
from wtname import naming
from wtname.words import plain

Row = dict[str, Any]


def share_said(name: str, text: str) -> float:
    """The share of a name's words that the text has, as they are or in the plural."""
    words = set(text.split())
    singular = {plain(w) for w in words}
    body = name.split("-")[1:]
    return sum(w in words or w in singular for w in body) / len(body) if body else 0.0


def careful(path: Path, held: set[str]) -> Iterator[Row]:
    """Rows of {text, name, prompt} with the names that their file gives; none where there is no file."""
    for row in rows_with(path, "prompt", "name") if path.exists() else ():
        text = naming.clean(row["prompt"]).text
        if text and text not in held:
            yield {"text": text, "name": row["name"], "prompt": row["prompt"]}


def human(path: Path, held: set[str]) -> Iterator[Row]:
    """People's own names, where every word of the name stands in the title: about three in five."""
    for row in careful(path, held):
        if 2 <= row["name"].count("-") <= 5 and share_said(row["name"], row["text"]) == 1:
            yield {"text": row["text"], "name": row["name"]}


def raw_titles(path: Path, held: set[str]) -> Iterator[Row]:
    """Each title once, with the name that rules give it."""
    seen: set[str] = set()
    for row in bar(rows_with(path, "prompt"), path.name):
        text = naming.clean(row["prompt"]).text
        if text and text not in held and text not in seen:
            seen.add(text)
            yield {"text": text, "name": naming.extract(naming.Prompt(text, ()))}


def raw_commits(path: Path, held: set[str]) -> Iterator[Row]:
    """Each commit body of six words or more once, with its subject and the name that rules give the subject."""
    seen: set[str] = set()
    for row in bar(rows_with(path, "subject", "body"), path.name):
        body, subject = naming.clean(row["body"]).text, naming.clean(row["subject"]).text
        if body in held or subject in held or body in seen or len(body.split()) < 6 or len(subject.split()) < 2:
            continue
        seen.add(body)
        yield {"text": body, "subject": subject, "name": naming.extract(naming.Prompt(subject, ()))}


def digest(text: str) -> str:
    """The first 12 hex digits of a cleaned text's SHA-256: names of texts that are not ours to print go by it."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def read_judged(path: Path) -> dict[str, str]:
    """Names by the digest of the text that they were given to."""
    return dict(line.split() for line in path.read_text(encoding="utf-8").splitlines())  # type: ignore[misc]


def judged(rows: list[Row], names: dict[str, str], held: set[str]) -> Iterator[Row]:
    """Rows of {text, name} for the texts that a name was given to."""
    for row in rows:
        if row["text"] not in held and (name := names.get(digest(row["text"]))):
            yield {"text": row["text"], "name": name}


@stage_command()
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of the data files.")
@click.option(
    "--seeds", multiple=True, type=click.Path(path_type=Path, exists=True), help="More careful rows; repeatable."
)
@click.option(
    "--judged", "judged_paths", multiple=True, type=click.Path(path_type=Path, exists=True),
    help="Names of raw rows, by digest, for files of the same name; repeatable.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), default=Path("data/train"))
@click.option("--dev-every", default=30, help="Every so many-th careful row goes to dev.jsonl, to tune decoding on.")
def main(*, data: Path, seeds: tuple[Path, ...], judged_paths: tuple[Path, ...], out: Path, dev_every: int) -> None:
    """Write the rows that are named with care (gold_*, judged_*), by their authors, by rules, or not; and dev.jsonl."""
    held = held_out(data)
    counts = {}
    files = {"titles": "titles_gold", "bodies": "bodies_gold", "written": "written"}
    gold = {kind: list(careful(data_file(data, stem), held)) for kind, stem in files.items()}
    dev = [row for rows in gold.values() for row in rows[7::dev_every]]
    refs = [{"id": f"d{i}", "prompt": row["prompt"], "refs": [row["name"]]} for i, row in enumerate(dev)]
    counts["dev"] = write_jsonl(out / "dev.jsonl", refs)
    held |= {row["text"] for row in dev}
    if seeds:
        known = held | {row["text"] for row in gold["written"]}
        gold["seeds"] = [row for path in seeds for row in careful(path, known)]
    for kind, rows in gold.items():
        kept = ({"text": r["text"], "name": r["name"]} for r in rows if r["text"] not in held)
        counts[f"gold_{kind}"] = write_jsonl(out / f"gold_{kind}.jsonl", kept)
    counts["human"] = write_jsonl(out / "human.jsonl", human(data_file(data, "titles_human"), held))
    titles = list(raw_titles(data_file(data, "titles_raw"), held))
    commits = list(raw_commits(data_file(data, "commits_raw"), held))
    for path in judged_paths:
        names = read_judged(path)
        for kind, rows in (("titles", titles), ("bodies", commits)):
            part = f"{path.stem}_{kind}"
            counts[part] = write_jsonl(out / f"{part}.jsonl", judged(rows, names, held))
    named = [r for r in titles if r["name"]]
    faithful = [r for r in commits if r["name"] and share_said(r["name"], r["text"]) >= 0.7]
    for name, rows in (("titles", titles), ("commits", commits), ("rules_titles", named), ("rules_bodies", faithful)):
        counts[name] = write_jsonl(out / f"{name}.jsonl", rows)
    report("prepare", **counts)


if __name__ == "__main__":
    main()
