"""Groups of commands that are imported when they are asked for: a cold start pays for one."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands are given by name and module, as {"new": "new"} for `new` in wtname/commands/new.py."""

    def __init__(self, *args: Any, commands: Mapping[str, str], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._modules = commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._modules:
            return None
        command = getattr(import_module(f"wtname.commands.{self._modules[cmd_name]}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def main(self, *args: Any, **extra: Any) -> Any:
        extra["windows_expand_args"] = False  # a prompt's * and $HOME are text on every system
        return super().main(*args, **extra)
