"""Where a branch starts: at the remote's default branch where there is one; and how far behind a start is."""

from __future__ import annotations

import subprocess
from typing import NamedTuple

from wtname.errors import GitError
from wtname.git.process import Running
from wtname.git.repository import Repository

_PATIENCE = 5.0  # seconds for a count that only a warning needs


class Start(NamedTuple):
    """Where a branch starts: `ref` for git, `name` for people; `fresher` is what may have more commits."""

    ref: str
    name: str
    fresher: str = ""


def remote(repo: Repository) -> str | None:
    """The remote that matters: the current branch's, else checkout.defaultRemote, else origin, else the only one."""
    known = repo.remotes
    current = repo.refs.current.removeprefix("refs/heads/")
    wanted = [repo.config.get(f"branch.{current}.remote"), repo.config.get("checkout.defaultremote"), "origin"]
    return next((name for name in wanted if name in known), known[0] if len(known) == 1 else None)


def default_ref(repo: Repository) -> str | None:
    """The default branch of the remote that matters, in full: refs/remotes/origin/main."""
    if not (name := remote(repo)):
        return None
    place = f"refs/remotes/{name}/"
    told = repo.refs.points_to(place + "HEAD")
    guesses = [place + branch for branch in ("main", "master", repo.config.get("init.defaultbranch", "")) if branch]
    return next((ref for ref in [told, *guesses] if ref.startswith(place) and repo.refs.commit(ref)), None)


def default(repo: Repository) -> str | None:
    """The default branch of the remote that matters, as people write it: origin/main."""
    ref = default_ref(repo)
    return ref and short(repo, ref)


def short(repo: Repository, ref: str) -> str:
    """A remote's branch as people write it, in full where a local branch is called the same."""
    name = ref.removeprefix("refs/remotes/")
    return ref if repo.refs.commit("refs/heads/" + name) else name


def choose(repo: Repository, wanted: str) -> Start:
    """Where to start: what is wanted; without a wish the remote's default branch, or else HEAD."""
    ours = default_ref(repo)
    if not wanted and ours:
        return Start(ours, short(repo, ours), _local_of(repo, ours))
    wanted = wanted or "HEAD"
    if theirs := _remote_branch(repo, wanted):
        return Start(theirs, short(repo, theirs))
    if wanted == "HEAD":
        return Start(wanted, wanted, _upstream(repo, repo.refs.current) or ours or "")
    known = repo.refs.commit(_local(wanted))
    return Start(wanted, wanted, (_upstream(repo, _local(wanted)) or ours or "") if known else "")


def branch_of(repo: Repository, ref: str) -> tuple[str, str] | None:
    """The remote that is known and its branch that a reference under refs/remotes stands for."""
    remote, branch = repo.split(ref)
    return (remote, branch) if remote in repo.remotes else None


class Gap:
    """How many commits a start lacks, counted while other work goes on."""

    def __init__(self, repo: Repository, start: Start) -> None:
        self._start = start
        fresher = start.fresher
        self._fresher = short(repo, fresher) if fresher.startswith("refs/remotes/") else fresher[len("refs/heads/") :]
        self._count = self._begin(repo)

    def _begin(self, repo: Repository) -> Running | int | None:
        if self._start.ref.startswith("refs/remotes/") and not self._start.fresher:
            return 0
        if not (there := repo.refs.commit(self._start.fresher)):
            return None
        ref = self._start.ref
        here = repo.refs.commit(repo.refs.current if ref == "HEAD" else _local(ref)) or repo.commit(ref)
        return 0 if here == there else repo.ask("rev-list", "--count", f"{here}..{there}")

    def commits(self) -> int | None:
        """How many commits the fresher one has that the start lacks; None where there is nothing to compare with."""
        if not isinstance(self._count, Running):
            return self._count
        try:
            self._count.process.wait(_PATIENCE)
            self._count = int(self._count.output())
        except (subprocess.TimeoutExpired, GitError):  # a count that fails takes nothing with it but a warning
            self.close()
            self._count = None
        return self._count

    def warning(self) -> str | None:
        """What to tell the user; nothing where the start is as fresh as can be."""
        count = self.commits()
        if not count:
            return None
        if self._start.ref.startswith("refs/remotes/"):
            has = f"{self._fresher} has {_commits(count)} that {self._start.name} lacks"
            return f"{has}; --base {self._fresher} takes {'it' if count == 1 else 'them'}"
        return f"{self._start.name} is {_commits(count)} behind {self._fresher}; --base {self._fresher} starts there"

    def close(self) -> None:
        """Stop counting."""
        if isinstance(self._count, Running):
            self._count.close()


def _commits(count: int) -> str:
    return f"{count} commit{'s' * (count != 1)}"


def _local(name: str) -> str:
    return "refs/heads/" + name.removeprefix("refs/").removeprefix("heads/")


def _remote_branch(repo: Repository, wanted: str) -> str:
    """What is wanted as a branch of a remote's that is here, in full; nothing if git reads it as something else."""
    name = wanted.removeprefix("refs/").removeprefix("remotes/")
    if name == wanted and repo.refs.commit("refs/heads/" + name):
        return ""
    ref = f"refs/remotes/{name}/HEAD" if name in repo.remotes else "refs/remotes/" + name
    ref = repo.refs.points_to(ref) or ref
    return ref if branch_of(repo, ref) and repo.refs.commit(ref) else ""


def _upstream(repo: Repository, local: str) -> str:
    branch = local.removeprefix("refs/heads/")
    name, merge = (repo.config.get(f"branch.{branch}.{key}", "") for key in ("remote", "merge"))
    ref = f"refs/remotes/{name}/" + merge.removeprefix("refs/heads/")
    return ref if name and merge and repo.refs.commit(ref) else ""


def _local_of(repo: Repository, theirs: str) -> str:
    """The local branch that goes with a remote's: of the same name, and tracking no other."""
    found = branch_of(repo, theirs)
    local = "refs/heads/" + found[1] if found else ""
    return local if repo.refs.commit(local) and _upstream(repo, local) in ("", theirs) else ""
