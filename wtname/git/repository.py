"""A repository: the questions that every command asks, and the changes that make a worktree."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import subprocess
from pathlib import Path
from types import TracebackType

from wtname.errors import GitError, WtnameError
from wtname.git.process import Running, environment, executable, one_line

_SETTINGS = r"^(wtname\.|core\.(worktree|bare)$|user\.email$)"
_PLAINLY_LEGAL = re.compile(r"(?!HEAD\Z)[A-Za-z0-9_]+(?:[-/][A-Za-z0-9_]+)*\Z")
# A user's `git -c key=value` lives in these two; git keeps them, too, when it works in another repository.
_OWN_CONFIG = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}


class Repository:
    """The repository around a folder. The first questions are asked at once, so that git answers them
    while the model loads; they see the environment as the user (or the hook that runs us) set it.
    What changes the repository names it by `--git-dir` and drops inherited GIT_* variables: with a hook's
    GIT_INDEX_FILE, `worktree add` would check out into the user's own index."""

    def __init__(self, cwd: Path | None = None, base: str = "HEAD") -> None:
        self.cwd = cwd
        self._base = base
        self._place = self.ask("rev-parse", "--local-env-vars", "--absolute-git-dir", "--git-common-dir")
        self._config = self.ask("config", "-z", "--get-regexp", _SETTINGS)
        self._refs: Running | None = self._ask_refs()
        self._commit: Running | None = self._ask_commit(base)

    def __enter__(self) -> Repository:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for running in (self._place, self._config, self._refs, self._commit):
            if running:
                running.close()

    def ask(self, *args: str) -> Running:
        """A question, asked where the user stands and in his environment; it changes nothing."""
        return Running(*args, cwd=self.cwd)

    def _ask_refs(self) -> Running:
        return self.ask("for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes")

    def _ask_commit(self, ref: str) -> Running:
        return self.ask("rev-parse", "--verify", "--quiet", ref + "^{commit}")

    @functools.cached_property
    def _dirs(self) -> tuple[Path, Path, dict[str, str]]:
        # Split at \n alone: to splitlines, a path may be full of line breaks.
        lines = self._place.output().removesuffix("\n").split("\n")
        local = [line for line in lines if re.fullmatch(r"GIT_[A-Z_]+", line)]
        if len(lines) != len(local) + 2:
            raise WtnameError("the repository's path holds a line break; move it to a folder without one")
        env = environment()
        for variable in set(local) - _OWN_CONFIG:
            env.pop(variable, None)
        git_dir = Path(lines[-2])
        common = Path(self.cwd or "", lines[-1])  # relative to where git ran
        return git_dir, git_dir if common.samefile(git_dir) else common.resolve(), env

    @property
    def git_dir(self) -> Path:
        """The git folder of the worktree we stand in."""
        return self._dirs[0]

    @property
    def common_dir(self) -> Path:
        """The git folder that all worktrees share."""
        return self._dirs[1]

    @functools.cached_property
    def config(self) -> dict[str, str]:
        """The settings that concern us, from all of git's levels."""
        entries = (entry.partition("\n") for entry in self._config.output(empty=1).split("\0") if entry)
        return {key: value for key, _, value in entries}

    @functools.cached_property
    def main(self) -> Path:
        """The main worktree, or the bare repository itself (its parent where it is called .git or .bare)."""
        if worktree := self.config.get("core.worktree"):
            return (self.common_dir / worktree).resolve()
        if self.common_dir.name.startswith("."):
            return self.common_dir.parent
        if self.git_dir == self.common_dir and self.config.get("core.bare") != "true":
            return Path(self.ask("rev-parse", "--show-toplevel").output().removesuffix("\n"))
        return self.common_dir

    @property
    def name(self) -> str:
        """The repository's name, from its main worktree's folder."""
        return self.main.name.removesuffix(".git") or "repository"

    def branches(self) -> list[str]:
        """Local branches and those of remotes, as they are now."""
        refs = (self._refs or self._ask_refs()).output().split("\n")
        self._refs = None
        return [ref.split("/", 2 if ref.startswith("refs/heads/") else 3)[-1] for ref in refs if ref]

    def commit(self, ref: str) -> str:
        """The commit that a reference stands for."""
        if ref.startswith("-"):
            raise WtnameError(f"{ref!r} is not a reference; give a branch, tag or commit as --base")
        running = self._commit if self._commit and ref == self._base else self._ask_commit(ref)
        if oid := running.output(empty=1).strip():
            self._commit = None
            return oid
        if self.git_dir and ref == "HEAD":  # outside a repository, git's own words come first
            raise WtnameError("no commit to start from yet; make one (git commit --allow-empty) or pass --base REF")
        raise WtnameError(f"no commit is called {ref!r}; fetch it or pass another --base")

    def allows(self, branch: str) -> bool:
        """Whether git takes this as the name of a branch."""
        if _PLAINLY_LEGAL.match(branch):
            return True
        if branch.startswith("-") or "\0" in branch:
            return False
        try:
            self.ask("check-ref-format", "refs/heads/" + branch).output()
        except GitError:
            return False
        return True

    def act(self, *args: str) -> Running:
        """A change, in the repository itself and without inherited GIT_* variables."""
        git_dir, _, env = self._dirs
        return Running(f"--git-dir={git_dir}", *args, cwd=self.common_dir, env=env)

    def make_branch(self, branch: str, commit: str) -> None:
        """Make a branch that is not there yet and tracks nothing; git decides between two who want the same."""
        running = self.act("branch", "--no-track", branch, commit)
        try:
            running.output()
        except BaseException:
            if running.process.wait() == 0:  # interrupted, yet made
                self.delete_branch(branch, commit)
            raise

    def delete_branch(self, branch: str, commit: str) -> None:
        """Delete a branch that still is at this commit."""
        self.act("update-ref", "-d", "refs/heads/" + branch, commit).output()

    def add_worktree(self, path: Path, branch: str) -> str:
        """Check a branch out into a new folder; what git or its hooks had to say is returned.
        A post-checkout hook that fails has no say: git keeps the worktree, and so do we."""
        import tempfile

        git_dir, _, env = self._dirs
        argv: list[str | Path] = [
            executable(),
            f"--git-dir={git_dir}",
            "worktree",
            "add",
            "--quiet",
            "--",
            path,
            branch,
        ]
        # Not a pipe: a hook may leave a daemon behind that holds it open for ever.
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, cwd=self.common_dir, env=env
            )
            try:
                code = process.wait()
            except BaseException:
                process.terminate()
                process.wait()
                raise
            said.seek(0)
            text = os.fsdecode(said.read())
        if code > 0 and (path / ".git").exists():
            return f"{text}the post-checkout hook failed with exit code {code}; the worktree is there all the same\n"
        if code:
            raise GitError(one_line(text) or "git worktree add failed", code if code > 0 else 1)
        return text

    def forget_worktree(self, path: Path) -> None:
        """Drop git's record of a worktree whose folder is gone, if there is one, and the folder of records if empty."""
        with contextlib.suppress(GitError):  # not recorded: nothing to drop
            self.act("worktree", "remove", "--force", "--force", "--", str(path)).output()
        with contextlib.suppress(OSError):  # git leaves it behind where `worktree add` failed
            (self.common_dir / "worktrees").rmdir()

    def worktrees(self) -> list[dict[str, str]]:
        """Every worktree git knows of: `worktree` (its path), `branch` (the full reference) and what else is told."""
        blocks = self.act("worktree", "list", "--porcelain").output().split("\n\n")
        return [dict(line.partition(" ")[::2] for line in block.split("\n")) for block in blocks if block.strip()]
