"""Files that are cut off, broken, another's or nowhere, given to the stages: one line that says which."""

from __future__ import annotations

import gzip
import json
import os
import threading
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

pytest.importorskip("torch")

from training import (
    consensus,
    copy_teacher,
    corpus,
    embeddings,
    evaluate,
    generate_data,
    gptq,
    labels,
    name_words,
    prepare,
    teach,
    train_tokenizer,
)
from training.stage import stage_command, writable

NAMED = {"text": "fix the cache", "name": "fix-cache", "sure": -0.1}
FILES: dict[str, Any] = {
    "good.jsonl": json.dumps(NAMED) + "\n",
    "broken.jsonl": json.dumps(NAMED) + '\n{"text": "fix',
    "list.jsonl": "[1]\n",
    "empty.jsonl": "",
    "bin.jsonl": b"\xff\xfe\x00",
    "prompts.jsonl": json.dumps({"prompt": "Fix the cache"}) + "\n",
    "asked.jsonl": json.dumps({"prompt": "Fix the cache", "name": "fix-cache"}) + "\n",
    "unsure.jsonl": json.dumps({**NAMED, "sure": -9}) + "\n",
    "half.jsonl": json.dumps({"text": "fix the cache", "name": "fix-cache"}) + "\n",
    "cut.jsonl.gz": gzip.compress((json.dumps(NAMED) * 999).encode())[:-20],
    "data/titles_raw.jsonl": '{"title": "fix"}\n',
    "held/val_x.jsonl": '{"prompt": 3}\n',
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, content in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    monkeypatch.chdir(tmp_path)
    return tmp_path


TEACH = "--out taught.jsonl --titles"
CONSENSUS = "--out named.jsonl --model"


@pytest.mark.parametrize(
    ("main", "args", "told"),
    [
        (train_tokenizer.main, "--out t --rows cut.jsonl.gz", "cut off or damaged"),
        (evaluate.main, "--no-baselines cut.jsonl.gz", "cut.jsonl.gz"),
        (teach.main, f"{TEACH} cut.jsonl.gz", "cut.jsonl.gz, after row 0: the file is cut off or damaged"),
        (teach.main, f"{TEACH} broken.jsonl", "broken.jsonl, after row 1: "),
        (teach.main, f"{TEACH} list.jsonl", "list.jsonl, after row 1: not an object"),
        (teach.main, f"{TEACH} bin.jsonl", "bin.jsonl, after row 0: "),
        (teach.main, f"{TEACH} half.jsonl", "half.jsonl, row 1: want name, sure; name the rows with"),
        (teach.main, f"{TEACH} prompts.jsonl", "prompts.jsonl, row 1: want name, sure"),
        (teach.main, f"{TEACH} good.jsonl --commits good.jsonl", "good.jsonl, row 1: want name, sure, subject, text"),
        (teach.main, f"{TEACH} empty.jsonl", "empty.jsonl has nothing to teach"),
        (teach.main, f"{TEACH} unsure.jsonl", "unsure.jsonl has nothing to teach"),
        (teach.main, f"{TEACH} held", "held cannot be read or written"),
        (gptq.main, "--student-dir held --rows good.jsonl --out good.jsonl", "is a file"),
        (gptq.main, "--student-dir held --rows good.jsonl --out good.jsonl/x", "good.jsonl cannot be read or written"),
        (embeddings.main, "--encoder held --tokenizer good.jsonl", "held holds no encoder"),
        (consensus.main, f"{CONSENSUS} held good.jsonl", "held holds no copying teacher"),
        (evaluate.main, "--teacher held asked.jsonl", "held holds no copying teacher"),
        (copy_teacher.main, "label --model held --out l.jsonl good.jsonl", "held holds no copying teacher"),
        (labels.main, "--model held --out l.jsonl good.jsonl", "held"),
        (prepare.main, "--data data", "data/titles_raw.jsonl, row 1: no 'prompt'"),
        (prepare.main, "--data held", "held/val_x.jsonl, row 1: no 'prompt'"),
        (generate_data.main, "--skip-api --held-out held", "held/val_x.jsonl, row 1: no 'prompt'"),
        (name_words.main, "--gold prompts.jsonl --out w.txt", "prompts.jsonl, row 1: no 'text'"),
    ],
)
def test_which_file_is_told_in_one_line(main: click.Command, args: str, told: str, place: Path) -> None:
    before = {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}
    result = CliRunner().invoke(main, args.replace("/", os.sep).split())
    assert isinstance(result.exception, SystemExit) and result.exit_code in (1, 2), result.exception
    line = result.stderr.splitlines()[-1]
    assert line.startswith("Error: ") and told.replace("/", os.sep) in line
    assert before.items() <= {path: path.read_bytes() for path in place.rglob("*") if path.is_file()}.items()


@pytest.mark.parametrize("made", [True, False], ids=["a file", "in a file"])
def test_a_place_where_nothing_can_be_written_is_told_in_one_line(made: bool, place: Path) -> None:
    out = place / "good.jsonl" if made else place / "good.jsonl" / "out.jsonl"

    @stage_command()
    def main() -> None:
        writable(out)

    result = CliRunner().invoke(main, [])
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert str(out) in result.stderr and "cannot be read or written" in result.stderr


def test_other_errors_are_not_about_files() -> None:
    @stage_command()
    def main() -> None:
        raise ConnectionError("refused")

    assert isinstance(CliRunner().invoke(main, []).exception, ConnectionError)


def test_a_folder_to_write_to_is_made_and_left_empty(tmp_path: Path) -> None:
    writable(tmp_path / "a" / "b")
    writable(tmp_path / "a" / "b")
    assert not list((tmp_path / "a" / "b").iterdir())


def test_mined_prompts_are_taught_as_clean_ones(place: Path) -> None:
    row = {"prompt": "Fix the **cache**!", "name": "fix-cache", "sure": -0.1}
    (place / "mined.jsonl").write_text(json.dumps(row) + "\n")
    result = CliRunner().invoke(teach.main, ["--titles", "mined.jsonl", "--noise", "0", "--out", "taught.jsonl"])
    assert result.exit_code == 0, result.output
    assert list(corpus.read_jsonl(place / "taught.jsonl")) == [{"text": "fix the cache", "name": "fix-cache"}]


def test_what_is_held_out_may_be_a_folder_or_a_file(tmp_path: Path) -> None:
    for name in ("val_a", "val_b", "other"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"prompt": f"Fix {name}"}) + "\n")
    assert corpus.held_out(tmp_path) == {"fix val a", "fix val b"}
    assert corpus.held_out(tmp_path / "other.jsonl") == {"fix other"}


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names")
def test_what_is_taught_may_come_through_a_pipe(place: Path) -> None:
    os.mkfifo("pipe")
    writing = threading.Thread(target=lambda: Path("pipe").write_text(FILES["good.jsonl"] * 600), daemon=True)
    writing.start()
    result = CliRunner().invoke(teach.main, ["--titles", "pipe", "--noise", "0", "--out", "taught.jsonl"])
    assert result.exit_code == 0 and json.loads(result.stdout)["rows"] == 600, result.output
