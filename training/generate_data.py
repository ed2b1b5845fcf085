"""Make training rows: careful ones, variants of them by rules, and what a language model behind an API invents.

    python -m training.generate_data --skip-api
    OPENAI_API_KEY=... python -m training.generate_data --model gpt-4o-mini
    OPENAI_API_KEY=... python -m training.generate_data --label prompts.jsonl

Any server that speaks OpenAI's chat completions will do: OPENAI_BASE_URL says where. The split rows go to
data/{train,val,test}.jsonl as {"prompt", "name"}; what the API answered stays in data/api.jsonl and is not asked again.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from training.asking import LONGEST_PROMPT, TOKENS_OF_EXAMPLE, TOKENS_OF_NAME, inventions, label_key, labels, name_given
from training.augment import Row, augment, fault
from training.corpus import held_out, write_jsonl
from training.likeness import WORDS
from training.openai_names import Answers, ApiError, Ask, Server, ask_all, dig, estimate
from training.splits import groups, near_pairs, split
from training.stage import report, stage_command, writable
from wtname import naming
from wtname.words import Words, read_words

HERE = Path(__file__).parent


class Heap:
    """The rows so far, each text once, and how many were dropped at which stage and why."""

    def __init__(self, words: Words, held: set[str]) -> None:
        self.words, self.held = words, held
        self.rows: list[Row] = []
        self.texts: list[str] = []
        self.links: list[tuple[int, int]] = []
        self.counts: dict[str, int] = {}
        self.dropped: dict[str, Counter[str]] = {}
        self.seen: set[str] = set()

    def figures(self) -> dict[str, Any]:
        """How many rows there are by stage and by type, and how many were dropped by stage and reason."""
        types = Counter(row.name.split("-")[0] for row in self.rows)
        dropped = {stage: dict(sorted(why.items())) for stage, why in self.dropped.items()}
        return {"rows": self.counts, "types": dict(types.most_common()), "dropped": dropped}

    def drop(self, stage: str, why: str) -> bool:
        """Count a row that is not taken; False."""
        self.counts.setdefault(stage, 0)
        self.dropped.setdefault(stage, Counter())[why] += 1
        return False

    def take(self, stage: str, row: Row, source: int | None = None) -> bool:
        """Add a row, or count why not; whether it was added.

        One made of another (`source`) may read the same once cleaned, and is linked to it.
        """
        text = naming.clean(row.prompt).text
        if not text:
            return self.drop(stage, "empty prompt")
        if row.name != naming.NONE and (not naming.NAME.fullmatch(row.name) or len(row.name) > naming.MAX_NAME):
            return self.drop(stage, "form")
        if text in self.held:
            return self.drop(stage, "held out")
        if text in self.seen and source is None:
            return self.drop(stage, "duplicate")
        if source is not None:
            self.links.append((source, len(self.rows)))
        self.seen.add(text)
        self.rows.append(row)
        self.texts.append(text)
        self.counts[stage] = self.counts.get(stage, 0) + 1
        return True

    def judge(self, stage: str, prompt: object, name: object, none: bool = False) -> bool:
        """Take a row that a language model made, if it bears looking at; `none` says whether it may name no task."""
        if not isinstance(prompt, str) or not isinstance(name, str):
            return self.drop(stage, "incomplete")
        row = Row(sound(prompt), name.strip())
        if len(row.prompt) > LONGEST_PROMPT and not none:
            return self.drop(stage, "long prompt")
        if row.name == naming.NONE and not none:
            return self.drop(stage, "no task")
        if why := fault(row.name, naming.clean(row.prompt), self.words):
            return self.drop(stage, why)
        return self.take(stage, row)


def sound(text: str) -> str:
    """The text without halves of surrogate pairs, which no file in UTF-8 holds."""
    return text.encode("utf-8", "replace").decode()


class Prompted(NamedTuple):
    """A line of a file: its prompt, its name where it has one, its id where it has one."""

    prompt: str
    name: str | None
    id: Any


def read_lines(path: Path, named: bool) -> Iterator[Prompted]:
    """The lines of a JSON Lines file, gzipped or not. Raises ClickException with the line that is none."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        try:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except ValueError:
                    row = None
                wanted = ("prompt", "name") if named else ("prompt",)
                if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in wanted):
                    raise click.ClickException(
                        f"{path}, line {number}: want an object with {' and '.join(wanted)} as strings; mend the line"
                    )
                yield Prompted(sound(row["prompt"]), row.get("name"), row.get("id"))
        except (UnicodeDecodeError, OSError, EOFError, zlib.error) as error:
            raise click.ClickException(f"{path} cannot be read as JSON Lines in UTF-8: {error}") from None


def read_categories(path: Path) -> list[str]:
    """The lines of a file that say something. Raises UsageError where none does, or where it is not in UTF-8."""
    try:
        categories = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{path} is not in UTF-8 ({error}); write one category a line") from None
    if not categories:
        raise click.UsageError(f"{path} has no categories; write one a line")
    return categories


def connect(model: str, answers: Answers, attempts: int, timeout: float, back_off: float, **extra: Any) -> Server:
    """The server that the environment names; `extra` goes along with every request unless it is None.

    Raises UsageError where the environment does not do.
    """
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        raise click.UsageError(
            "no OPENAI_API_KEY: set it (to any word for a server that wants none), or leave the API out with --skip-api"
        )
    if not (key.isascii() and key.isprintable()):
        raise click.UsageError("OPENAI_API_KEY has characters that no key has; set it anew")
    url = os.environ.get("OPENAI_BASE_URL", "").strip()
    if url and not url.startswith(("http://", "https://")):
        raise click.UsageError(f"OPENAI_BASE_URL is {url!r}; it has to begin with http:// or https://")
    try:
        server = Server(key, model, answers, attempts, timeout, back_off)
    except ValueError as error:
        raise click.UsageError(
            f"{error}: OPENAI_BASE_URL has to be as http://HOST:PORT/v1, and so has a proxy in the environment"
        ) from None
    server.extra = {name: value for name, value in extra.items() if value is not None}
    return server


def ask(asks: Sequence[Ask], server: Server, concurrency: int) -> dict[str, Any]:
    """Ask what has no answer yet and give the figures. Raises ClickException where the server fails for good."""
    earlier = len(server.answers.records)
    try:
        ask_all(asks, server, concurrency)
    except ApiError as error:
        kept = len(server.answers.records)
        raise click.ClickException(f"{error} ({kept} answers are in {server.answers.path})") from None
    used = Counter({"in": 0, "out": 0})
    for record in server.answers.records[earlier:]:
        used.update(record["usage"])
    return {"requests": len(asks), "came": dict(sorted(server.came.items())), "tokens": dict(used)}


def unasked(prompts: Sequence[Prompted], held: set[str], answers: Answers, model: str, attempts: int) -> list[str]:
    """The prompts to name that may be asked for and have no answer yet, each text once."""
    by_text: dict[str, str] = {}
    for prompt in prompts:
        by_text.setdefault(naming.clean(prompt.prompt).text, prompt.prompt)
    return [p for t, p in by_text.items() if t and t not in held and not answers.done(label_key(p, model), attempts)]


def labelled(prompts: Sequence[Prompted], heap: Heap, answers: Answers, model: str) -> Iterator[dict[str, Any]]:
    """Rows of {prompt, name}, with the id where the prompt has one, of the names that pass; the rest is counted."""
    for prompt in prompts:
        name = name_given(answers, label_key(prompt.prompt, model))
        text = naming.clean(prompt.prompt).text
        if name is None and text and text not in heap.held and text not in heap.seen:
            heap.drop("labelled", "no name")
        elif heap.judge("labelled", prompt.prompt, naming.NONE if name is None else name, none=True):
            yield {**({} if prompt.id is None else {"id": prompt.id}), **heap.rows[-1]._asdict()}


def invented(planned: Sequence[Ask], heap: Heap, answers: Answers) -> None:
    """Take what the answers to the planned requests hold, in the order of the plan, whatever came first."""
    for request in planned:
        for record in answers.by_key.get(request.keys[0], []):
            items, _ = dig(record["text"])
            if items is None:
                heap.drop("api", "no JSON")
            for item in items or []:
                fields = item if isinstance(item, dict) else {}
                heap.judge("api", fields.get("prompt"), fields.get("name"))


def write_splits(heap: Heap, near: float, seed: int, out: Path, least: int = 0) -> dict[str, int]:
    """Write the three files; how many rows each has, and how many groups of near-duplicates there were.

    Raises ClickException, and writes none, where there are fewer than `least` rows, or with it one would be empty.
    """
    if len(heap.rows) < least:
        raise click.ClickException(
            f"{len(heap.rows)} rows with a name are too few, {least} are wanted; give more rows of your own, or clones "
            "whose merges tell their branches"
        )
    together = groups(len(heap.rows), [*heap.links, *near_pairs(heap.texts, near)])
    places = split(together, [row.name.split("-")[0] for row in heap.rows], seed)
    if least and not all(places.values()):
        raise click.ClickException(
            f"{len(heap.rows)} rows leave none to measure on, as they are too few or too much alike; give others too"
        )
    sizes = {
        name: write_jsonl(out / f"{name}.jsonl", (heap.rows[i]._asdict() for i in chosen))
        for name, chosen in places.items()
    }
    return {**sizes, "groups": len(together)}


@stage_command()
@click.option("--seeds", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=HERE / "seeds.jsonl")
@click.option("--written", type=click.Path(path_type=Path, exists=True, dir_okay=False), default=HERE / "written.jsonl")
@click.option("--augment", "variants", type=click.IntRange(0), default=500, help="Rows to make by rules.")
@click.option("--api", "examples", type=click.IntRange(0), default=1200, help="Examples to ask the API for.")
@click.option("--skip-api", is_flag=True, help="Leave the API out.")
@click.option(
    "--categories", "categories_path", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default=HERE / "categories.txt", help="What the examples are to be about, one a line.",
)  # fmt: skip
@click.option(
    "--label", type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help='Let the API name the prompts of this file ({"prompt"} lines) and do nothing else.',
)  # fmt: skip
@click.option(
    "--out-labels", type=click.Path(path_type=Path, dir_okay=False),
    help="Where they go.  [default: OUT/labelled.jsonl]",
)  # fmt: skip
@click.option("--model", default="gpt-4o-mini", help="What the server is to use.")
@click.option("--batch", type=click.IntRange(1, 50), default=10, help="Prompts a request.")
@click.option("--concurrency", type=click.IntRange(1, 64), default=4, help="Requests at a time.")
@click.option("--attempts", type=click.IntRange(1, 20), default=6, help="Tries at a request before giving up.")
@click.option("--timeout", type=click.FloatRange(0.1), default=120.0, help="Seconds to wait for an answer.")
@click.option("--back-off", type=click.FloatRange(0), default=0.5, help="Seconds before the second try; then doubled.")
@click.option("--max-tokens", type=click.IntRange(1), help="Longest answer; the server's own limit unless given.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="The server's own unless given; 0 suits --label.")
@click.option("--dry-run", is_flag=True, help="Say how many requests and tokens it would take, and stop.")
@click.option(
    "--held-out", "held_path", type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of val_*.jsonl files; their prompts are dropped.",
)  # fmt: skip
@click.option(
    "--near", type=click.FloatRange(0.1, 1), default=0.6, help="Overlap that makes two prompts near-duplicates."
)
@click.option(
    "--least-rows", type=click.IntRange(0), default=0,
    help="Write nothing where there are fewer, or a file would be empty; 0: write what there is.",
)  # fmt: skip
@click.option("--seed", default=1)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("data"))
def main(
    *, seeds: Path, written: Path, variants: int, examples: int, skip_api: bool, categories_path: Path,
    label: Path | None, out_labels: Path | None, model: str, batch: int, concurrency: int, attempts: int,
    timeout: float, back_off: float, max_tokens: int | None, temperature: float | None, dry_run: bool,
    held_path: Path | None, near: float, least_rows: int, seed: int, out: Path,
) -> None:  # fmt: skip
    """Write OUT/train.jsonl, val.jsonl and test.jsonl, 80/10/10, near-duplicates within one of them."""
    if label and skip_api:
        raise click.UsageError("--label asks the API; leave --skip-api out")
    held = held_out(held_path) if held_path else set()
    if held_path and not held:
        raise click.UsageError(f"{held_path} has no prompts in val_*.jsonl; name their folder or leave --held-out out")
    heap = Heap(read_words(WORDS.read_text(encoding="utf-8")), held)
    answers = Answers(out / "api.jsonl")
    out_labels = out_labels or out / "labelled.jsonl"
    if label and out_labels.resolve() == answers.path.resolve():
        raise click.UsageError(f"--out-labels {out_labels} is where the answers are kept; give another file")
    prompts = list(read_lines(label, named=False)) if label else []
    files = {} if label else {"seeds": seeds, "written": written}
    careful = {kind: list(read_lines(path, named=True)) for kind, path in files.items()}
    if label and not prompts:
        raise click.ClickException(f'{label} has no prompts to name; give a file of {{"prompt"}} lines')
    planned = [] if label or skip_api else inventions(examples, batch, read_categories(categories_path), model)
    if label:
        asks = labels(unasked(prompts, held, answers, model, attempts), batch, model)
    else:
        asks = [request for request in planned if not answers.done(request.keys[0], attempts)]
    tokens_in, tokens_out = estimate(asks, TOKENS_OF_NAME if label else TOKENS_OF_EXAMPLE * batch)
    if not skip_api:
        click.echo(f"{len(asks)} requests to {model}: about {tokens_in:,} tokens in, {tokens_out:,} out", err=True)
    if dry_run:
        return report("generate_data", dry_run=True, requests=len(asks), tokens={"in": tokens_in, "out": tokens_out})
    api: dict[str, Any] = {}
    if not skip_api:
        more = {"max_tokens": max_tokens, "temperature": temperature}
        server = connect(model, answers, attempts, timeout, back_off, **more)
        if label:
            writable(out_labels.parent)
        api = ask(asks, server, concurrency)
    if label:
        write_jsonl(out_labels, labelled(prompts, heap, answers, model))
        return report("generate_data", **heap.figures(), api=api, out=str(out_labels))
    for stage, lines in careful.items():
        for line in lines:
            heap.take(stage, Row(line.prompt, line.name or ""))
    for variant in augment(tuple(heap.rows), variants, seed, heap.words):
        heap.take("augmented", Row(variant.prompt, variant.name), variant.source)
    invented(planned, heap, answers)
    splits = write_splits(heap, near, seed, out, least_rows)
    return report("generate_data", **heap.figures(), splits=splits, api=api, out=str(out))


if __name__ == "__main__":
    main()
