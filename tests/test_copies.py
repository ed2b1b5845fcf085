"""A student that may copy, in torch: what its scores are, that they train, and that it names what it never saw."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import copying  # noqa: E402
import llamas  # noqa: E402
from conftest import invoke  # noqa: E402
from tokenizers import Tokenizer  # noqa: E402

from training import distill, export_gguf  # noqa: E402
from training.labels import written  # noqa: E402
from training.llama_folder import LlamaFolder  # noqa: E402
from training.model import Shape, Student, load, save  # noqa: E402
from training.objective import Objective  # noqa: E402
from training.pointer import Copies, with_copies  # noqa: E402
from wtname import models as packaged  # noqa: E402

USER, ASSISTANT, END, FIRST = 1, 2, 0, 3


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def student(seed: int = 1, prefix: bool = True, tied: bool = True) -> Student:
    torch.manual_seed(seed)
    model = Student(Shape(40 + 16, 32, 2, 4, 48, 64, prefix=prefix, tied=tied, pointer=8))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3) if p.dim() == 2 else None
    return model


def test_scores_are_those_of_copynet() -> None:
    rng = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 10 + 4, generator=rng)
    keys = torch.randn(2, 5, 2, generator=rng)
    tokens = torch.tensor([[1, 4, 4, 7, 2], [1, 9, 2, 0, 0]])
    words = torch.tensor([[0, 1, 1, 1, 0], [0, 1, 0, 0, 0]], dtype=torch.bool)
    got = with_copies(scores, Copies(tokens, keys, words))
    for row in range(2):
        for token in range(10):
            ways = [scores[row, token].exp()]
            ways += [(keys[row, at] @ scores[row, 10:12]).exp() for at in range(5)
                     if words[row, at] and tokens[row, at] == token]  # fmt: skip
            assert got[row, token] == pytest.approx(sum(ways).log().item(), abs=1e-5)


@pytest.mark.parametrize("factor", [0.0, 1.0, 1e3])
def test_gradients_are_finite_however_far_apart_scores_are(factor: float) -> None:
    scores = (torch.linspace(-1, 1, 14).repeat(2, 1) * factor).requires_grad_()
    keys = (torch.ones(2, 3, 2) * factor).requires_grad_()
    words = torch.tensor([[False, True, False], [False, False, False]])  # a prompt may have no word to copy
    got = with_copies(scores, Copies(torch.tensor([[1, 4, 2], [1, 2, 0]]), keys, words))
    assert got.isfinite().all()
    torch.nn.functional.cross_entropy(got, torch.tensor([9, 4])).backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert keys.grad is not None and keys.grad.isfinite().all()


@pytest.mark.parametrize("prefix, tied", [(True, True), (False, False)])
def test_many_prompts_at_once_are_named_as_each_alone(prefix: bool, tied: bool) -> None:
    model = student(2, prefix, tied).eval()
    rng = torch.Generator().manual_seed(3)
    prompts = [[USER, *torch.randint(FIRST, 40, (n,), generator=rng).tolist(), ASSISTANT] for n in (1, 3, 8, 2, 13, 5)]
    together, sure = written(model, prompts, END)
    for prompt, want, how in zip(prompts, together, sure, strict=True):
        ids, end = list(prompt), torch.tensor([len(prompt)])
        total = []
        with torch.no_grad():
            while len(ids) - len(prompt) < 24:
                given = torch.tensor([ids])
                hidden = model(given, end)
                last = model.logits(hidden[:, -1], model.copies(given, end, hidden)).log_softmax(-1)
                total.append(last.max().item())
                ids.append(int(last.argmax()))
                if ids[-1] == END:
                    break
        wrote = [t for t in ids[len(prompt) :] if t != END]
        assert want == wrote
        if len(wrote) < 24:
            assert how == pytest.approx(sum(total) / len(total), abs=1e-3)


def test_it_names_words_it_never_wrote_in_training() -> None:
    """The task is the word after a sign; half of the words are in no name that it learns from."""
    torch.manual_seed(4)
    sign, words = 3, 800
    rng = torch.Generator().manual_seed(5)

    def rows(first: int, last: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        others = torch.randint(4, words, (count, 4), generator=rng)
        word = torch.randint(first, last, (count,), generator=rng)
        at = torch.randint(0, 3, (count,), generator=rng)
        others[torch.arange(count), at], others[torch.arange(count), at + 1] = sign, word
        ends = torch.ones(count, 1, dtype=torch.long)
        return torch.cat([ends * USER, others, ends * ASSISTANT], 1), word

    model = Student(Shape(words + 32, 48, 2, 4, 64, 64, prefix=True, pointer=16))
    objective, adam = Objective(model), torch.optim.AdamW(model.parameters(), 3e-3)
    for _ in range(500):
        ids, word = rows(4, words // 2, 128)
        loss = objective(ids, torch.full((128,), 6), torch.arange(128) * 6 + 5, word)
        adam.zero_grad()
        loss.backward()
        adam.step()
    ids, word = rows(words // 2, words, 200)
    with torch.no_grad():
        hidden = model.eval()(ids, torch.full((200,), 6))
        copies = model.copies(ids, torch.full((200,), 6), hidden)
        assert (model.logits(hidden[:, -1], copies).argmax(-1) == word).float().mean() > 0.9


def test_it_is_trained_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    copying.make(tmp_path)
    given = ["--tokenizer", "tokenizer.json", "--mix", "rows.jsonl:1", "--student-hidden", 32, "--student-layers", 1]
    result = invoke(distill.main, *given, "--student-inner", 64, "--pointer", 8, "--epochs", 2, "--out", "model")
    assert result.exit_code == 0, result.output
    tokens = Tokenizer.from_file("tokenizer.json").get_vocab_size()
    model = load(Path("model"))
    assert (model.shape.vocab, model.shape.tokens, model.shape.pointer) == (tokens + 16, tokens, 8)
    save(model, Path("again"))
    assert LlamaFolder(Path("again")).shape == LlamaFolder(Path("model")).shape
    result = invoke(distill.main, *given[:4], "--init", "model", "--epochs", 1, "--out", "longer")
    assert result.exit_code == 0 and load(Path("longer")).shape.pointer == 8, result.output
    result = invoke(distill.main, *given[:4], "--init", "model", "--pointer", 8, "--epochs", 1, "--out", "longer")
    assert result.exit_code == 2 and "pointer" in result.output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A student without an encoder, saved with its tokenizer."""
    tokenizer = llamas.byte_level()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    torch.manual_seed(6)
    model = Student(Shape(tokenizer.get_vocab_size() + 16, 32, 1, 4, 64, pointer=8))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3) if p.dim() == 2 else None
    save(model, tmp_path / "model", tokenizer=tmp_path)
    return tmp_path / "model"


def test_llama_cpp_gives_torchs_names(folder: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": p}) + "\n" for p in llamas.PROMPTS))
    args = ["--student-dir", folder, "--type", "f16", "--prompts", prompts, "--out", tmp_path / "out"]
    result = invoke(export_gguf.main, *args)
    assert result.exit_code == 0, result.output
    file = json.loads(result.stdout)["files"]["f16"]
    assert file["agree"] == 1.0
    told = packaged.facts(packaged.Found(Path(file["path"]), "flag"))
    shape = LlamaFolder(folder).shape
    assert (told["vocabulary"], told["pointer"]) == (shape.vocab, 8)


@pytest.mark.parametrize("pointer", ["64", -5, 1.5, 10**6, None])
def test_a_pointer_without_room_is_told_in_a_line(pointer: object, folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pointer": pointer}))
    result = invoke(export_gguf.main, "--student-dir", folder, "--out", folder.parent)
    assert result.exit_code == 1 and f"no room for a pointer of {pointer!r}" in result.output


def test_fine_tuning_refuses_it(folder: Path) -> None:
    pytest.importorskip("trl")
    from training.finetune_teacher import load_base

    with pytest.raises(click.ClickException, match="copies from its prompt"):
        load_base(str(folder))


def test_onnx_has_no_pointer(folder: Path, tmp_path: Path) -> None:
    result = invoke(export_gguf.main, "--student-dir", folder, "--format", "onnx", "--out", tmp_path)
    assert result.exit_code == 1 and "only --format gguf holds that" in result.output
