"""A student that reads its prompt through an encoder: in torch, on the grid, as two GGUFs in llama.cpp."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import copying  # noqa: E402
import gguf  # noqa: E402
import llamas  # noqa: E402
from conftest import ROOT, invoke  # noqa: E402
from students import model_of  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from training import distill, export_gguf, train_tokenizer  # noqa: E402
from training.copy_model import CLS, SEP, load_teacher  # noqa: E402
from training.encoder import EncoderShape  # noqa: E402
from training.grid import OnGrid, bits_of, snap, snapped  # noqa: E402
from training.inherit import inherit, vectors  # noqa: E402
from training.labels import names_of  # noqa: E402
from training.llama_folder import ENCODER  # noqa: E402
from training.model import EncoderDecoder, Shape, Student, load, save  # noqa: E402
from training.objective import Objective  # noqa: E402
from training.word_pieces import trim  # noqa: E402
from wtname import models, naming  # noqa: E402
from wtname.engine import Engine  # noqa: E402

TYPES = gguf.GGMLQuantizationType


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module", params=[0, 32], ids=["plain", "pointer"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Such a model, saved with its tokenizer."""
    place = tmp_path_factory.mktemp("pair")
    tokenizer = llamas.byte_level()
    tokenizer.save(str(place / "tokenizer.json"))
    save(model_of(tokenizer.get_vocab_size(), pointer=request.param), place / "model", tokenizer=place)
    return place / "model"


# --- in torch --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lengths", [(5, 9), (9, 9), (1, 3)])
def test_padding_on_either_side_and_what_is_remembered_change_nothing(lengths: tuple[int, int]) -> None:
    model, rng = model_of(50), np.random.default_rng(1)
    prompts = [rng.integers(1, 50, n).tolist() for n in lengths]
    name = [7, 8, 9]
    width = max(lengths)
    right = torch.tensor([[*p, *name, *[0] * (width - len(p))] for p in prompts])
    left = torch.tensor([[0] * (width - len(p)) + p for p in prompts])
    with torch.no_grad():
        alone = [model(torch.tensor([[*p, *name]]), torch.tensor([len(p)]))[0, len(p) - 1 :] for p in prompts]
        padded = model(right, torch.tensor(lengths))
        known: list[list[torch.Tensor]] = [[] for _ in model.layers]
        blank = torch.tensor([width - n for n in lengths])
        steps = [model(left, torch.full((2,), width), known, blank)[:, -1]]
        steps += [model(torch.tensor([[t], [t]]), None, known, blank)[:, -1] for t in name]
    for i, (n, want) in enumerate(zip(lengths, alone, strict=True)):
        assert torch.allclose(padded[i, n - 1 : n + 3], want, atol=1e-4)
        assert torch.allclose(torch.stack([step[i] for step in steps]), want, atol=1e-4)


def test_the_prompt_is_read_both_ways_and_the_name_is_not_foreseen() -> None:
    model = model_of(50)
    ids = torch.tensor([[3, 4, 5, 6, 7, 8]])
    with torch.no_grad():
        whole = model(ids, torch.tensor([4]))
        for at, reaches in ((3, 0), (5, 5)):  # the prompt's last token, the name's last
            other = ids.clone()
            other[0, at] = 20
            changed = (model(other, torch.tensor([4])) - whole)[0].abs().amax(-1) > 1e-5
            assert changed.tolist() == [i >= reaches for i in range(6)]


def test_it_is_saved_and_read_again_and_makes_place_for_a_plain_one(folder: Path, tmp_path: Path) -> None:
    first = load(folder)
    assert isinstance(first, EncoderDecoder) and first.encoder.shape == EncoderShape(2, 4, 128)
    want = model_of(first.shape.tokens, pointer=first.shape.pointer).state_dict()
    assert all(torch.equal(w, want[name]) for name, w in first.state_dict().items())
    save(first, tmp_path)
    assert (tmp_path / ENCODER).exists()
    save(Student(Shape(50, 32, 1, 4, 48)), tmp_path)
    assert not (tmp_path / ENCODER).exists() and type(load(tmp_path)) is Student


@pytest.mark.parametrize("harm", ["none", "cut", "missing sizes", "other sizes"])
def test_a_damaged_encoder_is_told_in_a_line(harm: str, folder: Path, tmp_path: Path) -> None:
    save(load(folder), tmp_path, tokenizer=folder)
    config = json.loads((tmp_path / "config.json").read_text())
    if harm == "cut":
        (tmp_path / ENCODER).write_bytes((tmp_path / ENCODER).read_bytes()[:1000])
    elif harm == "missing sizes":
        del config["encoder"]
    elif harm == "other sizes":
        config["encoder"]["inner"] = 96
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = invoke(
        export_gguf.main, "--student-dir", tmp_path, "--out", tmp_path / "out", "--type", "f16", "--compare", 0
    )
    if harm == "none":
        assert result.exit_code == 0, result.output
        return
    assert result.exit_code == 1
    assert "is not the encoder of this model" in result.stderr and result.stderr.count("\n") == 1


# --- from a copying teacher ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("inherit")
    copying.make(place)
    return place


def test_tokens_begin_as_the_mean_of_their_pieces(here: Path) -> None:
    teacher, pieces = load_teacher(here / "copy")
    tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
    table, known = vectors(teacher, pieces, tokenizer), pieces.get_vocab()
    words = teacher.words.weight.detach()
    for token, wanted in (
        (naming.USER, [CLS]), (naming.ASSISTANT, [SEP]), ("Ġfix", [known["fix"]]), ("s", [known["##s"]]),
        ("Ġplease", [known["please"]]), ("Ġcache", [known["cache"]]), ("Ã", [100]),
    ):  # fmt: skip
        if (at := tokenizer.token_to_id(token)) is not None:
            assert torch.allclose(table[at], words[wanted].mean(0)), token
    assert tokenizer.token_to_id("Ġcache") is not None


def test_it_begins_with_what_the_teacher_makes_of_words_it_has_as_tokens(here: Path) -> None:
    teacher, pieces = load_teacher(here / "copy")
    tokenizer = Tokenizer.from_file(str(here / "tokenizer.json"))
    student = inherit(teacher, pieces, tokenizer, Shape(tokenizer.get_vocab_size(), 384, 1, 6, 96), 0.0).eval()
    ours = tokenizer.encode(naming.render("please fix the cache"), add_special_tokens=False).ids
    theirs = [CLS, *pieces.encode("please fix the cache", add_special_tokens=False).ids, SEP]
    assert len(ours) == len(theirs)
    with torch.no_grad():
        said = student.encoder(torch.tensor([ours]), torch.tensor([len(ours)]))
        assert torch.allclose(said, teacher.encode(torch.tensor([theirs]))[0], atol=0.02)  # one GELU is approximate


def test_distilled_on_the_grid_it_names_the_same_in_four_bits(here: Path, tmp_path: Path) -> None:
    rows = here / "rows.jsonl"
    shape = ["--student-hidden", 384, "--student-heads", 6, "--student-inner", 96, "--student-layers", 1]
    rates = ["--lr", 5e-3, "--muon-lr", 1e-2, "--encoder-lr", 1e-4, "--batch-tokens", 256, "--ema", 0.5]
    result = invoke(
        distill.main, "--tokenizer", here / "tokenizer.json", "--mix", f"{rows}:1", "--encoder", here / "copy", "--cpu",
        "--states", here / "copy", "--states-share", 0.5, "--grid-share", 0.5, "--epochs", 60,
        "--out", tmp_path / "student", *shape, *rates,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout)
    assert figures["states_rows"] == 1.0
    model = load(tmp_path / "student")
    assert isinstance(model, EncoderDecoder) and figures["parameters"] == sum(p.numel() for p in model.parameters())
    # It learnt, through the encoder.
    tokenizer = Tokenizer.from_file(str(tmp_path / "student" / "tokenizer.json"))
    named = names_of(model.eval(), tokenizer, [row.text for row in copying.ROWS])
    assert [n.name for n in named] == [row.name for row in copying.ROWS]
    state = model.state_dict()
    assert [name for name, w in snapped(state).items() if not torch.equal(w, state[name])] == []


def test_two_processes_learn_beside_a_frozen_encoder_and_then_on_the_grid(here: Path, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2",
        "--main_process_port", "0", "-m", "training.distill", "--tokenizer", here / "tokenizer.json", "--mix",
        f"{here / 'rows.jsonl'}:1", "--encoder", here / "copy", "--student-hidden", 384, "--student-heads", 6,
        "--student-inner", 96, "--student-layers", 1, "--frozen-share", 0.3, "--states", here / "copy",
        "--states-share", 0.6, "--grid-share", 0.3, "--epochs", 6, "--batch-tokens", 64, "--cpu", "--out",
        tmp_path / "two",
    ]  # fmt: skip
    result = subprocess.run(
        [str(part) for part in command], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["processes"] == 2 and figures["steps"] >= 6
    assert isinstance(load(tmp_path / "two"), EncoderDecoder)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--student-hidden", "64"], "--student-hidden 384"),
        (["--student-hidden", "384", "--grid-share", "2"], "from 0 to 1"),
        (["--student-hidden", "384", "--states-share", "0.5"], "give --states"),
        (["--init", "{student}"], "leave out what sets the encoder"),
    ],
)
def test_options_that_do_not_go_together(args: list[str], said: str, here: Path, folder: Path, tmp_path: Path) -> None:
    result = invoke(
        distill.main, "--tokenizer", here / "tokenizer.json", "--mix", f"{here / 'rows.jsonl'}:1", "--encoder",
        here / "copy", "--out", tmp_path / "out", "--cpu", *(a.format(student=folder) for a in args),
    )  # fmt: skip
    assert result.exit_code == 2 and said in result.stderr


# --- on the grid -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "kind"), [(4, TYPES.Q4_0), (5, TYPES.Q5_0)])
def test_the_grid_is_ggmls_and_what_is_on_it_stays(bits: int, kind: TYPES) -> None:
    weight = torch.randn(16, 96, generator=torch.Generator().manual_seed(1)) * 0.05
    weight[3, :32] = 0.0
    on = snap(weight, bits)
    there_and_back = gguf.quants.dequantize(gguf.quants.quantize(weight.numpy(), kind), kind)
    assert np.array_equal(on.numpy(), there_and_back)
    again = gguf.quants.dequantize(gguf.quants.quantize(on.numpy(), kind), kind)
    assert torch.equal(snap(on, bits), on) and np.array_equal(again, on.numpy())
    assert not torch.equal(on, weight)


@pytest.mark.parametrize(
    ("name", "shape", "bits"),
    [
        ("layers.0.mlp.up_proj.weight", (8, 64), 4), ("encoder.words.weight", (8, 64), 4),
        ("embed_tokens.weight", (8, 64), 5), ("encoder.positions.weight", (8, 64), None), ("norm.weight", (64,), None),
        ("layers.0.x.weight", (8, 40), None),
    ],
)  # fmt: skip
def test_what_is_held_to_it(name: str, shape: tuple[int, ...], bits: int | None) -> None:
    assert bits_of(name, torch.zeros(shape)) == bits


def test_the_loss_is_that_of_the_weights_on_the_grid_and_the_gradient_passes() -> None:
    model = model_of(50).train()
    given = (torch.tensor([[3, 4, 5, 6, 7]]), torch.tensor([3]), torch.tensor([2, 3]), torch.tensor([6, 7]))
    on = OnGrid(Objective(model), model)
    plain = Objective(model)(*given)
    assert torch.equal(on(*given), plain)
    on.active = True
    loss = on(*given)
    other = model_of(50).train()
    other.load_state_dict(snapped(model.state_dict()))
    assert torch.equal(loss, Objective(other)(*given)) and not torch.equal(loss, plain)
    loss.backward()
    Objective(other)(*given).backward()
    for (name, p), q in zip(model.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None) and (p.grad is None or torch.allclose(p.grad, q.grad)), name


# --- in llama.cpp ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported")
    prompts = out / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in llamas.PROMPTS))
    kinds = ["--type", "f16", "--type", "Q8_0", "--type", "Q4_0"]
    result = invoke(
        export_gguf.main, "--student-dir", folder, "--out", out, *kinds, "--prompts", prompts, "--least-agree", 0
    )
    assert result.exit_code == 0, result.output
    files = json.loads(result.stdout)["files"]
    assert files["f16"]["agree"] == 1.0
    for kind, told in files.items():
        both = [out / kind / name for name in (models.GGUF, models.ENCODER)]
        assert Path(told["path"]) == both[0] and told["bytes"] == sum(path.stat().st_size for path in both)
    return out


def test_llama_cpps_scores_are_torchs(exported: Path, folder: Path) -> None:
    model = load(folder).eval()
    engine = Engine(exported / "f16" / models.GGUF)
    try:
        for prompt in llamas.PROMPTS:
            ids = engine.tokenize(naming.render(naming.clean(prompt).text))
            end = torch.tensor([len(ids)])
            got = np.array(engine.read(ids, set(ids))[: model.shape.tokens])
            after = np.array(engine.write([(5, 0)], len(ids))[0][: model.shape.tokens])
            given = torch.tensor([[*ids, 5]])
            with torch.no_grad():
                hidden = model(given, end)
                copies = model.copies(given, end, hidden)
                want = model.logits(hidden[0, -2:], copies and copies.of(torch.zeros(2, dtype=torch.long))).numpy()
            assert np.allclose(got, want[0], atol=0.05 * np.abs(want[0]).max())
            assert np.allclose(after, want[1], atol=0.05 * np.abs(want[1]).max())
    finally:
        engine.close()


def test_its_output_layer_is_finer_and_the_rest_as_asked(exported: Path) -> None:
    kinds = {}
    for name in (models.GGUF, models.ENCODER):
        reader = gguf.GGUFReader(exported / "Q4_0" / name)
        kinds |= {(name, t.name): t.tensor_type for t in reader.tensors}
    assert kinds[models.GGUF, "token_embd.weight"] == TYPES.Q5_0
    assert kinds[models.ENCODER, "token_embd.weight"] == TYPES.Q4_0
    assert kinds[models.ENCODER, "position_embd.weight"] == TYPES.F16
    matrices = {
        kind
        for (_, name), kind in kinds.items()
        if name.startswith("blk") and "norm" not in name and "bias" not in name
    }
    assert matrices == {TYPES.Q4_0}


def test_quantising_what_is_on_the_grid_changes_no_weight(folder: Path, tmp_path: Path) -> None:
    model = load(folder)
    held = snapped(model.state_dict())
    save(model, tmp_path / "on", held, folder)
    out = tmp_path / "out"
    result = invoke(export_gguf.main, "--student-dir", tmp_path / "on", "--out", out, "--type", "Q4_0", "--compare", 0)
    assert result.exit_code == 0, result.output
    for file, theirs, ours in (
        (models.ENCODER, "token_embd.weight", "encoder.words.weight"),
        (models.ENCODER, "blk.1.ffn_up.weight", "encoder.layers.1.up.weight"),
        (models.GGUF, "token_embd.weight", "embed_tokens.weight"),
        (models.GGUF, "blk.1.ffn_down.weight", "layers.1.mlp.down_proj.weight"),
    ):
        tensor = next(t for t in gguf.GGUFReader(out / "Q4_0" / file).tensors if t.name == theirs)
        assert np.array_equal(gguf.quants.dequantize(tensor.data, tensor.tensor_type), held[ours].numpy()), ours


def test_onnx_has_no_place_for_an_encoder(folder: Path, tmp_path: Path) -> None:
    result = invoke(export_gguf.main, "--student-dir", folder, "--out", tmp_path, "--format", "onnx", "--compare", 0)
    assert result.exit_code == 1 and "encoder" in result.stderr and result.stderr.count("\n") == 1


# --- with the encoder's own word pieces ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pieces(here: Path) -> Path:
    """A tokenizer of the teacher's word pieces, as the stage makes it from the rows."""
    rows = here / "prompts.jsonl"
    rows.write_text("".join(json.dumps({"prompt": r.text, "name": r.name}) + "\n" for r in copying.ROWS))
    args = ["--rows", rows, "--pieces", here / "copy", "--vocab-size", 300, "--out", here / "pieces"]
    result = invoke(train_tokenizer.main, *args)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["kept"] == 1.0
    return here / "pieces" / "tokenizer.json"


def test_the_pieces_are_those_the_texts_use_and_what_a_namer_needs(here: Path, pieces: Path) -> None:
    ours, theirs = (Tokenizer.from_file(str(path)) for path in (pieces, here / "copy" / "tokenizer.json"))
    for text in ("please fix the parsers under pressure", "test logins"):
        assert (
            ours.encode(text, add_special_tokens=False).tokens == theirs.encode(text, add_special_tokens=False).tokens
        )
    assert ours.token_to_id("don") is None and ours.token_to_id("[CLS]") is None  # nobody says it
    for single in (naming.USER, naming.ASSISTANT, naming.END, *naming.TYPES, naming.NONE):
        assert len(ours.encode(f" {single}", add_special_tokens=False).ids) == 1
    rendered = naming.render("fix parsers") + naming.render_name("fix-parsers")
    assert ours.encode(rendered, add_special_tokens=False).tokens == [
        naming.USER, "fix", "parser", "##s", naming.ASSISTANT, "fix", "parser", "##s", naming.END,
    ]  # fmt: skip
    assert ours.decode(ours.encode(" fix parsers", add_special_tokens=False).ids) == "fix parsers"


@pytest.mark.parametrize(
    ("size", "of", "said"), [(300, "tokenizer.json", "no word pieces"), (10, "copy/tokenizer.json", "no room")]
)
def test_pieces_that_cannot_be_had(size: int, of: str, said: str, here: Path) -> None:
    with pytest.raises(ValueError, match=said):
        trim(Tokenizer.from_file(str(here / of)), [], size)


def test_with_its_own_pieces_the_encoder_says_the_same(here: Path, pieces: Path) -> None:
    teacher, theirs = load_teacher(here / "copy")
    ours = Tokenizer.from_file(str(pieces))
    student = inherit(teacher, theirs, ours, Shape(ours.get_vocab_size(), 384, 1, 6, 96), 0.0).eval()
    text = "please fix the parsers under pressure"
    a = ours.encode(naming.render(text), add_special_tokens=False).ids
    b = [CLS, *theirs.encode(text, add_special_tokens=False).ids, SEP]
    with torch.no_grad():
        said = student.encoder(torch.tensor([a]), torch.tensor([len(a)]))
        assert torch.allclose(said, teacher.encode(torch.tensor([b]))[0], atol=0.02)


@pytest.mark.parametrize("frozen", [True, False])
def test_a_frozen_encoder_neither_learns_nor_drops(frozen: bool) -> None:
    torch.manual_seed(1)
    model = EncoderDecoder(Shape(50, 64, 1, 4, 96, prefix=True), EncoderShape(1, 4, 96), 0.5).train()
    model.frozen = frozen
    ids, end = torch.tensor([[3, 4, 5, 6]]), torch.tensor([3])
    vectors = [model.embed(ids, end, None, None)[0, :3] for _ in range(2)]
    assert torch.equal(*vectors) is frozen
    model(ids, end).sum().backward()
    assert all((p.grad is None) is frozen for p in model.encoder.parameters())
    assert model.layers[0].mlp["up_proj"].weight.grad is not None


@pytest.fixture(scope="module")
def spelt(here: Path, pieces: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student of random weights that has these pieces."""
    place = tmp_path_factory.mktemp("spelt") / "model"
    save(model_of(Tokenizer.from_file(str(pieces)).get_vocab_size()), place, tokenizer=pieces)
    return place


def test_llama_cpp_splits_into_the_same_pieces(spelt: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke(export_gguf.main, "--student-dir", spelt, "--out", out, "--type", "f16", "--least-agree", 1)
    assert result.exit_code == 0, result.output  # 200 seeds are read alike, and named alike
    ours = Tokenizer.from_file(str(spelt / "tokenizer.json"))
    engine = Engine(out / "f16" / models.GGUF)
    try:
        for text in ("unbekannt", "don't", "café", "x86_64 (v2.10)", "zqx", "\N{SNOWMAN}", "ＦＩＸ", "", "naïve—dash"):
            rendered = naming.render(text)
            assert engine.tokenize(rendered) == ours.encode(rendered, add_special_tokens=False).ids, text
    finally:
        engine.close()


UNLIKE = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None}


@pytest.mark.parametrize(
    "change",
    [
        {"normalizer": {"type": "Lowercase"}},
        {"normalizer": {**UNLIKE, "lowercase": False}},
        {"pre_tokenizer": {"type": "Whitespace"}},
    ],
)
def test_pieces_that_llama_cpp_would_split_otherwise_are_refused(
    change: dict[str, object], spelt: Path, tmp_path: Path
) -> None:
    spec = json.loads((spelt / "tokenizer.json").read_text())
    (tmp_path / "tokenizer.json").write_text(json.dumps({**spec, **change}))
    args = [
        "--student-dir",
        spelt,
        "--tokenizer",
        tmp_path / "tokenizer.json",
        "--out",
        tmp_path / "out",
        "--compare",
        0,
    ]
    result = invoke(export_gguf.main, *args)
    assert result.exit_code == 1 and "BERT's uncased" in result.stderr and result.stderr.count("\n") == 1
