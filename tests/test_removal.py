from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository, snapshot, start
from wtname.git import trash as trash_of_git

TRASH = "refs/wtname/trash"


@pytest.fixture
def place(repo: Path) -> Path:
    """The worktree of the branch wt-x, which is called x for short."""
    path = repo.parent / "demo.worktrees" / "wt-x"
    git("worktree", "add", "-q", "-b", "wt-x", path, cwd=repo)
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
        lambda repo, place: (
            (repo / ".git" / "info").mkdir(exist_ok=True),
            (repo / ".git" / "info" / "exclude").write_text("*.o\n"),
            (place / "a.o").touch(),
        ),
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


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_everything_comes_back(run: Run, repo: Path, place: Path) -> None:
    commit(place, "script", "#!/bin/sh\n")
    (place / "script").chmod(0o755)
    (place / "README").unlink()
    (place / "link").symlink_to("script")
    (place / "Ünï — 日本.txt").write_text("words\n")
    (place / " spaced \ttab").write_bytes(b"\0\xff\r\n")
    (place / "both").write_text("staged\n")
    git("add", "both", cwd=place)
    (place / "both").write_text("changed again\n")
    git("config", "branch.wt-x.description", "Fix it\n\nall of it", cwd=repo)
    git("config", "branch.wt-x.remote", "origin", cwd=repo)
    git("config", "branch.wt-x.merge", "refs/heads/x", cwd=repo)
    settings = git("config", "--get-regexp", "^branch", cwd=repo)
    status, files = git("status", "--porcelain=v2", cwd=place), snapshot(place, repo)[1]
    assert run("remove", "--force", "x").exit_code == 0
    assert git("config", "--get-regexp", "^branch", cwd=repo, code=1) == ""
    listed = json.loads(run("restore", "--list", "--json").stdout)
    assert (listed[0]["branch"], listed[0]["description"]) == ("wt-x", "Fix it\n\nall of it")
    assert json.loads(run("restore", "x", "--json").stdout)["branch"] == "wt-x"
    assert git("status", "--porcelain=v2", cwd=place) == status
    assert snapshot(place, repo)[1] == files
    assert os.access(place / "script", os.X_OK) and (place / "link").is_symlink()
    assert sorted(git("config", "--get-regexp", "^branch", cwd=repo)) == sorted(settings)
    assert trash(repo) == []


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_changes_that_git_was_told_not_to_see(run: Run, repo: Path, place: Path, flag: str) -> None:
    git("update-index", flag, "README", cwd=place)
    (place / "README").write_text("mine\n")
    assert run("remove", "x").exit_code == 0
    assert run("restore").exit_code == 0
    assert (place / "README").read_text() == "mine\n"


def test_what_a_rebase_stashed_is_kept(run: Run, repo: Path, place: Path) -> None:
    conflict(repo, place)
    commit(place, "other")
    (place / "other").write_text("stashed\n")
    in_shell("rebase --autostash main", place)
    assert "stashed" not in (place / "other").read_text() if (place / "other").exists() else True
    assert run("remove", "--force", place).exit_code == 0
    (ref,) = trash(repo)
    assert "stashed\n" in [git("show", f"{oid}:other", cwd=repo) + "\n" for oid in parents(repo, ref, "other")]
    assert "wt-x" in branches(repo)


def parents(repo: Path, ref: str, name: str) -> list[str]:
    found = git("rev-list", "--parents", "-1", ref, cwd=repo).split()
    has = [git("ls-tree", "--name-only", oid, name, cwd=repo) for oid in found]
    return [oid for oid, listed in zip(found, has, strict=True) if listed]


def test_nobodys_name_is_needed(run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("config", "--global", "--remove-section", "user", cwd=repo)
    git("config", "user.useConfigOnly", "true", cwd=repo)
    git("config", "commit.gpgSign", "true", cwd=repo)
    (place / "new").write_text("new\n")
    assert run("remove", "--force", "x").exit_code == 0
    assert run("restore").exit_code == 0
    assert (place / "new").read_text() == "new\n"


def test_users_index_is_not_touched(run: Run, repo: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / "new").touch()
    monkeypatch.setenv("GIT_INDEX_FILE", str(repo / ".git" / "index"))
    monkeypatch.setenv("GIT_DIR", str(repo / ".git"))
    before = (repo / ".git" / "index").read_bytes()
    assert run("remove", "--force", place).exit_code == 0
    assert (repo / ".git" / "index").read_bytes() == before


# --- restore ---------------------------------------------------------------------------------------------------------


def test_restore_beside_what_is_there_now(run: Run, repo: Path, place: Path) -> None:
    (place / "new").write_text("old work\n")
    run("remove", "--force", "x")
    git("worktree", "add", "-q", "-b", "wt-x", place, cwd=repo)
    done = run("restore", "--json")
    made = json.loads(done.stdout)
    assert (made["branch"], made["path"]) == ("wt-x-2", f"{place}-2")
    assert "wt-x-2" in done.stderr
    assert (place.with_name("wt-x-2") / "new").read_text() == "old work\n"
    assert not (place / "new").exists()


def test_restore_the_last_or_by_name(run: Run, repo: Path, place: Path) -> None:
    assert "nothing is in the trash" in run("restore").stderr
    for text in ("one", "two"):
        (place / "new").write_text(text)
        run("remove", "--force", "wt-x")
        git("worktree", "add", "-q", "-b", "wt-x", place, cwd=repo)
    run("remove", "wt-x")
    names = [line.split("\t")[0] for line in run("restore", "--list").stdout.splitlines()]
    assert len(names) == 3 and len(set(names)) == 3
    assert run("restore", names[1]).exit_code == 0
    assert (place / "new").read_text() == "two"
    assert "the trash has no 'nope'" in run("restore", "nope").stderr
    run("restore", names[2], "--json")
    assert (place.with_name("wt-x-2") / "new").read_text() == "one"


def test_restore_a_detached_head(run: Run, repo: Path, place: Path) -> None:
    git("checkout", "-q", "--detach", cwd=place)
    head = commit(place)
    (place / "new").touch()
    run("remove", "--force", place)
    assert run("restore").stdout == f"{place}\n"
    assert git("branch", "--show-current", cwd=place) == ""
    assert git("rev-parse", "HEAD", cwd=place) == head and (place / "new").exists()


def test_restore_puts_nothing_far_away(
    run: Run, repo: Path, place: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A commit that came from elsewhere may claim anything."""
    far = tmp_path_factory.mktemp("far") / "autostart"
    head = git("rev-parse", "HEAD", cwd=repo)
    settings = {"description": ["x"], "mergeoptions": ["--evil"], "remote": ["origin"]}
    facts = {"branch": "wt-z", "path": str(far), "head": head, "staged": None, "own": True, "settings": settings}
    oid = git("commit-tree", f"{head}^{{tree}}", "-p", head, "-m", "Removed", "-m", json.dumps(facts), cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/20260102T030405Z", oid, cwd=repo)
    assert run("restore").stdout == f"{place.with_name('wt-z')}\n"
    assert not far.exists()
    assert "evil" not in git("config", "--local", "--list", cwd=repo)


@pytest.mark.parametrize("body", ["", "not json", "[]", "{}", '{"branch": 1}'])
def test_restore_passes_over_what_is_not_ours(run: Run, repo: Path, body: str) -> None:
    oid = git("commit-tree", "HEAD^{tree}", "-m", "x", "-m", body, cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/20260102T030405Z", oid, cwd=repo)
    git("update-ref", f"{TRASH}/wt-z/blob", git("rev-parse", "HEAD:README", cwd=repo), cwd=repo)
    assert "nothing is in the trash" in run("restore").stderr
    assert run("restore", "--list").stdout == ""


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
