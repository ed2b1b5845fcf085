from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import git, make_repository
from tests.test_merged import commit
from wtname.errors import GitError
from wtname.git import Repository, status

Make = Callable[[Path], None]

# --- the branch that work goes into -----------------------------------------------------------------------------------


def trunk(folder: Path) -> str | None:
    with Repository(folder) as repository:
        return status.trunk(repository)


def test_trunk(repo: Path, tmp_path: Path) -> None:
    assert trunk(repo) == "main"
    git("worktree", "add", "-q", "-b", "wt", tmp_path / "wt", cwd=repo)
    assert trunk(tmp_path / "wt") == "main"
    git("checkout", "-q", "-b", "work", cwd=repo)
    assert trunk(repo) == "main"
    git("branch", "-m", "main", "else", cwd=repo)
    assert trunk(repo) == "work"
    git("checkout", "-q", "--detach", cwd=repo)
    assert trunk(repo) is None


def test_trunk_of_a_clone(repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", repo, tmp_path / "clone")
    assert trunk(tmp_path / "clone") == "origin/main"


def test_trunk_of_a_bare_repository(repo: Path, tmp_path: Path) -> None:
    git("branch", "-m", "main", "develop", cwd=repo)
    git("clone", "-q", "--bare", repo, tmp_path / "hub.git")
    git("worktree", "add", "-q", "-b", "wt", tmp_path / "wt", cwd=tmp_path / "hub.git")
    git("remote", "remove", "origin", cwd=tmp_path / "hub.git")
    assert trunk(tmp_path / "hub.git") == trunk(tmp_path / "wt") == "develop"


def test_trunk_unborn(tmp_path: Path) -> None:
    git("init", "-q", tmp_path / "new")
    with Repository(tmp_path / "new") as repository:
        assert status.trunk(repository) is None
        assert status.merged(repository, "main") == {}


# --- dirty and unfinished ---------------------------------------------------------------------------------------------


def ignore(repo: Path) -> None:
    commit(repo, ".gitignore", "*.log\n")
    (repo / "x.log").touch()


def rename(repo: Path) -> None:
    git("mv", "README", "LIESMICH", cwd=repo)


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        (lambda repo: None, 0),
        (ignore, 0),
        (lambda repo: (repo / "README").write_text("x"), 1),
        (lambda repo: (repo / "new").touch(), 1),
        (lambda repo: (repo / "a b\n").touch(), 1),
        (lambda repo: (repo / "README").unlink(), 1),
        (rename, 2),
    ],
)
def test_dirty(repo: Path, changes: Make, files: int) -> None:
    changes(repo)
    # The user may not want to see it; it is there all the same.
    git("config", "status.showUntrackedFiles", "no", cwd=repo)
    git("config", "status.branch", "true", cwd=repo)
    git("config", "status.showStash", "true", cwd=repo)
    with Repository() as repository:
        assert status.dirty(repository, repo) == files


def test_dirty_elsewhere_and_called_from_a_hook(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("worktree", "add", "-q", "-b", "wt", tmp_path / "wt", cwd=repo)
    commit(tmp_path / "wt", "only here", "x")
    (tmp_path / "wt" / "new").touch()
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    with Repository() as repository:
        assert status.dirty(repository, tmp_path / "wt") == 1
        assert status.dirty(repository, repo) == 0


def test_dirty_submodule(repo: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner")
    git("submodule", "--quiet", "add", inner, "sub", cwd=repo)
    git("commit", "-q", "-m", "sub", cwd=repo)
    git("config", "submodule.sub.ignore", "all", cwd=repo)
    with Repository() as repository:
        assert status.dirty(repository, repo) == 0
        (repo / "sub" / "README").write_text("mine")
        assert status.dirty(repository, repo) == 1


def test_dirty_writes_nothing(repo: Path) -> None:
    os.utime(repo / "README", (1, 1))
    before = (repo / ".git" / "index").read_bytes()
    with Repository() as repository:
        assert status.dirty(repository, repo) == 0
    assert (repo / ".git" / "index").read_bytes() == before


def test_dirty_without_a_worktree(repo: Path, tmp_path: Path) -> None:
    with Repository() as repository, pytest.raises(GitError, match="not a git repository"):
        status.dirty(repository, tmp_path)


def conflict(repo: Path) -> None:
    commit(repo, "a", "main")
    git("checkout", "-q", "-b", "work", "HEAD~1", cwd=repo)
    commit(repo, "a", "work")


def bisect(repo: Path) -> None:
    git("bisect", "start", cwd=repo)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (None, None),
        (["rebase", "main"], "rebase"),
        (["rebase", "--apply", "main"], "rebase"),
        (["merge", "main"], "merge"),
        (["cherry-pick", "main"], "cherry-pick"),
        (["bisect", "start"], "bisect"),
    ],
)
@pytest.mark.parametrize("linked", [False, True])
def test_unfinished(repo: Path, tmp_path: Path, command: list[str] | None, what: str | None, linked: bool) -> None:
    conflict(repo)
    path = repo
    if linked:
        git("checkout", "-q", "main", cwd=repo)
        path = tmp_path / "wt"
        git("worktree", "add", "-q", path, "work", cwd=repo)
    if command:
        git(*command, cwd=path, code=0 if "bisect" in command else 1)
    with Repository() as repository:
        assert status.unfinished(repository, path) == what
        if linked:
            assert status.unfinished(repository, repo) is None


def test_unfinished_revert(repo: Path) -> None:
    commit(repo, "a", "one")
    commit(repo, "a", "two")
    git("revert", "--no-edit", "HEAD~1", cwd=repo, code=1)
    with Repository() as repository:
        assert status.unfinished(repository, repo) == "revert"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_git_folders_elsewhere_are_not_looked_at(repo: Path, tmp_path: Path) -> None:
    other = make_repository(tmp_path / "other")
    git("bisect", "start", cwd=other)
    git("worktree", "add", "-q", "-b", "wt", tmp_path / "wt", cwd=repo)
    (tmp_path / "wt" / ".git").write_text(f"gitdir: {other / '.git'}\n")
    with Repository() as repository:
        assert status.git_dir(repository, repo) == repo / ".git"
        assert status.unfinished(repository, tmp_path / "wt") is None
        assert status.unfinished(repository, tmp_path / "nowhere") is None
        for told in ("", "gitdir: a\0b", "gitdir: " + "x/" * 5000, "\xff\xfe"):
            (tmp_path / "wt" / ".git").write_text(told)
            assert status.unfinished(repository, tmp_path / "wt") is None
        (tmp_path / "wt" / ".git").unlink()
        (tmp_path / "wt" / ".git").symlink_to(".git")
        assert status.unfinished(repository, tmp_path / "wt") is None
