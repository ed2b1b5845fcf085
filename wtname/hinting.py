"""A better name for a branch that has none of its own, told while a commit is made: from the commit's message, or from
what is staged where there is none yet."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from wtname import commit_message, gist, shim, template
from wtname.errors import WtnameError
from wtname.generic import is_generic
from wtname.git import Repository, hooks, work
from wtname.git.booleans import NO, YES

if TYPE_CHECKING:
    from wtname.namer import Namer
    from wtname.settings import Settings

_TRIES = 100


class Hint(NamedTuple):
    """What to tell: what is, in words, and the command that goes with it."""

    text: str
    command: str


def main(arguments: Sequence[str]) -> None:
    """What the hook's script runs."""
    run(arguments)
    os._exit(0)  # whatever there is to tidy up, the commit need not wait for it


def run(arguments: Sequence[str]) -> None:
    """Suggest a name, on stderr or in the message, for a commit that git tells its hook of in these arguments.
    Raises nothing: whatever goes wrong, the commit goes on."""
    try:
        with _within_limit() as untouchable:
            _suggest(arguments, untouchable)
    except Exception as error:
        if isinstance(error, WtnameError):  # a branch that cannot be renamed, and the like
            return
        with contextlib.suppress(Exception):
            from wtname import log

            log.note("hook", error=type(error).__name__)


def _suggest(arguments: Sequence[str], untouchable: Callable[[], None]) -> None:
    # pre-commit gives the file alone.
    usual = ["", *(os.environ.get(f"PRE_COMMIT_COMMIT_{key}", "") for key in ("MSG_SOURCE", "OBJECT_NAME"))]
    file, source, commit = [*arguments, *usual[len(arguments) :]][:3]
    if not file or commit:
        return
    with Repository() as repo:
        message = commit_message.read(Path(file))
        found = hint(repo, message, source, os.environ, untouchable)
    untouchable()
    edited = os.environ.get("GIT_EDITOR") != ":"  # that is git's word for none; which one it takes, it does not say
    if found and not (edited and commit_message.write(Path(file), comment(found))):
        os.write(2, os.fsencode(line(found) + "\n"))


@contextlib.contextmanager
def _within_limit() -> Iterator[Callable[[], None]]:
    """End the process, as if there were nothing to say, where a name takes too long. What is yielded is called before
    anything is changed: that is not to be broken off."""
    import signal
    import threading

    seconds = limit(os.environ)
    if hasattr(signal, "setitimer"):

        def untouchable() -> None:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)

        signal.signal(signal.SIGALRM, lambda *_: os._exit(0))  # the hook's script sends it, too
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
        yield untouchable
        return
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
    try:
        yield timer.cancel
    finally:
        timer.cancel()


def hint(
    repo: Repository, message: str, source: str, environ: Mapping[str, str], untouchable: Callable[[], None]
) -> Hint | None:
    """What to tell about the branch that a commit is made on. With wtname.autorename it is renamed first, and
    `untouchable` is called before that: from then on nobody may kill us."""
    if not is_own(repo, source) or repo.config.get("wtname.hook", "").lower() in NO:
        return None
    branch = repo.refs.current.removeprefix("refs/heads/")
    if not (is_generic(branch) if branch else _is_detached(repo)):
        return None
    times = _told(repo, branch)
    if times >= shim.TIMES:
        return None
    author = hooks.ask_author(repo) if source == "message" else None
    text = message if source == "message" else ""
    if text.startswith(gist.AUTOSQUASH):
        return None
    namer = _start_namer(environ)
    telling = gist.of_subjects(text.split("\n", 1)[:1])
    staged = None if telling else work.Staged(repo)
    if author and hooks.is_amended(author):
        return None
    task = gist.of_changes(staged.changes()) if staged else text
    made = _name(repo, branch, task, message, namer, environ, untouchable)
    if made:
        _tell(repo, branch, times + 1)
    return made


def _start_namer(environ: Mapping[str, str]) -> Namer:
    """A namer that loads its model while something else is done."""
    import threading

    from wtname import models
    from wtname.namer import Namer

    namer = Namer(models.find(None).path, limit(environ))
    threading.Thread(target=namer.load, daemon=True).start()
    return namer


def is_own(repo: Repository, source: str) -> bool:
    """Whether a commit is neither made over nor put together by git."""
    if source not in ("", "message", "template"):
        return False
    return not any((repo.git_dir / name).exists() for name in shim.OPERATIONS)


def _is_detached(repo: Repository) -> bool:
    return not repo.ask("symbolic-ref", "--quiet", "HEAD").output(empty=1)


def _name(
    repo: Repository,
    branch: str,
    task: str,
    text: str,
    namer: Namer,
    environ: Mapping[str, str],
    untouchable: Callable[[], None],
) -> Hint | None:
    from wtname import settings, tickets

    if branch and _is_pushed(repo, branch):
        return None
    named = namer.name(task)
    if not named.name:
        return None
    chosen = settings.load(repo.config, environ)
    ticket = tickets.choose(chosen, None, text, [named.name, branch])
    new = _free(repo, chosen, named.name, ticket, branch)
    if new in (None, branch):
        return None
    if not branch:
        return Hint("HEAD is on no branch; one could be", f"git checkout -b {shlex.quote(str(new))}")
    if repo.config.get("wtname.autorename", "").lower() in YES:
        return _rename(repo, branch, chosen, named.name, ticket, untouchable)
    command = ["wtname", "rename", "--name", named.name, *(["--ticket", ticket] if ticket else [])]
    return Hint(f"{branch} could be called {new}", shlex.join(command))


def _is_pushed(repo: Repository, branch: str) -> bool:
    """Whether a remote has a branch, so that another name for it would cost a pull request. `wtname rename` looks
    closer, and takes longer."""
    remote, merge = (repo.config.get(f"branch.{branch}.{key}", "") for key in ("remote", "merge"))
    if remote not in ("", ".") and merge:
        default = repo.refs.points_to(f"refs/remotes/{remote}/HEAD").removeprefix(f"refs/remotes/{remote}/")
        usual = {default, "main", "master", repo.config.get("init.defaultbranch", "")}
        if merge.removeprefix("refs/heads/") not in usual:
            return True
    return any(repo.split(ref)[1] == branch for ref in repo.refs.names() if ref.endswith("/" + branch))


def _free(repo: Repository, chosen: Settings, name: str, ticket: str, old: str) -> str | None:
    """The first branch for a name that is free, or is the branch itself."""
    first = next(template.branches(chosen.template, name, fields := _fields(chosen, ticket), _excess(chosen)))[1]
    # Most names are nowhere to be seen, which takes less time to see than all that could be taken.
    others = "\n".join(repo.branches()).casefold()
    if "/" not in first and first.casefold() not in others and repo.allows(first):
        return first
    from wtname import worktree

    taken = worktree.Taken(branch for branch in repo.branches() if branch != old)
    candidates = itertools.islice(template.branches(chosen.template, name, fields, _excess(chosen)), _TRIES)
    return next((new for _, new in candidates if new not in taken and repo.allows(new)), None)


def _fields(chosen: Settings, ticket: str) -> template.Fields:
    return template.Fields(ticket, chosen.user, time.strftime("%Y-%m-%d"), chosen.types)


def _excess(chosen: Settings) -> Callable[[str], str | None]:
    return lambda branch: template.excess(branch, chosen.maxlength)


def _rename(
    repo: Repository, branch: str, chosen: Settings, name: str, ticket: str, untouchable: Callable[[], None]
) -> Hint:
    from wtname import renaming

    one = renaming.subject(repo)
    renaming.refuse(repo, one, force=False, move=False)
    wanted = renaming.plan(repo, one, chosen, name, ticket=ticket, move=False)
    untouchable()
    renaming.rename(repo, wanted, description="")
    return Hint(f"{branch} is called {wanted.new} now; back with", "wtname rename --undo")


def limit(environ: Mapping[str, str]) -> float:
    """How many seconds a commit waits for a name."""
    with contextlib.suppress(ValueError):
        return min(max(float(environ.get("WTNAME_DEADLINE") or shim.LIMIT), 0.0), 1e6)
    return shim.LIMIT


def _told(repo: Repository, branch: str) -> int:
    """How often this branch was told of a name."""
    with contextlib.suppress(OSError, ValueError):
        times, _, whom = (repo.git_dir / shim.TOLD).read_text("utf-8", "surrogateescape").rstrip("\n").partition(" ")
        return int(times) if whom == (branch or "HEAD") else 0
    return 0


def _tell(repo: Repository, branch: str, times: int) -> None:
    with contextlib.suppress(OSError):
        line = f"{times} {branch or 'HEAD'}\n"
        (repo.git_dir / shim.TOLD).write_text(line, "utf-8", "surrogateescape", newline="\n")


def comment(hint: Hint) -> list[str]:
    """A hint as lines of a comment."""
    return [f" wtname: {hint.text}:", f"   {hint.command}", ""]


def line(hint: Hint) -> str:
    """A hint as one line for people."""
    from wtname.display import visible

    return "wtname: " + visible(f"{hint.text}: {hint.command}")
