"""The command line: which commands there are, and where errors become a line on stderr and an exit code."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import click

from wtname.errors import WtnameError

# Each command and the module that has it, imported when asked for: a cold start pays for one.
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
    "model": "model",
    "bench": "bench",
    "doctor": "doctor",
}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        command = getattr(import_module(f"wtname.commands.{COMMANDS[name]}"), name)
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["windows_expand_args"] = False  # a prompt's * and $HOME are text on every system
        return super().main(*args, **extra)

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


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print it.")
def main() -> None:
    """Turn a task in words into a git branch name and a worktree, offline."""
