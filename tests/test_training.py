"""The light stages for real, on a model of random weights: tokenizer, export, and the engine that loads the result."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import save_file

from training import corpus, evaluate, export_gguf, name_words, prepare, teach, train_tokenizer
from wtname import naming
from wtname.engine import Engine
from wtname.words import read_words

ROWS = [
    ("Fix crash on zero-width columns", "fix-zero-width-crash"),
    ("Add dark mode toggle to the settings page", "feat-dark-mode-toggle"),
    ("Update the README for Python 3.10", "docs-readme-python-3-10"),
    ("Bump webpack to 5.90.1", "chore-bump-webpack-5-90-1"),
    ("Rename UserManager to AccountService", "refactor-rename-user-manager"),
    ("hello", "none"),
]


def run(command: object, *args: object) -> dict[str, object]:
    """A stage's command line in this process; its last line of output is JSON."""
    result = CliRunner().invoke(command, [str(a) for a in args], catch_exceptions=False)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    figures: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return figures


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the shape that the stages read."""
    import gzip

    folder = tmp_path_factory.mktemp("data")
    gold = [{"prompt": p, "name": n, "repo": "o/r", "branch": n} for p, n in ROWS]
    files = {
        "titles_gold.jsonl.gz": gold, "bodies_gold.jsonl.gz": gold, "written.jsonl": gold,
        "titles_human.jsonl.gz": gold,
        "titles_raw.jsonl.gz": [{"prompt": p} for p, _ in ROWS] * 2,
        "commits_raw.jsonl.gz": [{"subject": p, "body": f"We have to {p.lower()} now; it hurts."} for p, _ in ROWS],
        "val_titles.jsonl": [{"id": "v1", "prompt": ROWS[0][0], "refs": [ROWS[0][1]]}],
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


@pytest.fixture(scope="module")
def student(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of a small shape whose rows are whole Q4_K blocks."""
    folder = tmp_path_factory.mktemp("student")
    rng = np.random.default_rng(1)
    vocab, hidden, inner = len(json.loads(tokenizer.read_text())["model"]["vocab"]), 256, 256
    shapes = {"model.embed_tokens.weight": (vocab, hidden), "model.norm.weight": (hidden,)}
    for name, shape in {
        "input_layernorm": (hidden,), "post_attention_layernorm": (hidden,),
        **{f"self_attn.{n}_proj": (hidden, hidden) for n in "qkvo"},
        "mlp.gate_proj": (inner, hidden), "mlp.up_proj": (inner, hidden), "mlp.down_proj": (hidden, inner),
    }.items():  # fmt: skip
        shapes[f"model.layers.0.{name}.weight"] = shape
    save_file(
        {n: (rng.normal(0, 0.05, s) if len(s) == 2 else np.ones(s)).astype(np.float32) for n, s in shapes.items()},
        folder / "model.safetensors",
    )
    config = {
        "vocab_size": vocab, "hidden_size": hidden, "num_hidden_layers": 1, "num_attention_heads": 4,
        "num_key_value_heads": 4, "intermediate_size": inner, "max_position_embeddings": 256, "rope_theta": 10000.0,
        "rms_norm_eps": 1e-5,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_export_gives_models_that_the_engine_loads(student: Path, tokenizer: Path, tmp_path: Path) -> None:
    files = run(export_gguf.main, "--student", student, "--tokenizer", tokenizer, "--out", tmp_path)["files"]
    assert isinstance(files, dict) and set(files) == {"f16", "Q4_K_M", "Q8_0"}
    assert files["f16"]["bytes"] > files["Q8_0"]["bytes"] > files["Q4_K_M"]["bytes"]
    for figures in files.values():
        engine = Engine(Path(figures["path"]))
        # Weights without sense: what is written still has the form and is made of the prompt's words.
        for prompt, _ in ROWS[:5]:
            for guess in engine.suggest(naming.clean(prompt), 3):
                assert guess.name is None or naming.gate(guess.name, naming.clean(prompt))
        engine.close()


def test_a_query_is_permuted_to_interleaved_pairs() -> None:
    weight = np.arange(8.0)[:, None]
    assert export_gguf.permute(weight, heads=2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_prepare_keeps_validation_prompts_out(data: Path, tokenizer: Path, tmp_path: Path) -> None:
    counts = run(prepare.main, "--data", data, "--out", tmp_path, "--dev-every", 1000)
    assert counts["gold_titles"] == len(ROWS) - 1
    assert counts["titles"] == len(ROWS) - 1  # each once, the held-out one not at all
    held = naming.clean(ROWS[0][0]).text
    for path in tmp_path.glob("*.jsonl"):
        assert held not in {row.get("text") for row in corpus.read_jsonl(path)}, path


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


def test_evaluate_scores_every_namer_in_one_table(tmp_path: Path) -> None:
    scorer = Path(__file__).parent.parent.parent / "shared" / "tools" / "score.py"
    if not scorer.exists():
        pytest.skip("the scorer is not at hand")
    refs = [{"id": i, "prompt": p, "refs": [n]} for i, (p, n) in enumerate(ROWS)]
    corpus.write_jsonl(tmp_path / "refs.jsonl", refs)
    from wtname import models

    result = CliRunner().invoke(
        evaluate.main, ["--gguf", str(models.PACKAGED), "--scorer", str(scorer), str(tmp_path / "refs.jsonl")]
    )
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.splitlines()[-1])
    assert [row["namer"] for row in rows] == ["branch-name-generator", "words picked", "slug", "yake"]
    assert rows[0]["score"] > rows[2]["score"]
