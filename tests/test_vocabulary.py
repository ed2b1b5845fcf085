"""One tokenizer, three libraries: what is trained or completed here gives the same ids in each of them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from training import corpus, train_tokenizer
from training.vocabulary import MARKERS, WORDS, complete, save_tokenizer
from wtname import naming

ROWS = [
    {"prompt": "Fix crash on zero-width columns", "name": "fix-zero-width-crash"},
    {"prompt": "refactoring of the test styles, features first", "name": "refactor-test-styles"},
    {"prompt": "Hi", "name": "none"},
]


def train(rows: list[dict[str, str]], out: Path, *args: object) -> dict[str, object]:
    file = out.parent / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = CliRunner().invoke(train_tokenizer.main, ["--rows", str(file), "--out", str(out), *map(str, args)])
    assert result.exit_code == 0, result.output
    figures: dict[str, object] = json.loads(result.stdout)
    return figures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tokenizer, trained on rows too few to make a token of each type."""
    out = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    train(ROWS * 3, out, "--vocab-size", 320)
    return out


@pytest.fixture(scope="module")
def encoders(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Callable[[str], list[int]]]:
    """Text to ids by each library, llama.cpp's from a GGUF that the export wrote."""
    pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    from transformers import AutoTokenizer

    from training import export_gguf
    from training.model import Shape, Student, save
    from wtname.engine import Engine

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    save(Student(Shape(tokenizer.get_vocab_size(), 64, 1, 2, 64)), folder)
    out = tmp_path_factory.mktemp("gguf")
    args = ["--student-dir", str(folder), "--type", "f16", "--compare", "0", "--out", str(out)]
    result = CliRunner().invoke(export_gguf.main, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    engine = Engine(Path(json.loads(result.stdout.splitlines()[-1])["files"]["f16"]["path"]))
    auto = AutoTokenizer.from_pretrained(folder)
    tokenize = getattr(engine, "tokenize", None) or engine._search._model.tokenize  # type: ignore[attr-defined]
    return {
        "tokenizers": lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        "transformers": lambda text: auto(text)["input_ids"],
        "llama.cpp": tokenize,
    }


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.text(max_size=80), st.from_regex(re.compile(r"[A-Za-z0-9 .:?|()_'-]{0,80}", re.A), fullmatch=True)))
def test_three_libraries_give_the_same_ids(encoders: dict[str, Callable[[str], list[int]]], text: str) -> None:
    rendered = naming.render(naming.clean(text).text) + naming.render_name("fix-zero-width-crash")
    ids = {library: encode(rendered) for library, encode in encoders.items()}
    assert ids["transformers"] == ids["tokenizers"] == ids["llama.cpp"]


def test_markers_and_types_are_single_tokens_everywhere(encoders: dict[str, Callable[[str], list[int]]]) -> None:
    for text in (*MARKERS, *WORDS):
        assert len({tuple(encode(text)) for encode in encoders.values()}) == 1
        assert len(encoders["llama.cpp"](text)) == 1, text


def foreign(*special: str) -> Tokenizer:
    """Another model's byte-level BPE, with ChatML's own markers added after its vocabulary."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(["features refactoring the user chores, test fixtures"] * 5, trainer)
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def test_completing_keeps_ids_and_the_tokens_of_other_words() -> None:
    before = foreign("<|im_start|>", "<|im_end|>")
    after, new = complete(before)
    assert before.get_vocab().items() <= after.get_vocab().items()
    assert sorted(after.get_vocab().values()) == list(range(after.get_vocab_size()))
    assert set(new) == set(range(before.get_vocab_size(), after.get_vocab_size()))
    # A type inside a longer word stays part of that word: llama.cpp would cut an added token out of it.
    for text in (" features refactoring user", "chores fixtures", " tests"):
        assert after.encode(text).tokens == before.encode(text).tokens
    for at, pieces in new.items():
        assert before.decode(pieces, skip_special_tokens=False) == after.decode([at], skip_special_tokens=False)
    assert {len(after.encode(text).ids) for text in (*MARKERS, *WORDS)} == {1}
    assert complete(after)[1] == {}


def test_a_completed_tokenizer_is_read_back_as_it_was(tmp_path: Path) -> None:
    tokenizer, _ = complete(foreign("<|im_start|>", "<|im_end|>", "<pad>"))
    save_tokenizer(tokenizer, tmp_path / "tokenizer.json")
    again = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert again.get_vocab() == tokenizer.get_vocab()
    assert [again.encode(m).ids for m in MARKERS] == [tokenizer.encode(m).ids for m in MARKERS]


def test_only_a_byte_level_bpe_can_be_completed() -> None:
    for model in (models.WordPiece({"[UNK]": 0}, unk_token="[UNK]"), models.BPE()):
        with pytest.raises(ValueError, match="byte-level BPE"):
            complete(Tokenizer(model))


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "give --rows FILE or --data FOLDER"),
        (["--rows", "rows.jsonl", "--vocab-size", "100"], "has no room"),
        (["--rows", "rows.jsonl", "--rows", "bad.jsonl"], "bad.jsonl, row 1: no 'name'"),
        (["--rows", "cut.jsonl"], "cut.jsonl, after row 0"),
        (["--rows", "list.jsonl"], "list.jsonl, after row 1: not an object"),
        (["--rows", "null.jsonl"], "null.jsonl, row 1: no 'prompt'"),
        (["--rows", "half.jsonl"], "half.jsonl: the name 'fix-\\ud83d' is no text"),
        (["--rows", "none.jsonl"], "no rows to learn from in none.jsonl"),
        (["--data", "data"], "data has no bodies_gold.jsonl, titles_raw.jsonl, commits_raw.jsonl"),
        (["--rows", "rows.jsonl", "--pieces", "data"], "no tokenizer at data"),
    ],
)
def test_bad_input_is_said_in_one_line(
    args: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rows.jsonl").write_text(json.dumps(ROWS[0]) + "\n")
    Path("bad.jsonl").write_text('{"prompt": "x"}\n')
    Path("cut.jsonl").write_text('{"prompt": "x", "na')
    Path("list.jsonl").write_text("[1]\n")
    Path("null.jsonl").write_text('{"prompt": null, "name": "fix-x"}\n')
    Path("half.jsonl").write_text('{"prompt": "x", "name": "fix-\\ud83d"}\n')  # of a surrogate pair
    Path("none.jsonl").write_text("\n")
    corpus.write_jsonl(Path("data", "titles_gold.jsonl"), [ROWS[0]])
    corpus.write_jsonl(Path("data", "written.jsonl"), [ROWS[0]])
    result = CliRunner().invoke(train_tokenizer.main, [*args, "--out", "out"])
    assert result.exit_code in (1, 2)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and says in last
    assert not Path("out").exists()


def test_a_path_that_ends_in_json_is_the_file_itself(tmp_path: Path) -> None:
    train(ROWS, tmp_path / "namer.json", "--vocab-size", 300)
    assert Tokenizer.from_file(str(tmp_path / "namer.json")).token_to_id(naming.END) is not None


def test_no_held_out_prompt_is_learned_from(tmp_path: Path) -> None:
    """Each file of the folder has a prompt of its own, and one that a val_* file has too, but for marks and case."""
    data, held = tmp_path / "data", "Zzyzx zzyzx zzyzx"
    files = {"titles_gold": "alpha", "bodies_gold": "bravo", "written": "carol", "titles_raw": "delta"}
    corpus.write_jsonl(data / "val_titles.jsonl", [{"id": "1", "prompt": held, "refs": ["feat-zzyzx"]}])
    for stem, word in files.items():
        rows = [{"prompt": f"{word} {word}", "name": f"feat-{word}"}, {"prompt": "zzyzx ZZYZX zzyzx.", "name": "none"}]
        corpus.write_jsonl(data / f"{stem}.jsonl", rows)
    bodies = ["eagle eagle", f"{held}!"]
    corpus.write_jsonl(data / "commits_raw.jsonl", [{"subject": "x", "body": body} for body in bodies])
    corpus.write_jsonl(tmp_path / "rows.jsonl", [{"prompt": held, "name": "feat-zzyzx"}] * 3)

    def words(*args: object) -> set[str]:
        args = ("--data", data, "--out", tmp_path / "out", "--limit", 12, "--vocab-size", 400, *args)
        result = CliRunner().invoke(train_tokenizer.main, list(map(str, args)))
        assert result.exit_code == 0, result.output
        vocabulary = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json")).get_vocab()
        return {token.removeprefix("Ġ") for token in vocabulary}

    rows = ("--rows", tmp_path / "rows.jsonl")
    assert {*files.values(), "eagle"} <= words(*rows)
    assert "zzyzx" not in words(*rows)
    (data / "val_titles.jsonl").unlink()
    assert {*files.values(), "eagle", "zzyzx"} <= words(*rows)
