"""Fine-tuning for real, on models of a moment's making, with the engine that loads what comes of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

import gguf  # noqa: E402
import llamas  # noqa: E402
from safetensors.torch import load_file  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM  # noqa: E402

from training import checkpoints, corpus, export_gguf, finetune_teacher  # noqa: E402
from training.supervised import WHOLE, Clock, Plan, dataset, last_whole, names  # noqa: E402
from training.vocabulary import MARKERS, WORDS, complete  # noqa: E402
from wtname import models as packaged  # noqa: E402
from wtname import naming  # noqa: E402
from wtname.engine import Engine  # noqa: E402

pytestmark = pytest.mark.timeout(600)  # the libraries alone take a minute to load on a busy machine

ROWS = [
    {"prompt": "Fix crash on zero-width columns", "name": "fix-zero-width-crash"},
    {"prompt": "Add dark mode toggle to the settings page", "name": "feat-dark-mode-toggle"},
    {"prompt": "Bump webpack to 5.90.1", "name": "chore-bump-webpack"},
    {"prompt": "hello", "name": "none"},
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stranger's Llama: tied embeddings, shared keys, a tokenizer without our markers and without all our types."""
    folder = tmp_path_factory.mktemp("base")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        [f" {row['prompt'].lower()}" for row in ROWS] * 4,
        trainers.BpeTrainer(
            vocab_size=330, special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False,
        ),
    )  # fmt: skip
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=tokenizer.get_vocab_size(), hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=128, max_position_embeddings=256, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():  # as far apart as those of a trained model: fixed as they are, the scores hang on them
        model.model.embed_tokens.weight *= 15
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    corpus.write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


def invoke(*args: object) -> Result:
    return CliRunner().invoke(finetune_teacher.main, [str(a) for a in args])


def tune(*args: object) -> dict[str, float]:
    """The stage in this process; its last line is its figures."""
    result = invoke(*args)
    assert result.exit_code == 0, result.output + repr(result.exception)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


@pytest.fixture(scope="module")
def tuned(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stranger after enough LoRA to know four rows by heart."""
    folder = tmp_path_factory.mktemp("tuned")
    file = folder / "rows.jsonl"
    corpus.write_jsonl(file, ROWS)
    figures = tune(
        "--base", base, "--train", file, "--val", file, "--test", file, "--out", folder / "teacher",
        "--max-steps", 120, "--batch", 4, "--lr", 1e-2, "--lora-dropout", 0,
    )  # fmt: skip
    # Known to their last token: had the prompt been learnt, or the end not, no name would be exact.
    assert figures["exact"] == figures["form"] == 1.0
    assert figures["val_loss"] < 0.1
    assert figures["steps"] == 120
    return folder / "teacher"


def test_lora_trains_projections_and_new_tokens_alone(base: Path, tuned: Path) -> None:
    before, after = load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")
    assert before.keys() == after.keys()  # no head of its own: the embeddings stay tied
    old = before["model.embed_tokens.weight"]
    new = after["model.embed_tokens.weight"]
    assert torch.equal(new[: len(old)], old)
    started, ids = complete(Tokenizer.from_file(str(base / "tokenizer.json")))
    assert len(new) == started.get_vocab_size()
    for at, pieces in ids.items():
        assert not torch.allclose(new[at], old[[p for p in pieces if p < len(old)]].mean(0), atol=1e-4)
    for name, weight in before.items():
        if name.endswith("_proj.weight"):
            change = after[name] - weight
            assert 0 < torch.linalg.matrix_rank(change, tol=1e-4) <= 16, name
        elif "norm" in name:
            assert torch.equal(after[name], weight), name


def test_new_tokens_start_from_their_pieces(base: Path) -> None:
    model, tokenizer = finetune_teacher.load_base(str(base))
    old = model.get_input_embeddings().weight.detach().clone()
    completed, new = finetune_teacher.adapt(model, tokenizer)
    table = model.get_input_embeddings().weight
    assert len(table) == completed.get_vocab_size() and new == list(range(len(old), len(table)))
    marker = completed.token_to_id(naming.USER)
    pieces = tokenizer.encode(naming.USER, add_special_tokens=False).ids
    assert len(pieces) > 1
    torch.testing.assert_close(table[marker], old[pieces].mean(0))
    assert model.get_output_embeddings().weight is table


def test_a_written_folder_takes_the_place_of_another(base: Path, tmp_path: Path) -> None:
    model, tokenizer = finetune_teacher.load_base(str(base))
    tokenizer, _ = finetune_teacher.adapt(model, tokenizer)
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher" / "of-old").touch()
    finetune_teacher.write(model, tokenizer, tmp_path / "teacher")
    assert [path.name for path in tmp_path.iterdir()] == ["teacher"]
    assert not (tmp_path / "teacher" / "of-old").exists()
    config = AutoModelForCausalLM.from_pretrained(tmp_path / "teacher").config
    end = tokenizer.token_to_id(naming.END)
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (None, end, end)


@pytest.mark.parametrize("there", ["an empty folder", "a model", "a link to one"])
def test_a_teacher_replaces_an_earlier_one(there: str, base: Path, rows: Path, tmp_path: Path) -> None:
    folder = tmp_path / ("elsewhere" if there == "a link to one" else "teacher")
    if there == "an empty folder":
        folder.mkdir()
    else:
        shutil.copytree(base, folder)
        (folder / "of-old.json").touch()
    if not (tmp_path / "teacher").exists():
        (tmp_path / "teacher").symlink_to("elsewhere")
    tune("--base", base, "--train", rows, "--out", tmp_path / "teacher", "--max-steps", 1)
    assert (tmp_path / "teacher" / "tokenizer_config.json").exists() and not (folder / "of-old.json").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"rows.jsonl", "teacher", folder.name}


@pytest.mark.parametrize(
    ("files", "out", "says"),
    [
        (["teacher"], "teacher", "teacher is a file"),
        (["teacher/student/config.json"], "teacher", "(student)"),
        (["teacher/config.json", "teacher/model.safetensors", "teacher/notes.txt"], "teacher", "(notes.txt)"),
        (["teacher/package.json", "teacher/weights.safetensors"], "teacher", "(package.json, weights.safetensors)"),
        (["teacher/config.json", "teacher/package.json"], "teacher", "(config.json, package.json)"),
        (["file"], "file/teacher", "file cannot be read or written"),
    ],
)
def test_what_is_no_model_is_not_replaced(
    files: list[str], out: str, says: str, base: Path, rows: Path, tmp_path: Path
) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("precious")
    before = sorted(tmp_path.rglob("*"))
    result = invoke("--base", base, "--train", rows, "--out", tmp_path / out, "--max-steps", 1)
    assert result.exit_code == 1, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("Error: ") and says in line and "give another" in line
    assert sorted(tmp_path.rglob("*")) == before


def test_transformers_reads_the_merged_teacher(tuned: Path) -> None:
    assert {f.name for f in tuned.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    model = AutoModelForCausalLM.from_pretrained(tuned)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    auto, ours = AutoTokenizer.from_pretrained(tuned), Tokenizer.from_file(str(tuned / "tokenizer.json"))
    for text in (*MARKERS, *WORDS, naming.render("fix crash on zero width columns")):
        assert auto(text)["input_ids"] == ours.encode(text).ids
    assert model.config.eos_token_id == ours.token_to_id(naming.END)
    assert names(model, ours, [naming.clean(row["prompt"]).text for row in ROWS]) == [row["name"] for row in ROWS]


def test_the_teacher_ships_as_gguf(tuned: Path, tmp_path: Path) -> None:
    args = ["--student-dir", str(tuned), "--type", "f16", "--compare", "0", "--out", str(tmp_path)]
    result = CliRunner().invoke(export_gguf.main, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    engine = Engine(Path(json.loads(result.stdout.splitlines()[-1])["files"]["f16"]["path"]))
    named = [engine.suggest(naming.clean(row["prompt"]))[0].name or naming.NONE for row in ROWS]
    engine.close()
    assert named == [row["name"] for row in ROWS]


def test_a_gguf_can_be_the_base(rows: Path, tmp_path: Path) -> None:
    """A model in eight bits, hardly touched, has the weights that llama.cpp reads."""
    llama = llamas.make(tmp_path / "llama", llamas.byte_level())
    args = ["--student-dir", str(llama), "--type", "Q8_0", "--compare", "0", "--out", str(tmp_path)]
    result = CliRunner().invoke(export_gguf.main, args, catch_exceptions=False)
    base = Path(json.loads(result.stdout.splitlines()[-1])["files"]["Q8_0"]["path"])
    tune(
        "--base", base, "--train", rows, "--test", rows, "--out", tmp_path / "teacher", "--max-steps", 1,
        "--lr", 1e-9,
    )  # fmt: skip
    made = load_file(tmp_path / "teacher" / "model.safetensors")
    told = {t.name: gguf.dequantize(t.data, t.tensor_type) for t in gguf.GGUFReader(base).tensors}
    heads = AutoModelForCausalLM.from_pretrained(tmp_path / "teacher").config.num_attention_heads
    for name, tensor in made.items():
        theirs = told[export_gguf.tensor_name(name)]
        value = tensor.float().numpy()[: len(theirs)]  # what was added to the vocabulary comes last
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            value = export_gguf.permute(value, heads)
        assert abs(value - theirs).max() < 1e-4, name


def test_from_scratch_makes_a_teacher_of_the_shape_asked_for(tuned: Path, rows: Path, tmp_path: Path) -> None:
    figures = tune(
        "--from-scratch", "--tokenizer", tuned, "--layers", 1, "--hidden", 64, "--heads", 2, "--inner", 96,
        "--train", rows, "--test", rows, "--out", tmp_path / "teacher", "--max-steps", 80, "--lr", 1e-2,
    )  # fmt: skip
    assert figures["exact"] == 1.0
    config = json.loads((tmp_path / "teacher" / "config.json").read_text())
    assert (config["num_hidden_layers"], config["hidden_size"], config["intermediate_size"]) == (1, 64, 96)
    assert config["tie_word_embeddings"]
    assert not list(tmp_path.glob("teacher.checkpoints"))


def test_full_trains_every_weight(base: Path, rows: Path, tmp_path: Path) -> None:
    tune("--base", base, "--full", "--train", rows, "--out", tmp_path / "teacher", "--max-steps", 2, "--lr", 1e-2)
    before, after = load_file(base / "model.safetensors"), load_file(tmp_path / "teacher" / "model.safetensors")
    assert before.keys() == after.keys()
    assert not [n for n, w in before.items() if torch.equal(after[n][: len(w)], w)]


def test_a_killed_run_goes_on_where_it_was(base: Path, rows: Path, tmp_path: Path) -> None:
    args = ["--base", base, "--train", rows, "--out", tmp_path / "killed", "--max-steps", 12, "--batch", 2,
            "--save-minutes", 0]  # fmt: skip
    command = [sys.executable, "-m", "training.finetune_teacher", *map(str, args)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 100
    while not list(tmp_path.glob(f"killed.checkpoints/*/checkpoint-[3-9]/{WHOLE}")):
        assert process.poll() is None and time.monotonic() < end, "it was over before it could be killed"
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "killed").exists()
    result = invoke(*args)
    assert result.exit_code == 0, result.output
    assert "going on from" in result.stderr
    tune(*args[:4], "--out", tmp_path / "whole", *args[6:-2])
    killed, whole = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "whole"))
    for name, weight in whole.items():
        torch.testing.assert_close(killed[name], weight, rtol=0, atol=1e-6)
    assert not list(tmp_path.glob("*.checkpoints"))


def test_a_run_cut_off_while_it_names_is_not_trained_again(
    base: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(base, tmp_path / "base")
    args = ["--full", "--train", rows, "--test", rows, "--max-steps", 2, "--batch", 2, "--out", tmp_path / "teacher"]
    with monkeypatch.context() as patch:
        patch.setattr("training.supervised.names", lambda *_: sys.exit(143))
        assert invoke("--base", base, *args).exit_code == 143
    assert (tmp_path / "teacher" / "config.json").exists()
    os.utime(tmp_path / "base" / "model.safetensors", (1, 1))
    monkeypatch.setattr(torch.Tensor, "backward", lambda *_: pytest.fail("trained again"))
    assert tune("--base", tmp_path / "base", *args)["steps"] == 2
    assert not list(tmp_path.glob("*.checkpoints"))


def test_another_base_in_the_same_place_is_another_recipe(base: Path, tmp_path: Path) -> None:
    told = [checkpoints.recipe({"base": folder, "seed": seed}, [row]) for folder, seed, row in (
        (base, 1, b"a"), (base, 2, b"a"), (base, 1, b"b"), (Path(shutil.copytree(base, tmp_path / "base")), 1, b"a"),
    )]  # fmt: skip
    assert told[0] == told[3] and len(set(told)) == 3
    (tmp_path / "base" / "config.json").write_text("{}")
    assert checkpoints.recipe({"base": tmp_path / "base", "seed": 1}, [b"a"]) not in told


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    assert last_whole(tmp_path) is None
    for step, whole in ((9, True), (10, True), (11, False)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if whole:
            (tmp_path / f"checkpoint-{step}" / WHOLE).write_text("{}")
    assert last_whole(tmp_path) == tmp_path / "checkpoint-10"


@pytest.mark.parametrize(
    ("minutes", "spent", "done", "rate"),
    [
        (0, 0, 0.0, 0.01), (0, 0, 0.05, 0.5), (0, 0, 0.1, 1.0), (0, 0, 0.55, 0.5), (0, 999, 1.0, 0.0),
        (10, 330, 0.0, 0.5), (10, 60, 0.55, 0.5), (10, 600, 0.2, 0.0),
    ],
)  # fmt: skip
def test_the_rate_follows_steps_or_minutes(minutes: float, spent: float, done: float, rate: float) -> None:
    clock = Clock(Plan(minutes=minutes, warmup=0.1))
    clock.spent = spent
    assert clock.rate(done) == pytest.approx(rate, abs=0.01)


def test_minutes_end_the_training(base: Path, rows: Path, tmp_path: Path) -> None:
    figures = tune(
        "--base", base, "--train", rows, "--out", tmp_path / "teacher", "--minutes", 0.005, "--epochs", 10_000
    )  # fmt: skip
    assert 0 < figures["steps"] < 10_000
    assert (tmp_path / "teacher" / "config.json").exists()


def test_loss_is_on_the_name_and_its_end_alone(tuned: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tuned / "tokenizer.json"))
    long = corpus.Example("supercalifragilistic " * 90, "fix-crash")
    for example in (corpus.Example("fix crash on zero width columns", "fix-zero-width-crash"), long):
        (row,) = dataset(tokenizer, [example])
        at = row["completion_mask"].index(1)
        assert all(row["completion_mask"][at:])
        prompt, learnt = row["input_ids"][:at], row["input_ids"][at:]
        assert tokenizer.decode(learnt, skip_special_tokens=False) == naming.render_name(example.name)
        assert prompt[-1] == tokenizer.token_to_id(naming.ASSISTANT)
        assert len(row["input_ids"]) <= 256


BAD_ROWS = {
    "empty.jsonl": "",
    "cut.jsonl": '{"prompt": "x", "na',
    "nameless.jsonl": '{"prompt": "fix it now"}\n',
    "misnamed.jsonl": '{"prompt": "fix it now", "name": "bugfix/It"}\n',
}


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--base", "nowhere/at-all"], "--from-scratch --tokenizer FOLDER"),
        (["--base", "empty"], "--from-scratch --tokenizer FOLDER"),
        (["--base", "damaged.gguf"], "--from-scratch --tokenizer FOLDER"),
        (["--base", "empty.jsonl"], "empty.jsonl is a file and no .gguf"),
        (["--base", "word-pieces"], "no byte-level BPE"),
        (["--base", str(packaged.PACKAGED)], "is a prefix LM"),
        (["--base", "both-ways"], "is a prefix LM"),
        (["--from-scratch"], "needs --tokenizer"),
        (["--from-scratch", "--tokenizer", "empty", "--hidden", "100"], "heads of an even size"),
        (["--train", "data/train.jsonl"], "make rows with: python -m training.generate_data"),
        *[(["--train", name], name) for name in BAD_ROWS],
    ],
)
def test_bad_input_is_said_in_one_line(
    args: list[str], says: str, base: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    Path("empty").mkdir()
    Path("damaged.gguf").write_bytes(b"GGUF" + bytes(64))
    Path("both-ways").mkdir()
    Path("both-ways/config.json").write_text('{"prefix_lm": true}')
    Path("word-pieces").mkdir()
    for file in base.iterdir():
        (Path("word-pieces") / file.name).write_bytes(file.read_bytes())
    Tokenizer(models.WordPiece({"[UNK]": 0}, unk_token="[UNK]")).save("word-pieces/tokenizer.json")
    for name, text in BAD_ROWS.items():
        Path(name).write_text(text)
    result = invoke(*(args if "--train" in args else ["--train", rows, *args]), "--out", "teacher")
    assert result.exit_code in (1, 2), result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert len(lines) == 1 and says in lines[0], result.stderr
    assert not Path("teacher").exists()
