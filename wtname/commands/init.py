"""`wtname init`: what a shell reads at its start."""

from __future__ import annotations

import click

from wtname import shells
from wtname.commands.shared import print_bytes


def _name(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if ctx.resilient_parsing or shells.is_name(value):
        return value
    raise click.BadParameter("a function can't be called so; use letters, digits, - and _, and no word of a shell's.")


@click.command()
@click.argument("shell", type=click.Choice(list(shells.FILES)))
@click.option("--cmd", metavar="NAME", default="wtn", show_default=True, callback=_name, help="Makes a worktree.")
@click.option("--switch-cmd", metavar="NAME", default="wts", show_default=True, callback=_name, help="Switches.")
@click.option("--remove-cmd", metavar="NAME", default="wtrm", show_default=True, callback=_name, help="Removes.")
def init(shell: str, cmd: str, switch_cmd: str, remove_cmd: str) -> None:
    """Print three functions and completion for a shell to read.

    \b
    wtn TASK     is wtname new, and goes to the folder
    wts WORDS    is wtname switch, and goes to the folder
    wtrm         is wtname remove, and leaves a folder that goes

    \b
    bash, in ~/.bashrc:              eval "$(wtname init bash)"
    zsh, in ~/.zshrc after compinit: eval "$(wtname init zsh)"
    fish, in config.fish:            wtname init fish | source
    PowerShell, in $PROFILE:         wtname init powershell | Out-String | Invoke-Expression
    """
    print_bytes(shells.text(shell, shells.Names(cmd, switch_cmd, remove_cmd)).encode())
