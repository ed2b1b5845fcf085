"""The real model through Namer: the main job, its abstaining, and what is left when the model is not."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wtname import models, naming
from wtname.engine import Engine
from wtname.errors import ModelError
from wtname.namer import Namer

PROMPTS = [
    "Fix crash on zero-width columns",
    "can u make the csv export not choke on emoji in customer names",
    "Add a dark mode toggle to the settings page",
    "Bump webpack to 5.90.1",
    "The README still says Python 3.8, we need 3.10. Please update.",
    "Rename UserManager to AccountService, no behaviour change",
    "add tests for the retry logic in the http client",
    "Die Fehlermeldung bei fehlender Konfigurationsdatei nennt den falschen Pfad",
    "--orphan $(rm -rf /) `id`",
    "fix " + "a very long story about the login page " * 60,
]


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(models.PACKAGED)


@pytest.fixture(scope="module")
def namer() -> Namer:
    return Namer(models.PACKAGED, deadline=20)


def test_names_by_the_model(namer: Namer) -> None:
    for prompt in PROMPTS:
        named = namer.name(prompt)
        assert named.source == "model", (prompt, named)
        assert named.name and naming.gate(named.name, naming.clean(prompt)), (prompt, named)
        assert named.type == named.name.split("-")[0]
        assert named.confidence is not None and 0 < named.confidence <= 1


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("Bump express to 4.4.1", "chore-bump-express-4-4-1"),
        ("Upgrade Spring Boot to 3.3", "chore-upgrade-spring-boot-3-3"),
        ("Bump webpack to 5.90.1", "chore-bump-webpack-5-90-1"),
    ],
)
def test_a_version_is_the_prompts(namer: Namer, prompt: str, name: str) -> None:
    assert namer.name(prompt).name == name


def test_the_same_prompt_has_the_same_name(namer: Namer) -> None:
    first = [namer.name(p).name for p in PROMPTS]
    assert [namer.name(p).name for p in reversed(PROMPTS)] == first[::-1]
    assert [Namer(models.PACKAGED, deadline=20).name(p).name for p in PROMPTS] == first


@pytest.mark.parametrize("n", [2, 5, 20])
def test_several_names_differ_and_begin_with_the_one(namer: Namer, n: int) -> None:
    for prompt in PROMPTS:
        names = [named.name for named in namer.names(prompt, n)]
        assert names[0] == namer.name(prompt).name
        assert len(names) == len(set(names)) and 1 < len(names) <= n
        assert all(naming.gate(name, naming.clean(prompt)) for name in names if name)


@pytest.mark.parametrize("prompt", ["", " \n", "hi", "ok thanks", "please do it now", "???", "\x00", "12"])
def test_no_task_no_name(namer: Namer, prompt: str) -> None:
    named = namer.name(prompt)
    assert (named.name, named.type, named.source) == (None, None, "random")


def test_the_ticket_is_remembered(namer: Namer) -> None:
    assert namer.name("ABC-12: fix login loop").ticket == "ABC-12"


def damaged(tmp_path: Path, kind: str) -> Path | None:
    path = tmp_path / "model.gguf"
    whole = models.PACKAGED.read_bytes()
    if kind == "no model":
        return None
    if kind != "missing":
        path.write_bytes({
            "empty": b"", "not a GGUF": b"PK\x03\x04" + whole[4:], "header only": whole[:64],
            "half": whole[: len(whole) // 2], "noise": b"GGUF" + random.Random(1).randbytes(5000),
            "last byte gone": whole[:-1],
        }[kind])  # fmt: skip
    return path


@pytest.mark.parametrize(
    "kind", ["no model", "missing", "empty", "not a GGUF", "header only", "half", "noise", "last byte gone"]
)
def test_a_broken_model_leaves_the_words(tmp_path: Path, kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    namer = Namer(damaged(tmp_path, kind))
    for _ in range(2):
        named = namer.name("Add a dark mode toggle")
        assert (named.name, named.source) == ("feat-dark-mode-toggle", "extract")
        assert named.why
    assert capfd.readouterr() == ("", "")  # llama.cpp's own log stays inside


def test_a_model_of_another_trade_is_refused(tmp_path: Path) -> None:
    gguf = tmp_path / "model.gguf"
    # The same file with our markers spelled otherwise is a sound GGUF and no namer.
    gguf.write_bytes(models.PACKAGED.read_bytes().replace(b"<|im_start|>user\n", b"<|im_begin|>user\n"))
    with pytest.raises(ModelError, match="no namer"):
        Engine(gguf)


def test_a_deadline_that_has_passed_leaves_the_words() -> None:
    named = Namer(models.PACKAGED, deadline=0).name("Add a dark mode toggle")
    assert (named.name, named.source) == ("feat-dark-mode-toggle", "extract")
    assert named.why and "too long" in named.why


def test_a_deadline_stops_the_engine_and_not_the_next_prompt(engine: Engine) -> None:
    prompt = naming.clean(PROMPTS[0])
    with pytest.raises(ModelError, match="time"):
        engine.suggest(prompt, deadline=time.monotonic() - 1)
    assert engine.suggest(prompt)[0].name


def test_engines_come_and_go_without_taking_the_log_along() -> None:
    import gc

    first, second = Engine(models.PACKAGED), Engine(models.PACKAGED)
    second.close()
    del second
    gc.collect()
    with pytest.raises(ModelError):  # llama.cpp logs here, through a callback that has to be alive still
        first.suggest(naming.clean(PROMPTS[0]), deadline=time.monotonic() - 1)
    assert first.suggest(naming.clean(PROMPTS[0]))[0].name


def test_a_path_that_is_no_text(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/m\xff.gguf"))
    try:
        path.write_bytes(models.PACKAGED.read_bytes())
        if encoder := models.parts(models.PACKAGED).encoder:
            path.with_name(encoder.name).write_bytes(encoder.read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    assert Namer(path, deadline=20).name(PROMPTS[0]).source == "model"


def test_a_slow_load_is_tried_again() -> None:
    namer = Namer(models.PACKAGED, deadline=0)
    assert namer.name(PROMPTS[0]).source == "extract"
    namer.deadline = 20
    assert namer.name(PROMPTS[0]).source == "model"


def test_a_model_that_is_put_in_place_later_is_loaded_then(tmp_path: Path) -> None:
    """As in a server that began between an install's two renames."""
    place = tmp_path / models.GGUF
    namer = Namer(place, deadline=20)
    assert namer.name(PROMPTS[0]).source == "extract"
    whole = [part for part in models.parts(models.PACKAGED) if part]
    shutil.copy(whole[0], tmp_path / "new")
    os.replace(tmp_path / "new", place)
    if len(whole) > 1:  # its encoder is not there yet
        assert namer.name(PROMPTS[0]).source == "extract"
        shutil.copy(whole[1], tmp_path / "new")
        os.replace(tmp_path / "new", tmp_path / whole[1].name)
    assert namer.name(PROMPTS[0]).source == "model"


def test_a_model_that_does_not_load_is_not_tried_at_each_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr("wtname.engine.Engine", lambda gguf, **_: tried.append(gguf) or Engine(gguf))
    namer = Namer(damaged(tmp_path, "noise"))
    assert [namer.name(prompt).source for prompt in PROMPTS[:3]] == ["extract"] * 3
    assert len(tried) == 1


def test_tokens_are_those_of_the_tokenizer_beside_it(engine: Engine) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    beside = tokenizers.Tokenizer.from_file(str(models.PACKAGED.with_name(models.TOKENIZER)))
    written = [naming.render(naming.clean(p).text) for p in prompts_at_hand()]
    for text, encoded in zip(written, beside.encode_batch(written, add_special_tokens=False), strict=True):
        assert engine.tokenize(text) == encoded.ids, text


def prompts_at_hand() -> list[str]:
    """The validation prompts where their folder is at hand, else ours; both cleaned the same way."""
    files = sorted((Path(__file__).parent.parent.parent / "shared" / "data").glob("val_*.jsonl"))
    rows = [json.loads(line)["prompt"] for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    return rows + PROMPTS


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz0123456789 .:?|(", max_size=200))
@settings(max_examples=100, deadline=None)
def test_tokens_agree_on_any_cleaned_text(text: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    global _pair
    if _pair is None:
        _pair = (
            Engine(models.PACKAGED),
            tokenizers.Tokenizer.from_file(str(models.PACKAGED.with_name(models.TOKENIZER))),
        )
    rendered = naming.render(naming.normalise(text))
    assert _pair[0].tokenize(rendered) == _pair[1].encode(rendered, add_special_tokens=False).ids


_pair: tuple[Engine, object] | None = None


@given(st.text(max_size=300))
@settings(max_examples=150, deadline=None)
def test_any_text_in_a_legal_name_out(prompt: str) -> None:
    global _any
    _any = _any or Namer(models.PACKAGED, deadline=20)
    named = _any.name(prompt)
    if named.name is None:
        assert named.source == "random"
    else:
        assert naming.NAME.fullmatch(named.name) and len(named.name) <= naming.MAX_NAME


_any: Namer | None = None


def test_two_thousand_random_prompts_never_fail(namer: Namer) -> None:
    rng = random.Random(7)
    for _ in range(2000):
        prompt = "".join(
            chr(rng.choice((rng.randrange(32, 127), rng.randrange(0x110000)))) for _ in range(rng.randrange(40))
        )
        named = namer.name(prompt)
        assert named.name is None or naming.NAME.fullmatch(named.name), prompt
