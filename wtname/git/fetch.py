"""Fetch one branch, in a given time and without a question."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time

from wtname.errors import WtnameError
from wtname.git.base import Start, branch_of, short
from wtname.git.process import end_group, executable, one_line
from wtname.git.repository import Repository

_GRACE = 0.5  # seconds for git to take its lock files back
_PLAIN = re.compile(r"[^\s~^:?*\[\\\x00-\x1f\x7f-][^\s~^:?*\[\\\x00-\x1f\x7f]*\Z")


class Fetch:
    """A fetch under way of what a start stands on, or is compared with. Whatever it waits for, it ends in time."""

    def __init__(self, repo: Repository, start: Start, seconds: float) -> None:
        self._repo = repo
        self._seconds = seconds
        self._ends = time.monotonic() + seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._what = start.name
        self._why = ""
        if found := _source(repo, start):
            remote, branch = found
            self._what = short(repo, f"refs/remotes/{remote}/{branch}")
            self._begin(remote, branch)
        elif repo.remotes and not start.ref.startswith("refs/") and start.name == "HEAD":
            self._why = "no default branch of a remote is known; git fetch and git remote set-head --auto make it so"

    def _begin(self, remote: str, branch: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  (not a pipe: what git leaves behind may hold it open)
        mapping = f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}"
        plain = ["-c", "gc.auto=0", "-c", "maintenance.auto=false"]
        options = ["--quiet", "--no-tags", "--no-prune", "--no-recurse-submodules"]
        try:
            self._process = subprocess.Popen(
                [executable(), f"--git-dir={self._repo.git_dir}", *plain, "fetch", *options, "--", remote, mapping],
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=self._said,
                cwd=self._repo.common_dir,
                env=_unasking(self._repo),
                start_new_session=True,  # a group to kill, and no terminal to ask on
                creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
            )
        except OSError as error:
            raise WtnameError(f"cannot run git fetch: {error.strerror}") from error

    def warning(self) -> str | None:
        """Wait for the end and look at the references again; what to tell the user where nothing came."""
        if not self._process:
            return self._why and f"nothing is fetched: {self._why}"
        try:
            code = self._process.wait(max(0.0, self._ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.close()
            return f"{self._what} did not come within {self._seconds:g} s; going on with what is here"
        if code:
            self._said.seek(0)
            why = one_line(os.fsdecode(self._said.read())) or f"exit code {code}"
            # A remote has a say in it, and a terminal obeys control characters.
            why = "".join(char for char in why if char.isprintable())
            return f"cannot fetch {self._what} ({why}); going on with what is here"
        self._repo.look_again()
        return None

    def close(self) -> None:
        """End it, and all that it has started."""
        if not self._process or self._process.poll() is not None:
            return
        end_group(self._process, hard=False)
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            end_group(self._process, hard=True)
            self._process.kill()
            self._process.wait()


def _unasking(repo: Repository) -> dict[str, str]:
    env = {**repo.environment, "GIT_TERMINAL_PROMPT": "0"}
    env.setdefault("GCM_INTERACTIVE", "never")
    if not {"GIT_SSH_COMMAND", "GIT_SSH"} & env.keys() and "core.sshcommand" not in repo.config:
        env["GIT_SSH_COMMAND"] = "ssh -o BatchMode=yes"
    return env


def _source(repo: Repository, start: Start) -> tuple[str, str] | None:
    """The remote and its branch to fetch; one that is not here yet counts where its name says whose it is."""
    for ref in (start.ref, start.fresher):
        if ref.startswith("refs/remotes/"):
            return branch_of(repo, ref)
    if start.fresher:
        return None
    found = branch_of(repo, "refs/remotes/" + start.ref)
    return found if found and _PLAIN.match(found[1]) else None
