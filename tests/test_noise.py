"""Noise around a task: it never takes a word of the name, and comes the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

for needed in ("tokenizers", "torch", "accelerate"):
    pytest.importorskip(needed, reason="comes with the extra `training`")

import numpy as np  # noqa: E402
from test_distill import tokenizer_of  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from training.batches import Mix  # noqa: E402
from training.corpus import Example, encode  # noqa: E402
from training.noise import AFTER, BEFORE, Noise, in_context, noisy, shorter  # noqa: E402
from wtname import naming  # noqa: E402
from wtname.words import stem  # noqa: E402

TASKS = [
    Example("the customers export crashes when a column is empty . see the log", "fix-export-empty-column"),
    Example("add retries to the webhook sender : three of them and nothing else", "feat-webhook-retries"),
    Example("docs : how to run the benchmarks on windows machines", "docs-benchmarks-windows"),
]


def stems(text: str) -> set[str]:
    return {stem(w) for w in text.split()}


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
@pytest.mark.parametrize("change", [noisy, shorter])
def test_noise_leaves_the_words_of_the_name(change: Callable[..., str], task: Example) -> None:
    rng = random.Random(1)
    said = [change(task.text, task.name, rng) for _ in range(200)]
    needed = {stem(w) for w in task.name.split("-")[1:]} & stems(task.text)
    assert len(needed) >= 2 and all(needed <= stems(text) for text in said)
    assert len(set(said)) > 20
    assert all(naming.normalise(text) == text for text in said)  # as a student will meet it


def test_some_of_it_is_politeness_and_some_a_slip() -> None:
    rng = random.Random(1)
    task = TASKS[0]
    said = {noisy(task.text, task.name, rng) for _ in range(300)}
    assert {f"{before} {task.text}" for before in BEFORE} <= said
    assert {f"{task.text} {after}" for after in AFTER} & said
    slips = {w for text in said for w in text.split()} - {w for e in (*BEFORE, *AFTER, task.text) for w in e.split()}
    assert len(slips) > 10 and not slips & set(task.name.split("-"))


def test_shorter_drops_few_words() -> None:
    rng = random.Random(1)
    long = Example(" ".join(f"word{i}" for i in range(1000)), "fix-word1-word2")
    assert 0.05 < 1 - len(shorter(long.text, long.name, rng).split()) / 1000 < 0.11


def test_a_stranger_stands_before_the_task_or_after_it() -> None:
    rng = random.Random(1)
    said = {in_context("fix the menu", ["the cache is slow today"], rng) for _ in range(200)}
    assert "fix the menu . the cache is slow today" in said
    assert "the cache is slow today . please fix the menu" in said
    assert all("fix the menu" in text and "  " not in text for text in said)


def mixed(tokenizer: Tokenizer, rows: list[Example], share: float, seed: int = 1, context: int = 90) -> Mix:
    return Mix([(encode(tokenizer, rows), 1.0)], 4096, context, seed, 2, Noise(tokenizer, [rows], share))


def prompts(mix: Mix, tokenizer: Tokenizer, epoch: int) -> list[str]:
    """The prompts of an epoch as the model reads them, in order of their rows."""
    out = []
    for batch in mix.epoch(epoch):
        ids, length, _, _ = mix.tensors(batch)
        read = [row[:n].tolist() for row, n in zip(ids, length, strict=True)]
        shown = tokenizer.decode_batch(read, skip_special_tokens=False)
        out += [*zip(batch[:, 1].tolist(), shown, strict=True)]
    return [text for _, text in sorted(out)]


def test_a_share_of_the_rows_is_said_otherwise_each_time(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_of(tmp_path)))
    rows = TASKS * 100
    plain = [naming.render(row.text) for row in rows]
    first, again, other = (prompts(mixed(tokenizer, rows, 0.3), tokenizer, epoch) for epoch in (0, 0, 1))
    assert first == again != other
    changed = np.mean([a != b for a, b in zip(first, plain, strict=True)])
    assert 0.2 < changed < 0.35  # now and then noise finds nothing to do
    assert prompts(mixed(tokenizer, rows, 0.0), tokenizer, 0) == plain
    assert first != prompts(mixed(tokenizer, rows, 0.3, seed=2), tokenizer, 0)


def test_names_stay_and_so_does_what_names_no_task(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_of(tmp_path)))
    rows = [Example("hi there you two", naming.NONE)] * 20 + TASKS
    mix = mixed(tokenizer, rows, 1.0)
    (batch,) = mix.epoch(0)
    want = tokenizer.decode([t for t in mix.tensors(batch)[3].tolist() if t >= 0], skip_special_tokens=False)
    assert sorted(want.split(naming.END)[:-1]) == sorted(f" {r.name.replace('-', ' ')}" for r in rows)
    assert prompts(mix, tokenizer, 0)[:20] == [naming.render("hi there you two")] * 20


def test_a_row_that_noise_would_make_too_long_comes_as_it_is(tmp_path: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_of(tmp_path)))
    rows = [TASKS[1]] * 60
    exactly = len(encode(tokenizer, rows[:1]).ids)
    mix = mixed(tokenizer, rows, 1.0, context=exactly)
    assert all(mix.tensors(batch)[0].shape[1] <= -(-exactly // 8) * 8 for batch in mix.epoch(0))
    shown = prompts(mix, tokenizer, 0)
    assert naming.render(TASKS[1].text) in shown and not any(
        f" {before} add" in text for text in shown for before in BEFORE
    )
