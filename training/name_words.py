"""Collect the words that careful names use into wtname/words.txt, which the engine grounds its names with.

python -m training.name_words --gold data/train/gold_titles.jsonl --gold data/train/gold_written.jsonl
"""

from __future__ import annotations

import collections
from pathlib import Path

import click

from training.corpus import rows_with
from training.stage import report, stage_command, whole
from wtname import naming
from wtname.words import forms, stem


@stage_command()
@click.option("--gold", "files", multiple=True, type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("wtname/words.txt"))
@click.option("--least", default=3, help="Fewest names that use a word for it to be listed.")
@click.option("--free", "free_count", default=220, help="Words that may stand in a name though its prompt lacks them.")
def main(files: tuple[Path, ...], out: Path, least: int, free_count: int) -> None:
    """Write the free words that every file uses on the first line, then each stem with its words, most used first."""
    used: collections.Counter[str] = collections.Counter()
    free: collections.Counter[str] = collections.Counter()
    files_with: collections.Counter[str] = collections.Counter()
    for path in files:
        lacking: set[str] = set()
        for row in rows_with(path, "text", "name"):
            prompt = naming.Prompt(row["text"], ())
            stems = {stem(w) for w in prompt.words}
            near = {f for w in prompt.words for f in forms(w)}
            for word in row["name"].split("-")[1:]:
                used[word] += 1
                if word not in near and stem(word) not in stems:
                    free[word] += 1
                    lacking.add(word)
        files_with.update(lacking)
    groups: dict[str, list[str]] = {}
    for word, count in used.most_common():
        if count >= least and word.isalpha() and len(word) > 1:
            groups.setdefault(stem(word), []).append(word)
    chosen = [
        w for w, _ in free.most_common() if w.isalpha() and w not in naming.TYPES and files_with[w] == len(files)
    ][:free_count]
    lines = [" ".join(chosen), *(" ".join([key, *words]) for key, words in sorted(groups.items()))]
    with whole(out) as temp:
        temp.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report("name_words", words=sum(map(len, groups.values())), free=len(chosen))


if __name__ == "__main__":
    main()
