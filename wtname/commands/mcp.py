"""`wtname mcp`: the tools for agents."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from wtname.commands.shared import make_namer, model_option, say
from wtname.errors import WtnameError


@click.command()
@click.option(
    "--root",
    "roots",
    metavar="DIR",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where to work for clients that give no roots (default: the folder it is started in).",
)
@model_option
def mcp(roots: tuple[Path, ...], model: str | None) -> None:
    """Serve MCP clients, such as Claude Code, on stdin and stdout.

    Branch names and worktrees are their tools. It works in the folders that the client gives as its roots, and nowhere
    else.
    """
    try:
        from wtname.serving import server
    except ImportError as error:
        if (error.name or "").partition(".")[0] == "wtname":
            raise
        raise WtnameError("the MCP SDK is not installed, or too old; pip install 'wtname[mcp]'") from error
    from wtname.serving.roots import started_in

    limit = started_in(roots)
    _forget_repository()
    if sys.stdin.isatty():
        say("serving MCP on stdin and stdout; a client starts this: docs/mcp.md says how")
    server.serve(make_namer(model), limit)


def _forget_repository() -> None:
    """Drop what a hook or a shell says of a repository: the client says which one is meant."""
    from wtname.git.process import Running

    try:
        names = Running("rev-parse", "--local-env-vars").output().split()
    except WtnameError:
        return  # the tools will say that there is no git
    for name in {*names} - {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}:
        os.environ.pop(name, None)
