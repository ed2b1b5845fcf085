"""The student beside transformers' LlamaForCausalLM: the same files, the same scores, the same greedy tokens."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from conftest import invoke  # noqa: E402

from training import average, labels, model  # noqa: E402
from training.llama_folder import parameters  # noqa: E402
from training.model import Shape, Student  # noqa: E402

VOCAB, CONTEXT = 61, 256
PLAIN: dict[str, Any] = {
    "vocab_size": VOCAB, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "intermediate_size": 48, "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": True, "rms_norm_eps": 1e-5, "initializer_range": 0.2,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(3)


def theirs(**more: Any) -> Any:
    """A LlamaForCausalLM of random weights, norms too."""
    llama = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**PLAIN, **more})).eval()
    for name, p in llama.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(p, 0.5, 1.5)
    return llama


def ours(shape: Shape) -> Student:
    """A student of random weights, those that begin at zero too."""
    student = Student(shape).eval()
    for p in student.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return student


@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, id="tied"),
        pytest.param({"num_key_value_heads": 2}, id="shared keys"),
        pytest.param({"tie_word_embeddings": False, "num_key_value_heads": 1}, id="a head of its own"),
        pytest.param({"head_dim": 16}, id="heads of another size"),
        pytest.param({"rope_theta": 100_000.0, "rms_norm_eps": 1e-3}, id="another theta"),
    ],
)
@pytest.mark.parametrize("length", [9, 200])
def test_a_folder_of_transformers_gives_the_same_logits(more: dict[str, Any], length: int, tmp_path: Path) -> None:
    if "rope_theta" in more and hasattr(transformers.LlamaConfig(), "rope_parameters"):
        more = {**more, "rope_parameters": {"rope_type": "default", "rope_theta": more["rope_theta"]}}
        del more["rope_theta"]
    llama = theirs(**more)
    llama.save_pretrained(tmp_path)
    student = model.load(tmp_path).eval()
    ids = torch.randint(VOCAB, (3, length))
    with torch.inference_mode():
        assert torch.allclose(student.logits(student(ids)), llama(ids).logits, atol=1e-4)


@pytest.mark.parametrize("kind", ["bfloat16", "shards", "tied twice", "tying untold", "theta of transformers 4"])
def test_other_ways_to_write_the_same_weights_load_alike(kind: str, tmp_path: Path) -> None:
    llama = theirs(**({"rope_parameters": {"rope_type": "default", "rope_theta": 500.0}} if "theta" in kind else {}))
    if kind == "bfloat16":
        llama = llama.bfloat16()
    llama.save_pretrained(tmp_path, **({"max_shard_size": "8KB"} if kind == "shards" else {}))
    if kind == "shards":
        assert len(list(tmp_path.glob("*.safetensors"))) > 1
    if kind == "tied twice":
        from safetensors.torch import load_file, save_file

        state = load_file(tmp_path / "model.safetensors")
        save_file({**state, "lm_head.weight": torch.zeros(VOCAB, 32)}, tmp_path / "model.safetensors")
    config = json.loads((tmp_path / "config.json").read_text())
    if "theta" in kind:
        config["rope_theta"] = config.pop("rope_parameters")["rope_theta"]
    if kind == "tying untold":
        del config["tie_word_embeddings"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    student = model.load(tmp_path).eval()
    assert all(p.dtype == torch.float32 for p in student.parameters())
    ids = torch.randint(VOCAB, (2, 40))
    if kind == "bfloat16":
        llama = transformers.LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.inference_mode():
        assert torch.allclose(student.logits(student(ids)), llama(ids).logits, atol=1e-4)


@pytest.mark.parametrize(
    "shape",
    [
        Shape(VOCAB, 32, 2, 4, 48),
        Shape(VOCAB, 32, 1, 4, 48, kv_heads=2, theta=100_000.0, head_size=16, tied=False, eps=1e-3),
    ],
)
def test_transformers_reads_what_save_writes(shape: Shape, tmp_path: Path) -> None:
    student = ours(shape)
    model.save(student, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    assert model.load(tmp_path).shape == replace(shape, kv_heads=shape.keys, head_size=shape.size)
    llama = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert sum(p.numel() for p in llama.parameters()) == parameters(shape)
    ids = torch.randint(VOCAB, (2, 30))
    with torch.inference_mode():
        assert torch.allclose(student.logits(student(ids)), llama(ids).logits, atol=1e-4)


def test_a_prefix_is_seen_both_ways_as_with_a_mask_of_four_dimensions(tmp_path: Path) -> None:
    student = ours(Shape(VOCAB, 32, 2, 4, 48, kv_heads=2, prefix=True))
    model.save(student, tmp_path)
    assert model.load(tmp_path).shape.prefix
    llama = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager").eval()
    ids, prompt = torch.randint(VOCAB, (3, 12)), torch.tensor([1, 5, 12])
    seen = torch.ones(12, 12).tril().bool() | (torch.arange(12) < prompt[:, None])[:, None, :]
    mask = torch.zeros(3, 1, 12, 12).masked_fill_(~seen[:, None], torch.finfo(torch.float32).min)
    with torch.inference_mode():
        both, want = student.logits(student(ids, prompt)), llama(ids, attention_mask=mask).logits
        assert torch.allclose(both, want, atol=1e-4)
        causal = student.logits(student(ids))
    assert torch.allclose(causal[0], want[0], atol=1e-4)  # a prompt of one token
    assert not torch.allclose(causal[1], want[1], atol=1e-2)


@pytest.mark.parametrize("prefix", [False, True])
def test_greedy_writes_what_one_row_at_a_time_without_memory_does(prefix: bool) -> None:
    student = ours(Shape(VOCAB, 32, 2, 4, 48, kv_heads=2, prefix=prefix))
    prompts = [torch.randint(VOCAB, (n,)).tolist() for n in (3, 17, 9, 4, 11, 16)]

    def alone(prompt: list[int], end: int) -> tuple[list[int], float]:
        ids, total = list(prompt), 0.0
        for _ in range(labels.MOST_TOKENS):
            hidden = student(torch.tensor([ids]), torch.tensor([len(prompt)]))[0, -1]
            best, token = student.logits(hidden).log_softmax(-1).max(-1)
            total += float(best)
            if token == end:
                return ids[len(prompt) :], total / (len(ids) - len(prompt) + 1)
            ids.append(int(token))
        return ids[len(prompt) :], (total + labels.UNFINISHED) / (labels.MOST_TOKENS + 1)

    with torch.inference_mode():
        written = [alone(prompt, -1)[0] for prompt in prompts]
        # Some token that some rows write and others do not ends a name.
        end = max(range(VOCAB), key=lambda t: min(sum(t in w for w in written), 3) - all(t in w for w in written))
        want = [alone(prompt, end) for prompt in prompts]
    lengths = {len(tokens) for tokens, _ in want}
    assert len(lengths) > 1 and labels.MOST_TOKENS in lengths
    tokens, sure = labels.written(student, prompts, end)
    assert tokens == [w[0] for w in want]
    assert sure == pytest.approx([w[1] for w in want], abs=1e-4)


@pytest.mark.parametrize("prefix", [False, True])
def test_tokens_are_drawn_as_often_as_they_are_likely(prefix: bool) -> None:
    """Of the 40 likeliest; prompts of several lengths, each read once, have each its own."""
    torch.manual_seed(5)
    student = ours(Shape(VOCAB, 32, 2, 4, 48, kv_heads=2, prefix=prefix))
    prompts, count, end = [[5, 9, 33], [7, 2, 17, 4, 11, 30, 8, 6]], 4000, 1
    drawn, _ = labels.written(student, prompts, end, labels.by_chance, count)
    assert len(drawn) == 2 * count
    for prompt, tokens in zip(prompts, (drawn[:count], drawn[count:]), strict=True):
        first = Counter(row[0] if row else end for row in tokens)
        begun = first.most_common(1)[0][0]
        then = Counter(row[1] if len(row) > 1 else end for row in tokens if row and row[0] == begun)
        for came, ids in ((first, prompt), (then, [*prompt, begun])):
            with torch.inference_mode():
                hidden = student(torch.tensor([ids]), torch.tensor([len(prompt)]))[0, -1]
                likely, index = student.logits(hidden).softmax(-1).topk(labels.LIKELY)
            assert came.keys() <= set(index.tolist())
            for token, share in zip(index.tolist(), (likely / likely.sum()).tolist(), strict=True):
                assert abs(came[token] / came.total() - share) < 4 * (share / came.total()) ** 0.5 + 0.002


def test_greedy_agrees_with_generate_of_transformers(tmp_path: Path) -> None:
    llama = theirs(num_key_value_heads=2)
    llama.save_pretrained(tmp_path)
    prompt = [5, 9, 33, 2, 17]
    want = llama.generate(
        torch.tensor([prompt]), max_new_tokens=labels.MOST_TOKENS, do_sample=False, eos_token_id=None, pad_token_id=0
    )
    never = next(t for t in range(VOCAB) if t not in want)
    tokens, _ = labels.written(model.load(tmp_path).eval(), [prompt], never)
    assert tokens == [want[0, len(prompt) :].tolist()]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "mistral"}, "a model of type 'mistral' is not supported"),
        ({"attention_bias": True}, "biases is not supported"),
        ({"hidden_act": "gelu"}, "the activation 'gelu' is not supported"),
        ({"rope_parameters": {"rope_type": "yarn", "factor": 2.0}}, "scaled rotary positions is not supported"),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, "scaled rotary positions is not supported"),
        ({"num_hidden_layers": 3}, "not those that config.json tells of"),
        ({"hidden_size": None}, "config.json has no 'hidden_size'"),
        ({"num_attention_heads": 0}, "config.json has no 'num_attention_heads' of 1 or more"),
        (None, "holds no model"),
    ],
)
def test_what_is_no_plain_llama_is_refused_in_one_line(
    change: dict[str, Any] | None, says: str, tmp_path: Path
) -> None:
    model.save(Student(Shape(VOCAB, 32, 2, 4, 48)), tmp_path)
    if change is None:
        (tmp_path / "model.safetensors").unlink()
    else:
        config = json.loads((tmp_path / "config.json").read_text()) | change
        (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    result = invoke(average.main, "--out", tmp_path / "out", tmp_path)
    assert result.exit_code == 1
    assert says in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_more_tokens_than_the_context_are_refused() -> None:
    with pytest.raises(ValueError, match="257 tokens do not fit a context of 256"):
        Student(Shape(VOCAB, 32, 1, 4, 48))(torch.zeros(1, 257, dtype=torch.long))


def test_average_is_the_mean_of_the_weights(tmp_path: Path) -> None:
    shape = Shape(VOCAB, 32, 1, 4, 48)
    students = [ours(shape), ours(shape)]
    for i, student in enumerate(students):
        model.save(student, tmp_path / str(i))
    out = tmp_path / "out"
    result = invoke(average.main, "--out", out, tmp_path / "0", tmp_path / "1")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {"stage": "average", "students": 2, "out": str(out)}
    for name, p in model.load(out).state_dict().items():
        assert torch.allclose(p, (students[0].state_dict()[name] + students[1].state_dict()[name]) / 2)
    model.save(ours(replace(shape, layers=2)), tmp_path / "2")
    result = invoke(average.main, "--out", out, tmp_path / "0", tmp_path / "2")
    assert result.exit_code == 2 and "differ in shape" in result.stderr
