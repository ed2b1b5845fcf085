"""Files of rows: whole or not there; their tokens, kept beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from tokenizers import Tokenizer

pytest.importorskip("torch", reason="comes with the extra `training`")

from llamas import byte_level

from training.corpus import read_jsonl, write_jsonl
from training.rows import packed, texts_in
from wtname import naming


def test_rows_that_break_off_leave_the_file_as_it_was(tmp_path: Path) -> None:
    def rows() -> Iterator[dict[str, int]]:
        yield {"n": 2}
        raise OSError("no more")

    file = tmp_path / "rows.jsonl"
    assert write_jsonl(file, [{"n": 1}]) == 1
    with pytest.raises(OSError, match="no more"):
        write_jsonl(file, rows())
    assert list(read_jsonl(file)) == [{"n": 1}]
    assert list(tmp_path.iterdir()) == [file]


def names(tokenizer: Tokenizer, file: Path) -> list[str]:
    done = packed(file, tokenizer)
    ends = zip(done.start[:-1] + done.prompt, done.start[1:], strict=True)
    return [tokenizer.decode(done.ids[a:b].tolist(), skip_special_tokens=False) for a, b in ends]


def test_tokens_are_kept_for_the_same_rows_alone(tmp_path: Path) -> None:
    tokenizer = byte_level()
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [{"prompt": "fix the crash", "name": "fix-crash"}])
    assert names(tokenizer, file) == [naming.render_name("fix-crash")]
    (cache,) = tmp_path.glob("*.npz")
    kept = cache.stat().st_mtime_ns
    os.utime(file)  # the same rows with a new date
    assert names(tokenizer, file) == [naming.render_name("fix-crash")]
    assert cache.stat().st_mtime_ns == kept
    write_jsonl(file, [{"prompt": "fix the crash", "name": "fix-columns-crash"}])
    os.utime(file, (1, 1))  # other rows with an old one
    assert names(tokenizer, file) == [naming.render_name("fix-columns-crash")]
    assert list(tmp_path.glob("*.npz")) == [cache]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"text": "fix  it", "prompt": "No."}, "fix  it"),
        ({"prompt": "Fix the Crash!", "subject": "No"}, "fix the crash"),
        ({"subject": "Fix the crash", "body": "It came with\nzero-width columns.\n"},
         "fix the crash | it came with zero width columns"),
        ({"subject": "Fix the crash"}, None),
        ({"name": "fix-crash"}, None),
    ],
)  # fmt: skip
def test_a_row_has_a_text_a_prompt_or_is_a_commit(row: dict[str, Any], text: str | None, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [row])
    if text is None:
        with pytest.raises(click.ClickException, match=r"row 1: no '(body|prompt)'"):
            list(texts_in(tmp_path / "rows.jsonl"))
    else:
        assert list(texts_in(tmp_path / "rows.jsonl")) == [(row, text)]
