"""The commands: parse, call, print. What they need is imported where they need it, to keep cold starts cheap."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from wtname.errors import WtnameError

if TYPE_CHECKING:
    from wtname.namer import Named, Namer

F = TypeVar("F", bound=Callable[..., Any])

# Set before an argument that reads as prose and not as an option; a real argument cannot hold it.
_PROSE = "\0"


class _Group(click.Group):
    """The one place where errors become a line on stderr and an exit code."""

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["windows_expand_args"] = False  # a prompt's * and $HOME are text on every system
        return super().main(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WtnameError as error:
            _say(str(error))
            ctx.exit(error.code)
        except KeyboardInterrupt:
            ctx.exit(130)


class _PromptCommand(click.Command):
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


def _say(text: str) -> None:
    click.echo("wtname: " + " ".join(text.split()), err=True)


def _print_json(value: object) -> None:
    import json

    click.echo(json.dumps(value))


def _print_path(path: Path) -> None:
    # A path need not be valid text on POSIX; it leaves as the bytes it is.
    click.echo(path if sys.platform == "win32" else os.fsencode(path))


def _model_option(command: F) -> F:
    return click.option("--model", metavar="PATH", help="A model to use: a GGUF file or a folder with one.")(command)


def _json_option(command: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(command)


def _folder_option(command: F) -> F:
    return click.option(
        "-C",
        "cwd",
        metavar="DIR",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        help="Run as if started in DIR.",
    )(command)


def _read_prompt(words: tuple[str, ...]) -> str:
    if words and words != ("-",):
        return " ".join(words).replace(_PROSE, "")
    if sys.stdin.isatty():
        _say("reading the prompt from the terminal; end it with Ctrl-D (Windows: Ctrl-Z, Enter)")
    return sys.stdin.buffer.read().decode("utf-8-sig", "replace")


def _namer(model: str | None) -> Namer:
    from wtname import models
    from wtname.namer import DEADLINE, Namer

    seconds = os.environ.get("WTNAME_DEADLINE") or DEADLINE
    try:
        deadline = float(seconds)
        if not 0 <= deadline < 1e6:  # nan is neither
            raise ValueError
        return Namer(models.find(model).path, deadline)
    except ValueError:
        raise WtnameError(f"WTNAME_DEADLINE is {seconds!r}; set it to a number of seconds or unset it") from None


def _facts(named: Named) -> dict[str, object]:
    return {
        "name": named.name,
        "type": named.type,
        "ticket": named.ticket,
        "source": named.source,
        "confidence": named.confidence,
        "ms": round(named.ms, 3),
    }


def _explain(named: Named) -> None:
    """Say and log why a name is not the model's."""
    if named.source == "model":
        return
    from wtname import log

    how = "picked from the words" if named.source == "extract" else "random"
    why = named.why or "the prompt names no task"
    _say(f"{why}; the name is {how}")
    log.note("fallback", source=named.source, why=why, name=named.name, ms=round(named.ms, 1))


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    try:
        click.echo(f"wtname {metadata.version('wtname')}")
    except metadata.PackageNotFoundError:
        click.echo("wtname, not installed")
    ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
def main() -> None:
    """Turn a task in words into a git branch name and a worktree, offline."""


@main.command(cls=_PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("-n", "count", type=click.IntRange(1, 20), help="Print the N best names, one a line.")
@click.option("--jsonl", is_flag=True, help='Read {"id", "prompt"} lines from stdin, write one JSON line for each.')
@_json_option
@_model_option
def suggest(prompt: tuple[str, ...], count: int | None, jsonl: bool, as_json: bool, model: str | None) -> None:
    """Print a name for a task: fix-zero-width-crash. Without PROMPT, or with -, the task is read from stdin."""
    if jsonl and (prompt or count or as_json):
        raise click.UsageError("--jsonl reads prompts from stdin and takes no PROMPT, -n or --json.")
    from wtname.namer import random_branch

    namer = _namer(model)
    if jsonl:
        from wtname import lines

        for answer in lines.answers(sys.stdin.buffer, namer, _facts, _explain):
            _print_json(answer)
        return
    named = namer.names(_read_prompt(prompt), count or 1)
    _explain(named[0])
    if as_json:
        _print_json([_facts(one) for one in named] if count else _facts(named[0]))
        return
    for one in named:
        click.echo(one.name or random_branch())


@main.command(cls=_PromptCommand)
@click.argument("prompt", nargs=-1)
@click.option("--base", metavar="REF", help="Start from REF (default: wtname.base, or else HEAD).")
@click.option("--name", metavar="NAME", help="Use NAME instead of one made from the PROMPT.")
@click.option(
    "--path",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Put the worktree into DIR, which must not be there yet.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be made, and make nothing.")
@_folder_option
@_json_option
@_model_option
def new(
    prompt: tuple[str, ...],
    base: str | None,
    name: str | None,
    path: Path | None,
    dry_run: bool,
    cwd: Path | None,
    as_json: bool,
    model: str | None,
) -> None:
    """Make a branch and a worktree for a task, and print the worktree's path."""
    from wtname import git, settings, worktree

    text = "" if name and not prompt else _read_prompt(prompt)
    if path:
        path = Path(os.path.normpath(Path.cwd() / (cwd or "") / path))
    start = base or os.environ.get("WTNAME_BASE") or "HEAD"
    with _unwound_by_signals(), git.Repository(cwd, start) as repo:
        facts: dict[str, object] = {"name": name, "source": "user"}
        ticket = ""
        if not name:
            named = _namer(model).name(text)
            _explain(named)
            facts, name, ticket = _facts(named), named.name, named.ticket or ""
        chosen = settings.load(repo.config, os.environ, base)
        make = worktree.plan if dry_run else worktree.create
        made = make(repo, chosen, name, ticket=ticket, path=path)
    click.echo(made.said, err=True, nl=False)
    if as_json:
        where = {"branch": made.branch, "path": str(made.path), "base": chosen.base, "commit": made.commit}
        _print_json({**facts, "name": made.name, **where, "dry_run": dry_run})
        return
    if dry_run:
        _say(f"nothing is made; it would be branch {made.branch}, from {chosen.base}, in this folder:")
    _print_path(made.path)


@contextlib.contextmanager
def _unwound_by_signals() -> Iterator[None]:
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


@main.group()
def model() -> None:
    """Find, install and describe the model."""


@model.command("path")
@_model_option
def model_path(model: str | None) -> None:
    """Print where the model is that would be used."""
    from wtname import models

    _print_path(models.existing(model).path)


@model.command("install")
@click.argument("source", metavar="[FILE|DIR]", required=False)
@_json_option
def model_install(source: str | None, as_json: bool) -> None:
    """Install a model for this user, once it has proved that it names branches. Without FILE or DIR: the
    model that came with wtname."""
    from wtname import models

    place, trial = models.install(source)
    digest = models.sha256(place)
    if as_json:
        _print_json({"path": str(place), "sha256": digest, "trial": trial})
        return
    click.echo(f"{digest}  {place}")
    _say(f"it named {models.TRIAL!r}: {trial}")


@model.command("info")
@_json_option
@_model_option
def model_info(as_json: bool, model: str | None) -> None:
    """Describe the model that would be used."""
    from wtname import models

    facts = models.facts(models.existing(model))
    if as_json:
        _print_json(facts)
        return
    for key, value in facts.items():
        click.echo(f"{key:14}{value}")


@main.command()
@click.option("--n", "-n", type=click.IntRange(1), default=50, show_default=True, help="Names in one process.")
@click.option("--cold", type=click.IntRange(0), default=20, show_default=True, help="Whole processes.")
@_json_option
@_model_option
def bench(n: int, cold: int, as_json: bool, model: str | None) -> None:
    """Measure how long a name takes, with the model loaded and as a whole cold process."""
    from wtname import bench, models

    report = bench.run(models.find(model), n, cold)
    if as_json:
        _print_json(report)
    else:
        click.echo(bench.table(report))


@main.command()
@_folder_option
@_json_option
@_model_option
def doctor(cwd: Path | None, as_json: bool, model: str | None) -> None:
    """Check git, Python, the engine, the model, the log and the repository; say what to do about each fault."""
    from wtname import doctor

    report = []
    for check in doctor.checks(model, cwd):
        report.append(check)
        if not as_json:
            click.echo(doctor.line(check))
    if as_json:
        _print_json([check._asdict() for check in report])
    if any(check.status == "fail" for check in report):
        sys.exit(1)
