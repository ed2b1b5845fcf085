"""Titles with the branch names that their authors chose, and commit messages, from the histories of local clones.

    python -m training.mine_history ~/src/shop ~/src/api.git --list clones.txt --out data/mined

The files have the fields that training.prepare reads. A repository is only ever read, and nothing that its
configuration names is run.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from training import branches, history, merges
from training.corpus import held_out, read_jsonl, write_jsonl
from training.stage import bar, report, stage_command, whole
from wtname import naming, words
from wtname.errors import WtnameError

Row = dict[str, Any]
Summary = tuple[str, Counter[str]]
FILES = ("titles_human", "titles_raw", "commits_raw")


def _names(person: tuple[str, str]) -> tuple[str, str]:
    return person[0], person[1].partition("@")[0]


def _title(merge: merges.Merge, counts: Counter[str]) -> Iterator[tuple[str, Row]]:
    name, reason = branches.name_from(merge) if merge.branch else ("", "")
    if name:
        yield "titles_human", {"prompt": merge.title, "name": name, "branch": merge.branch}
    else:
        counts[reason] += bool(reason)
        yield "titles_raw", {"prompt": merge.title}


def rows_of(commit: history.Commit, counts: Counter[str]) -> Iterator[tuple[str, Row]]:
    """The rows that a commit gives, each with the file it belongs to; the reasons for what it does not are counted."""
    found = merges.parse(commit.message)
    ordinary = commit.parents < 2 and len(found) < 2 and not any(merge.branch for merge in found)
    if merges.is_bot(*_names(commit.author), *_names(commit.committer)) or (
        ordinary and not found and any(map(merges.is_robot, _names(commit.author)))
    ):
        counts["bot"] += 1
        return
    if not ordinary and not found:
        counts["other_merge"] += 1
        return
    subject = commit.message.strip().partition("\n")[0].strip()
    for merge in found or [merges.Merge(subject[: merges.MAX_LINE])]:
        if reason := merges.unwanted(merge):
            counts[reason] += 1
            continue
        if found:
            yield from _title(merge, counts)
        if ordinary:
            body = merges.body_of(commit.message)
            if not body or "\ufffd" in body:
                counts["undecodable" if body else "short_body"] += 1
            else:
                yield "commits_raw", {"subject": merge.title, "body": body}


def mine(source: history.Source, options: list[str], part: Path) -> Summary:
    """Write a repository's rows to a file, and last its label and what was counted, which is returned."""
    counts: Counter[str] = Counter()
    with whole(part) as temp, open(temp, "w", encoding="utf-8") as out:
        for commit in bar(history.read_commits(source, options), source.label):
            counts["commits"] += 1
            for file, row in rows_of(commit, counts):
                text = merges.clean(row["body" if file == "commits_raw" else "prompt"]).text
                line = {"file": file, "text": text, "row": {**row, "repo": source.label}}
                out.write(json.dumps(line, ensure_ascii=False) + "\n")
        out.write(json.dumps({"label": source.label, "counts": +counts}) + "\n")
    return source.label, +counts


def summary(part: Path) -> Summary | None:
    """The label and the counts at the end of a part, or None where it is missing or not whole."""
    try:
        *_, last = read_jsonl(part)
        return last["label"], Counter(last["counts"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _part_name(path: Path, source: history.Source, options: list[str]) -> str:
    """Another name wherever the same commands would find other rows."""
    rules = hashlib.sha256()
    for module in (history, merges, branches, naming, words):
        rules.update(Path(str(module.__file__)).read_bytes())
    rules.update(Path(__file__).read_bytes())
    told = [os.fsencode(path), source.head.encode(), source.shallow, " ".join(options).encode(), rules.digest()]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in told)).hexdigest()[:24] + ".jsonl"


def gather(parts: Iterable[Path], file: str, seen: set[bytes], held: set[str], counts: Counter[str]) -> Iterator[Row]:
    """A file's rows from all parts in order, each cleaned text once and none that is held out."""
    for part in parts:
        for line in read_jsonl(part):
            if line.get("file") != file:
                continue
            text = line["text"]
            key = hashlib.blake2b(text.encode(), digest_size=12).digest()
            if text in held or naming.clean(line["row"].get("subject", "")).text in held:
                counts["held_out"] += 1
            elif key in seen:
                counts["duplicate"] += 1
            else:
                seen.add(key)
                yield line["row"]


def _write(parts: dict[Path, Summary], out: Path, held: set[str]) -> dict[str, Any]:
    """Write the three files from the parts; the figures of that, in all and by repository."""
    dropped: Counter[str] = Counter()
    kept: dict[str, Counter[str]] = {}
    for label, counts in parts.values():
        dropped.update(counts)
        kept.setdefault(label, Counter())["commits"] += counts["commits"]
    commits = dropped.pop("commits", 0)
    seen: set[bytes] = set()

    def counted(file: str) -> Iterator[Row]:
        for row in gather(parts, file, seen, held, dropped):
            kept[row["repo"]][file] += 1
            yield row

    rows = {file: write_jsonl(out / f"{file}.jsonl", counted(file)) for file in FILES}
    return {"commits": commits, **rows, "dropped": dict(sorted(dropped.items())), "by_repository": kept}


def _paths(repos: tuple[Path, ...], listing: Path | None) -> list[Path]:
    lines = listing.read_text("utf-8", "surrogateescape").splitlines() if listing else []
    listed = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    try:
        return list(dict.fromkeys(Path(path).expanduser().resolve() for path in [*repos, *listed]))
    except (ValueError, RuntimeError) as error:  # a NUL in it; nobody's home
        raise click.UsageError(f"no path to a repository: {error}; mend it or leave it out") from error


def _held(places: Iterable[Path]) -> set[str]:
    held: set[str] = set()
    for place in places:
        if place.is_dir() and not any(place.glob("val_*.jsonl")):
            raise click.UsageError(f"no val_*.jsonl in {click.format_filename(place)}; give the folder that has them")
        held |= held_out(place)
    return held


@stage_command()
@click.argument("repos", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--list",
    "listing",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="File of more repositories, a path a line; # begins a comment line.",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("data/mined"))
@click.option("--limit", type=click.IntRange(min=1), help="Commits to read of each repository.  [default: all]")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Only commits of this day (UTC) and later.")
@click.option(
    "--held-out",
    "held_places",
    multiple=True,
    type=click.Path(path_type=Path, exists=True),
    help="Rows of {prompt}, or a folder of val_*.jsonl, whose prompts are left out; repeatable.",
)
def main(
    repos: tuple[Path, ...],
    listing: Path | None,
    out: Path,
    limit: int | None,
    since: datetime | None,
    held_places: tuple[Path, ...],
) -> None:
    """Write titles_human.jsonl, titles_raw.jsonl and commits_raw.jsonl from the history of local clones.

    REPOS are folders, bare ones too. A title keeps its author's branch name where that says something of it: at least
    one word other than common verbs has its stem in the title. What has been read of a repository lies in OUT/parts and
    is read again only once its HEAD has moved; delete that folder to begin anew.
    """
    if not (paths := _paths(repos, listing)):
        raise click.UsageError("name at least one repository, or a --list of them")
    held = _held(held_places)
    options = [f"--max-count={limit}"] if limit else []
    if since:
        options.append(f"--since={since:%Y-%m-%d}T00:00:00Z")
    parts: dict[Path, Summary] = {}
    resumed = 0
    try:
        with history.sealed():
            for path in bar(paths, "repositories"):
                try:
                    source = history.open_source(path)
                    part = out / "parts" / _part_name(path, source, options)
                    known = summary(part)
                    resumed += known is not None
                    parts[part] = known or mine(source, options, part)
                except history.Unreadable as error:
                    click.echo(f"warning: {click.format_filename(path)}: {error}; left out", err=True)
        if not parts:
            raise click.ClickException(f"none of the {len(paths)} repositories could be read; see the warnings above")
        figures = _write(parts, out, held)
    except (WtnameError, OSError) as error:
        raise click.ClickException(str(error)) from error
    unreadable = len(paths) - len(parts)
    report("mine_history", repositories=len(parts), resumed=resumed, unreadable=unreadable, **figures, out=str(out))


if __name__ == "__main__":
    main()
