"""The tools. Each looks at its limit first, works in a thread, and answers with what its schema promises."""

from __future__ import annotations

import os
from functools import partial
from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import ListRoots, Resolve
from mcp_types import ListRootsResult
from pydantic import Field

from wtname import furnishing, journal, listing, log, removal, settings, tasks, tickets, worktree
from wtname.display import visible
from wtname.errors import WtnameError
from wtname.furnishing import Furnished
from wtname.git import Repository
from wtname.git.process import stopped_by
from wtname.namer import Named, random_branch
from wtname.serving.answers import Command, Created, Name, Names, Removed, Renamed, Worktree, Worktrees
from wtname.serving.removal import Answer, Planned, remove
from wtname.serving.roots import Limit
from wtname.serving.session import Folder, Roots, ask_roots, limit, state
from wtname.serving.work import Watched, Work, in_thread, plain_errors
from wtname.target import targets

Prompt = Annotated[str, Field(description="the task in words, as the user put it; the longer texts of issues, too")]
Typed = Annotated[str, Field(description="take this name instead of one made from the prompt")]
_LINES, _WIDTH = 20, 500  # of what git and its hooks say


async def ask_roots_if_needed(ctx: Context[Any, Any], repository: str) -> ListRoots | ListRootsResult | None:
    """The client's roots where a repository is to be looked at."""
    return await ask_roots(ctx) if repository else None


def suggest_branch_name(
    ctx: Context[Any, Any],
    prompt: Prompt,
    roots: Annotated[ListRootsResult | None, Resolve(ask_roots_if_needed)],
    count: Annotated[int, Field(ge=1, le=20, description="how many names, the best first")] = 1,
    repository: Annotated[
        str,
        Field(
            description="git folder in which `branch` is to be free and in the team's form; left out: none is looked at"
        ),
    ] = "",
) -> Names:
    """Say how a branch for a task would be called, and change nothing. Use it to show names to the user or to name
    something yourself; create_worktree and rename_branch find their names on their own."""
    namer = state(ctx).namer
    with plain_errors():
        named = namer.names(prompt, count)
        _note(named[0])
        if not repository:
            branches = [settings.Settings().template.format(name=one.name) if one.name else "" for one in named]
        else:
            branches = _free(limit(ctx, roots), repository, prompt, named)
    return Names(
        names=[
            Name(
                name=one.name,
                branch=branch or random_branch(),
                type=one.type,
                ticket=one.ticket,
                source=one.source,
                confidence=one.confidence,
            )
            for one, branch in zip(named, branches, strict=True)
        ]
    )


def _free(limit: Limit, repository: str, prompt: str, named: list[Named]) -> list[str]:
    """The first free branch for each name by the repository's settings."""
    with Repository(limit.folder(repository)) as repo:
        limit.check(repo)
        chosen = settings.load(repo.config, os.environ)._replace(base="HEAD")
        current = repo.refs.current.removeprefix("refs/heads/")
        found: list[str] = []
        for one in named:
            ticket = tickets.choose(chosen, None, prompt, [one.name or "", current])
            found.append(worktree.plan(repo, chosen, one.name, ticket=ticket, avoid=found).branch)
        return found


async def create_worktree(
    ctx: Context[Any, Any],
    roots: Roots,
    prompt: Prompt = "",
    name: Typed = "",
    base: Annotated[str, Field(description="branch, tag or commit to start from; left out: the default branch")] = "",
    ticket: Annotated[str, Field(description="ticket id for the branch; left out: the one in the prompt")] = "",
    repository: Folder = "",
) -> Created:
    """Make a new branch, named after the task, and a worktree for it in a folder of its own; work in the `path` that is
    returned. Nothing that is there already is changed, and the current checkout stays as it is. Ignored files that the
    project lists in .worktreeinclude come along; commands that the user has trusted run in it."""
    if not (prompt.strip() or name):
        with plain_errors():
            raise WtnameError("there is no task and no name; pass a prompt or a name")

    def act(work: Work) -> Created:
        allowed = limit(ctx, roots)
        folder = allowed.folder(repository)
        with Watched(folder, work, base or os.environ.get("WTNAME_BASE") or "HEAD") as repo:
            allowed.check(repo)
            allowed.check_place(repo, os.environ)
            begun = tasks.begin(
                repo,
                prompt,
                lambda: state(ctx).namer,
                lambda named: _explain(named, work),
                os.environ,
                work.say,
                name=name or None,
                base=base or None,
                ticket=ticket or None,
                doing=work.doing,
            )
            made = begun.worktree
            for line in [*_end_of(made.said), begun.warning or ""]:
                if line:
                    work.say(line)
            done = _furnish(repo, made, begun.steps, work)
        return Created(
            branch=made.branch,
            path=str(made.path),
            name=made.name,
            base=begun.start.name,
            commit=made.commit,
            behind=begun.behind,
            ticket=begun.ticket or None,
            source=begun.named.source if begun.named else "user",
            copied=done.copied,
            commands=[Command.model_validate(one) for one in done.post_create],
            notes=work.notes,
        )

    return await in_thread(ctx, act)


def _end_of(said: str) -> list[str]:
    """What git and its hooks had to say, as much of it as an agent may want to read."""
    lines = [line[:_WIDTH] for line in said.splitlines()]
    more = len(lines) - _LINES
    return [f"… {more} more lines before these", *lines[-_LINES:]] if more > 0 else lines


def _furnish(repo: Repository, made: worktree.Worktree, steps: settings.Steps, work: Work) -> Furnished:
    """Bring along what a new worktree needs; where the call is cancelled meanwhile, the worktree goes again."""

    def running(command: str) -> None:
        work.doing(f"running {command}")

    try:
        work.check()
        with stopped_by(work.check):
            done = furnishing.furnish(repo, made.branch, made.path, steps, work.say, work.copying, running)
        work.check()
    except BaseException:
        known = targets(repo)
        for one in known:
            if one.branch == made.branch and one.path == made.path:
                removal.remove(repo, one, known, force=True, keep_branch=False)
        raise
    return done


async def rename_branch(
    ctx: Context[Any, Any],
    roots: Roots,
    prompt: Annotated[str, Field(description="the task in words; left out: commits or changes say what it is")] = "",
    name: Typed = "",
    undo: Annotated[bool, Field(description="go back to the name before the last renaming")] = False,
    repository: Folder = "",
) -> Renamed:
    """Give the branch of a worktree that is there already a name that says what it is for, once that is clear. For the
    branch checked out in `repository`; its folder, commits and settings stay. The default branch and branches that are
    pushed are refused. `undo` takes it back."""

    def act(work: Work) -> Renamed:
        allowed = limit(ctx, roots)
        if undo and (prompt or name):
            raise WtnameError("undo takes the old name; pass no prompt and no name with it")
        with Repository(allowed.folder(repository)) as repo:
            allowed.check(repo, linked=True)
            journal.put_in_order(repo, work.say)
            work.doing("renaming")
            rename = partial(
                tasks.rename,
                repo,
                prompt,
                lambda: state(ctx).namer,
                lambda named: _explain(named, work),
                os.environ,
                name=name or None,
                undo=undo,
            )
            if undo and (to := rename(dry_run=True).renaming.to):
                raise WtnameError(f"its folder would go back to {to}; let the user run: wtname rename --undo")
            done = rename()
        wanted = done.renaming
        changed = wanted.new != wanted.old
        if not changed:
            work.say(wanted.kept)
        elif not undo:
            work.say("rename_branch with undo goes back")
        return Renamed(
            branch=wanted.new,
            old=wanted.old,
            changed=changed,
            path=str(wanted.path),
            source=done.named.source if done.named else "user",
            notes=work.notes,
        )

    return await in_thread(ctx, act)


async def list_worktrees(ctx: Context[Any, Any], roots: Roots, repository: Folder = "") -> Worktrees:
    """List the worktrees of a repository with their branches, tasks and folders, and how each stands: changed, merged,
    not pushed. Changes nothing."""

    def act(work: Work) -> Worktrees:
        allowed = limit(ctx, roots)
        with Repository(allowed.folder(repository)) as repo:
            allowed.check(repo)
            work.doing("looking at the worktrees")
            into, rows = listing.gather(repo)
        return Worktrees(base=into, worktrees=[_row(row, into) for row in rows])

    return await in_thread(ctx, act)


def _row(row: listing.Row, into: str | None) -> Worktree:
    facts = listing.facts(row, into)
    facts |= {"task": visible(row.task), "state": [word for word, _ in listing.state(row)]}
    return Worktree.model_validate({key: facts[key] for key in Worktree.model_fields})


async def remove_worktree(
    ctx: Context[Any, Any],
    roots: Roots,
    plan: Planned,
    answer: Answer,
    name: Annotated[str, Field(description="its branch, the end of that, or its folder, as list_worktrees has them")],
    keep_branch: Annotated[bool, Field(description="leave its branch where it is")] = False,
    repository: Folder = "",
) -> Removed:
    """Remove a worktree and its branch when its work is done or is not wanted any more. The user is asked first and may
    say no: then `removed` is false, and that is that. All but ignored files can be restored; `restore` says how."""
    return await in_thread(ctx, lambda work: remove(limit(ctx, roots), plan, answer, work))


def _explain(named: Named, work: Work) -> None:
    """Tell where a name is not the model's."""
    _note(named)
    if named.source == "extract":
        work.say("the name is picked from the words, not by the model; wtname doctor says why")
    elif named.source == "random":
        work.say("the prompt names no task; the name is random, and rename_branch gives a better one later")


def _note(named: Named) -> None:
    if named.source == "extract":
        log.note("fallback", source=named.source, why=named.why, name=named.name, ms=round(named.ms, 1))
