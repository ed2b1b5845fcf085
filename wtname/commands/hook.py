"""`wtname hook`: what other programs call, and what sets them up to do so."""

from __future__ import annotations

import click

from wtname.lazy import LazyGroup

# Each subcommand and the module that has it.
COMMANDS = {
    "install": "git_hook",
    "uninstall": "git_hook",
    "status": "git_hook",
    "prepare-commit-msg": "git_hook",
    "claude": "claude_hook",
    "worktree-create": "claude_hook",
    "worktree-remove": "claude_hook",
    "user-prompt-submit": "claude_hook",
}


@click.group(cls=LazyGroup, commands=COMMANDS)
def hook() -> None:
    """Name branches where you work: git hooks, Claude Code."""
