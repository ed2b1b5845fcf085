"""Look at everything wtname needs, and say what to do about what is wrong."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from wtname import child, git, git_hooks, journal, log, models, postcreate, restoring, settings, tickets, worktree
from wtname.errors import GitError, WtnameError
from wtname.git.base import choose
from wtname.trust import is_trusted

Status = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """One line of the report; `fix` says what to do where it is not ok."""

    what: str
    status: Status
    found: str
    fix: str = ""


def checks(model: str | None, cwd: Path | None) -> Iterator[Check]:
    """All checks, one after the other; a check that breaks is a failed check."""
    for what, check in (
        ("git", _git),
        ("python", _python),
        ("engine", _engine),
        ("model", lambda: _model(model)),
        ("log", _log),
        ("repository", lambda: _in_repository("repository", cwd, _facts)),
        ("commands", lambda: _in_repository("commands", cwd, _commands)),
        ("hook", lambda: _in_repository("hook", cwd, _hook)),
        ("journal", lambda: _in_repository("journal", cwd, _left)),
    ):
        yield _guarded(what, check)


def repair(cwd: Path | None) -> Iterator[Check]:
    """Put in order what killed commands left in the repository: a check for each, and how it stands in the end.
    Raises WtnameError outside a repository."""
    with git.Repository(cwd) as repo:
        for line in journal.recover(repo):
            yield Check("repair", "ok", line)
        yield _left(repo)


def _guarded(what: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except WtnameError as error:
        found, _, fix = str(error).partition("; ")
        return Check(what, "fail", found, fix or "mend that, and look again")
    except OSError as error:
        where = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "it"
        return Check(what, "fail", f"{error.strerror or error}: {where}", f"see that {where} can be read")


def _git() -> Check:
    version = git.version()
    found = f"{'.'.join(map(str, version))} at {git.executable()}"
    if version < (2, 17):
        return Check("git", "fail", found, "install git 2.17 or later")
    return Check("git", "ok", found)


def _python() -> Check:
    return Check("python", "ok", f"{sys.version.split()[0]} at {sys.executable}")


def _engine() -> Check:
    # In another process: a library built for another machine may take ours down.
    code = "import llama_cpp; print(llama_cpp.__version__)"
    done = child.run("-c", code)
    if done.returncode:
        told = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        fix = "pip install --force-reinstall --no-cache-dir llama-cpp-python; till then names are picked from the words"
        return Check("engine", "fail", f"llama-cpp-python does not load: {told[-1]}", fix)
    return Check("engine", "ok", f"llama-cpp-python {done.stdout.strip()}")


def _model(flag: str | None) -> Check:
    found = models.existing(flag)
    name = models.verify(found.path)
    encoder = models.parts(found.path).encoder
    beside = f", {encoder.name} sha256 {models.sha256(encoder)}" if encoder else ""
    digest = models.sha256(found.path)
    return Check("model", "ok", f"{found.path} ({found.by}), sha256 {digest}{beside}, names: {name}")


def _log() -> Check:
    file = log.path()
    place = next(p for p in (file, *file.parents) if p.exists())
    if not os.access(place, os.W_OK) or (place != file and not place.is_dir()):
        return Check("log", "warn", f"{file} cannot be written", f"make {place} writable; until then nothing is logged")
    return Check("log", "ok", str(file))


def _in_repository(what: str, cwd: Path | None, look: Callable[[git.Repository], Check]) -> Check:
    """A check of the repository we stand in; outside of one, only the first has something to say."""
    with git.Repository(cwd) as repo:
        try:
            found = repo.git_dir
        except GitError as error:
            if "not a git repository" not in str(error):
                raise
            if what == "repository":
                return Check(what, "warn", str(error), "cd into a repository to make worktrees")
            return Check(what, "ok", "no repository")
        assert found
        return look(repo)


def _facts(repo: git.Repository) -> Check:
    """Everything that `new` looks at before it makes something: where it would refuse, so do we."""
    chosen = settings.load(repo.config, os.environ)
    settings.steps(repo.config, os.environ)
    restoring.expired(repo, os.environ.get("WTNAME_TRASHDAYS") or repo.config.get("wtname.trashdays", ""))
    tickets.choose(chosen, None, "", [])
    start = choose(repo, chosen.base)
    planned = worktree.plan(repo, chosen._replace(base=start.ref), "fix-x")
    folder = settings.folder(chosen.path, repo=repo.name, main=repo.beside, branch="BRANCH")
    parent = next(p for p in planned.path.parents if p.exists())
    found = f"{repo.main}, new worktrees in {folder}, from {start.name} ({planned.commit[:10]})"
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        return Check("repository", "fail", f"nothing can be made in {parent}", "make it writable or set wtname.path")
    return Check("repository", "ok", f"{found}, branches {chosen.template}")


def _commands(repo: git.Repository) -> Check:
    """Whether the commands for new worktrees would run."""
    try:
        folder = repo.worktree()
    except GitError:  # git's own folder
        folder = None
    found = postcreate.commands(repo, folder)
    strange = [batch for batch in found.theirs if not is_trusted(batch)]
    if strange:
        count = sum(len(batch.commands) for batch in strange)
        sources = " and ".join(batch.source for batch in strange)
        return Check("commands", "warn", f"{count} of {sources} not trusted, so they do not run", "wtname trust")
    count = len(found.own) + sum(len(batch.commands) for batch in found.theirs)
    return Check("commands", "ok", f"{count} to run in new worktrees" if count else "none to run in new worktrees")


def _hook(repo: git.Repository) -> Check:
    """Whether the git hook, where there is one, does anything."""
    now = git_hooks.status(repo)
    if not now.how:
        return Check("hook", "ok", "not installed")
    if not now.works:
        found = f"{now.path} does nothing, as {now.python or 'wtname on PATH'} is not there any more"
        return Check("hook", "warn", found, "wtname hook install")
    if not now.current:
        return Check("hook", "warn", f"{now.path} is changed, or of another version", "wtname hook install")
    return Check("hook", "ok", str(now.path))


def _left(repo: git.Repository) -> Check:
    dead, unreadable = journal.survey(repo)
    if dead:
        return Check("journal", "warn", f"{len(dead)} broken off: {dead[0]}", "wtname doctor --repair")
    if unreadable:
        fix = "look at `git worktree list` and `git branch`, then delete it"
        return Check("journal", "warn", f"cannot be read: {unreadable[0]}", fix)
    return Check("journal", "ok", "nothing is left half done")


def line(check: Check) -> str:
    """A check for people."""
    return f"{check.status:<5} {check.what}: {check.found}" + (f"\n      {check.fix}" if check.fix else "")
