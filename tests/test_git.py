from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.conftest import git, make_repository
from wtname.errors import GitError, WtnameError
from wtname.git import Repository
from wtname.git import process as door


def main_of(folder: Path) -> Path:
    with Repository(folder) as repository:
        return repository.main


def test_main_worktree_from_everywhere(repo: Path, tmp_path: Path) -> None:
    git("worktree", "add", "-q", tmp_path / "other", cwd=repo)
    (tmp_path / "other" / "deep").mkdir()
    (repo / "deep").mkdir()
    for folder in (repo, repo / "deep", repo / ".git", tmp_path / "other", tmp_path / "other" / "deep"):
        assert main_of(folder) == repo, folder


@pytest.mark.parametrize(("place", "name"), [("demo.git", "demo"), ("hub", "hub"), ("project/.bare", "project")])
def test_bare_repositories_have_a_name(repo: Path, tmp_path: Path, place: str, name: str) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / "x" / place)
    git("worktree", "add", "-q", tmp_path / "linked", "-b", "linked", cwd=tmp_path / "x" / place)
    for folder in (tmp_path / "x" / place, tmp_path / "linked"):
        with Repository(folder) as repository:
            assert repository.name == name


def test_separate_git_folder(tmp_path: Path) -> None:
    path = make_repository(tmp_path / "work", f"--separate-git-dir={tmp_path / 'elsewhere'}")
    assert main_of(path) == path


def test_submodule(repo: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner")
    git("submodule", "--quiet", "add", inner, "sub", cwd=repo)
    assert main_of(repo / "sub") == repo / "sub"


@pytest.mark.parametrize(
    ("place", "config", "main", "beside", "name"),
    [
        (".dotfiles", {"core.bare": "true"}, ".dotfiles", ".dotfiles", ".dotfiles"),
        ("dots.git", {"core.bare": "true"}, "dots.git", "dots.git", "dots"),
        (".dotfiles", {"core.bare": "false", "core.worktree": ".."}, ".", ".dotfiles", ".dotfiles"),
        (".local/share/x.git", {"core.bare": "false", "core.worktree": "../../.."}, ".", ".local/share/x.git", "x"),
        (".dotfiles", {"core.bare": "false"}, ".", ".dotfiles", ".dotfiles"),
        (".git", {"core.bare": "false"}, ".", ".", "home"),  # no dotfiles, but a home that is a repository
        (".bare", {"core.bare": "true"}, ".", ".", "home"),
        (".store", {"core.bare": "true", "file": ".git"}, ".", ".", "home"),
    ],
)
def test_dotfiles(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    config: dict[str, str],
    main: str,
    beside: str,
    name: str,
) -> None:
    """A home as worktree of a git folder in its midst, used as `git --git-dir=~/.dotfiles --work-tree=~`."""
    home = tmp_path / "home"
    git("init", "-q", "--bare", home / place)
    for key, value in config.items():
        if key == "file":
            (home / value).write_text(f"gitdir: ./{place}\n")
        else:
            git("config", key, value, cwd=home / place)
    monkeypatch.chdir(home)
    monkeypatch.setenv("GIT_DIR", str(home / place))
    monkeypatch.setenv("GIT_WORK_TREE", str(home))
    with Repository() as repository:
        assert (repository.main, repository.beside, repository.name) == (home / main, home / beside, name)


def test_in_the_git_folder_of_dotfiles(tmp_path: Path) -> None:
    git("init", "-q", "--bare", tmp_path / ".dotfiles")
    git("config", "core.bare", "false", cwd=tmp_path / ".dotfiles")
    assert main_of(tmp_path / ".dotfiles") == tmp_path / ".dotfiles"


def test_no_repository(tmp_path: Path) -> None:
    with Repository(tmp_path) as repository, pytest.raises(GitError, match="not a git repository") as caught:
        repository.commit("HEAD")
    assert caught.value.code == 128


def test_line_break_in_path(tmp_path: Path) -> None:
    path = make_repository(tmp_path / "a\nb")
    with Repository(path) as repository, pytest.raises(WtnameError, match="line break"):
        repository.main  # noqa: B018


def test_git_decides_what_is_legal(repo: Path) -> None:
    legal = ["x", "wt-fix-x", "a/b", "a.b", "ünï", "a" * 200, "@a", "HEAD2"]
    illegal = [
        "",
        "-x",
        "a b",
        "a..b",
        "a.lock",
        "a/.b",
        "a//b",
        "a/",
        "a~1",
        "a^",
        "a:b",
        "@{-1}",
        "a@{1}",
        "a\0b",
        "a\n",
    ]
    with Repository() as repository:
        assert [b for b in legal if not repository.allows(b)] == []
        assert [b for b in illegal if repository.allows(b)] == []
    for branch in legal:
        git("check-ref-format", "--branch", branch)


@pytest.mark.parametrize(
    ("remotes", "ref", "expected"),
    [
        (["team/fork"], "refs/remotes/team/fork/a/b", ("team/fork", "a/b")),
        (["team", "team/fork"], "refs/remotes/team/fork/x", ("team/fork", "x")),
        (["team"], "refs/remotes/team/fork/x", ("team", "fork/x")),
        (["team/fork"], "refs/remotes/team/other/x", ("team", "other/x")),
        (["t.*"], "refs/remotes/team/a/x", ("team", "a/x")),
        ([], "refs/remotes/gone/x", ("gone", "x")),
        (["origin"], "refs/heads/origin/x", ("", "")),
        (["origin"], "refs/remotes/origin", ("", "")),
        (["origin"], "origin/x", ("", "")),
    ],
)
def test_remotes_with_slashes(repo: Path, remotes: list[str], ref: str, expected: tuple[str, str]) -> None:
    for remote in remotes:
        git("config", f"remote.{remote}.url", "nowhere", cwd=repo)
    with Repository() as repository:
        assert repository.split(ref) == expected
    if ref.count("/") > 2:
        git("update-ref", ref, "HEAD", cwd=repo)
        with Repository() as repository:
            assert sorted(repository.branches()) == sorted(["main", expected[1] or "origin/x"])


def test_branches_of_ours_and_of_remotes(repo: Path, tmp_path: Path) -> None:
    git("branch", "a/b", cwd=repo)
    git("tag", "not-a-branch", cwd=repo)
    git("clone", "-q", repo, tmp_path / "clone")
    with Repository(tmp_path / "clone") as repository:
        assert sorted(repository.branches()) == ["HEAD", "a/b", "main", "main"]
        git("branch", "later", cwd=tmp_path / "clone")
        assert "later" in repository.branches()


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ("nowhere", "no single commit is called 'nowhere'"),
        ("a b", "no single commit is called"),
        ("^HEAD", r"no single commit is called '\^HEAD'"),
        ("HEAD..main", "no single commit is called"),
        ("main...main", "no single commit is called"),
        ("HEAD^@", "no single commit is called"),
        ("HEAD^!", "no single commit is called"),
        ("HEAD^{tree}", "no single commit is called"),
        ("HEAD:README", "no single commit is called"),
        (":/no message says this", "no single commit is called"),
        ("main\nmain", "no single commit is called"),
        ("@{upstream}", "no upstream configured"),
        ("--all", "not a reference"),
        ("-", "not a reference"),
        ("a\0b", "git cannot be told"),
        ("\ud800", "git cannot be told"),
    ],
)
def test_no_such_commit(repo: Path, ref: str, says: str) -> None:
    for first in (ref, "HEAD"):  # asked for at the start, and later
        try:
            with Repository(base=first) as repository, pytest.raises(WtnameError, match=says) as caught:
                repository.commit(ref)
        except WtnameError as error:  # what no process can be started with
            assert re.search(says, str(error))
        else:
            assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    "ref", ["HEAD~1", "v1^{}", "v1", ":/first", "HEAD^{/first}", "@~", "main@{1}", "main~1^{commit}"]
)
def test_one_commit_by_any_name(repo: Path, ref: str) -> None:
    first = git("rev-parse", "HEAD", cwd=repo)
    git("tag", "-a", "-m", "one", "v1", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repo)
    for base in (ref, "HEAD"):
        with Repository(base=base) as repository:
            assert repository.commit(ref) == first


def test_a_question_with_something_to_read(repo: Path) -> None:
    given = b"".join(b"%d\n" % i for i in range(100_000))  # more than a pipe holds, both ways
    assert door.Running("stripspace", given=given).read() == given
    assert door.Running("stripspace", given=b"").output() == ""
    with pytest.raises(GitError, match="not a git"), Repository() as repository:
        door.Running("--git-dir=nowhere", "cat-file", "--batch", given=given, env=repository.environment).read()


def test_what_git_does_not_explain(repo: Path) -> None:
    with pytest.raises(GitError, match=r"^git cat-file failed$"):
        door.Running(f"--git-dir={repo / '.git'}", "cat-file", "-e", "0" * 40).output()


def test_tag_stands_for_its_commit(repo: Path) -> None:
    git("tag", "-a", "-m", "one", "v1", cwd=repo)
    with Repository() as repository:
        assert repository.commit("v1") == git("rev-parse", "HEAD", cwd=repo)


def test_config_levels(repo: Path, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("config", "--global", "wtname.template", "global-{name}")
    git("config", "--global", "wtname.base", "global")
    git("config", "wtname.template", "local\n{name}", cwd=repo)
    git("config", "user.name", "unasked", cwd=repo)
    for key, value in (("COUNT", "1"), ("KEY_0", "wtname.path"), ("VALUE_0", "from -c")):
        monkeypatch.setenv("GIT_CONFIG_" + key, value)
    with Repository() as repository:
        config = repository.config
    assert {key: config[key] for key in config if key.startswith("wtname.")} == {
        "wtname.template": "local\n{name}",
        "wtname.base": "global",
        "wtname.path": "from -c",
    }
    assert "user.name" not in config


def test_stranger_in_path_is_passed_over(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "git").write_text("#!/bin/sh\nexit 99\n")
    (repo / "git").chmod(0o755)
    monkeypatch.setenv("PATH", os.pathsep.join([".", "", os.environ["PATH"]]))
    door.executable.cache_clear()
    assert door.executable().is_absolute()
    assert door.version() >= (2,)


def test_no_git_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    door.executable.cache_clear()
    with pytest.raises(WtnameError, match="install it"):
        door.executable()
    monkeypatch.undo()
    door.executable.cache_clear()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("fatal: a branch named 'x' already exists\n", "a branch named 'x' already exists"),
        ("hint: look\nfatal: no: really\n\n", "no: really"),
        ("Preparing worktree\nerror: external filter failed\n", "external filter failed"),
        ("error: unable to write file x\nfatal: no checkout\n", "no checkout (unable to write file x)"),
        ("error: same\nerror: same\n", "same"),
        ("just words\n", "just words"),
        ("", ""),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert door.one_line(text) == line


@pytest.mark.parametrize(
    ("text", "busy"),
    [
        ("Unable to create '/x/.git/refs/heads/wt-x.lock': File exists.", True),
        ("could not lock config file .git/config: File exists", True),
        ("cannot lock ref 'refs/heads/wt-x': reference already exists", True),
        ("failed to read /x/.git/worktrees/wt-x/commondir: Success", True),
        ("could not create directory of '/x/.git/worktrees/wt-x': No such file or directory", True),
        ("a branch named 'wt-x' already exists", True),
        ("Invalid path '/x/.git/worktrees/wt-x-3': No such file or directory", True),
        ("Invalid path '/x/wt-x-3': No such file or directory", False),
        ("invalid reference: x.lock", False),
        ("'/x/worktrees/wt-x' already exists", False),
        ("could not create leading directories of '/x/.git/y': No space left on device", False),
    ],
)
def test_is_busy(text: str, busy: bool) -> None:
    assert door.is_busy(GitError(text)) is busy
