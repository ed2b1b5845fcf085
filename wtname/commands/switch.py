"""`wtname switch`: where to go."""

from __future__ import annotations

from pathlib import Path

import click

from wtname import completion
from wtname.commands.shared import folder_option, json_option, print_json, print_path, say


@click.command()
@click.argument("words", nargs=-1, shell_complete=completion.worktrees)
@folder_option
@json_option
def switch(words: tuple[str, ...], cwd: Path | None, as_json: bool) -> None:
    """Print the folder of a worktree: cd "$(wtname switch crash)".

    It is the one that WORDS mean best: a branch, the words of one or their beginnings, initials (fzw for
    fix-zero-width), or words of its task.
    Where several are meant as well, the one last used is taken and the others are named on stderr. Without WORDS, or
    with -, it is the worktree last used before this one; `main` is the main worktree."""
    from wtname import switching
    from wtname.display import visible
    from wtname.git import Repository

    with Repository(cwd) as repo:
        found = switching.choose(words, switching.places(repo))
    if found.others:
        say(f"{visible(found.place.branch)} is the one last used; also: {switching.names(found.others)}")
    if as_json:
        others = [place.branch for place in found.others]
        print_json({"path": str(found.place.path), "branch": found.place.branch, "how": found.how, "others": others})
        return
    print_path(found.place.path)
