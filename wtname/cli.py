"""The command line: which commands there are, and where errors become a line on stderr and an exit code."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from wtname.errors import WtnameError
from wtname.lazy import LazyGroup

# Each command and the module that has it.
COMMANDS = {
    "suggest": "suggest",
    "new": "new",
    "list": "list",
    "switch": "switch",
    "rename": "rename",
    "remove": "remove",
    "prune": "remove",
    "restore": "restore",
    "trust": "trust",
    "learn": "learn",
    "mcp": "mcp",
    "hook": "hook",
    "model": "model",
    "init": "init",
    "bench": "bench",
    "doctor": "doctor",
}


class _Main(LazyGroup):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except WtnameError as error:
            _fail(ctx, str(error), error.code)
        except BrokenPipeError:
            raise
        except OSError as error:
            _fail(ctx, f"{error.strerror or error}: {error.filename}" if error.filename else str(error), 1)
        except KeyboardInterrupt:
            ctx.exit(130)


def _fail(ctx: click.Context, why: str, code: int) -> None:
    from wtname.commands.shared import say

    say(why)
    ctx.exit(code)


def _version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted:
        return
    from importlib import metadata

    try:
        click.echo(f"wtname {metadata.version('wtname')}")
    except metadata.PackageNotFoundError:
        click.echo("wtname, not installed")
    ctx.exit()


@click.group(cls=_Main, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
def main() -> None:
    """Turn a task in words into a git branch name and a worktree, offline."""


def _open_streams() -> None:
    """Open what the caller closed of standard input, output and error (`>&-`), as git does for itself: otherwise the
    next file that anybody opens takes its number, and gets what is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number that is free
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")


def run() -> NoReturn:
    """The program itself. It ends without Python's clearing up, which takes longer than the work of most commands."""
    _open_streams()
    if sys.platform == "win32":
        for stream in (sys.stdout, sys.stderr):
            # In a pipe, text would be in a code page that no shell and no git reads.
            if isinstance(stream, TextIOWrapper) and not stream.isatty():
                stream.reconfigure(encoding="utf-8", newline="\n")
    try:
        main(prog_name="wtname")
    except SystemExit as end:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # Python has its own way to say that nobody reads on
            raise end from None
        os._exit(end.code if isinstance(end.code, int) else bool(end.code))
    except OSError as error:  # --help to a full disk: no command was reached that would have told
        sys.exit(f"wtname: {error.strerror or error}")
    raise AssertionError("click always exits")
