from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import git, make_repository, snapshot, start
from wtname import folders, settings, worktree
from wtname.errors import GitError, WtnameError
from wtname.git import Repository, refs
from wtname.settings import Settings
from wtname.worktree import Taken, Worktree

NAME = "fix-zero-width-crash"
BRANCH = "wt-" + NAME


def create(
    name: str | None = NAME, cwd: Path | None = None, path: Path | None = None, ticket: str = "", **chosen: str
) -> Worktree:
    with Repository(cwd) as repository:
        return worktree.create(repository, Settings()._replace(**chosen), name, path=path, ticket=ticket)


def worktrees(repo: Path) -> list[str]:
    return [
        line[9:] for line in git("worktree", "list", "--porcelain", cwd=repo).split("\n") if line[:9] == "worktree "
    ]


def test_branch_and_worktree(repo: Path) -> None:
    made = create()
    folder = repo.parent / "demo.worktrees" / BRANCH
    assert made == (NAME, BRANCH, folder, git("rev-parse", "HEAD", cwd=repo), "", None)
    assert (folder / "README").read_text() == "hello\n"
    assert git("symbolic-ref", "--short", "HEAD", cwd=folder) == BRANCH
    assert git("status", "--porcelain", cwd=repo) == ""
    assert worktrees(repo) == [str(repo), str(folder)]


def test_beside_the_main_worktree_wherever_we_stand(repo: Path) -> None:
    first = create()
    (first.path / "deep").mkdir()
    second = create(cwd=first.path / "deep")
    assert second.path == first.path.with_name(f"{BRANCH}-2")


def test_tracks_nothing(repo: Path, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    git("clone", "-q", repo, clone)
    git("config", "branch.autoSetupMerge", "always", cwd=clone)
    create(cwd=clone, base="origin/main")
    assert git("config", "--get-regexp", "branch.wt-", cwd=clone, code=1) == ""


def test_base(repo: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "second", cwd=repo)
    made = create(base="HEAD~1")
    assert made.commit == git("rev-parse", "HEAD~1", cwd=repo) == git("rev-parse", "HEAD", cwd=made.path)


def test_detached_head(repo: Path) -> None:
    git("checkout", "-q", "--detach", cwd=repo)
    assert create().branch == BRANCH


@pytest.mark.parametrize(
    "place",
    ["a b c", "prés/日本語", "semi;colon $(touch x) 'quote\"", "-dash", "{brace}", "%s\\n", "line\u2028separator\x85"],
)
def test_odd_paths(tmp_path: Path, place: str) -> None:
    path = make_repository(tmp_path / place)
    made = create(cwd=path)
    assert made.path == path.with_name(f"{path.name}.worktrees") / BRANCH
    assert worktrees(path) == [str(path), str(made.path)]


@pytest.mark.parametrize(("place", "folder"), [("hub.git", "hub.worktrees"), ("hub/.bare", "hub.worktrees")])
def test_bare(repo: Path, tmp_path: Path, place: str, folder: str) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / place)
    made = create(cwd=tmp_path / place)
    assert made.path == tmp_path / folder / BRANCH
    assert create(cwd=made.path).path == tmp_path / folder / f"{BRANCH}-2"


def test_unborn_head(tmp_path: Path) -> None:
    git("init", "-q", tmp_path / "new")
    before = snapshot(tmp_path, tmp_path / "new")
    with pytest.raises(WtnameError, match="git commit --allow-empty"):
        create(cwd=tmp_path / "new")
    assert snapshot(tmp_path, tmp_path / "new") == before


def test_template(repo: Path) -> None:
    made = create(template="{user}/{type}/{slug}-{ticket}", user="ada", ticket="PROJ-7")
    assert made.branch == "ada/fix/zero-width-crash-PROJ-7"
    assert made.path == repo.parent / "demo.worktrees" / "ada-fix-zero-width-crash-PROJ-7"


def test_path_template(repo: Path) -> None:
    with Repository() as repository:
        chosen = Settings(path="~/{repo}/{branch}", template="a/{name}")
        made = worktree.create(repository, chosen, NAME)
    assert made.path == Path(f"~/demo/a-{NAME}").expanduser()


@pytest.mark.parametrize("path", ["../wt", "../{nope}/{branch}", "{branch.__class__}"])
def test_bad_path_template(repo: Path, path: str) -> None:
    with Repository() as repository, pytest.raises(WtnameError, match=r"wtname\.path"):
        worktree.plan(repository, Settings(path=path), NAME)


def test_random_branch_ignores_the_template(repo: Path) -> None:
    made = create(None, template="me/{name}")
    assert made.name is None
    assert len(made.branch) == 11 and made.branch.startswith("wt-")


# --- taken ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("branches", "branch"),
    [
        (["wt-x"], "wt-x"),
        (["WT-X"], "wt-x"),
        (["wt-x/y"], "wt-x"),
        (["Wt-X/y/z"], "wt-x"),
        (["wt"], "wt/x"),
        (["WT"], "wt/x/y"),
        (["straße"], "STRASSE"),
    ],
)
def test_taken(branches: list[str], branch: str) -> None:
    assert branch in Taken(branches)


@pytest.mark.parametrize(
    ("branches", "branch"),
    [
        ([], "wt-x"),
        (["wt-x-2", "wt-xy", "wt"], "wt-x"),
        (["y/wt-x"], "wt-x"),
        (["wt/x"], "wt/y"),
        (["wt-x/y"], "wt-x-2"),
    ],
)
def test_taken_noop(branches: list[str], branch: str) -> None:
    assert branch not in Taken(branches)


@pytest.mark.parametrize(
    "command",
    [
        ["branch", BRANCH],
        ["branch", BRANCH.upper()],
        ["branch", f"{BRANCH}/y"],
        ["update-ref", f"refs/remotes/origin/{BRANCH}", "HEAD"],
        ["update-ref", f"refs/remotes/origin/{BRANCH}/y", "HEAD"],
        ["worktree", "add", "-q", "--detach", f"../demo.worktrees/{BRANCH}"],
    ],
)
def test_taken_in_a_repository(repo: Path, command: list[str]) -> None:
    git(*command, cwd=repo)
    assert create()[:2] == (f"{NAME}-2", f"{BRANCH}-2")


@pytest.mark.parametrize("command", [["tag", BRANCH], ["branch", f"{BRANCH}y"], ["branch", f"y/{BRANCH}"]])
def test_taken_noop_in_a_repository(repo: Path, command: list[str]) -> None:
    git(*command, cwd=repo)
    made = create()
    assert made.branch == BRANCH
    assert git("symbolic-ref", "HEAD", cwd=made.path) == f"refs/heads/{BRANCH}"


def test_taken_by_a_parent_branch(repo: Path) -> None:
    git("branch", "ada", cwd=repo)
    before = snapshot(repo.parent, repo)
    with pytest.raises(WtnameError, match=f"no branch like 'ada/{NAME}' can be made: there is a branch 'ada'"):
        create(template="ada/{name}")
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("kind", ["file", "folder", "dangling link"])
def test_taken_by_a_folder(repo: Path, kind: str) -> None:
    place = repo.parent / "demo.worktrees" / BRANCH
    place.parent.mkdir()
    {"file": place.touch, "folder": place.mkdir, "dangling link": lambda: place.symlink_to("nowhere")}[kind]()
    assert create().branch == f"{BRANCH}-2"


def test_taken_by_a_worktree_whose_folder_is_gone(repo: Path) -> None:
    first = create()
    git("branch", "-m", BRANCH, "renamed", cwd=repo)
    (repo.parent / "demo.worktrees").rename(repo.parent / "gone")
    assert create().path == first.path.with_name(f"{BRANCH}-2")
    assert BRANCH not in git("branch", "--format=%(refname:short)", cwd=repo).splitlines()


# --- nothing is left behind ----------------------------------------------------------------------------------------


def break_checkout(repo: Path, command: str = "false") -> None:
    """From here on, git makes the branch and the folder, and fails while it writes the files."""
    (repo / ".gitattributes").write_text("* filter=broken\n")
    git("add", ".gitattributes", cwd=repo)
    git("commit", "-q", "-m", "filter", cwd=repo)
    git("config", "filter.broken.required", "true", cwd=repo)
    git("config", "filter.broken.smudge", command, cwd=repo)


@pytest.mark.parametrize("template", ["wt-{name}", "ada/x/{name}"])
def test_failed_checkout_leaves_nothing(repo: Path, template: str) -> None:
    break_checkout(repo)
    before = snapshot(repo.parent, repo)
    with pytest.raises(GitError) as caught:
        create(template=template)
    assert caught.value.code == 128
    assert "\n" not in str(caught.value)
    assert snapshot(repo.parent, repo) == before


def test_failed_checkout_leaves_the_others(repo: Path) -> None:
    create("feat-other")
    break_checkout(repo)
    before = snapshot(repo.parent, repo)
    with pytest.raises(GitError):
        create(cwd=repo)
    assert snapshot(repo.parent, repo) == before


def test_parent_is_a_file(repo: Path) -> None:
    (repo.parent / "demo.worktrees").write_text("mine")
    before = snapshot(repo.parent, repo)
    with pytest.raises(WtnameError, match=r"cannot make .*; pass another --path or set wtname\.path"):
        create()
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("kind", ["file", "folder", "full folder"])
def test_path_that_is_there_is_left_alone(repo: Path, kind: str) -> None:
    place = repo.parent / "place"
    place.write_text("mine") if kind == "file" else place.mkdir()
    if kind == "full folder":
        (place / "mine").touch()
    before = snapshot(repo.parent, repo)
    with pytest.raises(WtnameError, match="is there already; pass another --path"):
        create(path=place)
    assert snapshot(repo.parent, repo) == before


def test_path_is_made_with_its_parents(repo: Path) -> None:
    place = repo.parent / "a" / "b" / "c"
    assert create(path=place).path == place
    assert worktrees(repo) == [str(repo), str(place)]


def test_failing_hook_keeps_the_worktree(repo: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho from the hook\nexit 3\n")
    hook.chmod(0o755)
    made = create()
    assert "from the hook" in made.said and "exit code 3" in made.said
    assert worktrees(repo) == [str(repo), str(made.path)]


def test_hook_that_leaves_a_daemon_is_not_waited_for(repo: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nsleep 20 &\n")
    hook.chmod(0o755)
    began = time.monotonic()
    create()
    assert time.monotonic() - began < 10


def test_someone_elses_branch_is_not_deleted(repo: Path) -> None:
    git("branch", BRANCH, cwd=repo)
    with Repository() as repository:
        head = repository.commit("HEAD")
        with pytest.raises(GitError):
            refs.make_branch(repository, BRANCH, head, "mine")
        assert not refs.is_made_by(repository, BRANCH, "mine")
        git("commit", "-q", "--allow-empty", "-m", "theirs", cwd=repo)
        git("branch", "-f", BRANCH, "HEAD", cwd=repo)
        assert not refs.delete_branch(repository, BRANCH, head)
    assert git("rev-parse", BRANCH, cwd=repo) == git("rev-parse", "HEAD", cwd=repo)


@pytest.mark.parametrize(
    ("prompt", "kept"),
    [
        ("Fix it", "Fix it"),
        ("  - fix\r\n- the\rlist \0\n", "- fix\n- the\nlist"),
        ('--global "quotes" \\ # ; = $(x) \x1b[31m', '--global "quotes" \\ # ; = $(x) \x1b[31m'),
        ("\ud800 half 日本", "? half 日本"),
        ("x" * 5000, "x" * 4000),
        (" \n\0", None),
        ("", None),
    ],
)
def test_prompt_is_kept(repo: Path, prompt: str, kept: str | None) -> None:
    with Repository() as repository:
        made = worktree.create(repository, Settings(), NAME, description=prompt)
        assert refs.descriptions(repository) == ({made.branch: kept} if kept else {})


def test_lock_of_another_git_is_waited_for(repo: Path) -> None:
    lock = repo / ".git" / "refs" / "heads" / f"{BRANCH}.lock"
    lock.touch()
    threading.Timer(0.3, lock.unlink).start()
    assert create().branch == BRANCH


def test_lock_that_stays_is_told(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worktree, "_PATIENCE", 0.1)
    (repo / ".git" / "refs" / "heads" / f"{BRANCH}.lock").touch()
    before = snapshot(repo.parent, repo)
    with pytest.raises(GitError, match="lock"):
        create()
    assert snapshot(repo.parent, repo) == before


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_interrupted_checkout_leaves_nothing(repo: Path, number: signal.Signals, code: int) -> None:
    break_checkout(repo, f"touch {repo.parent / 'begun'}; sleep 3; cat")
    before = snapshot(repo.parent, repo)
    process = start("new", "--name", NAME, cwd=repo)
    begun = repo.parent / "begun"
    deadline = time.monotonic() + 20
    while not begun.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, b"")
    time.sleep(0.2)
    begun.unlink()
    assert snapshot(repo.parent, repo) == before


@pytest.mark.skipif(os.name == "nt", reason="a shell's filter")
def test_a_place_that_another_is_filling_is_left_alone(repo: Path) -> None:
    break_checkout(repo, f"touch {repo.parent / 'begun'}; sleep 2; cat")
    place = repo.parent / "place"
    first = start("new", "--name", "one", "--path", str(place), cwd=repo)
    deadline = time.monotonic() + 20
    while not (repo.parent / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(WtnameError, match="is there already"):
        create("two", path=place)
    assert first.communicate(timeout=30)[1] == b"" and first.returncode == 0
    assert (place / "README").exists() and worktrees(repo) == [str(repo), str(place)]
    assert git("branch", "--format=%(refname:short)", cwd=repo).split() == ["main", "wt-one"]


@pytest.mark.parametrize("name", ["HEAD", "head", "@"])
def test_names_that_git_reads_as_something_else(repo: Path, name: str) -> None:
    before = snapshot(repo.parent, repo)
    with pytest.raises(WtnameError, match="no legal branch name"):
        create(name, template="{name}")
    assert snapshot(repo.parent, repo) == before


def test_nobodys_home(repo: Path) -> None:
    with pytest.raises(WtnameError, match="nobody's home"):
        settings.folder("~no-such-user/{branch}", repo="demo", main=repo, branch="x")


# --- called from hooks -------------------------------------------------------------------------------------------


def test_inherited_index_is_not_touched(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repo / "staged").write_text("mine\n")
    git("add", "staged", cwd=repo)
    index = (repo / ".git" / "index").read_bytes()
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    monkeypatch.setenv("GIT_WORK_TREE", str(repo))
    made = create()
    assert (repo / ".git" / "index").read_bytes() == index
    for variable in ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable)
    assert git("status", "--porcelain", cwd=made.path) == ""
    assert git("status", "--porcelain", cwd=repo) == "A  staged"


def test_repository_named_by_the_environment(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    monkeypatch.chdir(tmp_path / "outside")
    monkeypatch.setenv("GIT_DIR", "../demo/.git")
    assert create().path == tmp_path / "demo.worktrees" / BRANCH


# --- all at once -------------------------------------------------------------------------------------------------


def test_deleting_touches_nothing_above(repo: Path) -> None:
    made = create()
    made.path.parent.chmod(0o755)
    (real := repo.parent / "real").mkdir()
    (link := made.path.parent / "link").symlink_to(real)
    folders.delete(link)
    assert real.is_dir() and not os.path.lexists(link)
    assert made.path.parent.stat().st_mode & 0o777 == 0o755


def test_sixteen_at_once(repo: Path) -> None:
    prompt = "Fix crash on zero-width columns"
    processes = [start("new", prompt, cwd=repo) for _ in range(16)]
    answers = [process.communicate(timeout=120) for process in processes]
    failed = [
        (process.returncode, err) for process, (_, err) in zip(processes, answers, strict=True) if process.returncode
    ]
    assert failed == []
    paths = {os.fsdecode(out).rstrip("\n") for out, _ in answers}
    assert len(paths) == 16
    assert set(worktrees(repo)) == {str(repo), *paths}
    assert sorted(path.name for path in repo.parent.iterdir()) == ["demo", "demo.worktrees"]
    assert {str(path) for path in (repo.parent / "demo.worktrees").iterdir()} == paths
    branches = git("for-each-ref", "--format=%(refname:short)", cwd=repo).splitlines()
    assert set(branches) == {"main", *(Path(path).name for path in paths)}
    stem = min(branches[1:], key=len)
    assert set(branches) == {"main", stem, *(f"{stem}-{i}" for i in range(2, 17))}
    subprocess.run(["git", "fsck", "--no-progress"], cwd=repo, check=True, capture_output=True)


@pytest.mark.parametrize("branch", ["aux", "CON", "x/nul", "com1", "lpt¹/y", "prn.txt", "x/aux.tar.gz"])
def test_reserved_on_windows(branch: str) -> None:
    assert worktree.is_reserved(branch, "win32") and not worktree.is_reserved(branch, "linux")


@pytest.mark.parametrize("branch", ["aux-2", "fix-con", "console", "com", "com10", "x.nul", "lpt/y"])
def test_not_reserved_on_windows(branch: str) -> None:
    assert not worktree.is_reserved(branch, "win32")


def test_reserved_gets_a_number(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Repository() as repository, monkeypatch.context() as patch:
        patch.setattr(worktree, "sys", SimpleNamespace(platform="win32"))
        found = worktree.plan(repository, Settings(template="{name}"), "aux")
    assert found.branch == "aux-2"
