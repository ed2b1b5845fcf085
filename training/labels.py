"""Let a trained model name what has no name, many prompts at a time.

    python -m training.labels --model models/teacher-merged --limit 240000 --out data/train/named.jsonl titles.jsonl

Finished parts are kept in OUT.parts/ until all are done: a run that was cut off goes on there.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from training.batches import by_length, eights, padded
from training.corpus import read_jsonl, write_jsonl
from training.llama_folder import TOKENIZER, tokenizer_at
from training.model import Known, Student, load
from training.rows import texts_in
from training.stage import bar, report, stage_command, writable
from wtname import naming

MOST_TOKENS = 24
LIKELY = 40  # of how many likeliest tokens one is drawn
UNFINISHED = math.log(1e-9)
PART = 5000
FIELD = 'Where the text is; "prompt" is cleaned first.  [default: text, else prompt, else subject and body]'


class Named(NamedTuple):
    """A name and the mean log-probability of its tokens, the one that ends it among them."""

    name: str
    sure: float


Pick = Callable[[Tensor], Tensor]


def likeliest(scores: Tensor) -> Tensor:
    """The token of the highest score in each row (rows, tokens)."""
    return scores.argmax(-1)


def by_chance(scores: Tensor) -> Tensor:
    """A token of each row (rows, tokens) of log-probabilities, drawn from its 40 likeliest."""
    top, index = scores.topk(min(LIKELY, scores.shape[-1]))
    return index.gather(1, torch.multinomial(top.exp(), 1))[:, 0]


@torch.inference_mode()
def written(
    model: Student, prompts: Sequence[Sequence[int]], end: int, pick: Pick = likeliest, count: int = 1
) -> tuple[list[list[int]], list[float]]:
    """The tokens picked one by one after each prompt, without `end`, and their mean log-probability, that of `end`
    counted; `count` times for each prompt, which is read once.

    After 24 tokens a name is cut off, and counts as if its end had a probability of one in a billion.
    """
    device = model.embed_tokens.weight.device
    ids = padded(prompts, end, left=True).to(device)
    width = ids.shape[1]
    blank = torch.tensor([width - len(p) for p in prompts], device=device)
    known: Known = [[] for _ in model.layers]
    ends = torch.full((len(prompts),), width, device=device)
    states = model(ids, ends, known, blank)
    copies, hidden = model.copies(ids, ends, states, blank), states[:, -1]
    rows = len(prompts) * count
    if count > 1:
        again = torch.arange(len(prompts), device=device).repeat_interleave(count)
        known = [[t[again] for t in layer] for layer in known]
        copies, hidden, blank = copies and copies.of(again), hidden[again], blank[again]
    tokens = torch.full((rows, MOST_TOKENS), end, device=device)
    total = torch.full((rows,), UNFINISHED, device=device)
    alive = torch.arange(rows, device=device)
    so_far = torch.zeros(rows, device=device)
    for at in range(MOST_TOKENS):
        scores = model.logits(hidden, copies).float().log_softmax(-1)
        token = pick(scores)
        so_far = so_far + scores.gather(1, token[:, None])[:, 0]
        tokens[alive, at] = token
        ended = token == end
        total[alive[ended]] = so_far[ended]
        left = (~ended).nonzero()[:, 0]
        if not len(left):
            break
        if len(left) < len(alive):
            alive, token, blank, so_far = (t[left] for t in (alive, token, blank, so_far))
            known = [[t[left] for t in layer] for layer in known]
            copies = copies and copies.of(left)
        if at + 1 == MOST_TOKENS:
            total[alive] = so_far + UNFINISHED
            break
        hidden = model(token[:, None], None, known, blank)[:, -1]
    lengths = (tokens == end).int().argmax(1)
    lengths[(tokens != end).all(1)] = MOST_TOKENS
    counts = lengths + 1
    return [w[:n] for w, n in zip(tokens.tolist(), lengths.tolist())], (total / counts).tolist()


class Namer:
    """A model from its folder, with its own tokenizer, in bf16. Raises ClickException where the folder has no such."""

    def __init__(self, folder: Path, device: str | torch.device = "cpu", tokens: int = 16_384) -> None:
        model = load(folder).to(device).eval()
        # Autocast would cast these at every step anew.
        for weight in model.layers.parameters():
            if weight.dim() == 2:
                weight.data = weight.data.bfloat16()
        self.model = model
        self.tokenizer: Tokenizer = tokenizer_at(folder / TOKENIZER)
        self.tokens = tokens
        digest = hashlib.sha256((folder / TOKENIZER).read_bytes())
        for path in sorted(folder.glob("model*.safetensors")):
            digest.update(path.read_bytes())
        self.key = digest.hexdigest()

    def __call__(self, texts: Sequence[str]) -> list[Named]:
        """A name for each clean text; "" where a prompt does not fit the model's context."""
        return names_of(self.model, self.tokenizer, texts, self.tokens)

    def draw(self, texts: Sequence[str], count: int) -> list[Counter[str]]:
        """`count` names drawn for each clean text, and how often each came; none where a prompt does not fit."""
        drawn: list[Counter[str]] = [Counter() for _ in texts]
        for rows, names, _ in _named(self.model, self.tokenizer, texts, max(1, self.tokens // count), by_chance, count):
            for at, name in enumerate(names):
                drawn[rows[at // count]][name] += 1
        return drawn


def _named(
    model: Student, tokenizer: Tokenizer, texts: Sequence[str], tokens: int, pick: Pick = likeliest, count: int = 1
) -> Iterator[tuple[np.ndarray, list[str], list[float]]]:
    """Batch by batch: places of the texts that fit, `count` names for each of them in a row, and their scores."""
    prompts = [e.ids for e in tokenizer.encode_batch([naming.render(t) for t in texts], add_special_tokens=False)]
    fits = np.array(
        [i for i, p in enumerate(prompts) if eights(len(p)) + MOST_TOKENS <= model.shape.context], dtype=int
    )
    lengths = np.array([len(prompts[i]) for i in fits], dtype=int)
    device = model.embed_tokens.weight.device.type
    for batch in by_length(lengths, tokens) if len(fits) else []:
        rows = fits[batch]
        with torch.autocast(device, dtype=torch.bfloat16):
            ids, sure = written(model, [prompts[i] for i in rows], tokenizer.token_to_id(naming.END), pick, count)
        yield rows, ["-".join(text.split()) for text in tokenizer.decode_batch(ids)], sure


def names_of(model: Student, tokenizer: Tokenizer, texts: Sequence[str], tokens: int = 16_384) -> list[Named]:
    """A name for each clean text, under bf16 autocast, in batches of so many tokens; "" where a prompt does not fit."""
    out = [Named("", UNFINISHED)] * len(texts)
    for rows, names, sure in _named(model, tokenizer, texts, tokens):
        for i, name, score in zip(rows, names, sure):
            out[i] = Named(name, round(score, 4))
    return out


def in_parts(texts: Sequence[str], folder: Path, key: str) -> list[tuple[Path, Sequence[str]]]:
    """Parts of the texts, each with the file that will hold its names; another model or other texts, another file."""
    parts = []
    for at in range(0, len(texts), PART):
        part = texts[at : at + PART]
        digest = hashlib.sha256("\0".join((key, *part)).encode()).hexdigest()[:16]
        parts.append((folder / f"{digest}.jsonl", part))
    return parts


def fill(parts: Sequence[tuple[Path, Sequence[str]]], name_all: Callable[[Sequence[str]], list[Named]]) -> None:
    """Name each part that has no file yet."""
    for path, part in bar([p for p in parts if not p[0].exists()], "naming"):
        write_jsonl(path, [named._asdict() for named in name_all(part)])


def names_in(parts: Sequence[tuple[Path, Sequence[str]]]) -> list[Named]:
    """The names of all parts, in order."""
    return [Named(row["name"], row["sure"]) for path, _ in parts for row in read_jsonl(path)]


def label(
    path: Path, out: Path, field: str | None, limit: int, name_all: Callable[[Sequence[str]], list[Named]], key: str
) -> dict[str, Any]:
    """Write the rows of `path` to `out` with "name" and "sure" added; the figures of that."""
    began = time.monotonic()
    writable(out.parent)
    rows = list(itertools.islice(texts_in(path, field), limit or None))
    if not rows:
        raise click.ClickException(f"{path} has no rows; give a file of prompts")
    folder = out.with_name(out.name + ".parts")
    parts = in_parts([text for _, text in rows], folder, key)
    fill(parts, name_all)
    write_jsonl(out, ({**row, "name": n.name, "sure": n.sure} for (row, _), n in zip(rows, names_in(parts))))
    shutil.rmtree(folder)
    return {"rows": len(rows), "seconds": round(time.monotonic() - began), "out": str(out)}


@stage_command()
@click.option("--model", type=click.Path(path_type=Path, exists=True), required=True, help="Folder of a trained model.")
@click.option("--out", type=click.Path(path_type=Path), required=True)
@click.option("--field", help=FIELD)
@click.option("--limit", default=0, help="Stop after so many rows; 0 takes all.")
@click.option("--batch-tokens", default=16_384)
@click.option("--cpu", is_flag=True, help="Stay on the CPU where a GPU is at hand.")
@click.argument("rows", type=click.Path(path_type=Path, exists=True))
def main(*, model: Path, out: Path, field: str | None, limit: int, batch_tokens: int, cpu: bool, rows: Path) -> None:
    """Add "name" and "sure" (mean log-probability) to the rows of a file."""
    device = "cuda" if torch.cuda.is_available() and not cpu else "cpu"
    namer = Namer(model, device, batch_tokens)
    report("labels", **label(rows, out, field, limit, namer, namer.key))


if __name__ == "__main__":
    main()
