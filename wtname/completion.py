"""What comes after a TAB: names that git knows, from one process of git, and never a word about what went wrong."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

_TRASH = "refs/wtname/trash/"
_BEGINNING = re.compile(r"(?<=[-/_])(?=[^\W_])")


def starts(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Branches, those of remotes, and tags: where a new branch may start."""
    # In a repository with 20,000 of them, git sorts out those that are wanted quicker than we do.
    kinds = (f"refs/{kind}/{incomplete}" for kind in ("heads", "remotes", "tags"))
    patterns = [start + end for start in kinds for end in ("*", "*/**")]
    told = _ask(ctx, "for-each-ref", "--format=%(refname:lstrip=2)", *patterns)
    return [name for name in told.split("\n") if name.startswith(incomplete) and _is_plain(name)]


def worktrees(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Worktrees to go to, until one is named."""
    if any(ctx.params.get("words") or ()):
        return []
    return _fitting(_worktrees(_ask(ctx, "worktree", "list", "--porcelain")), incomplete)


def removable(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Worktrees that may be removed: all but the main one and those that are named already."""
    given = ctx.params.get("names") or ()
    found = list(_worktrees(_ask(ctx, "worktree", "list", "--porcelain")))[1:]
    return _fitting([name for name in found if name not in given], incomplete)


def removed(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """What is in the trash, the latest first."""
    told = _ask(ctx, "for-each-ref", "--format=%(refname)", _TRASH[:-1])
    kept = [ref[len(_TRASH) :] for ref in told.split("\n") if ref.startswith(_TRASH)]
    kept.sort(key=lambda name: name.rpartition("/")[2], reverse=True)
    whole = _fitting([name for name in kept if name.startswith(incomplete)], incomplete)
    return whole or _fitting(dict.fromkeys(name.rpartition("/")[0] for name in kept), incomplete)


def _worktrees(told: str) -> Iterator[str]:
    """The branch of each worktree, or its folder's name where it has none; an empty name for a bare repository."""
    for block in told.split("\n\n"):
        facts = dict(line.partition(" ")[::2] for line in block.split("\n"))
        if "worktree" in facts:
            branch = facts.get("branch", "").removeprefix("refs/heads/")
            yield "" if "bare" in facts else branch or Path(facts["worktree"]).name


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    """The names that begin so; and of others the end that does, since `fix-crash` stands for wt-fix-crash, too."""
    found: dict[str, None] = {}
    for name in filter(_is_plain, names):
        if name.startswith(incomplete) and not name.startswith("-"):  # a folder may, and would be an option
            found[name] = None
        elif end := next((at.end() for at in _BEGINNING.finditer(name) if name.startswith(incomplete, at.end())), 0):
            found[name[end:]] = None
    return list(found)


def _is_plain(name: str) -> bool:
    """Whether a name may go to a shell and its terminal: one line, and nothing invisible."""
    if name.isascii():
        return name.isprintable() and bool(name)
    from wtname.display import visible

    return visible(name) == name


def _ask(ctx: click.Context, *args: str) -> str:
    """What git says; nothing where it fails, for an error would land in the midst of what somebody types."""
    from wtname.errors import WtnameError
    from wtname.git import Running

    try:
        return Running(*args, cwd=ctx.params.get("cwd")).output()
    except (WtnameError, OSError):
        return ""
