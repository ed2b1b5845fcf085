"""The light stages for real: tokenizer, prepare, teach, name_words."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from conftest import NAMED, invoke

from training import corpus, name_words, prepare, teach, train_tokenizer
from wtname import naming
from wtname.words import read_words


def run(command: click.Command, *args: object) -> dict[str, object]:
    """A stage's command line in this process; its last line of output is JSON."""
    result = invoke(command, *args)
    assert result.exit_code == 0, result.output
    figures: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return figures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the shape that the stages read."""
    import gzip

    folder = tmp_path_factory.mktemp("data")
    gold = [{"prompt": p, "name": n, "repo": "o/r", "branch": n} for p, n in NAMED]
    files = {
        "titles_gold.jsonl.gz": gold, "bodies_gold.jsonl.gz": gold, "written.jsonl": gold,
        "titles_human.jsonl.gz": gold,
        "titles_raw.jsonl.gz": [{"prompt": p} for p, _ in NAMED] * 2,
        "commits_raw.jsonl.gz": [{"subject": p, "body": f"We have to {p.lower()} now; it hurts."} for p, _ in NAMED],
        "val_titles.jsonl": [{"id": "v1", "prompt": NAMED[0][0], "refs": [NAMED[0][1]]}],
    }  # fmt: skip
    for name, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    return folder


@pytest.fixture(scope="module")
def tokenizer(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    # All seven types and `none` have to become tokens of their own.
    seen = data / "written.jsonl"
    rows = [{"prompt": f"{t} {t}", "name": f"{t}-x"} for t in (*naming.TYPES, "none") * 3]
    seen.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(train_tokenizer.main, "--data", data, "--out", path, "--vocab-size", 512)["vocab"]
    return path


def test_prepare_keeps_validation_prompts_out(data: Path, tokenizer: Path, tmp_path: Path) -> None:
    counts = run(prepare.main, "--data", data, "--out", tmp_path, "--dev-every", 1000)
    assert counts["gold_titles"] == len(NAMED) - 1
    assert counts["titles"] == len(NAMED) - 1  # each once, the held-out one not at all
    held = naming.clean(NAMED[0][0]).text
    for path in tmp_path.glob("*.jsonl"):
        assert held not in {row.get("text") for row in corpus.read_jsonl(path)}, path


def test_prepare_finds_the_texts_of_names_by_digest(data: Path, tokenizer: Path, tmp_path: Path) -> None:
    texts = [naming.clean(prompt).text for prompt, _ in NAMED[:3]]  # the first is a validation prompt
    files = {"judged": texts, "careful": texts[2:]}
    for stem, of in files.items():
        (tmp_path / f"{stem}.txt").write_text("".join(f"{prepare.digest(t)} fix-{stem}\n" for t in of))
    args = [arg for stem in files for arg in ("--judged", tmp_path / f"{stem}.txt")]
    counts = run(prepare.main, "--data", data, *args, "--out", tmp_path / "out", "--dev-every", 1000)
    assert (counts["judged_titles"], counts["careful_titles"], counts["careful_bodies"]) == (2, 1, 0)
    rows = list(corpus.read_jsonl(tmp_path / "out" / "judged_titles.jsonl"))
    assert rows == [{"text": text, "name": "fix-judged"} for text in texts[1:]]
    assert [r["name"] for r in corpus.read_jsonl(tmp_path / "out" / "careful_titles.jsonl")] == ["fix-careful"]


def test_teach_drops_what_is_unsure_or_not_grounded(tmp_path: Path) -> None:
    titles = [
        {"text": "fix crash on zero width columns", "name": "fix-zero-width-crash", "sure": -0.1},
        {"text": "fix crash on zero width columns", "name": "fix-zero-width-crash", "sure": -2.0},
        {"text": "fix crash on zero width columns", "name": "fix-korrigurefig-crash", "sure": -0.1},
        {"text": "hello", "name": "none", "sure": -0.1},
    ]
    commits = [
        {"subject": "fix login loop", "text": "the login loop is gone now", "name": "fix-login-loop", "sure": -0.1},
        {"subject": "fix login loop", "text": "nothing of it is said here", "name": "fix-login-loop", "sure": -0.1},
    ]
    corpus.write_jsonl(tmp_path / "t.jsonl", titles)
    corpus.write_jsonl(tmp_path / "c.jsonl", commits)
    args = ("--titles", tmp_path / "t.jsonl", "--commits", tmp_path / "c.jsonl", "--noise", 0, "--seed", 3)
    run(teach.main, *args, "--out", tmp_path / "out.jsonl")
    rows = [(r["text"], r["name"]) for r in corpus.read_jsonl(tmp_path / "out.jsonl")]
    assert rows[:3] == [
        ("fix crash on zero width columns", "fix-zero-width-crash"),
        ("hello", "none"),
        ("the login loop is gone now", "fix-login-loop"),
    ]
    assert all("fix login loop" in text for text, _ in rows[3:])


def test_name_words_lists_forms_under_their_stem(tmp_path: Path) -> None:
    rows = [
        {"text": "crash of columns", "name": "fix-column-crash"},
        {"text": "it is slow", "name": "feat-speed-up"},
    ]
    corpus.write_jsonl(tmp_path / "gold.jsonl", rows * 3)
    run(name_words.main, "--gold", tmp_path / "gold.jsonl", "--out", tmp_path / "words.txt")
    words = read_words((tmp_path / "words.txt").read_text())
    assert words.kin["crash"] == ["crash"]
    assert set(words.free) == {"speed", "up"}
