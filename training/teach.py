"""Turn a teacher's names into rows for the student: the sure and grounded ones, in the shapes that prompts come in.

    python -m training.teach --titles named_titles.jsonl --commits named_subjects.jsonl --out data/train/taught.jsonl

A commit is shown as its body alone where the name of its subject stands in it, else now and then with its subject
before or after it; bodies that the teacher named by themselves come as they are; some titles stand beside a stranger's
sentence. So the student learns to find the ask in a long prompt.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from training.corpus import write_jsonl
from training.likeness import WORDS, likeness, nameable
from training.noise import in_context, noisy
from training.prepare import share_said
from training.rows import texts_in
from training.stage import bar, report, stage_command
from wtname import naming
from wtname.words import Words, read_words

LIKE = 0.5  # how like the name is that an invented prompt was asked for, 0 to 1


def usable(row: dict[str, Any], text: str, words: Words, least_sure: float) -> bool:
    """Whether the teacher was sure, and its name may be given to this text; of a prompt that was invented for a name
    ("asked"), also whether the two names are about the same."""
    asked = row.get("asked")
    about = asked is None or likeness(row["name"], asked) >= LIKE
    return about and row["sure"] >= least_sure and nameable(text, words)(row["name"])


def named_in(path: Path, *fields: str) -> Iterator[tuple[dict[str, Any], str]]:
    """The file's rows with "name", "sure" and other fields, and their clean texts. Raises ClickException where one
    lacks what it should have."""
    for number, (row, text) in enumerate(texts_in(path), 1):
        strings = all(isinstance(row.get(field), str) for field in ("name", *fields))
        if not strings or not isinstance(row.get("sure"), float | int):
            wanted = ", ".join(["name", "sure", *fields])
            raise click.ClickException(f"{path}, row {number}: want {wanted}; name the rows with training.consensus")
        yield row, text


def taught(
    titles: Path,
    commits: Path | None,
    bodies: Path | None,
    words: Words,
    least_sure: float,
    noise: float,
    rng: random.Random,
) -> Iterator[dict[str, str]]:
    """Rows of {text, name}."""
    sentences: list[str] = []
    for row, text in named_in(bodies) if bodies else ():
        if usable(row, text, words, least_sure):
            yield {"text": text, "name": row["name"]}
            first = text.split(" . ")[0]
            if 5 <= len(first.split()) <= 22:
                sentences.append(first)
    for row, text in bar(named_in(titles), titles.name):
        if sentences and rng.random() < noise / 2 and row["name"] != naming.NONE:
            if usable(row, text, words, least_sure):
                yield {"text": in_context(text, sentences, rng), "name": row["name"]}
        elif usable(row, text, words, least_sure):
            if rng.random() < noise and row["name"] != naming.NONE:
                text = noisy(text, row["name"], rng)
            yield {"text": text, "name": row["name"]}
    for row, body in bar(named_in(commits, "subject", "text"), commits.name) if commits else ():
        name, subject = row["name"], row["subject"]
        if name == naming.NONE or not usable(row, subject, words, least_sure):
            continue
        said = share_said(name, body)
        if said >= 0.99 or (said >= 0.7 and rng.random() < 0.5):
            yield {"text": body, "name": name}
        elif rng.random() < (0.3 if bodies else 0.7):
            parts = [subject, body]
            if rng.random() < 0.4:
                parts.reverse()
            yield {"text": naming.shorten(rng.choice((" . ", " | ", " : ")).join(parts)), "name": name}


@stage_command()
@click.option("--titles", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--commits", type=click.Path(path_type=Path, exists=True), help="Bodies with named subjects.")
@click.option("--bodies", type=click.Path(path_type=Path, exists=True), help="Bodies named by themselves.")
@click.option("--words", "words_path", type=click.Path(path_type=Path, exists=True), default=WORDS)
@click.option(
    "--least-sure",
    default=-0.6,
    help="How sure a name has to be: mean log-probability, or log of the likeness that a consensus has.",
)
@click.option("--noise", default=0.15, help="Share of titles to put noise into.")
@click.option("--seed", default=1)
@click.option("--out", type=click.Path(path_type=Path), required=True)
def main(
    *, titles: Path, commits: Path | None, bodies: Path | None, words_path: Path, least_sure: float, noise: float,
    seed: int, out: Path,
) -> None:  # fmt: skip
    """Write the rows."""
    words = read_words(words_path.read_text(encoding="utf-8"))
    rows = taught(titles, commits, bodies, words, least_sure, noise, random.Random(seed))
    if (first := next(rows, None)) is None:
        raise click.ClickException(f"{titles} has nothing to teach: no rows, or none that is sure; see --least-sure")
    count = write_jsonl(out, itertools.chain([first], rows))
    report("teach", rows=count, out=str(out))


if __name__ == "__main__":
    main()
