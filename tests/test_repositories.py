"""Repositories of every kind: in each, `wtname new` works, or refuses in one line and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import Run, git, make_repository, snapshot

BRANCH = "wt-x"


class Place(NamedTuple):
    """Where we stand, the folder that the new worktree is to get, and the worktrees that must stay as they are."""

    stand: Path
    folder: Path
    originals: list[Path]
    files: frozenset[str] = frozenset({"README"})
    again: Path | None = None  # where the next one goes, if not beside the first


def _facts(path: Path) -> tuple[str, ...]:
    index = Path(git("rev-parse", "--absolute-git-dir", cwd=path)) / "index"
    files = sorted(str(file) for file in path.rglob("*") if ".git" not in file.parts)
    content = index.read_bytes().hex() if index.exists() else ""
    return (*files, git("status", "--porcelain=v2", "--branch", cwd=path), git("rev-parse", "HEAD", cwd=path), content)


def _add(path: Path, *files: str) -> None:
    for file in files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_text(f"{file}\n")
    git("add", ".", cwd=path)
    git("commit", "-q", "-m", "more", cwd=path)


# --- works -----------------------------------------------------------------------------------------------------------


def plain(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo])


def subfolder(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    (repo / "deep" / "er").mkdir(parents=True)
    return Place(repo / "deep" / "er", tmp / "demo.worktrees" / BRANCH, [repo])


def sha256(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo", "--object-format=sha256")
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo])


def bare(tmp: Path) -> Place:
    git("clone", "-q", "--bare", make_repository(tmp / "origin"), tmp / "hub.git")
    return Place(tmp / "hub.git", tmp / "hub.worktrees" / BRANCH, [])


def bare_inside(tmp: Path) -> Place:
    git("clone", "-q", "--bare", make_repository(tmp / "origin"), tmp / "hub" / ".bare")
    (tmp / "hub" / ".git").write_text("gitdir: ./.bare\n")
    return Place(tmp / "hub", tmp / "hub.worktrees" / BRANCH, [])


def linked(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    git("worktree", "add", "-q", tmp / "elsewhere" / "linked", cwd=repo)
    return Place(tmp / "elsewhere" / "linked", tmp / "demo.worktrees" / BRANCH, [repo, tmp / "elsewhere" / "linked"])


def linked_of_bare(tmp: Path) -> Place:
    place = bare_inside(tmp)
    git("worktree", "add", "-q", tmp / "hub" / "main", "main", cwd=place.stand)
    return place._replace(stand=tmp / "hub" / "main", originals=[tmp / "hub" / "main"])


def submodule(tmp: Path) -> Place:
    outer = make_repository(tmp / "outer")
    git("submodule", "--quiet", "add", make_repository(tmp / "inner"), "libs/sub", cwd=outer)
    git("commit", "-q", "-m", "sub", cwd=outer)
    # Beside the superproject: within, it would be an untracked folder there.
    return Place(outer / "libs" / "sub", tmp / "sub.worktrees" / BRANCH, [outer, outer / "libs" / "sub"])


def nested_submodule(tmp: Path) -> Place:
    middle = submodule(tmp).originals[0]
    top = make_repository(tmp / "top")
    git("submodule", "--quiet", "add", middle, "mid", cwd=top)
    git("commit", "-q", "-m", "sub", cwd=top)
    git("submodule", "--quiet", "update", "--init", "--recursive", cwd=top)
    sub = top / "mid" / "libs" / "sub"
    return Place(sub, tmp / "sub.worktrees" / BRANCH, [top, top / "mid", sub])


def superproject(tmp: Path) -> Place:
    outer = submodule(tmp).originals[0]
    return Place(outer, tmp / "outer.worktrees" / BRANCH, [outer], frozenset({"README", ".gitmodules"}))


def shallow(tmp: Path) -> Place:
    hub = make_repository(tmp / "hub")
    _add(hub, "second")
    git("clone", "-q", "--depth=1", hub.as_uri(), tmp / "demo")
    return Place(tmp / "demo", tmp / "demo.worktrees" / BRANCH, [tmp / "demo"], frozenset({"README", "second"}))


def partial(tmp: Path) -> Place:
    """A clone without the blobs of the remote's newest commit."""
    hub = make_repository(tmp / "hub")
    git("config", "uploadpack.allowFilter", "true", cwd=hub)
    git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=hub)
    git("clone", "-q", "--filter=blob:none", hub.as_uri(), tmp / "demo")
    _add(hub, "late")
    git("fetch", "-q", cwd=tmp / "demo")
    missing = git("rev-list", "--objects", "--missing=print", "origin/main", cwd=tmp / "demo")
    assert "\n?" in missing
    return Place(tmp / "demo", tmp / "demo.worktrees" / BRANCH, [tmp / "demo"], frozenset({"README", "late"}))


def sparse_cone(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    _add(repo, "a/in", "b/out")
    git("sparse-checkout", "set", "--cone", "a", cwd=repo)
    assert not (repo / "b").exists()
    return Place(
        repo, tmp / "demo.worktrees" / BRANCH, [repo], frozenset({"README", "a/in"})
    )  # git carries the patterns over


def sparse_patterns(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    _add(repo, "a/in", "b/out", "c.txt")
    git("sparse-checkout", "set", "--no-cone", "/*", "!/b/", "!*.txt", cwd=repo)
    assert not (repo / "b").exists() and not (repo / "c.txt").exists()
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo], frozenset({"README", "a/in"}))


def worktree_config(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    git("config", "extensions.worktreeConfig", "true", cwd=repo)
    git("config", "--worktree", "wtname.template", "wt-{slug}", cwd=repo)
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo])


def bare_by_worktree_config(tmp: Path) -> Place:
    """core.bare is said in the bare repository's own config.worktree, as git does it from there on."""
    place = linked_of_bare(tmp)
    git("config", "extensions.worktreeConfig", "true", cwd=tmp / "hub")
    git("config", "--unset", "core.bare", cwd=tmp / "hub")
    git("config", "-f", tmp / "hub" / ".bare" / "config.worktree", "core.bare", "true")
    return place


def detached(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo")
    git("checkout", "-q", "--detach", cwd=repo)
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo])


def separate(tmp: Path) -> Place:
    repo = make_repository(tmp / "demo", f"--separate-git-dir={tmp / 'elsewhere'}")
    # In a linked worktree, git does not know where the main one is.
    return Place(repo, tmp / "demo.worktrees" / BRANCH, [repo], again=tmp / "elsewhere.worktrees" / f"{BRANCH}-2")


def odd_path(tmp: Path) -> Place:
    repo = make_repository(tmp / "prés d'ici" / "日本 語")
    git("checkout", "-q", "-b", "ünï/cödé", cwd=repo)
    return Place(repo, tmp / "prés d'ici" / "日本 語.worktrees" / BRANCH, [repo])


def many_refs(tmp: Path) -> Place:
    hub = make_repository(tmp / "hub")
    git("clone", "-q", hub, tmp / "demo")
    oid = git("rev-parse", "HEAD", cwd=hub)
    refs = [f"refs/{kind}/b{i:05}" for kind in ("heads", "remotes/origin") for i in range(10_000)]
    lines = [f"{oid} {ref}\n" for ref in sorted([*refs, "refs/remotes/origin/main"])]
    (tmp / "demo" / ".git" / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n" + "".join(lines)
    )
    assert len(git("for-each-ref", cwd=tmp / "demo").splitlines()) > 20_000
    return Place(tmp / "demo", tmp / "demo.worktrees" / BRANCH, [tmp / "demo"])


WORKS: list[Callable[[Path], Place]] = [
    plain,
    subfolder,
    sha256,
    bare,
    bare_inside,
    linked,
    linked_of_bare,
    submodule,
    nested_submodule,
    superproject,
    shallow,
    partial,
    sparse_cone,
    sparse_patterns,
    worktree_config,
    bare_by_worktree_config,
    detached,
    separate,
    odd_path,
    many_refs,
]


@pytest.mark.parametrize("kind", WORKS, ids=lambda kind: kind.__name__)
def test_works(run: Run, tmp_path: Path, kind: Callable[[Path], Place], monkeypatch: pytest.MonkeyPatch) -> None:
    place = kind(tmp_path)
    before = [_facts(path) for path in place.originals]
    monkeypatch.chdir(place.stand)
    done = run("new", "--json", "--name", "x")
    assert done.exit_code == 0, done.stderr
    made = json.loads(done.stdout)
    folder = Path(made["path"])
    assert (made["branch"], folder) == (BRANCH, place.folder)
    assert git("symbolic-ref", "HEAD", cwd=folder) == f"refs/heads/{BRANCH}"
    assert git("rev-parse", "HEAD", cwd=folder) == made["commit"]
    assert git("status", "--porcelain", cwd=folder) == ""
    assert {str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file() and f.name != ".git"} == place.files
    assert [_facts(path) for path in place.originals] == before
    monkeypatch.chdir(folder)  # and once more from there, beside it
    again = json.loads(run("new", "--json", "--name", "x").stdout)
    assert again["path"] == str(place.again or f"{folder}-2")


@pytest.mark.parametrize(
    ("there", "name", "branch"),
    [
        ("wt-X", "x", "wt-x-2"),
        ("wt-\u00e9", "e\u0301", "wt-\u00e9-2"),
        ("wt-e\u0301", "\u00e9", "wt-\u00e9-2"),
        ("wt-E\u0301", "\u00e9", "wt-\u00e9-2"),
        ("wt-e", "\u00e9", "wt-\u00e9"),
        ("wt-\u00e9", "\u00e9/x", "wt-\u00e9/x"),
        ("wt-y", "x", "wt-x"),
    ],
)
def test_names_that_are_one_on_some_file_system(run: Run, repo: Path, there: str, name: str, branch: str) -> None:
    git("update-ref", f"refs/remotes/origin/{there}", "HEAD", cwd=repo)
    done = run("new", "--name", name)
    if "/" in branch:  # it would be a folder of refs for the other
        assert done.exit_code == 1 and "there is a branch" in done.stderr
    else:
        assert git("branch", "--list", "--format=%(refname:short)", "wt-*", cwd=repo) == branch


# --- submodules ------------------------------------------------------------------------------------------------------


def test_the_main_worktree_of_a_submodule_is_its_folder(run: Run, tmp_path: Path) -> None:
    """git's own list has the git folder within that of the superproject."""
    stand = submodule(tmp_path).stand
    made = Path(run("new", "-C", stand, "--name", "x").stdout.strip())
    for folder in (stand, made):
        assert run("switch", "-C", folder, "main").stdout == f"{stand}\n"
        assert f'"path": "{stand}"' in run("list", "--json", "-C", folder).stdout
    git("switch", "-q", "-c", "wt-y", cwd=stand)
    assert run("rename", "-C", stand, "--name", "fix-y").stdout == "wt-fix-y\n"
    assert git("branch", "--show-current", cwd=stand) == "wt-fix-y"
    assert run("remove", "-C", stand).exit_code == 1 and (stand / "README").exists()

HINT = "submodules are left empty; pass --recurse-submodules or set wtname.recursesubmodules to fill them"


@pytest.mark.parametrize(
    ("config", "args", "filled"),
    [
        ("", [], False),
        ("", ["--recurse-submodules"], True),
        ("wtname.recursesubmodules", [], True),
        ("submodule.recurse", [], True),
        ("submodule.recurse", ["--no-recurse-submodules"], False),
    ],
)
def test_submodules(run: Run, tmp_path: Path, config: str, args: list[str], filled: bool) -> None:
    place = superproject(tmp_path)
    if config:
        git("config", config, "true", cwd=place.stand)
    done = run("new", "-C", place.stand, "--name", "x", *args)
    assert (done.exit_code, done.stdout) == (0, f"{place.folder}\n")
    assert (place.folder / "libs" / "sub" / "README").exists() is filled
    assert (HINT in done.stderr) is not filled
    assert git("status", "--porcelain", cwd=place.folder) == ""


def test_submodules_of_submodules(run: Run, tmp_path: Path) -> None:
    top = nested_submodule(tmp_path).originals[0]
    folder = Path(run("new", "-C", top, "--name", "x", "--recurse-submodules").stdout.strip())
    assert (folder / "mid" / "libs" / "sub" / "README").exists()


def test_submodules_that_cannot_be_had_keep_the_worktree(run: Run, tmp_path: Path) -> None:
    place = superproject(tmp_path)
    (tmp_path / "inner").rename(tmp_path / "gone")
    done = run("new", "-C", place.stand, "--name", "x", "--recurse-submodules")
    assert (done.exit_code, done.stdout) == (0, f"{place.folder}\n")
    assert "submodules are not all there" in done.stderr
    assert f"try again: git -C {place.folder} submodule update --init --recursive" in done.stderr
    assert done.stderr.count("\n") == 1


# --- refuses ---------------------------------------------------------------------------------------------------------


def refused(tmp: Path, stand: Path, says: str, code: int, *launch: str) -> None:
    """`wtname new`, started through another command if need be, fails in one line and leaves nothing behind."""
    before = snapshot(tmp, stand)
    argv = [*launch, sys.executable, "-m", "wtname", "new", "--name", "x"]
    done = subprocess.run(argv, cwd=stand, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert says in done.stderr and done.stderr.startswith("wtname: ") and done.stderr.count("\n") == 1
    after = snapshot(tmp, stand)
    assert after[0] == before[0]
    assert {file for file in {*before[1], *after[1]} if before[1].get(file) != after[1].get(file)} == set()


@pytest.mark.parametrize("options", [[], ["--bare"]])
def test_unborn(tmp_path: Path, options: list[str]) -> None:
    git("init", "-q", *options, tmp_path / "demo")
    refused(tmp_path, tmp_path / "demo", "make one (git commit --allow-empty) or pass --base REF", 1)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["^HEAD"], "no single commit is called '^HEAD'"),
        (["HEAD..main"], "no single commit is called"),
        ([":/no message says this"], "no single commit is called"),
        (["--all"], "not a reference"),
    ],
)
def test_no_single_commit(run: Run, repo: Path, args: list[str], says: str) -> None:
    before = snapshot(repo.parent, repo)
    done = run("new", "--name", "x", "--base", *args)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1) and says in done.stderr
    assert snapshot(repo.parent, repo) == before


def dotfiles(tmp: Path, *config: str) -> Path:
    """A home, and a git folder in its midst whose worktree it is."""
    home = tmp / "home"
    git("init", "-q", "--bare", home / ".dotfiles")
    for key, value in zip(config[::2], config[1::2], strict=True):
        git("config", key, value, cwd=home / ".dotfiles")
    (home / ".bashrc").write_text("mine\n")
    for args in (["add", ".bashrc"], ["commit", "-q", "-m", "first"]):
        git(f"--git-dir={home / '.dotfiles'}", f"--work-tree={home}", *args)
    return home


@pytest.mark.parametrize("config", [[], ["core.bare", "false", "core.worktree", ".."], ["core.bare", "false"]])
@pytest.mark.parametrize("stand", ["home", "git folder"])
def test_dotfiles(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: list[str], stand: str) -> None:
    home = dotfiles(tmp_path, *config)
    monkeypatch.chdir(home if stand == "home" else home / ".dotfiles")
    if stand == "home":
        monkeypatch.setenv("GIT_DIR", str(home / ".dotfiles"))
        monkeypatch.setenv("GIT_WORK_TREE", str(home))
    done = run("new", "--name", "x")
    for variable in ("GIT_DIR", "GIT_WORK_TREE"):
        monkeypatch.delenv(variable, raising=False)
    folder = home / ".dotfiles.worktrees" / "wt-x"
    assert (done.exit_code, done.stdout) == (0, f"{folder}\n"), done.stderr
    assert (folder / ".bashrc").read_text() == (home / ".bashrc").read_text()
    assert git("status", "--porcelain", cwd=folder) == ""
    assert sorted(path.name for path in home.iterdir()) == [".bashrc", ".dotfiles", ".dotfiles.worktrees"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_dubious_ownership(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repo = make_repository(tmp_path / "demo")
    before = snapshot(tmp_path, repo)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    done = subprocess.run(
        [sys.executable, "-m", "wtname", "new", "--name", "x"], cwd=repo, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (128, "", 1)
    assert f"if you trust its owner, git config --global --add safe.directory '{repo}'" in done.stderr
    monkeypatch.delenv("GIT_TEST_ASSUME_DIFFERENT_OWNER")
    assert snapshot(tmp_path, repo) == before


def test_dead_promisor(tmp_path: Path) -> None:
    stand = partial(tmp_path).stand
    (tmp_path / "hub").rename(tmp_path / "gone")
    refused(tmp_path, stand, "; this partial clone lacks files that it has to reach its remote for", 128)


@pytest.mark.skipif(os.name == "nt", reason="limits of POSIX")
def test_a_file_too_large(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "demo")
    (repo / "big").write_bytes(os.urandom(300_000))
    _add(repo, "small")
    refused(tmp_path, repo, "signal", 153, "sh", "-c", 'ulimit -f 100; exec "$@"', "sh")


def _mounts() -> bool:
    if sys.platform != "linux" or not shutil.which("unshare"):
        return False
    return (
        subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    )


def test_full_disk(tmp_path: Path) -> None:
    if not _mounts():
        pytest.skip("no right to mount a small file system")
    repo = make_repository(tmp_path / "demo")
    (repo / "big").write_bytes(os.urandom(300_000))
    _add(repo, "small")
    (tmp_path / "demo.worktrees").mkdir()
    look = (
        f'mount -t tmpfs -o size=200k none {tmp_path}/demo.worktrees && "$@"; code=$?;'
        f"ls -A {tmp_path}/demo.worktrees >&2; exit $code"
    )
    refused(
        tmp_path,
        repo,
        "(unable to write file big); make room on the disk",
        128,
        "unshare",
        "-m",
        "sh",
        "-c",
        look,
        "sh",
    )


def test_full_git_folder(tmp_path: Path) -> None:
    if not _mounts():
        pytest.skip("no right to mount a small file system")
    repo = make_repository(tmp_path / "demo")
    full = tmp_path / "full.sh"
    full.write_text(
        f"""cp -r {repo}/.git {tmp_path}/copy && mount -t tmpfs -o size=1m none {repo}/.git &&
        cp -r {tmp_path}/copy/. {repo}/.git && rm -r {tmp_path}/copy && cat /dev/zero > {repo}/.git/zeros 2> /dev/null
        "$@"
        code=$?
        git -C {repo} for-each-ref refs/heads/wt-x >&2
        rm {repo}/.git/zeros
        git -C {repo} worktree prune --dry-run --verbose >&2
        git -C {repo} fsck --no-dangling >&2
        exit $code
        """
    )
    refused(tmp_path, repo, "o space left on device", 1, "unshare", "-m", "sh", str(full))


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_read_only(tmp_path: Path) -> None:
    repo = make_repository(tmp_path / "demo")
    if os.geteuid() == 0:
        if not _mounts():
            pytest.skip("root heeds no permissions, and has no right to mount read-only")
        bind = f'mount --bind {repo} {repo} && mount -o remount,ro,bind {repo} && cd {repo} && exec "$@"'
        refused(tmp_path, repo, "; ", 1, "unshare", "-m", "sh", "-c", bind, "sh")
        return
    folders = [repo / ".git", repo / ".git" / "refs", repo / ".git" / "refs" / "heads", repo / ".git" / "logs"]
    for folder in folders:
        folder.chmod(0o500)
    try:
        refused(tmp_path, repo, "; ", 1)
    finally:
        for folder in folders:
            folder.chmod(0o700)
