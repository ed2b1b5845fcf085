"""What is done with a task in words, from the command line and over MCP: a worktree for it, a branch named by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wtname import journal, settings, template, tickets, worktree
from wtname.errors import WtnameError
from wtname.git import Repository
from wtname.git.base import Gap, Start, choose
from wtname.namer import Named, Namer
from wtname.settings import Steps
from wtname.worktree import Worktree

if TYPE_CHECKING:
    from wtname.renaming import Renaming
    from wtname.target import Target


class Begun(NamedTuple):
    """A worktree for a task: how it was named (None: somebody gave the name), where it starts, how many commits that
    lacks and what to tell of them, and what is still to be done in it."""

    worktree: Worktree
    named: Named | None
    ticket: str
    start: Start
    behind: int | None
    warning: str | None
    steps: Steps


def begin(
    repo: Repository,
    prompt: str,
    namer: Callable[[], Namer],
    explain: Callable[[Named], None],
    environ: Mapping[str, str],
    say: Callable[[str], None],
    *,
    name: str | None = None,
    base: str | None = None,
    ticket: str | None = None,
    path: Path | None = None,
    flags: Mapping[str, bool | None] | None = None,
    dry_run: bool = False,
    doing: Callable[[str], None] = lambda step: None,
) -> Begun:
    """Make a branch and a worktree for a task, or say what would be made. `namer` is asked for where no name
    is given, and `explain` hears what it said; `say` takes lines for people; `doing` hears of a step before it, and
    what it raises stops it all."""
    chosen = settings.load(repo.config, environ, base)
    steps = settings.steps(repo.config, environ, **(flags or {}))
    with ExitStack() as stack:
        fetching = None
        if steps.fetch and not dry_run:
            from wtname.git.fetch import Fetch

            doing("fetching")
            fetching = stack.enter_context(closing(Fetch(repo, choose(repo, chosen.base), steps.fetch_seconds)))
        named = None
        if not name:
            named = namer().name(prompt)
            explain(named)
            name = named.name
        # After the naming, so that git goes on listing the references while the model is at work.
        if ticket and not template.asks_for("ticket", chosen.template):
            say(f"wtname.template has no {{ticket}}, so {ticket} will not be in the branch: {chosen.template}")
        ticket = tickets.choose(chosen, ticket, prompt, [name or "", repo.refs.current.removeprefix("refs/heads/")])
        if fetching and (warning := fetching.warning()):
            say(warning)
        start = choose(repo, chosen.base)
        gap = stack.enter_context(closing(Gap(repo, start)))
        chosen = chosen._replace(base=start.ref)
        if dry_run:
            made = worktree.plan(repo, chosen, name, ticket=ticket, path=path)
        else:
            journal.put_in_order(repo, say)
            doing("making the worktree")
            made = worktree.create(repo, chosen, name, ticket=ticket, path=path, description=prompt)
        if made.taken and not named:  # who said a name may count on it
            say(f"{made.taken} is taken, so this one is {made.branch}")
        return Begun(made, named, ticket, start, gap.commits(), gap.warning(), steps)


class Renamed(NamedTuple):
    """A renaming, how the new name came about (None: somebody gave it), and the worktree it is about."""

    renaming: Renaming
    named: Named | None
    worktree: Target


def rename(
    repo: Repository,
    prompt: str,
    namer: Callable[[], Namer],
    explain: Callable[[Named], None],
    environ: Mapping[str, str],
    *,
    name: str | None = None,
    ticket: str | None = None,
    force: bool = False,
    move: bool = False,
    undo: bool = False,
    dry_run: bool = False,
) -> Renamed:
    """Rename the branch of the worktree that we stand in, or say what it would be called; back again with `undo`.
    Without a prompt its task is what its commits or changes say."""
    from wtname import renaming

    chosen = settings.load(repo.config, environ)
    one = renaming.subject(repo)
    named = None
    if undo:
        wanted = renaming.plan_undo(repo, one, chosen, force=force)
    else:
        renaming.refuse(repo, one, force=force, move=move)
        if not name:
            named = namer().name(prompt.strip() or renaming.task(repo, one))
            if not named.name:  # what it is called now is no worse than at random
                why = "nothing says what the task is, so the branch keeps its name"
                raise WtnameError(f"{why}; say it: wtname rename TASK")
            explain(named)
            name = named.name
        found = tickets.choose(chosen, ticket, prompt, [name or "", one.branch or ""])
        wanted = renaming.plan(repo, one, chosen, name, ticket=found, move=move)
    if not dry_run and wanted.new != wanted.old:
        renaming.rename(repo, wanted, description=prompt)
    return Renamed(wanted, named, one)
