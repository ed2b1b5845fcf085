"""Branches: made with a mark of who made them, deleted only where they were left, described in git's own place."""

from __future__ import annotations

import contextlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from wtname.errors import GitError, WtnameError
from wtname.git.process import is_busy
from wtname.git.repository import Repository

PATIENCE = 5.0  # seconds with another git at work
STALE = 60.0  # seconds after which a lock that nobody touches is a dead git's
# It would not lock a reference because that is not as it should be, and waiting does not change it.
_IN_VAIN = re.compile("but expected|unable to resolve reference|reference already exists")
_DESCRIPTION = 4000  # characters of a prompt that are kept
# Settings that say where a branch belongs, and what it was called.
_TRACKING = {"remote", "merge", "pushremote", "wtnamerenamedfrom", "wtnamemovedfrom"}


def act(repo: Repository, *args: str) -> str:
    """Have git change something; who is interrupted waits for the end of it, so that it can be taken back."""
    running = repo.act(*args)
    try:
        return running.output()
    except GitError as error:
        error.killed = running.process.returncode < 0
        raise
    except BaseException:
        running.process.wait()
        raise


def patiently(repo: Repository, *args: str) -> str:
    """Have git change something, again while another git holds a lock; what git says of the last try is raised."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return act(repo, *args)
        except GitError as error:
            if not is_busy(error) or _IN_VAIN.search(str(error)) or time.monotonic() > until:
                raise
        time.sleep(random.uniform(0.01, 0.1))


Span = tuple[float, float]  # from when to when, in seconds since 1970


def break_lock(repo: Repository, error: GitError, when: Span) -> bool:
    """Remove the lock that git stumbles over, if it can only be one of a git that was killed: made in that time, not
    touched for a minute, and in this repository. Tells whether it was."""
    found = re.search(r"'([^']+\.lock)'", str(error))
    lock = Path(found[1]) if found else repo.common_dir / "config.lock" if "config file" in str(error) else None
    return lock is not None and repo.common_dir in lock.parents and _break(lock, when)


def release(locks: Iterable[Path], when: Span) -> None:
    """Remove those of these locks that a git left which was killed in that time. Raises WtnameError where that is not
    clear yet."""
    for lock in locks:
        with contextlib.suppress(OSError):
            first = lock.stat()
            if not when[0] <= first.st_mtime <= when[1] or _break(lock, when):
                continue
            for _ in range(20):  # a git that is alive is done with it in no time
                time.sleep(0.02)
                if not os.path.samestat(first, lock.stat()):
                    break
            else:
                if not _break(lock, when):
                    raise WtnameError(f"a git that was killed may have left {lock}; try again in a minute")


def _break(lock: Path, when: Span) -> bool:
    with contextlib.suppress(OSError):
        touched = lock.stat().st_mtime
        if when[0] <= touched <= when[1] and time.time() - touched >= STALE:
            lock.unlink()
            return True
    return False


def tip(repo: Repository, branch: str) -> str | None:
    """The commit a branch is at now, None where there is no such branch."""
    ref = "refs/heads/" + branch
    return repo.act("rev-parse", "--verify", "--quiet", ref).output(empty=1).strip() or None


def make_branch(repo: Repository, branch: str, commit: str, mark: str) -> None:
    """Make a branch that is not there yet and tracks nothing; git decides between two who want the same.
    The mark goes into the branch's reflog, so that only who made it takes it back."""
    act(repo, "update-ref", "--create-reflog", "-m", mark, "refs/heads/" + branch, commit, "")


def is_made_by(repo: Repository, branch: str, mark: str) -> bool:
    """Whether a branch is there and was made with this mark."""
    ref = "refs/heads/" + branch
    for _ in range(40):  # git may stumble over what another is just writing
        if not tip(repo, branch):
            return False
        with contextlib.suppress(GitError):
            return entries(repo, ref)[-1:] == [mark]
        time.sleep(0.05)
    return entries(repo, ref)[-1:] == [mark]


def entries(repo: Repository, ref: str) -> list[str]:
    """What a reference's reflog says was done to it, the latest first."""
    how = ("--walk-reflogs", "--no-patch", "--no-show-signature", "--no-color", "--format=%gs")
    return repo.act("log", *how, ref, "--").output().split("\n")[:-1]


def delete_branch(repo: Repository, branch: str, commit: str) -> bool:
    """Delete a branch that still is at this commit and that no worktree is on; tells whether it is gone."""
    ref = "refs/heads/" + branch
    if any(known.get("branch") == ref for known in repo.worktrees()):
        return False
    try:
        patiently(repo, "update-ref", "-d", ref, commit)
    except GitError:
        if (now := tip(repo, branch)) == commit:
            raise
        return now is None  # else it has moved on, so it is somebody's
    return True


def rename_branch(repo: Repository, old: str, new: str) -> None:
    """Rename a branch with its reflog and settings, wherever it is checked out."""
    patiently(repo, "branch", "-m", "--", old, new)


def bring_back(repo: Repository, branch: str, commit: str, mark: str) -> None:
    """Make a branch again that a killed git was renaming, with the reflog that it had put aside."""
    log = repo.common_dir / "logs" / "refs" / ".tmp-renamed-log"
    with contextlib.suppress(OSError):
        if log.read_bytes().rpartition(b"\t")[0].rpartition(b"\n")[2].split(b" ")[1:2] == [commit.encode()]:
            place = repo.common_dir / "logs" / "refs" / "heads" / branch
            place.parent.mkdir(parents=True, exist_ok=True)
            log.rename(place)
    make_branch(repo, branch, commit, mark)


def finish_renaming(repo: Repository, old: str, new: str) -> None:
    """Do what a killed git left undone of a renaming: worktrees that are on the old name, and its settings."""
    for known in repo.worktrees():
        if known.get("branch") == "refs/heads/" + old:
            repo.ask_in(Path(known["worktree"]), "symbolic-ref", "HEAD", "refs/heads/" + new).output()
    if settings(repo, old) and not settings(repo, new):
        patiently(repo, "config", "--local", "--rename-section", "branch." + old, "branch." + new)


def settings(repo: Repository, branch: str) -> dict[str, list[str]]:
    """What the repository's own configuration says of a branch: `remote`, `merge`, `description`, ..."""
    if "\n" in branch:
        return {}
    prefix = f"branch.{branch}."
    found: dict[str, list[str]] = {}
    for key, value in _branch_settings(repo, ""):
        if key.startswith(prefix) and "." not in key[len(prefix) :]:
            found.setdefault(key[len(prefix) :], []).append(value)
    return found


def forget_settings(repo: Repository, branch: str) -> None:
    """Drop what the configuration says of a branch, if anything."""
    if settings(repo, branch):
        patiently(repo, "config", "--local", "--remove-section", "branch." + branch)


def put_setting(repo: Repository, branch: str, key: str, values: list[str]) -> None:
    """Make these the values of `branch.<branch>.<key>`, none to drop it."""
    name = f"branch.{branch}.{key}"
    if values:
        patiently(repo, "config", "--local", "--replace-all", name, values[0])
    elif key in settings(repo, branch):
        patiently(repo, "config", "--local", "--unset-all", name)
    for value in values[1:]:
        patiently(repo, "config", "--local", "--add", name, value)


def describe(repo: Repository, branch: str, text: str) -> None:
    """Keep the prompt that made a branch in git's own place for it; blank text keeps nothing."""
    if text := _plain(text):
        put_setting(repo, branch, "description", [text])


def leftovers(repo: Repository, branch: str) -> dict[str, list[str]]:
    """What the repository's own configuration says of a branch that is not there yet: the user, or one of the same name
    that was deleted by something other than `git branch -d`, left it."""
    prefix = f"branch.{branch}."
    return settings(repo, branch) if any(key.startswith(prefix) for key in repo.config) else {}


def put_back(repo: Repository, branch: str, before: object) -> None:
    """Set again what was set of a branch before, by a note of ours, where nothing is set by now."""
    if isinstance(before, dict) and before:
        now = settings(repo, branch)
        for key, values in before.items():
            if key not in now and isinstance(values, list):
                put_setting(repo, branch, key, [str(value) for value in values])


class Describing:
    """A description on its way into the configuration while something else is being done. A new branch tracks nothing:
    what an old one of its name left is dropped, and `note` hears before what there was."""

    def __init__(self, repo: Repository, branch: str, text: str, note: Callable[..., None]) -> None:
        if before := leftovers(repo, branch):
            note(before=before)
            for key in _TRACKING & before.keys():
                put_setting(repo, branch, key, [])
        self._again = (repo, branch, text)
        key = f"branch.{branch}.description"
        write = ("config", "--local", "--replace-all", key)
        self._running = repo.act(*write, text) if (text := _plain(text)) else None

    def __enter__(self) -> Describing:
        return self

    def __exit__(self, *_: object) -> None:
        if self._running:
            self._running.process.wait()

    def warning(self) -> str:
        """What to tell where it could not be written, once nobody else writes: a line, or nothing."""
        try:
            if self._running:
                self._running.output()
        except GitError as error:
            try:
                if not is_busy(error):
                    raise
                describe(*self._again)
            except GitError as error:
                return f"the branch has no description: {error}\n"
        return ""


def forget_description(repo: Repository, branch: str, text: str, before: object = None) -> None:
    """Drop a branch's description, if it is this one, and put back what was there before."""
    if text and settings(repo, branch).get("description") == [_plain(text)]:
        put_setting(repo, branch, "description", [])
    put_back(repo, branch, before)


def descriptions(repo: Repository) -> dict[str, str]:
    """All branches' descriptions."""
    found = _branch_settings(repo, "description")
    return {key[len("branch.") : -len(".description")]: value for key, value in found}


def _branch_settings(repo: Repository, key: str) -> list[tuple[str, str]]:
    told = repo.act("config", "--local", "-z", "--get-regexp", rf"^branch\..*\.{key}").output(empty=1)
    entries = (entry.partition("\n") for entry in told.split("\0") if entry)
    return [(name, value) for name, _, value in entries]


def _plain(text: str) -> str:
    text = text.replace("\0", "").replace("\r\n", "\n").replace("\r", "\n").strip()[:_DESCRIPTION].rstrip()
    return text.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be written
