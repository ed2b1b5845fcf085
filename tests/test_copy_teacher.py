"""The copying teacher for real, on an encoder of random weights: it learns, copies, labels; its vectors are a start."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import llamas  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers  # noqa: E402

from training import consensus, copy_names, copy_teacher, embeddings, likeness, loop, scoring, teach  # noqa: E402
from training.copy_model import CLS, SEP, CopyTeacher, load_encoder, word_pieces  # noqa: E402
from training.corpus import read_jsonl, write_jsonl  # noqa: E402

ROWS = [
    {"text": f"please {kind} the {what} of it", "name": f"{kind}-{what}"}
    for kind in ("fix", "test")
    for what in ("parser", "cache", "login", "table")
]
WORDS = "please fix test the of it parser cache login table gauge ##s un ##der".split()
FIRST = 999


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of MiniLM's sizes, but for its few words."""
    folder = tmp_path_factory.mktemp("encoder")
    pieces = ["[PAD]", *(f"[unused{i}]" for i in range(99)), "[UNK]", "[CLS]", "[SEP]"]
    pieces += [*(f"[unused{i}]" for i in range(99, FIRST - 4)), *WORDS]  # as in BERT's own list
    tokenizer = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(1)
    sizes = {"word_embeddings": len(pieces), "position_embeddings": 512, "token_type_embeddings": 2}
    tensors = {f"embeddings.{name}.weight": torch.randn(size, 384) * 0.05 for name, size in sizes.items()}
    norms = ["embeddings.LayerNorm"]
    for at in (f"encoder.layer.{i}." for i in range(6)):
        norms += [f"{at}attention.output.LayerNorm", f"{at}output.LayerNorm"]
        linear = {f"attention.self.{n}": (384, 384) for n in ("query", "key", "value")}
        linear |= {"attention.output.dense": (384, 384), "intermediate.dense": (1536, 384), "output.dense": (384, 1536)}
        for name, shape in linear.items():
            tensors[f"{at}{name}.weight"] = torch.randn(shape) * 0.03
            tensors[f"{at}{name}.bias"] = torch.randn(shape[0]) * 0.01
    for name in norms:
        tensors |= {f"{name}.weight": torch.ones(384), f"{name}.bias": torch.zeros(384)}
    save_file(tensors, folder / "model.safetensors")
    return folder


def run(command: Any, *args: object) -> dict[str, Any]:
    result = CliRunner().invoke(command, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    figures: dict[str, Any] = json.loads(result.stdout)
    return figures


def test_the_encoder_is_bert_s(encoder: Path) -> None:
    """Its hidden states by transformers' own BERT of the same weights."""
    transformers = pytest.importorskip("transformers")
    from safetensors.torch import load_file

    config = transformers.BertConfig(
        vocab_size=FIRST + len(WORDS), hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536, layer_norm_eps=1e-12,
    )  # fmt: skip
    bert = transformers.BertModel(config, add_pooling_layer=False).eval()
    bert.load_state_dict(load_file(encoder / "model.safetensors"), strict=False)
    model = CopyTeacher(FIRST + len(WORDS), [CLS, SEP]).eval()
    load_encoder(model, encoder)
    source = torch.tensor([[CLS, FIRST, FIRST + 1, FIRST + 3, SEP], [CLS, FIRST + 6, SEP, 0, 0]])
    with torch.no_grad():
        ours, _ = model.encode(source)
        theirs = bert(source, attention_mask=(source != 0).long()).last_hidden_state
    for row, length in ((0, 5), (1, 3)):
        torch.testing.assert_close(ours[row, :length], theirs[row, :length], atol=1e-4, rtol=1e-4)


@pytest.mark.timeout(300)
def test_it_learns_to_copy_and_labels(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    seconds = itertools.count()  # a step takes one, however busy the machine
    monkeypatch.setattr(loop, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    figures = run(
        copy_teacher.main, "train", "--encoder", encoder, "--mix", f"{tmp_path / 'rows.jsonl'}:1", "--out",
        tmp_path / "teacher", "--minutes", 0.5, "--batch-tokens", 600, "--dropout", 0, "--cpu",
    )  # fmt: skip
    assert figures["stage"] == "copy_teacher" and figures["steps"] == 30
    assert sorted(path.name for path in (tmp_path / "teacher").iterdir()) == ["model.safetensors", "tokenizer.json"]
    # `gauge` is in no name that it has seen: it can only be copied.
    asked = [*ROWS, {"text": "please fix the gauge of it", "id": 9}]
    write_jsonl(tmp_path / "asked.jsonl", asked)
    out = tmp_path / "named.jsonl"
    run(copy_teacher.main, "label", "--model", tmp_path / "teacher", "--out", out, tmp_path / "asked.jsonl")
    named = list(read_jsonl(out))
    assert [row["name"] for row in named[:-1]] == [row["name"] for row in ROWS]
    assert named[-1]["name"] == "fix-gauge" and named[-1]["id"] == 9
    assert all(row["sure"] <= 0 for row in named)
    # By consensus of two that are one, and sure: the same.
    teachers = ("--model", tmp_path / "teacher", "--model", tmp_path / "teacher", "--samples", 6)
    figures = run(consensus.main, *teachers, "--out", tmp_path / "agreed.jsonl", tmp_path / "asked.jsonl")
    assert figures["stage"] == "consensus" and figures["rows"] == len(asked)
    assert [row["name"] for row in read_jsonl(tmp_path / "agreed.jsonl")] == [row["name"] for row in named]
    # A Llama may be among them: one that knows nothing makes them less sure, and changes no name.
    llamas.make(tmp_path / "llama", llamas.byte_level())
    teachers = ("--model", tmp_path / "teacher", "--model", tmp_path / "llama", "--samples", 6, "--jobs", 2)
    run(consensus.main, *teachers, "--out", tmp_path / "both.jsonl", tmp_path / "asked.jsonl")
    assert [row["name"] for row in read_jsonl(tmp_path / "both.jsonl")] == [row["name"] for row in named]
    assert all(row["sure"] < 0 for row in read_jsonl(tmp_path / "both.jsonl"))
    # What a student learns of them: the sure ones that a name may say.
    odd = [("fix the cache", "fix-cache", -2.0), ("fix it", "", 0.0), ("fix the cache", "fix-cache-zebra", 0.0)]
    write_jsonl(
        tmp_path / "agreed.jsonl",
        [
            *(dict(zip(("text", "name", "sure"), row, strict=True)) for row in odd),
            *read_jsonl(tmp_path / "agreed.jsonl"),
        ],
    )
    titles = ("--titles", tmp_path / "agreed.jsonl", "--noise", 0, "--out", tmp_path / "taught.jsonl")
    assert run(teach.main, *titles)["rows"] == len(asked)
    assert list(read_jsonl(tmp_path / "taught.jsonl")) == [{"text": r["text"], "name": r["name"]} for r in named]
    # Batches of like lengths give each text its own names, of each teacher as many.
    long = "please fix the parser of it please test the cache of it please fix it please test it"
    texts, named_so = [long, *(row["text"] for row in ROWS)], [row["name"] for row in ROWS]
    sure = consensus.drawer(tmp_path / "teacher", 1, "cpu")
    assert [max(names, key=names.__getitem__) for names in consensus.drawn_by([sure], texts, 8, 1)][1:] == named_so
    unsure = consensus.by_copying(unlearnt(encoder), word_pieces(encoder), 1)
    drawn = consensus.drawn_by([sure, unsure], texts, 8, 1)
    assert [names.total() for names in drawn] == [16] * len(texts)
    assert all(name in names for name, names in zip(named_so, drawn[1:], strict=True))
    assert drawn == consensus.drawn_by([sure, unsure], texts, 8, 1) != consensus.drawn_by([sure, unsure], texts, 8, 2)


def test_samples_come_as_often_as_they_are_likely(encoder: Path) -> None:
    """Of a model that has learnt nothing: single pieces, by their probabilities; no word after the type comes twice."""
    tokenizer, model = word_pieces(encoder), unlearnt(encoder)
    rows = copy_names.rows_of(tokenizer, ["fix the gauge", "test"])
    count = 10_000
    drawn = copy_names.samples(model, tokenizer, rows, count)
    assert not any("gauge" in name for name in drawn[1])  # which is another prompt's
    for i, names in enumerate(drawn):
        assert names.total() == count
        likely = next_words(model, tokenizer, rows[i], [CLS])
        for word in ("fix", "test", "parser", "gauge"):
            came = sum(n for name, n in names.items() if name.startswith(word))
            assert abs(came / count - likely.get(word, 0.0)) < 0.015, word
        begun = {name: n for name, n in names.items() if name.split("-")[0] == "fix"}
        likely = next_words(model, tokenizer, rows[i], [CLS, FIRST + 1])
        for word in ("fix", "test", "parser", "gauge"):
            came = sum(n for name, n in begun.items() if name.startswith(f"fix-{word}"))
            assert abs(came / sum(begun.values()) - likely.get(word, 0.0)) < 0.03, word


def unlearnt(encoder: Path) -> CopyTeacher:
    """A teacher that writes five pieces, or copies, by chance."""
    torch.manual_seed(2)
    model = CopyTeacher(FIRST + len(WORDS), [CLS, SEP, FIRST + 1, FIRST + 5, FIRST + 6]).eval()
    load_encoder(model, encoder)
    torch.nn.init.normal_(model.bias)
    return model


def next_words(model: CopyTeacher, tokenizer: Tokenizer, row: copy_names.Row, begun: list[int]) -> dict[str, float]:
    """How likely each piece is after those that have been written, for a prompt by itself."""
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        read = copy_names._read(model, [row])
        scores, copy = copy_names._next(model, read, torch.tensor([begun]), copy_names._goes_on_with(tokenizer))
    assert scores[0, 0] == 0  # a name does not start again
    out = Counter[str]()
    for piece, score in [*zip(model.vocab, scores[0], strict=True), *zip(read.source[0], copy[0], strict=True)]:
        out[tokenizer.id_to_token(int(piece))] += float(score)  # type: ignore[assignment]
    return {word: score / out.total() for word, score in out.items()}


@pytest.mark.parametrize(
    ("drawn", "best", "like"),
    [
        ({"fix-login-crash": 1, "fix-login": 1, "fix-login-table": 1}, "fix-login", 2.5 / 3),
        ({"fix-login-crash": 1, "docs-table": 4}, "docs-table", 0.8),  # the many
        ({"fix-logins": 1, "fix-login": 2}, "fix-login", 1.0),  # as like: the likelier
        ({"none": 3, "fix-login": 2}, "none", 0.6),
        ({"fix-zebra": 9, "fix-login": 1}, "fix-login", 0.1 + 0.9 * 0.25),  # of those that fit
        ({"fix-zebra": 9}, "", 0.0),
    ],
)  # fmt: skip
def test_the_consensus_is_the_name_most_like_the_others(drawn: dict[str, int], best: str, like: float) -> None:
    name, how = likeness.consensus(Counter(drawn), lambda name: "zebra" not in name)
    assert name == best and how == pytest.approx(like, abs=1e-3)


@pytest.mark.parametrize("a", ["fix-login-crash", "docs-config", "none", "fix-the-of"])
@pytest.mark.parametrize("b", ["fix-login", "fix-configuration", "none", "feat-crash-login", "fix-the-of"])
def test_likeness_is_the_score_of_one_beside_the_other(a: str, b: str) -> None:
    figures, _ = scoring.score([{"id": 0, "prompt": "", "refs": [b]}], {0: a})
    assert 100 * likeness.likeness(a, b) == pytest.approx(figures["score"], abs=0.01)
    assert likeness.likeness(a, b) == likeness.likeness(b, a)


def test_a_token_starts_from_its_word_pieces(encoder: Path, tmp_path: Path) -> None:
    vocab = {
        token: i
        for i, token in enumerate(["Ġparser", "parser", "Ġcache", "Ġunder", "s", "Ġ!", "<|end|>", "ders", "Ġs"])
    }
    Tokenizer(models.WordLevel(vocab, unk_token="Ġ!")).save(str(tmp_path / "tokenizer.json"))
    out = tmp_path / "vectors.npy"
    figures = run(
        embeddings.main, "--encoder", encoder, "--tokenizer", tmp_path / "tokenizer.json", "--hidden", 2, "--out", out
    )
    assert figures["stage"] == "embeddings" and figures["found"] == 7 and 0 < figures["variance_kept"] <= 1
    vectors = np.load(out)
    assert vectors.shape == (9, 2) and vectors.dtype == np.float32
    apart = lambda a, b: float(np.abs(vectors[vocab[a]] - vectors[vocab[b]]).max())  # noqa: E731
    assert apart("Ġparser", "parser") < 0.03 < apart("Ġparser", "Ġcache")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tokenizer.json", "vectors.npy"]
