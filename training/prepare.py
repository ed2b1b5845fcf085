"""Clean the data folder's prompts into rows of {text, name}: careful, faithful human, by rules, and raw.

python -m training.prepare --data ../shared/data --seeds training/seeds.jsonl --out data/train
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from training.corpus import held_out, read_jsonl, write_jsonl
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
    """Rows of {text, name, prompt} with the names that their file gives."""
    for row in read_jsonl(path):
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
    for row in read_jsonl(path):
        text = naming.clean(row["prompt"]).text
        if text and text not in held and text not in seen:
            seen.add(text)
            yield {"text": text, "name": naming.extract(naming.Prompt(text, ()))}


def raw_commits(path: Path, held: set[str]) -> Iterator[Row]:
    """Each commit body of six words or more once, with its subject and the name that rules give the subject."""
    seen: set[str] = set()
    for row in read_jsonl(path):
        body, subject = naming.clean(row["body"]).text, naming.clean(row["subject"]).text
        if body in held or subject in held or body in seen or len(body.split()) < 6 or len(subject.split()) < 2:
            continue
        seen.add(body)
        yield {"text": body, "subject": subject, "name": naming.extract(naming.Prompt(subject, ()))}


@click.command(context_settings={"show_default": True})
@click.option("--data", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of the data files.")
@click.option("--seeds", type=click.Path(path_type=Path, exists=True), help="More careful rows, ours.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("data/train"))
@click.option("--dev-every", default=30, help="Every so many-th careful row goes to dev.jsonl, to tune decoding on.")
def main(data: Path, seeds: Path | None, out: Path, dev_every: int) -> None:
    """Write gold_*.jsonl, dev.jsonl, human.jsonl, titles.jsonl, commits.jsonl and what rules name: rules_*.jsonl."""
    held = held_out(data)
    counts = {}
    files = {
        "titles": data / "titles_gold.jsonl.gz",
        "bodies": data / "bodies_gold.jsonl.gz",
        "written": data / "written.jsonl",
    }
    gold = {kind: list(careful(path, held)) for kind, path in files.items()}
    dev = [row for rows in gold.values() for row in rows[7::dev_every]]
    refs = [{"id": f"d{i}", "prompt": row["prompt"], "refs": [row["name"]]} for i, row in enumerate(dev)]
    counts["dev"] = write_jsonl(out / "dev.jsonl", refs)
    held |= {row["text"] for row in dev}
    if seeds:
        gold["seeds"] = list(careful(seeds, held))
    for kind, rows in gold.items():
        kept = ({"text": r["text"], "name": r["name"]} for r in rows if r["text"] not in held)
        counts[f"gold_{kind}"] = write_jsonl(out / f"gold_{kind}.jsonl", kept)
    counts["human"] = write_jsonl(out / "human.jsonl", human(data / "titles_human.jsonl.gz", held))
    titles = list(raw_titles(data / "titles_raw.jsonl.gz", held))
    commits = list(raw_commits(data / "commits_raw.jsonl.gz", held))
    named = [r for r in titles if r["name"]]
    faithful = [r for r in commits if r["name"] and share_said(r["name"], r["text"]) >= 0.7]
    for name, rows in (("titles", titles), ("commits", commits), ("rules_titles", named), ("rules_bodies", faithful)):
        counts[name] = write_jsonl(out / f"{name}.jsonl", rows)
    print(json.dumps({"stage": "prepare", **counts}))


if __name__ == "__main__":
    main()
