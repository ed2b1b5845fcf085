"""What to do about an error, for agents: they have arguments and tools where people have options and commands."""

from __future__ import annotations

# Ends of the errors that tools can meet. What comes before is full of what others wrote, and stays as it is.
ENDS = {
    "change --name or wtname.template": "pass another name, or let the user change wtname.template",
    "pass another --name": "pass another name",
    "pass another --path or set wtname.path": "let the user set wtname.path to another place",
    "give a branch, tag or commit as --base": "give a branch, tag or commit as base",
    "or pass --base REF": "or pass a base",
    "pass another --base": "pass another base",
    "`wtname list` shows them": "list_worktrees shows them",
    "make a branch for the task: wtname new": "make a branch for the task with create_worktree",
    "cd into the one whose branch you mean, or pass -C DIR": "pass the folder of the one whose branch you mean as "
    "repository",
    "or pass --force to lose them": "or let the user run: wtname remove --force",
    "or pass --force": "or let the user run: wtname remove --force",
    "say it: wtname rename TASK": "pass a prompt or a name",
    "pass --force to rename": "let the user run: wtname rename --force",
}
STARTS = {"--ticket ": "ticket "}


def for_agents(error: str) -> str:
    """An error of the command line's in the words of tools."""
    for start, said in STARTS.items():
        if error.startswith(start):
            error = said + error[len(start) :]
    for end, said in ENDS.items():
        if error.endswith(end):
            return error[: -len(end)] + said
    return error
