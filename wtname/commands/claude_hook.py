"""`wtname hook worktree-create` and its like, which Claude Code calls, and `wtname hook claude`, which sets it up."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wtname.commands.shared import (
    explain,
    make_namer,
    print_path,
    say,
    unwound_by_signals,
)
from wtname.errors import WtnameError
from wtname.lazy import LazyGroup

if TYPE_CHECKING:
    from wtname.claude_code import Event
    from wtname.git import Repository
    from wtname.git.provisional import Look
    from wtname.settings import Settings
    from wtname.tasks import Begun

_FURNISH = 45.0  # seconds for what comes along into a worktree; a hook has 60 where nobody sets more
_PROMPT = 5.0  # seconds that a prompt may wait, whatever is wrong

# A usage error has exit code 2, and by that one Claude Code would hold a prompt back.
_LENIENT = {"ignore_unknown_options": True, "allow_extra_args": True}


class _Late(Exception):
    """It takes too long."""


@click.group(cls=LazyGroup, commands=dict.fromkeys(("install", "uninstall", "status"), "claude_setup"))
def claude() -> None:
    """Set Claude Code up to make, name and remove its worktrees with wtname."""


@click.command("worktree-create", context_settings=_LENIENT)
def worktree_create() -> None:
    """For Claude Code's WorktreeCreate: make the worktree, and print its path.

    It is named after the prompt, where that is known (WTNAME_PROMPT for the first worktree of a session, or the one
    submitted last), or as Claude Code calls it; then its branch is renamed after the first prompt."""
    from wtname import claude_code, claude_prompts, settings

    event = _event()
    with unwound_by_signals(), claude_code.repository(event, os.environ) as repo:
        given = os.environ.get("WTNAME_PROMPT", "").strip()
        with claude_prompts.turn(event.session, event.name), claude_prompts.once(event.session, given) as prompt:
            chosen = settings.load(repo.config, os.environ)
            path = claude_code.existing(repo, chosen, event.name)
            begun = None if path else _make(repo, event, chosen, prompt)
        if begun:
            from wtname.commands.furnish import furnish

            path = begun.worktree.path
            with contextlib.suppress(_Late), _within(_FURNISH):
                furnish(repo, begun.worktree.branch, path, begun.steps)
    assert path
    print_path(Path(os.path.realpath(path)))


@click.command("worktree-remove", context_settings=_LENIENT)
def worktree_remove() -> None:
    """For Claude Code's WorktreeRemove: remove the worktree; what is not merged can be had again."""
    from wtname import claude_code, folders, journal
    from wtname.commands.remove import report

    event = _event()
    with unwound_by_signals(), claude_code.repository(event, os.environ) as repo:
        journal.put_in_order(repo, say)
        if folders.is_inside(Path.cwd(), Path(event.worktree)):  # Windows would not let go of it
            os.chdir(repo.common_dir)
        if done := claude_code.remove(repo, event):
            report([done], as_json=False)


@click.command("user-prompt-submit", context_settings=_LENIENT)
def user_prompt_submit() -> None:
    """For Claude Code's UserPromptSubmit: keep the prompt for a worktree that may be asked for, and name the branch
    after it, if it has no name of its own yet. Never holds a prompt back."""
    try:
        with unwound_by_signals(), _within(_PROMPT):
            told = _submitted()
    except Exception as error:
        from wtname import log

        log.note("hook", hook="user-prompt-submit", error=type(error).__name__)
        return
    if told:
        click.echo(told)


def _event() -> Event:
    from wtname import claude_code

    return claude_code.read(sys.stdin.buffer if sys.stdin else None)


def _submitted() -> str:
    """What Claude is told, if anything."""
    from wtname import claude_code, claude_prompts

    event = _event()
    here = Path(event.cwd) if os.path.isabs(event.cwd) else Path.cwd()
    if not (looked := claude_code.remember(event, lambda: _look(here))):
        return ""
    named = claude_code.begin(lambda: make_namer(None), event.prompt)
    from wtname import git, journal

    with claude_prompts.turn(event.session), git.Repository(here) as repo:
        journal.put_in_order(repo, say)
        renamed = claude_code.rename(repo, event, named, looked)
    if not renamed:
        return ""
    say(f"{renamed.old} is called {renamed.new} now; wtname rename --undo goes back")
    return claude_code.context(renamed)


def _look(folder: Path) -> Look:
    from wtname.git.provisional import Look  # not before it is known that git has to be asked

    return Look(folder)


def _make(repo: Repository, event: Event, chosen: Settings, given: str) -> Begun:
    from wtname import claude_code, claude_prompts, tasks
    from wtname.commands.furnish import tell
    from wtname.git import provisional

    found = claude_code.name(repo, chosen, event, given, lambda: make_namer(None))
    if found.named:
        explain(found.named)
    begun = tasks.begin(repo, found.prompt, lambda: make_namer(None), explain, os.environ, say, name=found.name)
    made = begun.worktree
    try:
        provisional.note(repo, made.branch, event.name, provisional=found.provisional)
    except WtnameError as error:
        say(f"{made.branch} has no note of its name in Claude Code ({error}); the worktree is made all the same")
    if found.provisional:
        claude_prompts.store(event.session, claude_prompts.load(event.session)._replace(named=False))
    tell(begun)
    return begun


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """Raise _Late in what takes longer. Where there are no alarms, Claude Code's own patience is the limit."""
    import signal

    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def late(*_: object) -> None:
        raise _Late(f"stopped after {seconds:.0f} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
