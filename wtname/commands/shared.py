"""What several commands share: options, prose as arguments, and how an answer leaves."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from wtname.namer import Named, Namer

F = TypeVar("F", bound=Callable[..., Any])

# Set before an argument that reads as prose and not as an option; a real argument cannot hold it.
_PROSE = "\0"


class PromptCommand(click.Command):
    """A command whose arguments may be prose that starts with a dash: "- fix the list", "--orphan is broken"."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        names = {name for option in options for name in option.opts}
        valued = {name for option in options if not option.is_flag for name in option.opts}

        def is_prose(arg: str, before: str) -> bool:
            head = arg.split(maxsplit=1)[0] if arg.startswith("-") else arg
            if head == arg or before in valued:
                return False
            if arg.startswith("--"):  # "--base=a b" is an option, "--base is ignored" is not
                return "=" not in head or head.partition("=")[0] not in names
            return len(head) <= 2 or head[:2] not in valued

        marked = [_PROSE + a if is_prose(a, before) else a for before, a in zip(["", *args], args[:end], strict=False)]
        return super().parse_args(ctx, marked + args[end:])


def say(text: str) -> None:
    """Tell people: one line, in which what others wrote is shown and never obeyed."""
    from wtname.display import visible

    click.echo("wtname: " + visible(" ".join(text.split())), err=True)


def print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value))


def print_path(path: Path) -> None:
    print_bytes(os.fsencode(path) + b"\n")  # a path need not be valid text


def print_bytes(told: bytes) -> None:
    """Print UTF-8 as it is: in a pipe on Windows, text would be in a code page that no shell and no git reads."""
    text_only = sys.platform == "win32" and sys.stdout.isatty()  # a console there
    click.echo(told.decode("utf-8", "replace") if text_only else told, nl=False)


def model_option(command: F) -> F:
    return click.option("--model", metavar="PATH", help="A model to use: a GGUF file or a folder with one.")(command)


def json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def folder_option(command: F) -> F:
    return click.option(
        "-C",
        "cwd",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Run as if started in DIR.",
    )(command)


def read_prompt(words: tuple[str, ...]) -> str:
    if words and words != ("-",):
        return " ".join(words).replace(_PROSE, "")
    if sys.stdin is None:  # closed
        return ""
    if sys.stdin.isatty():
        say("reading the prompt from the terminal; end it with Ctrl-D (Windows: Ctrl-Z, Enter)")
    return sys.stdin.buffer.read().decode("utf-8-sig", "replace")


def make_namer(model: str | None) -> Namer:
    """The namer for a model; a wrong deadline is told of, and does not hinder."""
    from wtname import models
    from wtname.namer import DEADLINE, Namer

    seconds = os.environ.get("WTNAME_DEADLINE") or DEADLINE
    try:
        deadline = float(seconds)
        if not 0 <= deadline < 1e6:  # nan is neither
            raise ValueError
    except ValueError:
        deadline = DEADLINE
        say(f"WTNAME_DEADLINE is {seconds!r}, so that it is {DEADLINE:g}; set it to a number of seconds or unset it")
    return Namer(models.find(model).path, deadline)


def name_facts(named: Named) -> dict[str, object]:
    return {
        "name": named.name,
        "type": named.type,
        "ticket": named.ticket,
        "source": named.source,
        "confidence": named.confidence,
        "ms": round(named.ms, 3),
    }


def given_facts(name: str | None) -> dict[str, object]:
    """As `name_facts`, of a name that somebody gave."""
    from wtname.naming import TYPES

    kind = (name or "").partition("-")[0]
    told = {"type": kind if kind in TYPES else None, "ticket": None, "source": "user", "confidence": None, "ms": None}
    return {"name": name, **told}


def explain(named: Named) -> None:
    """Say and log why a name is not the model's."""
    if named.source == "model":
        return
    from wtname import log

    how = "picked from the words" if named.source == "extract" else "random"
    why = named.why or "the prompt names no task"
    say(f"{why}; the name is {how}")
    log.note("fallback", source=named.source, why=why, name=named.name, ms=round(named.ms, 1))


@contextlib.contextmanager
def unwound_by_signals() -> Iterator[None]:
    """Let a polite kill or a closed terminal unwind us, so that a half-made worktree is taken back."""
    import signal

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]  # nohup ignores SIGHUP
    for number in ours:
        signal.signal(number, lambda signum, _: sys.exit(128 + signum))
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
