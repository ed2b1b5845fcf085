"""Removing a worktree for a client: nobody's work goes before a human has said yes, or it can be had again."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.resolve import (
    AcceptedElicitation,
    CancelledElicitation,
    DeclinedElicitation,
    Elicit,
    ElicitationResult,
    Resolve,
)
from pydantic import BaseModel, Field

from wtname import folders, journal, removal
from wtname.display import visible
from wtname.errors import WtnameError
from wtname.git import Repository, inner, status
from wtname.git.ignored import listed
from wtname.serving.answers import Removed
from wtname.serving.roots import Limit
from wtname.serving.session import Roots, limit
from wtname.serving.work import Work, plain_errors
from wtname.target import Target, current, find, targets


class Confirmation(BaseModel):
    """What a human says."""

    remove: bool = Field(title="Remove it", description="Yes: the worktree goes. No: all stays as it is.")


class Plan(NamedTuple):
    """What a removal would do: what is at `stake` in the worktree, in words, how many `ignored` files and folders could
    not be restored, and which of them are repositories with commits that are nowhere else (`lost`)."""

    folder: Path
    target: Target
    stake: str
    ignored: int
    lost: tuple[str, ...]
    here: bool
    keep_branch: bool


def plan_removal(ctx: Context[Any, Any], name: str, repository: str, keep_branch: bool, roots: Roots) -> Plan:
    """Which worktree is meant and what is at stake. Raises ToolError where it cannot be removed at all."""
    with plain_errors():
        return _plan(limit(ctx, roots), name, repository, keep_branch)


def _plan(limit: Limit, name: str, repository: str, keep_branch: bool) -> Plan:
    folder = limit.folder(repository)
    with Repository(folder) as repo:
        limit.check(repo)
        known = targets(repo)
        if not name.strip() or "\0" in name:
            raise WtnameError("say which worktree to remove; list_worktrees shows them")
        one = find(repo, known, name)
        if why := removal.refusal(repo, one, known):
            raise WtnameError(f"{one.name} stays: {why}")
        trunk = status.trunk(repo)
        own = bool(one.branch) and not keep_branch and one.branch != status.trunk_branch(repo, trunk)
        stake = removal.at_stake(repo, one, trunk, own) or ""
        ignored = listed(repo, one.path) if folders.is_there(one.path) else []
        lost = tuple(inner.ahead(repo, one.path, ignored))
        here = one == current(repo, known)
        # What the command line advises to do is no business of who is asked here.
        return Plan(folder, one, stake.partition("; ")[0], len(ignored), lost, here, keep_branch)


Planned = Annotated[Plan, Resolve(plan_removal)]


def ask(ctx: Context[Any, Any], plan: Planned) -> Elicit[Confirmation] | None:
    """The question to a human; none where the client cannot ask one."""
    able = ctx.client_capabilities and ctx.client_capabilities.elicitation
    if not able or (able.form is None and able.url is not None):
        return None
    return Elicit(_question(plan), Confirmation)


Answer = Annotated[ElicitationResult[Confirmation], Resolve(ask)]
AnyAnswer = AcceptedElicitation[Any] | DeclinedElicitation | CancelledElicitation


def _question(plan: Plan) -> str:
    one = plan.target
    also = "" if plan.keep_branch or not one.branch else " and its branch"
    said = [f"Remove the worktree {one.path}{f' ({one.branch})' if one.branch else ''}{also}?"]
    if plan.here:
        said.append("It is the one that this client works in.")
    if plan.stake:
        said.append(f"Beware: {plan.stake}.")
    said.append("What git knows and what is not committed can be restored: wtname restore.")
    if plan.ignored:
        said.append(f"{_ignored(plan.ignored)} would go for good{_among(plan.lost)}.")
    return visible(" ".join(said))


def _ignored(count: int) -> str:
    return f"{count} ignored file{'s' if count > 1 else ''} or folder{'s' if count > 1 else ''}"


def _among(lost: tuple[str, ...]) -> str:
    more = f" and {len(lost) - 1} more" if lost[1:] else ""
    return f", among them commits of the repository {lost[0]}{more} that are nowhere else" if lost else ""


def remove(limit: Limit, plan: Plan, answer: AnyAnswer, work: Work) -> Removed:
    """Remove what was planned if a human says yes, or if nobody can be asked and all of it can be restored."""
    one = plan.target
    said = answer.data if isinstance(answer, AcceptedElicitation) else None
    yes = isinstance(said, Confirmation) and said.remove
    if not isinstance(answer, AcceptedElicitation) or (said is not None and not yes):
        why = "the user did not want that" if getattr(answer, "action", "") != "cancel" else "the user did not answer"
        return _stays(plan, why)
    if not yes and (what := plan.stake or (f"{_ignored(plan.ignored)} would go for good" if plan.ignored else "")):
        by_hand = f"wtname remove{' --force' if plan.stake else ''} {shlex.quote(one.branch or str(one.path))}"
        raise WtnameError(f"{one.name} stays: {what}, and this client cannot ask the user; let the user run: {by_hand}")
    with Repository(plan.folder) as repo:
        limit.check(repo)
        work.check()
        journal.put_in_order(repo, work.say)
        if _plan(limit, str(one.path), str(plan.folder), plan.keep_branch) != plan:
            raise WtnameError(f"{one.name} has changed since it was asked for; look at it and call again")
        done = removal.remove(repo, one, targets(repo), bool(plan.stake), plan.keep_branch)
    if not done.removed:
        raise WtnameError(f"{one.name} stays: {done.why}")
    restore = f"wtname restore {shlex.quote(done.kept or '')}"
    work.say(f"{one.name} is removed; {restore} brings it back")
    if done.ignored:
        work.say(f"{_ignored(done.ignored)} went for good{_among(done.lost)}")
    return Removed(
        removed=True,
        branch=done.branch,
        path=done.path,
        why=None,
        branch_deleted=done.branch_deleted,
        ignored_lost=done.ignored,
        restore=restore,
        notes=work.notes,
    )


def _stays(plan: Plan, why: str) -> Removed:
    one = plan.target
    return Removed(
        removed=False,
        branch=one.branch,
        path=str(one.path),
        why=why,
        branch_deleted=False,
        ignored_lost=0,
        restore=None,
        notes=[f"{visible(one.name)} stays: {why}"],
    )
