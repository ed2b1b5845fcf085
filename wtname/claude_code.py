"""Claude Code's hooks: make the worktree that it asks for, remove one safely, and name a branch once its task is known.

What comes on stdin is read as a stranger's: fields may be missing, hostile or of another type.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from wtname.errors import GitError, WtnameError

if TYPE_CHECKING:
    from wtname.git import Repository
    from wtname.git.provisional import Look
    from wtname.namer import Named, Namer
    from wtname.removal import Removed
    from wtname.renaming import Renaming
    from wtname.settings import Settings
    from wtname.target import Target

_LIMIT = 16 << 20  # bytes on stdin
_GOING_ON = frozenset(
    """
    a again ahead all alright and back begin carry continue cool do doing done everything fine for go going good great
    hello hey hi i im it its keep lets looks me more my nice no not now ok okay on one perfect please proceed ready
    resume retry right so start still stop sure thank thanks that thats the there this to too try very wait well what
    works y yeah yep yes you your
    """.split()
)
# What is typed at Claude Code's prompt and is no task: a command of its own, a shell's, a note.
_NO_TASK = re.compile(r"/[\w:.-]+(?:\s|\Z)|!|#(?!\d)[^\n]*\Z")


class Event(NamedTuple):
    """What Claude Code tells a hook. `name`: what it calls the worktree, as far as a branch can be called so."""

    session: str
    cwd: str
    name: str
    prompt: str
    worktree: str
    agent: str


def read(stdin: IO[bytes] | None) -> Event:
    """The event on stdin; raises WtnameError where that is no JSON object, or closed."""
    import json

    data = stdin.read(_LIMIT + 1) if stdin else b""
    if len(data) > _LIMIT:
        raise WtnameError(f"more than {_LIMIT >> 20} MB came on stdin; this is for Claude Code to call")
    try:
        # Of two objects the first counts.
        found, _ = json.JSONDecoder().raw_decode(data.decode("utf-8-sig", "replace").lstrip())
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise WtnameError("what came on stdin is no JSON object; this is for Claude Code to call")
    return Event(
        session=_text(found, "session_id"),
        cwd=_text(found, "cwd"),
        name=_name(found),
        prompt=_text(found, "prompt"),
        worktree=_text(found, "worktree_path"),
        agent=_text(found, "agent_id"),
    )


def _name(found: dict[str, Any]) -> str:
    if "name" not in found:
        return ""
    from wtname import claude_names

    return claude_names.plain(found["name"])


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str):
        return ""
    return value.replace("\0", " ").encode("utf-8", "replace").decode()  # half a surrogate pair is no text


def anchors(event: Event, environ: Mapping[str, str]) -> list[Path]:
    """Where the session may belong, the likeliest first: Claude Code's project, where the agent is, the worktree that
    goes; where we are, if none of them is a folder."""
    named = (environ.get("CLAUDE_PROJECT_DIR", ""), event.cwd, event.worktree)
    there = [place for place in dict.fromkeys(named) if os.path.isabs(place) and os.path.isdir(place)]
    return [Path(place) for place in there] or [Path.cwd()]


@contextlib.contextmanager
def repository(event: Event, environ: Mapping[str, str]) -> Iterator[Repository]:
    """The session's repository: that of the first place that is in one, as a project may be a folder of several."""
    from wtname.git import Repository

    *likelier, last = anchors(event, environ)
    for place in likelier:
        with Repository(place) as repo:
            if _is_one(repo):
                yield repo
                return
    with Repository(last) as repo:
        yield repo


def _is_one(repo: Repository) -> bool:
    """Whether git knows a repository there, if only to refuse it: the next place's would be another one's."""
    try:
        return bool(repo.git_dir)
    except GitError as error:
        return "not a git repository" not in str(error)


def existing(repo: Repository, chosen: Settings, name: str) -> Path | None:
    """The worktree that a name stands for already, as for Claude Code itself an existing name opens that one again:
    one that it asked for by this name, one on the branch of this name, or one that it made without us."""
    if not name:
        return None
    from wtname import claude_names
    from wtname.git import provisional, status
    from wtname.target import targets

    # A record alone may be a stranger's: what it names has to be a worktree of this repository by its own word, too.
    known = [one for one in targets(repo) if not one.main and status.git_dir(repo, one.path)]
    if not known:
        return None
    called, branch, theirs = provisional.called(repo, name), _branch(chosen, name), claude_names.flat(name)
    tries: list[Callable[[Target], bool]] = [
        lambda one: one.branch in called,
        lambda one: one.branch is not None and one.branch in (branch, name, "worktree-" + theirs),
        lambda one: one.path.name == theirs and one.path.parent.parts[-2:] == (".claude", "worktrees"),
    ]
    return next((one.path for fits in tries for one in known if fits(one)), None)


def _branch(chosen: Settings, name: str) -> str | None:
    from wtname import worktree

    try:
        return next(branch for _, branch in itertools.islice(worktree.branches(name, "", chosen), 1))
    except WtnameError:  # too long, ...
        return None


class Naming(NamedTuple):
    """What a new branch is named after. `name` None: nothing; `provisional`: until the task is known."""

    name: str | None
    prompt: str
    provisional: bool
    named: Named | None = None


def name(repo: Repository, chosen: Settings, event: Event, given: str, namer: Callable[[], Namer]) -> Naming:
    """The name of a worktree: after the prompt, where it is known and nobody chose a name, else as Claude Code calls
    it. A prompt that is `given` is so for this one purpose, so it comes before a name that was chosen."""
    from wtname import claude_names, claude_prompts

    nobody = claude_names.is_generated(event.name)
    prompt = given or (claude_prompts.take(event.session) if nobody else "")
    if prompt and (named := namer().name(prompt)).name:
        return Naming(named.name, prompt, False, named)
    return Naming(_possible(repo, chosen, event.name), "", nobody)


def _possible(repo: Repository, chosen: Settings, name: str) -> str | None:
    """A name, if a branch can be called so: for want of one, nothing fails. Raises WtnameError where none can be."""
    from wtname import worktree
    from wtname.git.base import choose

    if not name:
        return None
    chosen = chosen._replace(base=choose(repo, chosen.base).ref)
    try:
        worktree.plan(repo, chosen, name)
    except WtnameError:
        worktree.plan(repo, chosen, "fix-it")  # where not even this can be made, it is not for want of a name
        return None
    return name


def remove(repo: Repository, event: Event) -> Removed | None:
    """Remove the worktree that Claude Code is done with; None where it is gone already.

    Claude Code asks its user before it has a changed worktree removed, so that goes to the trash, and the branch stays
    as long as its commits are nowhere else. About a worktree without changes it asks nobody: one with such commits is
    refused, as by `wtname remove`. Raises WtnameError where it is no worktree of this repository."""
    from wtname import removal
    from wtname.git import status
    from wtname.target import targets

    if not os.path.isabs(event.worktree):
        raise WtnameError("no worktree_path came on stdin; this is for Claude Code to call")
    known = targets(repo)
    place = os.path.realpath(event.worktree)
    one = next((one for one in known if os.path.realpath(one.path) == place), None)
    there = os.path.lexists(event.worktree)
    if one is None:
        if there:
            raise WtnameError(f"{event.worktree} is no worktree of this repository; remove it yourself")
        return None
    if removal.refusal(repo, one, known) or one.locked or not (there and status.dirty(repo, one.path)):
        return removal.remove(repo, one, known, force=False, keep_branch=False)
    trunk = status.trunk(repo)
    if why := removal.nested(repo, one):
        return removal.Removed(str(one.path), one.branch, False, why)
    arrived = one.branch and trunk and status.merged(repo, trunk, [one.branch])[one.branch]
    keep = bool(one.branch) and not arrived and removal.unsaved(repo, one, trunk) > 0
    return removal.remove(repo, one, known, force=True, keep_branch=keep)


def remember(event: Event, look: Callable[[], Look]) -> Look | None:
    """Keep a prompt for the worktree that the session may ask for; where it was typed, if the branch there may have to
    be named after it. Once that is settled, git is not asked again."""
    from wtname import claude_prompts

    prompt = event.prompt.strip()
    if event.agent or not prompt or _NO_TASK.match(prompt) or _goes_on(prompt):
        return None
    known = claude_prompts.load(event.session)
    if known.named:
        claude_prompts.store(event.session, known._replace(prompt=prompt))
        return None
    looked = look()
    if not looked.answer():
        return None
    from wtname.claude_names import is_generated

    random = looked.provisional or is_generated(looked.branch.removeprefix("worktree-"))
    wanted = bool(looked.branch) and looked.autorename and random
    claude_prompts.store(event.session, claude_prompts.Session(prompt, named=not wanted))
    return looked if wanted else None


def _goes_on(prompt: str) -> bool:
    """Whether a prompt is about what was asked before."""
    return len(prompt) < 80 and set(re.findall(r"[^\W\d_]+", prompt.lower().replace("'", ""))) <= _GOING_ON


def begin(namer: Callable[[], Namer], prompt: str) -> Callable[[], Named]:
    """Have a prompt named while git answers; the name, for whoever waits for it."""
    import threading

    found: list[Named] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            found.append(namer().name(prompt))
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()

    def wait() -> Named:
        thread.join()
        if failed:
            raise failed[0]
        return found[0]

    return wait


def rename(repo: Repository, event: Event, named: Callable[[], Named], looked: Look) -> Renaming | None:
    """Rename the branch of the worktree that a prompt was typed in; None where the prompt names no task, or the branch
    keeps its name: the default branch, pushed, and where it is not noted to be provisional, in the main worktree or
    with commits. Its folder keeps its name: whoever is in it would lose it."""
    from wtname import claude_prompts, renaming, settings, tickets
    from wtname.git import provisional

    one = renaming.subject(repo)
    if one.branch != looked.branch:  # the same hook, installed twice, has renamed it meanwhile
        return None
    wanted = None
    if _may_be_renamed(repo, one, looked):
        if not (name := named().name):
            return None
        chosen = settings.load(repo.config, os.environ)
        ticket = tickets.choose(chosen, None, event.prompt, [name, looked.branch])
        wanted = renaming.plan(repo, one, chosen, name, ticket=ticket, move=False)
        if wanted.new != wanted.old:
            renaming.rename(repo, wanted, description=event.prompt)
    renamed = wanted if wanted and wanted.new != wanted.old else None
    if looked.provisional and not renamed:
        provisional.settle(repo, looked.branch)
    claude_prompts.store(event.session, claude_prompts.load(event.session)._replace(named=True))
    return renamed


def _may_be_renamed(repo: Repository, one: Target, looked: Look) -> bool:
    from wtname import renaming
    from wtname.git import status, work

    try:
        renaming.refuse(repo, one, force=False, move=False)
    except WtnameError:
        return False
    if looked.provisional:
        return True
    return not one.main and not work.subjects(repo, one.path, work.start(repo, one.path, status.trunk(repo)))


def context(renamed: Renaming) -> str:
    """What Claude is told of a renaming: JSON for its hooks."""
    import json

    told = f"wtname renamed the branch of this worktree from {renamed.old} to {renamed.new}, after the task."
    place = " The folder keeps its name; the new branch name is the one to push and to open a pull request from."
    return json.dumps({"hookSpecificOutput": {"hookEventName": "UserPromptSubmit", "additionalContext": told + place}})
