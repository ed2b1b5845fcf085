"""What evaluate compares: our models by any runtime, the copying teacher, rules, keywords, people's own branches."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import click
from tqdm import tqdm

from training.stage import bar
from wtname import naming


class Answer(NamedTuple):
    """A name, or None where the prompt names no task; how sure its namer is, and of P(none); and ms it took."""

    name: str | None
    sure: float | None = None
    none: float | None = None
    ms: float = 0.0


Namer = Callable[[list[str]], list[Answer]]


def suffixed(_: click.Context, option: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """The files of --gguf or --onnx, a callback. Raises BadParameter where one's suffix is another: a runtime goes by
    that."""
    for path in paths:
        if path.suffix != f".{option.name}":
            raise click.BadParameter(f"{path} is no .{option.name} file")
    return paths


def one_by_one(what: str, name: Callable[[str], Answer | str | None]) -> Namer:
    """A namer of many prompts from one of a single prompt, timed."""

    def names(prompts: list[str]) -> list[Answer]:
        out = []
        for prompt in bar(prompts, what, len(prompts)):
            began = time.perf_counter()
            answer = name(prompt)
            ms = (time.perf_counter() - began) * 1000
            out.append(answer if isinstance(answer, Answer) else Answer(answer, ms=ms))
        return out

    return names


def by_gguf(path: Path, stack: ExitStack) -> Namer:
    """The GGUF through wtname's Namer, as `wtname suggest` names. Raises ModelError where it is no model of ours."""
    from training.backends import search_at
    from wtname.namer import Namer as Product

    search = stack.enter_context(search_at(path))
    product = Product(path, deadline=30.0)

    def name(prompt: str) -> Answer:
        named = product.name(prompt)
        if named.source == "extract":  # else the words picked would be scored under the model's name
            tqdm.write(f"{path.name} did not name {prompt[:60]!r}: {named.why}", file=sys.stderr)
        cleaned = naming.clean(prompt)
        # A prompt that names no task by rules never reaches the model.
        none = search.kinds(cleaned)[naming.NONE] if naming.content(cleaned) else 1.0
        return Answer(named.name, named.confidence, none, named.ms)

    return one_by_one(path.stem, name)


def by_search(path: Path, stack: ExitStack) -> Namer:
    """An ONNX file or a folder for torch, with the same search. Raises as search_at does."""
    from training.backends import search_at

    search = stack.enter_context(search_at(path))

    def name(prompt: str) -> Answer:
        began = time.perf_counter()
        cleaned = naming.clean(prompt)
        guesses = search.suggest(cleaned) if naming.content(cleaned) else []
        ms = (time.perf_counter() - began) * 1000
        if not naming.content(cleaned):
            return Answer(None, None, 1.0, ms)
        none = search.kinds(cleaned)[naming.NONE]
        if not guesses:
            return Answer(naming.extract(cleaned), None, none, ms)
        return Answer(guesses[0].name, guesses[0].confidence, none, ms)

    return one_by_one(path.name, name)


def by_teacher(folder: Path) -> Namer:
    """The copying teacher, many prompts at a time."""
    from training.copy_model import load_teacher
    from training.copy_names import greedy, rows_of

    model, tokenizer = load_teacher(folder)

    def names(prompts: list[str]) -> list[Answer]:
        began = time.perf_counter()
        rows = rows_of(tokenizer, [naming.clean(p).text for p in prompts])
        out: list[str] = []
        for at in bar(range(0, len(rows), 50), folder.name):
            out += greedy(model, tokenizer, rows[at : at + 50])[0]
        ms = (time.perf_counter() - began) * 1000 / len(prompts)
        return [Answer(name, ms=ms) for name in out]

    return names


def words_picked(prompt: str) -> str | None:
    """Words picked by rules: what wtname falls back on."""
    return naming.extract(naming.clean(prompt))


def slug(prompt: str) -> str:
    """The first four words, slugged; a type by rules so that it has the form."""
    from slugify import slugify

    words = slugify(" ".join(prompt.split()[:4]), max_length=40)
    return f"{naming.kind_of(naming.clean(prompt).words)}-{words or 'task'}"


def by_yake() -> Callable[[str], str]:
    """The best keyphrase of up to four words (YAKE), with a type by rules."""
    import yake
    from slugify import slugify

    extractor = yake.KeywordExtractor(n=4, top=1)

    def name(prompt: str) -> str:
        found = extractor.extract_keywords(prompt)
        words = found[0][0] if found else " ".join(prompt.split()[:3])
        return f"{naming.kind_of(naming.clean(prompt).words)}-{slugify(words, max_length=40) or 'task'}"

    return name


_SAID = {"feature": "feat", "features": "feat", "bugfix": "fix", "hotfix": "fix", "bug": "fix", "doc": "docs",
         "tests": "test", "ci": "chore", "build": "chore"}  # fmt: skip


def from_branch(branch: str, prompt: str) -> str:
    """A branch that somebody chose, in our form and as it is otherwise: its own type, else one by rules."""
    words = re.findall(r"[a-z0-9]+", naming.normalise(re.sub(r"[-_/.#]+", " ", branch)))
    lead = _SAID.get(words[0], words[0]) if words else ""
    if lead in naming.TYPES:
        return naming.fit("-".join((lead, *(words[1:] or ["task"]))))
    return naming.fit("-".join((naming.kind_of(naming.clean(prompt).words), *(words or ["task"]))))
