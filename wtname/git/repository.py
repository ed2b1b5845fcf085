"""A repository: the questions that every command asks, and the changes that make a worktree."""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import re
import time
from pathlib import Path
from types import TracebackType

from wtname.errors import GitError, WtnameError
from wtname.git.process import Running, environment, is_busy, one_line, run

_SETTINGS = (
    r"^(wtname\.|core\.(worktree|bare|sshcommand|sharedrepository)$|user\.email$|init\.defaultbranch$"
    r"|checkout\.defaultremote$|submodule\.recurse$|remote\..*\.url$"
    r"|branch\..*\.(remote|merge|pushremote|description|wtnamerenamedfrom|wtnamemovedfrom)$)"
)
_REFS = "--format=%(refname) %(objectname) %(symref) %(HEAD)"
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PLAINLY_LEGAL = re.compile(r"[A-Za-z0-9_]+(?:[-/][A-Za-z0-9_]+)*\Z")
# What to do where a checkout fails and git's words alone do not say it.
_HINTS = {
    "promisor remote": "this partial clone lacks files that it has to reach its remote for",
    "unable to write file": "make room on the disk, or set wtname.path to another one",
    "Filename too long": "git config --global core.longpaths true, or set wtname.path to a shorter one",  # Windows
}
# A user's `git -c key=value` lives in these two; git keeps them, too, when it works in another repository.
_OWN_CONFIG = {"GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT"}


class Refs:
    """A listing of references, kept as the text it is: there may be 20,000, and one is wanted."""

    def __init__(self, text: str) -> None:
        self._text = "\n" + text

    def names(self) -> list[str]:
        """All references in full."""
        return [line.split(" ", 1)[0] for line in self._text.split("\n") if line]

    def commit(self, ref: str) -> str:
        """The commit of a reference, given in full; nothing if there is no such reference."""
        return self._fields(ref)[1]

    def points_to(self, ref: str) -> str:
        """What a symbolic reference points to; nothing if it is none."""
        return self._fields(ref)[2]

    @functools.cached_property
    def current(self) -> str:
        """The branch that is checked out where we stand, in full; nothing on a detached or unborn HEAD."""
        end = self._text.find(" *\n")
        return self._text[self._text.rfind("\n", 0, end) + 1 : end].split(" ", 1)[0] if end >= 0 else ""

    def _fields(self, ref: str) -> list[str]:
        start = self._text.find(f"\n{ref} ") + 1
        return self._text[start : self._text.index("\n", start)].split(" ") if start else ["", "", "", ""]


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
        self._refs = self._ask_refs()
        self._listed: Refs | None = None
        self._fresh = True  # nobody has asked for the branches yet
        self._commit = None if base == "HEAD" else self._ask_commit(base)  # what HEAD is at, the listing mostly says

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
        running = self.ask("for-each-ref", _REFS, "refs/heads", "refs/remotes")
        running.widen()
        return running

    def ask_in(self, folder: Path, *args: str) -> Running:
        """A question about another worktree, asked in it and without inherited GIT_* variables."""
        return Running(*args, cwd=folder, env=self.environment)

    def _ask_commit(self, ref: str) -> Running:
        # What follows :/ is a search for a commit's message, to its very end.
        return self.ask("rev-parse", "--verify", "--quiet", ref if ref.startswith(":/") else ref + "^{commit}")

    @functools.cached_property
    def _dirs(self) -> tuple[Path, Path, dict[str, str]]:
        # Split at \n alone: to splitlines, a path may be full of line breaks.
        lines = self._located().removesuffix("\n").split("\n")
        local = [line for line in lines if re.fullmatch(r"GIT_[A-Z_]+", line)]
        if len(lines) != len(local) + 2:
            raise WtnameError("the repository's path holds a line break; move it to a folder without one")
        env = environment()
        for variable in set(local) - _OWN_CONFIG:
            env.pop(variable, None)
        git_dir = Path(lines[-2])
        common = Path(self.cwd or "", lines[-1])  # relative to where git ran
        return git_dir, git_dir if common.samefile(git_dir) else common.resolve(), env

    def _located(self) -> str:
        try:
            return self._place.output()
        except GitError as error:
            if "dubious ownership" not in str(error):
                raise
            place = str(error).rpartition("repository at ")[2]
            hint = f"if you trust its owner, git config --global --add safe.directory {place}"
            raise GitError(f"{error}; {hint}", error.code) from error

    @property
    def git_dir(self) -> Path:
        """The git folder of the worktree we stand in."""
        return self._dirs[0]

    @property
    def common_dir(self) -> Path:
        """The git folder that all worktrees share."""
        return self._dirs[1]

    @property
    def environment(self) -> dict[str, str]:
        """git's environment for work elsewhere than where the user stands: no GIT_DIR and the like."""
        return self._dirs[2]

    @functools.cached_property
    def config(self) -> dict[str, str]:
        """The settings that concern us, from all of git's levels."""
        entries = (entry.partition("\n") for entry in self._config.output(empty=1).split("\0") if entry)
        return {key: value if line else "true" for key, line, value in entries}  # a key alone says yes

    @functools.cached_property
    def main(self) -> Path:
        """The main worktree, or the bare repository itself (the folder around it where it is that one's .git or .bare,
        or what a file .git there names)."""
        if worktree := self.config.get("core.worktree"):
            return (self.common_dir / worktree).resolve()
        if self._is_hub:
            return self.common_dir.parent
        if self.git_dir == self.common_dir and self.config.get("core.bare") != "true":
            with contextlib.suppress(GitError):  # not a worktree's: we stand in git's own folder
                return Path(self.ask("rev-parse", "--show-toplevel").output().removesuffix("\n"))
        return self.common_dir

    @functools.cached_property
    def _is_hub(self) -> bool:
        """Whether the git folder stands for the folder around it."""
        if self.common_dir.name in (".git", ".bare"):
            return True
        link = self.common_dir.parent / ".git"
        try:
            named = os.fsdecode(link.read_bytes()).removeprefix("gitdir: ").rstrip("\r\n")
            return (link.parent / named).samefile(self.common_dir)
        except (OSError, ValueError):
            return False

    @functools.cached_property
    def _is_among(self) -> bool:
        """Whether the git folder lies somewhere among the files of its main worktree: dotfiles, and the worktree is a
        home, beside which there is no place for others."""
        return self.main in self.common_dir.parents and not self._is_hub

    def worktree(self) -> Path | None:
        """The worktree we stand in; None in a bare repository's own folder."""
        if self.git_dir == self.common_dir and self.config.get("core.bare") == "true":
            return None
        return Path(self.ask("rev-parse", "--show-toplevel").output().removesuffix("\n"))

    @property
    def name(self) -> str:
        """The repository's name, from its main worktree's folder; dotfiles go by their git folder's."""
        place = self.common_dir if self._is_among else self.main
        return place.name.removesuffix(".git") or "repository"

    @property
    def beside(self) -> Path:
        """Whose neighbour a new worktree becomes: the main worktree, or in a submodule that of the outermost
        superproject, for which a worktree of the submodule's would be an untracked folder in its midst; or the git
        folder of dotfiles."""
        parts = self.common_dir.parts
        for i, (part, inner) in enumerate(itertools.pairwise(parts)):
            if part == ".git" and inner in ("modules", "worktrees") and "modules" in parts[i:]:
                return Path(*parts[:i])
        return self.common_dir if self._is_among else self.main

    @property
    def refs(self) -> Refs:
        """Branches and those of remotes with their commits, as they were at the start (or at `look_again`)."""
        if not self._listed:
            self._dirs  # noqa: B018  outside a repository, its words are better than those of for-each-ref
            self._listed = Refs(self._refs.output())
        return self._listed

    def look_again(self) -> None:
        """Have git list the references once more, after they have changed."""
        self._refs.close()
        self._refs, self._listed, self._fresh = self._ask_refs(), None, True

    def branches(self) -> list[str]:
        """Local branches and those of remotes, as they are now."""
        if not self._fresh:
            self.look_again()
        self._fresh = False
        return [found[2] for ref in self.refs.names() if (found := self._owner.match(ref))]

    @functools.cached_property
    def remotes(self) -> list[str]:
        """The names of the repository's remotes, which may have slashes."""
        return [key[len("remote.") : -len(".url")] for key in self.config if key.startswith("remote.")]

    @functools.cached_property
    def _owner(self) -> re.Pattern[str]:
        known = sorted(self.remotes, key=len, reverse=True)
        return re.compile(rf"refs/(?:heads|remotes/({'|'.join([*map(re.escape, known), '[^/]+'])}))/(.+)")

    def split(self, ref: str) -> tuple[str, str]:
        """The remote and its branch that a reference under refs/remotes stands for; for one of a remote that is gone,
        that is what comes first. Two empty texts where it is no such reference."""
        found = self._owner.match(ref)
        return (found[1], found[2]) if found and found[1] else ("", "")

    def commit(self, ref: str) -> str:
        """The commit that a reference stands for; HEAD's without one."""
        ref = ref or "HEAD"
        listed = self.refs.current if ref == "HEAD" else ref if ref.startswith("refs/remotes/") else ""
        if oid := self.refs.commit(listed):
            return oid
        if ref.startswith("-"):
            raise WtnameError(f"{ref!r} is not a reference; give a branch, tag or commit as --base")
        running = self._commit if self._commit and ref == self._base else self._ask_commit(ref)
        oid = running.output(empty=1).strip()
        if _OID.fullmatch(oid):  # ^HEAD is said to be all but a commit
            self._commit = None
            return oid
        if self.git_dir and ref == "HEAD":  # outside a repository, git's own words come first
            raise WtnameError("no commit to start from yet; make one (git commit --allow-empty) or pass --base REF")
        raise WtnameError(f"no single commit is called {ref!r}; fetch it or pass another --base")

    def allows(self, branch: str) -> bool:
        """Whether git takes this as the name of a branch."""
        if branch.startswith("-") or "\0" in branch or branch.upper() == "HEAD" or branch == "@":
            return False
        if _PLAINLY_LEGAL.match(branch):
            return True
        try:
            self.ask("check-ref-format", "refs/heads/" + branch).output()
        except GitError:
            return False
        return True

    def act(self, *args: str) -> Running:
        """A change, in the repository itself and without inherited GIT_* variables."""
        git_dir, common, env = self._dirs
        if not git_dir.exists():  # the worktree we stood in is gone by now
            git_dir = common
        return Running(f"--git-dir={git_dir}", *args, cwd=common, env=env)

    def add_worktree(self, path: Path, branch: str) -> str:
        """Check a branch out into a new folder; what git or its hooks had to say is returned.
        A post-checkout hook that fails has no say: git keeps the worktree, and so do we."""
        git_dir, _, env = self._dirs
        code, text = run(
            [f"--git-dir={git_dir}", "worktree", "add", "--quiet", "--", path, branch], self.common_dir, env
        )
        if code > 0 and (path / ".git").exists():
            return f"{text}the post-checkout hook failed with exit code {code}; the worktree is there all the same\n"
        if code:
            why = one_line(text) or "git worktree add failed"
            hint = next((f"; {hint}" for sign, hint in _HINTS.items() if sign in why), "")
            raise GitError(why + hint, code if code > 0 else 1)
        return text

    def worktrees(self) -> list[dict[str, str]]:
        """Every worktree git knows of: `worktree` (its path), `branch` (the full reference) and what else is told."""
        blocks = self._listed_worktrees().split("\n\n")
        found = [dict(line.partition(" ")[::2] for line in block.split("\n")) for block in blocks if block.strip()]
        if found and self.config.get("core.worktree"):  # git tells where the git folder is, as in a submodule
            found[0]["worktree"] = str(self.main)
        return found

    def _listed_worktrees(self) -> str:
        for _ in range(100):
            try:
                return self.act("worktree", "list", "--porcelain").output()
            except GitError as error:  # git dies on the record of a worktree that another is just making
                if not is_busy(error):
                    raise
            time.sleep(0.02)
        return self.act("worktree", "list", "--porcelain").output()
