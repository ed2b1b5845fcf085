from __future__ import annotations

import importlib.util
import inspect
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import NAMED, ROOT, Run
from wtname import Suggestion, library, suggest, suggestions
from wtname.errors import WtnameError

PROMPTS = [prompt for prompt, _ in NAMED] + [
    "can u make the csv export not choke on emoji in customer names",
    "PROJ-214: retry webhooks with backoff",
    "The README still says Python 3.8, we need 3.10. Please update.",
    "add tests for the retry logic in the http client",
]
SLOW = 60.0  # a busy machine must not change a name


def run_python(code: str, cwd: Path | None = None) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_names_are_those_of_the_command_line(run: Run, prompt: str) -> None:
    found = suggest(prompt, deadline=SLOW)
    assert isinstance(found, Suggestion)
    if prompt == "hello":
        assert (found.name, found.type, found.source, found.confidence) == (None, None, "random", None)
        assert found.branch.startswith("wt-") and len(found.branch) == len("wt-5e1f09c3")
    else:
        name = run("suggest", prompt).stdout.strip()
        assert (found.name, found.type, found.source) == (name, name.partition("-")[0], "model")
        assert found.branch == f"wt-{name}"
        assert found.confidence and 0 < found.confidence <= 1


def test_options() -> None:
    found = suggest("PROJ-214: retry webhooks", template="{user}/{ticket}-{slug}", user="ada", deadline=SLOW)
    assert found.name and found.ticket == "PROJ-214"
    assert found.branch == "ada/PROJ-214-" + found.name.partition("-")[2]
    three = suggestions("Add a dark mode toggle", 3, deadline=SLOW)
    assert three[0] == suggest("Add a dark mode toggle", deadline=SLOW)
    assert len({one.name for one in three}) == len({one.branch for one in three}) == 3


@pytest.mark.parametrize("given", [{"model": "nothing.gguf"}, {"model": Path(__file__)}, {"deadline": 0}])
def test_without_the_model_the_words_name_it(given: dict[str, object]) -> None:
    found = suggest("Add a dark mode toggle", **given)  # type: ignore[arg-type]
    assert (found.name, found.source, found.confidence) == ("feat-dark-mode-toggle", "extract", None)


@pytest.mark.parametrize("prompt", ["", "\0", "\ud800 fix \x1b[31m", "--force", "x" * 1_000_000, "𝕗𝕚𝕩 ﷽", "\n" * 9999])
def test_any_text_gets_an_answer(prompt: str) -> None:
    assert suggest(prompt, deadline=SLOW).branch.startswith("wt-")


@pytest.mark.parametrize("prompt", [None, 1, b"fix it", ["fix it"], Path("fix")])
def test_what_is_no_text_is_a_type_error(prompt: object) -> None:
    with pytest.raises(TypeError, match="text"):
        suggest(prompt)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [{"count": 0}, {"count": 1, "deadline": -1}, {"count": 1, "deadline": math.nan}])
def test_wrong_numbers_are_value_errors(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="or more"):
        suggestions("fix it", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("template", ["{nothing}", "fixed", "a b/{name}", "{name}..", "~{name}"])
def test_a_template_that_makes_no_branch(template: str) -> None:
    with pytest.raises(WtnameError):
        suggest("Fix the login", template=template, deadline=SLOW)


def test_no_limit() -> None:
    assert suggest("Fix the login", deadline=math.inf) == suggest("Fix the login", deadline=SLOW)


def test_threads_get_the_same_names_as_one() -> None:
    alone = [suggest(prompt, deadline=SLOW).name for prompt in PROMPTS]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(suggestions, prompt, 1 + i % 3, deadline=SLOW) for i in range(12) for prompt in PROMPTS]
        found = [one.result() for one in asked]
    assert [one[0].name for one in found] == alone * 12
    assert {one[0].source for one in found if one[0].name} == {"model"}


def test_who_waits_too_long_for_its_turn_gets_the_words() -> None:
    suggest("Fix the login", deadline=SLOW)
    namer = library._namer(None)
    with namer._turn:
        found = suggest("Add a dark mode toggle", deadline=0.05)
    assert (found.name, found.source) == ("feat-dark-mode-toggle", "extract")
    assert suggest("Add a dark mode toggle", deadline=SLOW).source == "model"


def test_documentation() -> None:
    text = (ROOT / "docs" / "python.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    examples = re.findall(r"^(suggest\(.*?)\s+# ('.*?'|None)", blocks[0], re.M)
    assert len(examples) == 4
    for code, promised in examples:
        got = repr(eval(code.replace(")", ", deadline=SLOW)", 1)))
        random = "'wt-[0-9a-f]{8}'"
        assert got == promised or (re.fullmatch(random, got) and re.fullmatch(random, promised))
    assert run_python(blocks[1]).splitlines()[0].startswith("ada/PROJ-214-")
    fields, options = (re.findall(r"^\| `(\w+)` \|", part, re.M) for part in text.split("| option |"))
    assert set(fields) == set(Suggestion._fields)
    assert options == [name for name in inspect.signature(suggest).parameters if name != "prompt"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells what is mapped")
def test_the_model_is_loaded_once() -> None:
    code = """
from concurrent.futures import ThreadPoolExecutor
from wtname import suggest
mapped = lambda: sum(".gguf" in line for line in open("/proc/self/maps"))
with ThreadPoolExecutor(8) as pool:
    list(pool.map(lambda i: suggest(f"fix the login of user {i}", deadline=60), range(16)))
many = mapped()
from wtname import library, models
library._namers[models.PACKAGED]._engine.close()
library._namers.clear()
before = mapped()
suggest("fix the login", deadline=60)
print(many, before, mapped())
"""
    many, none, one = run_python(code).split()
    assert (many, none) == (one, "0") and one != "0"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_names_too() -> None:
    """Also where another thread had the model, and with it the lock, when it was forked."""
    code = """
import os, threading
from wtname import library, models, suggest
name = suggest("Fix crash on zero-width columns", deadline=60).name
namer = library._namers[models.PACKAGED]
namer._turn.acquire()
library._lock.acquire()
child = os.fork()
if not child:
    again = suggest("Fix crash on zero-width columns", deadline=20)
    os._exit(0 if (again.name, again.source) == (name, "model") else 1)
namer._turn.release()
library._lock.release()
after = suggest("Fix crash on zero-width columns", deadline=60)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), after.name == name)
"""
    assert run_python(code) == "0 True"


def test_the_import_is_free() -> None:
    code = (
        "import sys; import wtname; print(sorted(m for m in sys.modules if m.startswith(('wtname', 'llama', 'json'))))"
    )
    assert run_python(code) == "['wtname']"
    assert run_python("import wtname; print(wtname.suggest.__module__, hasattr(wtname, 'nothing'))") == (
        "wtname.library False"
    )
    # Nor does it make a command load what it does not use.
    code = "import sys; from wtname.cli import main; main(['--version'], standalone_mode=False); import sys"
    assert "wtname.library" not in run_python(code + "; print([m for m in sys.modules])")


def test_types(tmp_path: Path) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed: pip install mypy")
    assert (ROOT / "wtname" / "py.typed").exists()
    (tmp_path / "use.py").write_text(
        "from wtname import Suggestion, library, suggest, suggestions\n"
        "name: str | None = suggest('x', template='{name}', deadline=1).name\n"
        "sure: float | None = suggest('x').confidence\n"
        "many: list[Suggestion] = suggestions('x', 3, model='a.gguf')\n"
        "branch: str = many[0].branch\n"
        "wrong: int = suggest(b'x').branch\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "use.py"],
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("use.py")]
    assert len(lines) == 2 and all(line.startswith("use.py:6:") for line in lines), done.stdout
