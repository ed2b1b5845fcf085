"""A language model that is no Llama: it learns to name and to write prompts for names, and its names are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import llamas  # noqa: E402
from transformers import Qwen2Config, Qwen2ForCausalLM  # noqa: E402

from training import consensus, corpus, finetune_teacher, invent, teach  # noqa: E402
from wtname import naming  # noqa: E402

pytestmark = pytest.mark.timeout(600)

ROWS = [
    {"prompt": "Fix crash on zero-width columns", "name": "fix-zero-width-crash"},
    {"prompt": "Add dark mode toggle to the settings page", "name": "feat-dark-mode-toggle"},
    {"prompt": "Bump webpack to 5.90.1", "name": "chore-bump-webpack"},
    {"prompt": "hello", "name": "none"},
]
TEXTS = [naming.clean(row["prompt"]).text for row in ROWS]


def invoke(stage: object, *args: object) -> Result:
    return CliRunner().invoke(stage.main, [str(a) for a in args])  # type: ignore[attr-defined]


def run(stage: object, *args: object) -> dict[str, float]:
    result = invoke(stage, *args)
    assert result.exit_code == 0, result.output + repr(result.exception)
    figures: dict[str, float] = json.loads(result.stdout.splitlines()[-1])
    return figures


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "rows.jsonl"
    corpus.write_jsonl(path, ROWS)
    return path


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of another kind than Llama's: queries, keys and values have biases."""
    folder = tmp_path_factory.mktemp("qwen")
    tokenizer = llamas.byte_level()
    torch.manual_seed(1)
    Qwen2ForCausalLM(Qwen2Config(**llamas.SMALL, vocab_size=tokenizer.get_vocab_size())).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    return folder


@pytest.fixture(scope="module")
def made(qwen: Path, rows: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A teacher and an inventor that know four rows by heart."""
    out = tmp_path_factory.mktemp("made")
    learn = ("--base", qwen, "--full", "--train", rows, "--max-steps", 150, "--batch", 4, "--lr", 5e-3)
    figures = run(finetune_teacher, *learn, "--test", rows, "--out", out / "teacher")
    assert figures["exact"] == 1.0
    figures = run(finetune_teacher, *learn, "--inverse", "--test", rows, "--out", out / "inventor")
    assert figures["rows"] == 3 and "exact" not in figures  # what names no task has no prompt
    return {"teacher": out / "teacher", "inventor": out / "inventor"}


def test_it_says_that_consensus_alone_takes_it(qwen: Path, rows: Path, tmp_path: Path) -> None:
    result = invoke(finetune_teacher, "--base", qwen, "--train", rows, "--out", tmp_path / "t", "--max-steps", 1)
    assert result.exit_code == 0 and "no Llama: `consensus` names with it" in result.stderr


def test_consensus_names_with_it(made: dict[str, Path], tmp_path: Path) -> None:
    corpus.write_jsonl(tmp_path / "asked.jsonl", [{"text": text} for text in [*TEXTS, f"{TEXTS[0]} " * 60]])
    run(consensus, "--model", made["teacher"], "--out", tmp_path / "named.jsonl", tmp_path / "asked.jsonl", "--cpu")
    named = list(corpus.read_jsonl(tmp_path / "named.jsonl"))
    assert [row["name"] for row in named[:-1]] == [row["name"] for row in ROWS]
    assert min(row["sure"] for row in named[:-1]) > -0.2
    assert len(named) == 5  # what is too long is cut, not refused


def test_prompts_are_written_for_names(made: dict[str, Path], tmp_path: Path) -> None:
    # Names as others have them: what the inventor knows by heart is new here.
    asked = [{"text": f"something else {i}", "name": row["name"]} for i, row in enumerate(ROWS)]
    corpus.write_jsonl(tmp_path / "names.jsonl", asked)
    args = ("--model", made["inventor"], "--names", tmp_path / "names.jsonl", "--cpu", "--temperature", 0.1)
    figures = run(invent, *args, "--out", tmp_path / "invented.jsonl")
    assert figures["names"] == figures["rows"] == 3
    invented = {row["text"]: row["asked"] for row in corpus.read_jsonl(tmp_path / "invented.jsonl")}
    assert invented == {naming.clean(row["prompt"]).text: row["name"] for row in ROWS[:3]}
    assert run(invent, *args, "--limit", 1, "--out", tmp_path / "one.jsonl")["rows"] == 1
    # A prompt that has no end by then is given up.
    assert run(invent, *args, "--most", 2, "--out", tmp_path / "cut.jsonl")["rows"] == 0


def test_prompts_that_are_there_already_are_left_out(made: dict[str, Path], rows: Path, tmp_path: Path) -> None:
    args = ("--model", made["inventor"], "--names", rows, "--names", rows, "--cpu", "--temperature", 0.1)
    figures = run(invent, *args, "--out", tmp_path / "invented.jsonl")
    assert figures["names"] == 6 and figures["rows"] == 0


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("fix-zero-width-crash", True), ("fix-zero-width-column-crash", True), ("feat-zero-width-columns", True),
        ("fix-login", False), ("feat-dark-mode", False), (None, True),
    ],
)  # fmt: skip
def test_a_prompt_named_otherwise_than_asked_for_is_not_taught(asked: str | None, kept: bool, tmp_path: Path) -> None:
    row = {"text": TEXTS[0], "name": ROWS[0]["name"], "sure": -0.1} | ({"asked": asked} if asked else {})
    other = {"text": TEXTS[1], "name": ROWS[1]["name"], "sure": -0.1}
    corpus.write_jsonl(tmp_path / "named.jsonl", [row, other])
    figures = run(teach, "--titles", tmp_path / "named.jsonl", "--noise", 0, "--out", tmp_path / "taught.jsonl")
    assert figures["rows"] == 1 + kept


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"names.jsonl": '{"prompt": "hello", "name": "none"}\n', "m/config.json": "{}"}, "names no task"),
        ({"names.jsonl": '{"prompt": "fix it now", "name": "fix-it"}\n', "m/config.json": "{}"}, "no model in"),
        ({"names.jsonl": '{"prompt": "fix it now"}\n', "m/config.json": "{}"}, "row 1"),
    ],
)
def test_bad_input_is_said_in_one_line(files: dict[str, str], says: str, tmp_path: Path) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    result = invoke(invent, "--model", tmp_path / "m", "--names", tmp_path / "names.jsonl", "--out", tmp_path / "out")
    assert result.exit_code == 1 and says in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("config", "says"),
    [("{", "is no JSON"), ("[]", "no JSON object"), ("{}", "model.safetensors is missing"),
     ('{"model_type": "qwen2"}', "no model in")],
)  # fmt: skip
def test_consensus_says_in_one_line_that_a_folder_holds_no_model(config: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m/config.json").write_text(config)
    corpus.write_jsonl(tmp_path / "asked.jsonl", [{"text": TEXTS[0]}])
    result = invoke(consensus, "--model", tmp_path / "m", "--out", tmp_path / "out", tmp_path / "asked.jsonl", "--cpu")
    assert result.exit_code == 1 and says in result.stderr and len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()
