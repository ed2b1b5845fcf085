from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository, snapshot, start
from wtname.git import trash as trash_of_git

TRASH = "refs/wtname/trash"


@pytest.fixture
def place(repo: Path) -> Path:
    """The worktree of the branch wt-x, which is called x for short."""
    return add(repo, "wt-x", "wt-x")


def add(repo: Path, branch: str, folder: str) -> Path:
    path = repo.parent / "demo.worktrees" / folder
    git("worktree", "add", "-q", "-b", branch, path, cwd=repo)
    return path


def commit(place: Path, name: str = "work", text: str = "work\n") -> str:
    (place / name).write_text(text)
    git("add", "--all", cwd=place)
    git("commit", "-q", "-m", f"change {name}", cwd=place)
    return git("rev-parse", "HEAD", cwd=place)


def branches(repo: Path) -> list[str]:
    return git("branch", "--format=%(refname:short)", cwd=repo).split()


def trash(repo: Path) -> list[str]:
    return git("for-each-ref", "--format=%(refname)", TRASH, cwd=repo).split()


def in_shell(script: str, cwd: Path) -> None:
    """Git in a state that takes several steps; those that end in a conflict fail."""
    for line in script.strip().splitlines():
        subprocess.run(["git", *line.split()], cwd=cwd, capture_output=True)


def conflict(repo: Path, place: Path) -> None:
    commit(repo, "README", "ours\n")
    commit(place, "README", "theirs\n")


# --- what is refused -----------------------------------------------------------------------------------------------

REFUSED = {
    "changed": (lambda repo, place: (place / "README").write_text("changed"), "1 changed file;"),
    "deleted": (lambda repo, place: (place / "README").unlink(), "1 changed file;"),
    "staged": (
        lambda repo, place: ((place / "new").touch(), git("add", "new", cwd=place), (place / "new").unlink()),
        "1 changed file;",
    ),
    "untracked": (lambda repo, place: ((place / "a").touch(), (place / "b").touch()), "2 changed files;"),
    "merge": (
        lambda repo, place: (conflict(repo, place), in_shell("merge main", place)),
        "a merge is not finished",
    ),
    "rebase": (
        lambda repo, place: (conflict(repo, place), in_shell("rebase main", place)),
        "a rebase is not finished",
    ),
    "bisect": (lambda repo, place: in_shell("bisect start", place), "a bisect is not finished"),
    "locked": (lambda repo, place: git("worktree", "lock", place, cwd=repo), "it is locked"),
    "unmerged": (lambda repo, place: commit(place), "1 commit neither merged into main nor pushed"),
    "detached": (
        lambda repo, place: (git("checkout", "-q", "--detach", cwd=place), commit(place)),
        "1 commit neither on a branch nor pushed",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(run: Run, repo: Path, place: Path, case: str) -> None:
    make, why = REFUSED[case]
    make(repo, place)
    before = snapshot(repo.parent, repo)
    done = run("remove", place)
    assert (done.exit_code, done.stdout) == (1, "")
    assert why in done.stderr and "pass --force" in done.stderr and done.stderr.count("\n") == 1
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("case", REFUSED)
def test_forced_and_restored(run: Run, repo: Path, place: Path, case: str) -> None:
    REFUSED[case][0](repo, place)
    head, files = git("rev-parse", "HEAD", cwd=place), snapshot(place, repo)[1]
    refs = git("for-each-ref", cwd=repo)
    # What is half done is not taken up again, but it is all there: a conflict is a changed file afterwards.
    plain = case not in ("merge", "rebase")
    status = git("status", "--porcelain=v2", cwd=place)
    done = run("remove", "--force", place)
    assert (done.exit_code, done.stdout) == (0, f"{place}\n"), done.stderr
    assert not place.exists() and git("worktree", "list", cwd=repo).count("\n") == 0
    assert not (repo / ".git" / "wtname").exists()
    git("fsck", "--no-progress", cwd=repo)
    assert run("restore").stdout == f"{place}\n"
    del files[".git"]
    assert {**snapshot(place, repo)[1], ".git": b""} == {**files, ".git": b""}
    assert git("rev-parse", "HEAD", cwd=place) == head
    assert git("for-each-ref", cwd=repo) == refs
    assert not plain or git("status", "--porcelain=v2", cwd=place) == status


@pytest.mark.parametrize(
    "make",
    [
        lambda repo, place: None,
        lambda repo, place: (commit(place), git("merge", "-q", "wt-x", cwd=repo)),
        lambda repo, place: (commit(place), git("update-ref", "refs/remotes/origin/other", "wt-x", cwd=repo)),
        lambda repo, place: (
            commit(place),
            commit(place, "more"),
            in_shell("merge --squash wt-x\ncommit -m squashed", repo),
            commit(repo, "other"),
        ),
        lambda repo, place: (ignore(repo, "*.o\n"), (place / "a.o").touch()),
        lambda repo, place: git("checkout", "-q", "--detach", cwd=place),
    ],
    ids=["new", "merged", "pushed", "squashed", "ignored", "detached"],
)
def test_not_refused(run: Run, repo: Path, place: Path, make: object) -> None:
    make(repo, place)  # type: ignore[operator]
    detached = not git("branch", "--show-current", cwd=place)
    done = run("remove", "--json", place)
    assert done.exit_code == 0, done.stderr
    assert not place.exists() and ("wt-x" in branches(repo)) == detached
    assert [one["removed"] for one in json.loads(done.stdout)] == [True]
    assert len(trash(repo)) == 1


def test_never_even_with_force(run: Run, repo: Path, place: Path) -> None:
    inner = place / "inner"
    git("worktree", "add", "-q", "-b", "inner", inner, cwd=repo)
    before = snapshot(repo.parent, repo)
    done = run("remove", "--force", "wt-x", "main")
    assert f"the worktree {inner} lies in it" in done.stderr and "it is the main worktree" in done.stderr
    assert (done.exit_code, snapshot(repo.parent, repo)) == (1, before)


@pytest.mark.parametrize("own", ["commit", "change", "nothing"])
def test_repositories_inside(run: Run, repo: Path, place: Path, tmp_path: Path, own: str) -> None:
    """What a submodule or a clone has that is nowhere else cannot be kept, so it is never taken away."""
    inner = make_repository(tmp_path / "inner")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub", cwd=place)
    git("commit", "-q", "-m", "sub", cwd=place)
    if own == "commit":
        commit(place / "sub")
    elif own == "change":
        (place / "sub" / "new").touch()
    before = snapshot(place, repo)
    done = run("remove", "--force", "x")
    if own == "nothing":
        assert done.exit_code == 0 and not place.exists()
        return
    assert done.exit_code == 1 and "sub in " in done.stderr and "push it from there" in done.stderr
    assert snapshot(place, repo) == before and trash(repo) == []


def ignore(repo: Path, patterns: str) -> None:
    (repo / ".git" / "info").mkdir(exist_ok=True)
    (repo / ".git" / "info" / "exclude").write_text(patterns)


def clone_into(place: Path, origin: Path) -> Path:
    git("clone", "-q", origin, place)
    return place


INSIDE = {
    "a commit": (lambda inner: commit(inner), True),
    "a commit on another branch": (
        lambda inner: (
            git("checkout", "-q", "-b", "b", cwd=inner),
            commit(inner),
            git("checkout", "-q", "-", cwd=inner),
        ),
        True,
    ),
    "a stash": (lambda inner: ((inner / "README").write_text("mine"), git("stash", "-q", cwd=inner)), True),
    "no remote": (lambda inner: git("remote", "remove", "origin", cwd=inner), True),
    "damaged": (lambda inner: (inner / ".git" / "HEAD").write_text("nonsense"), True),
    "all pushed": (lambda inner: None, False),
    "a changed file": (lambda inner: (inner / "new").touch(), False),  # as any other file that git ignores
    "no commit": (lambda inner: (shutil.rmtree(inner), git("init", "-q", inner)), False),
    "a worktree of another": (
        lambda inner: (
            shutil.rmtree(inner),
            git("worktree", "add", "-q", "-b", "z", inner, cwd=inner.parents[4] / "origin"),
            commit(inner),
        ),
        False,
    ),
}


@pytest.mark.parametrize("case", INSIDE)
def test_ignored_repositories(run: Run, repo: Path, place: Path, case: str) -> None:
    """What nothing keeps does not go unasked where it can't be had again from elsewhere."""
    make, at_stake = INSIDE[case]
    origin = make_repository(repo.parent / "origin")
    ignore(repo, "vendor/\n")
    make(clone_into(place / "vendor" / "deep" / "x", origin))  # type: ignore[no-untyped-call]
    before = snapshot(place, repo)
    assert run("prune").stdout == ""
    done = run("remove", "x")
    assert (done.exit_code == 1) == at_stake, done.stderr
    if at_stake:
        assert "vendor/deep/x in it is ignored" in done.stderr and "pass --force" in done.stderr
        assert snapshot(place, repo) == before
        (told,) = json.loads(run("remove", "--force", "--json", "x").stdout)
        assert told["lost"] == ["vendor/deep/x"] and told["ignored"] == 1
    assert not place.exists()


@pytest.mark.parametrize(("folders", "code"), [(2, 0), (3, 1)])
def test_of_many_ignored_folders_the_uppermost_count(
    run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch, folders: int, code: int
) -> None:
    ignore(repo, "vendor/\n")
    inner = clone_into(place / "vendor" / "deep" / "x", make_repository(repo.parent / "origin"))
    commit(inner)
    monkeypatch.setattr("wtname.git.inner._FOLDERS", folders)
    assert run("remove", "x").exit_code == code


def test_nothing_of_an_ignored_repository_is_run(run: Run, repo: Path, place: Path) -> None:
    """Its configuration may be anybody's."""
    ignore(repo, "vendor/\n")
    inner = clone_into(place / "vendor", make_repository(repo.parent / "origin"))
    ran = repo.parent / "ran"
    (inner / ".git" / "hooks" / "post-index-change").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (inner / ".git" / "hooks" / "post-index-change").chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "filter.x.clean", "remote.origin.uploadpack"):
        git("config", key, f"touch {ran}; false", cwd=inner)
    (inner / ".gitattributes").write_text("* filter=x\n")
    git("config", "extensions.partialClone", "origin", cwd=inner)
    git("config", "remote.origin.promisor", "true", cwd=inner)
    git("update-ref", "-d", "refs/remotes/origin/main", cwd=inner)
    (oid,) = git("rev-parse", "HEAD", cwd=inner).split()
    (inner / ".git" / "objects" / oid[:2] / oid[2:]).unlink(missing_ok=True)
    ran.unlink(missing_ok=True)
    assert run("remove", "x").exit_code == 1
    assert run("remove", "--force", "x").exit_code == 0
    assert not ran.exists()


@pytest.mark.parametrize("own", [True, False])
def test_submodules_that_are_empty_by_now(run: Run, repo: Path, place: Path, tmp_path: Path, own: bool) -> None:
    """Their git folders go with the worktree."""
    inner = make_repository(tmp_path / "inner")
    git("submodule", "--quiet", "add", inner, "sub", cwd=place)
    git("commit", "-q", "-m", "sub", cwd=place)
    if own:
        commit(place / "sub")
    git("submodule", "--quiet", "deinit", "--force", "sub", cwd=place)
    done = run("remove", "--force", "x")
    assert (done.exit_code == 1) == own == place.exists()
    assert not own or "sub in " in done.stderr


def test_repository_without_a_commit(run: Run, repo: Path, place: Path) -> None:
    git("init", "-q", place / "inner")
    (place / "inner" / "mine").touch()
    done = run("remove", "--force", "x")
    assert done.exit_code and "'inner/'" in done.stderr and "move it away" in done.stderr
    assert (place / "inner" / "mine").exists() and trash(repo) == []
    shutil.rmtree(place / "inner")
    assert run("remove", "--force", "x").exit_code == 0


def test_folder_that_is_no_worktree_any_more(run: Run, repo: Path, place: Path) -> None:
    (place / ".git").unlink()
    (place / "mine").touch()
    done = run("remove", "--force", "x")
    assert done.exit_code == 1 and "git worktree repair" in done.stderr
    assert (place / "mine").exists()


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wt-x", "x", "../demo.worktrees/wt-x", "{place}"])
def test_names(run: Run, repo: Path, place: Path, name: str) -> None:
    git("branch", "x-y", cwd=repo)
    assert run("remove", name.format(place=place)).stdout == f"{place}\n"


def test_names_by_the_template(run: Run, repo: Path) -> None:
    git("config", "wtname.template", "ada/{name}", cwd=repo)
    path = Path(run("new", "--name", "fix-it").stdout.strip())
    git("worktree", "add", "-q", "-b", "bob/fix-it", repo.parent / "bob", cwd=repo)
    assert run("remove", "fix-it").stdout == f"{path}\n"


def test_names_that_cannot_be(run: Run, repo: Path, place: Path) -> None:
    git("worktree", "add", "-q", "-b", "ada/z", repo.parent / "1", cwd=repo)
    git("worktree", "add", "-q", "-b", "bob/z", repo.parent / "2", cwd=repo)
    before = snapshot(repo.parent, repo)
    assert "'z' may be ada/z or bob/z" in run("remove", "z").stderr
    done = run("remove", "nope")
    assert (done.exit_code, done.stderr) == (1, "wtname: no worktree is called 'nope'; `wtname list` shows them\n")
    assert snapshot(repo.parent, repo) == before


def test_several(run: Run, repo: Path, place: Path) -> None:
    other = repo.parent / "other"
    git("worktree", "add", "-q", "-b", "other", other, cwd=repo)
    (other / "new").touch()
    done = run("remove", "--json", "x", "other", "x")
    assert done.exit_code == 1
    rows = json.loads(done.stdout)
    assert [(row["branch"], row["removed"]) for row in rows] == [("wt-x", True), ("other", False)]
    assert branches(repo) == ["main", "other"]


def test_keep_branch(run: Run, repo: Path, place: Path) -> None:
    head = commit(place)
    done = run("remove", "--keep-branch", "x")
    assert done.exit_code == 0 and "the branch stays" in done.stderr
    assert not place.exists() and git("rev-parse", "wt-x", cwd=repo) == head
    assert run("restore").stdout == f"{place}\n"
    assert git("branch", "--show-current", cwd=place) == "wt-x"


def test_default_branch_is_never_deleted(run: Run, repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", "--bare", repo, tmp_path / "hub.git")
    git("worktree", "add", "-q", tmp_path / "main", "main", cwd=tmp_path / "hub.git")
    assert run("remove", "-C", tmp_path / "hub.git", "main").exit_code == 0
    assert not (tmp_path / "main").exists() and branches(tmp_path / "hub.git") == ["main"]


def test_folder_is_gone_already(run: Run, repo: Path, place: Path) -> None:
    (place / "staged").write_text("staged\n")
    git("add", "staged", cwd=place)
    place.rename(repo.parent / "gone")
    assert run("remove", "x").exit_code == 0
    assert branches(repo) == ["main"] and git("worktree", "list", cwd=repo).count("\n") == 0
    assert run("restore").exit_code == 0
    assert git("show", ":staged", cwd=place) == "staged"


def test_a_record_that_names_the_folder_itself(run: Run, repo: Path, place: Path) -> None:
    """And not the .git in it, as git lists it all the same."""
    (repo / ".git" / "worktrees" / "wt-x" / "gitdir").write_text(f"{place}\n")
    shutil.rmtree(place)
    assert str(place) in git("worktree", "list", cwd=repo)
    done = run("remove", "wt-x")
    assert done.exit_code == 0 and "removed" in done.stderr and len(trash(repo)) == 1


@pytest.mark.skipif(os.name == "nt", reason="a folder in use stays there")
def test_from_inside(repo: Path, place: Path) -> None:
    (place / "deep").mkdir()
    process = start("remove", cwd=place / "deep")
    out, err = process.communicate()
    assert (process.returncode, out) == (0, os.fsencode(f"{place}\n")), err
    assert f"cd {repo}" in os.fsdecode(err)
    assert branches(repo) == ["main"]


def test_in_the_main_worktree(run: Run, repo: Path, place: Path) -> None:
    done = run("remove", "--force")
    assert done.exit_code == 1 and "it is the main worktree" in done.stderr


def test_ignored_files_are_told(run: Run, repo: Path, place: Path) -> None:
    commit(place, ".gitignore", "*.o\n/build/\n")
    git("merge", "-q", "wt-x", cwd=repo)
    (place / "build").mkdir()
    for name in ("a.o", "build/1", "build/2"):
        (place / name).touch()
    assert "2 ignored files and folders went for good" in run("remove", "x").stderr


def test_branch_that_moved_on_stays(run: Run, repo: Path, place: Path) -> None:
    """Two worktrees on one branch, by force: the branch is in use."""
    git("worktree", "add", "-q", "--force", repo.parent / "twin", "wt-x", cwd=repo)
    assert run("remove", place).exit_code == 0
    assert "wt-x" in branches(repo) and git("status", "--porcelain", cwd=repo.parent / "twin") == ""


def test_two_remove_the_same(repo: Path, place: Path) -> None:
    (place / "new").write_text("new\n")
    processes = [start("remove", "--force", "wt-x", cwd=repo) for _ in range(3)]
    for process in processes:
        process.communicate()
    assert sorted(process.returncode for process in processes)[0] == 0
    assert branches(repo) == ["main"] and len(trash(repo)) == 1
    assert not (repo / ".git" / "wtname").exists()
    assert list(place.parent.iterdir()) == []


def test_somebody_is_faster(run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "new").write_text("new\n")
    publish = trash_of_git.publish

    def late(*args: object) -> None:
        publish(*args)  # type: ignore[arg-type]
        assert start("remove", "--force", "wt-x", cwd=repo).wait() == 0

    monkeypatch.setattr(trash_of_git, "publish", late)
    done = run("remove", "--force", "wt-x")
    assert done.exit_code == 1 and "somebody else removed" in done.stderr
    (ref,) = trash(repo)
    assert git("show", f"{ref}:new", cwd=repo) == "new"
    assert branches(repo) == ["main"] and not (repo / ".git" / "wtname").exists()


# --- while somebody is at work -------------------------------------------------------------------------------------


def meanwhile(patch: pytest.MonkeyPatch, name: str, act: Callable[[], object]) -> None:
    """Have somebody do something right after a step of ours."""
    module, _, step = name.rpartition(".")
    real = getattr(importlib.import_module(module), step)

    def late(*args: object) -> object:
        done = real(*args)
        act()
        return done

    patch.setattr(name, late)


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_somebody_was_faster(
    run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch, force: tuple[str, ...]
) -> None:
    """Gone, record and all, between choosing the worktree and looking at it."""
    other = ("remove", "--force", "wt-x")
    meanwhile(monkeypatch, "wtname.git.status.trunk", lambda: start(*other, cwd=repo).wait())
    done = run("remove", *force, "wt-x")
    assert done.exit_code == 1 and "somebody else removed it meanwhile" in done.stderr
    assert len(trash(repo)) == 1
    assert branches(repo) == ["main"] and not (repo / ".git" / "wtname").exists()


@pytest.mark.parametrize("submodule", [False, True])
@pytest.mark.parametrize(
    ("name", "text"), [("late", "just saved\n"), ("early", "changed\n"), (None, "")], ids=["new", "changed", "nothing"]
)
def test_written_while_it_is_removed(
    run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch, name: str | None, text: str, submodule: bool
) -> None:
    """After the files were kept, and before the folder was put aside."""
    if submodule:
        git("submodule", "--quiet", "add", make_repository(repo.parent / "inner"), "sub", cwd=place)
        git("commit", "-q", "-m", "sub", cwd=place)
        git("-C", "sub", "commit", "-q", "--allow-empty", "-m", "moved", cwd=place)
        git("-C", "sub", "push", "-q", "origin", "HEAD:refs/heads/moved", cwd=place)
    (place / "early").write_text("first\n")
    git("add", "early", cwd=place)
    gitlink = git("rev-parse", "HEAD", cwd=place / "sub") if submodule else ""
    meanwhile(
        monkeypatch, "wtname.git.trash.publish", lambda: name and place.exists() and (place / name).write_text(text)
    )
    done = run("remove", "--force", "x")
    assert (done.exit_code, done.stdout) == (0, f"{place}\n"), done.stderr
    (ref,) = trash(repo)
    assert not submodule or git("rev-parse", f"{ref}:sub", cwd=repo) == gitlink
    assert run("restore").exit_code == 0
    assert (place / "early").read_text() == (text if name == "early" else "first\n")
    assert git("show", ":early", cwd=place) == "first"
    assert (place / "late").exists() == (name == "late")
    assert not (repo / ".git" / "wtname").exists()


def test_what_cannot_be_kept_any_more_puts_it_back(run: Run, repo: Path, place: Path) -> None:
    """A repository that was begun in it meanwhile, say."""
    (place / "new").write_text("new\n")
    before = snapshot(place, repo)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, "wtname.git.trash.publish", lambda: git("init", "-q", place / "inner"))
        done = run("remove", "--force", "x")
    assert done.exit_code and done.stdout == "" and "move it away" in done.stderr
    assert (place / "inner" / ".git").is_dir()
    shutil.rmtree(place / "inner")
    assert snapshot(place, repo) == before and git("status", "--porcelain", cwd=place) == "?? new"
    assert not (repo / ".git" / "wtname").exists() and run("remove", "--force", "x").exit_code == 0


def empty_commit(place: Path) -> None:
    git("commit", "-q", "--allow-empty", "-m", "nothing", cwd=place)


def test_committed_while_it_is_removed(run: Run, repo: Path, place: Path) -> None:
    """On no branch, it would be nowhere else; a branch that moved on stays."""
    other = add(repo, "wt-y", "wt-y")
    git("checkout", "-q", "--detach", cwd=place)
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, "wtname.git.trash.publish", lambda: place.exists() and empty_commit(place))
        run("remove", "--force", place)
    assert git("show", "-s", "--format=%s", f"{trash(repo)[0]}^1", cwd=repo) == "nothing"
    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, "wtname.git.trash.publish", lambda: other.exists() and commit(other, "more"))
        assert "the branch stays" in run("remove", "--force", "wt-y").stderr
    assert git("show", "wt-y:more", cwd=repo) == "work"


@pytest.mark.parametrize("kind", ["folder", "file", "worktree of another"])
def test_made_again_while_it_is_removed(run: Run, repo: Path, place: Path, kind: str) -> None:
    """An editor that saves its state: the folder is its own by now, and the worktree is gone all the same."""
    elsewhere = make_repository(repo.parent / "elsewhere")

    def again() -> None:
        if kind == "file":
            place.write_text("mine")
        elif kind == "folder":
            (place / ".idea").mkdir(parents=True)
            (place / ".idea" / "state").touch()
        else:
            git("worktree", "add", "-q", "-b", "z", place, cwd=elsewhere)

    with pytest.MonkeyPatch.context() as patch:
        meanwhile(patch, "wtname.folders.delete", again)
        done = run("remove", "x")
    assert (done.exit_code, done.stdout) == (0, f"{place}\n"), done.stderr
    assert branches(repo) == ["main"] and git("worktree", "list", cwd=repo).count("\n") == 0
    assert list((repo / ".git").glob("worktrees/*")) == []
    assert place.read_text() == "mine" if kind == "file" else list(place.iterdir())
    assert run("restore").stdout == f"{place}-2\n"


# --- prune -----------------------------------------------------------------------------------------------------------


def test_prune(run: Run, repo: Path, place: Path) -> None:
    def add(name: str) -> Path:
        git("worktree", "add", "-q", "-b", name, repo.parent / name, "main", cwd=repo)
        return repo.parent / name

    made = {name: add(name) for name in ("merged", "squashed", "open", "dirty", "locked", "fresh", "lost", "here")}
    for name in ("merged", "squashed", "open", "dirty", "locked", "lost", "here"):
        commit(made[name], name)
    for name in ("merged", "dirty", "locked", "here"):
        git("merge", "-q", "--no-ff", "-m", "merge", name, cwd=repo)
    in_shell("merge --squash squashed\ncommit -m squashed", repo)
    (made["dirty"] / "more").touch()
    git("worktree", "lock", made["locked"], cwd=repo)
    made["lost"].rename(repo.parent / "elsewhere")
    before = snapshot(repo.parent, repo)
    rows = json.loads(run("prune", "--dry-run", "--json", "-C", made["here"]).stdout)
    assert {(row["branch"], row["why"].split()[0]) for row in rows} == {
        ("merged", "merged"), ("squashed", "squashed"), ("lost", "its")
    }  # fmt: skip
    assert snapshot(repo.parent, repo) == before
    done = run("prune", "-C", made["here"])
    assert set(done.stdout.split()) == {str(made[name]) for name in ("merged", "squashed", "lost")}
    assert set(branches(repo)) == {"main", "open", "dirty", "locked", "fresh", "here", "lost", "wt-x"}
    assert not made["merged"].exists() and not made["squashed"].exists() and made["open"].exists()
    assert run("prune", "-C", made["here"]).stdout == ""
    run("restore", "merged")
    assert (made["merged"] / "merged").read_text() == "work\n"


def test_prune_upstream_gone(run: Run, repo: Path, place: Path) -> None:
    git("remote", "add", "origin", ".", cwd=repo)
    commit(place)
    for key, value in (("remote", "origin"), ("merge", "refs/heads/gone")):
        git("config", f"branch.wt-x.{key}", value, cwd=repo)
    assert run("prune").stdout == "" and place.exists()
    assert run("prune", "--gone").stdout == f"{place}\n"
    assert run("restore").exit_code == 0 and (place / "work").exists()


@pytest.mark.parametrize(("days", "left"), [("", 1), ("36500", 2), ("0", 0)])
def test_prune_expires_the_trash(run: Run, repo: Path, place: Path, days: str, left: int) -> None:
    run("remove", "x")
    (ref,) = trash(repo)
    git("update-ref", f"{TRASH}/old/20200102T030405Z", ref, cwd=repo)
    git("config", "wtname.trashdays", days, cwd=repo)
    done = run("prune", "--dry-run")
    assert len(trash(repo)) == 2 and done.stderr.count("would go from the trash") == 2 - left
    assert run("prune").exit_code == 0
    assert len(trash(repo)) == left


@pytest.mark.parametrize("days", ["soon", "-1", "nan"])
def test_prune_with_no_number_of_days(run: Run, repo: Path, days: str) -> None:
    git("config", "wtname.trashdays", days, cwd=repo)
    done = run("prune")
    assert done.exit_code == 1 and "wtname.trashdays" in done.stderr


def test_prune_leaves_detached_and_main(run: Run, repo: Path, place: Path) -> None:
    git("checkout", "-q", "--detach", cwd=place)
    before = snapshot(repo.parent, repo)
    assert run("prune").stdout == ""
    assert snapshot(repo.parent, repo)[0] == before[0] and place.exists()


def test_gone_leaves_the_dirty_and_locked(run: Run, repo: Path) -> None:
    git("remote", "add", "origin", ".", cwd=repo)
    places = {name: add(repo, name, name) for name in ("clean", "dirty", "locked")}
    for name, place in places.items():
        commit(place, name)
        git("config", f"branch.{name}.remote", "origin", cwd=repo)
        git("config", f"branch.{name}.merge", "refs/heads/gone", cwd=repo)
    (places["dirty"] / "new").touch()
    git("worktree", "lock", places["locked"], cwd=repo)
    before = snapshot(repo.parent, repo)
    assert run("prune", "--gone", "--dry-run").stdout == f"{places['clean']}\n"
    assert snapshot(repo.parent, repo) == before
    assert run("prune", "--gone").stdout == f"{places['clean']}\n"
    assert places["dirty"].exists() and places["locked"].exists()
