"""Branches in every state, each made by git itself, and what we say of them: merged, squashed, new, ahead, behind."""

from __future__ import annotations

import random
import subprocess
from pathlib import Path

import pytest

from tests.conftest import git
from wtname.git import Repository, ancestry, status


def commit(folder: Path, file: str, text: str, message: str = "work") -> None:
    (folder / file).write_text(text)
    git("add", "-A", cwd=folder)
    git("commit", "-q", "-m", message, cwd=folder)


def branch(repo: Path, *files: str) -> None:
    """The branch `work`, with a commit for each file."""
    git("checkout", "-q", "-b", "work", cwd=repo)
    for file in files:
        commit(repo, file, file + "\n")
    git("checkout", "-q", "main", cwd=repo)


def standing(folder: Path, name: str = "work", into: str = "main") -> status.Standing:
    with Repository(folder) as repository:
        tip = repository.commit(name)
        return status.standings(repository, into, {name: tip})[name]


# --- merged, squashed, empty ------------------------------------------------------------------------------------------


def squash(repo: Path) -> None:
    git("merge", "-q", "--squash", "work", cwd=repo)
    git("commit", "-q", "-m", "squashed", cwd=repo)


def later(repo: Path) -> None:
    """Whoever squashed went on in the same file, so that the trees tell no more."""
    commit(repo, "lines", "\n".join(["new", *"abcdefghijklmnopqrst"]) + "\n")


def lines(repo: Path) -> None:
    commit(repo, "lines", "\n".join("abcdefghijklmnopqrst") + "\n")


def test_ahead_and_behind(repo: Path) -> None:
    branch(repo, "a", "b")
    commit(repo, "c", "c")
    assert standing(repo) == (2, 1, None, False)


def test_fast_forward(repo: Path) -> None:
    branch(repo, "a")
    git("merge", "-q", "--ff-only", "work", cwd=repo)
    assert standing(repo) == (0, 0, "merged", False)


def test_merge(repo: Path) -> None:
    branch(repo, "a")
    git("merge", "-q", "--no-ff", "-m", "m", "work", cwd=repo)
    commit(repo, "b", "b")
    assert standing(repo) == (0, 2, "merged", False)


def test_squash(repo: Path) -> None:
    branch(repo, "a", "b")
    squash(repo)
    assert standing(repo) == (2, 1, "squashed", False)


def test_squash_seen_from_a_folder(repo: Path) -> None:
    (repo / "a").mkdir()
    branch(repo, "a/a", "b")
    commit(repo, "c", "c")
    (repo / "a").mkdir(exist_ok=True)
    assert standing(repo / "a").merged is None
    squash(repo)
    commit(repo, "c", "d")
    assert standing(repo / "a").merged == "squashed"


def test_squash_and_the_files_went_on(repo: Path) -> None:
    branch(repo, "a", "b")
    squash(repo)
    commit(repo, "a", "other\n")
    assert standing(repo) == (2, 2, "squashed", False)


def squash_below_a_change(repo: Path, text: str = "abcdefghijklmnopqrsT") -> None:
    lines(repo)
    git("checkout", "-q", "-b", "work", cwd=repo)
    commit(repo, "lines", "\n".join(text) + "\n")
    git("checkout", "-q", "main", cwd=repo)
    later(repo)


def test_squash_below_a_change_of_the_same_file(repo: Path) -> None:
    squash_below_a_change(repo)
    squash(repo)
    commit(repo, "lines", "gone\n")
    assert standing(repo) == (1, 3, "squashed", False)


def test_squash_below_a_change_noop(repo: Path) -> None:
    squash_below_a_change(repo)
    commit(repo, "lines", "\n".join(["new", *"abcdefghijklmnopqrsX"]) + "\n")
    assert standing(repo) == (1, 2, None, False)


def test_squash_that_was_settled_by_hand(repo: Path) -> None:
    """The squash holds more than the branch, so no patch is equal; what the branch left is there."""
    branch(repo, "a", "b")
    git("merge", "-q", "--squash", "work", cwd=repo)
    commit(repo, "more", "more")
    assert standing(repo).merged == "squashed"


def test_squash_after_the_branch_took_main_in(repo: Path) -> None:
    branch(repo, "a")
    commit(repo, "b", "b")
    git("checkout", "-q", "work", cwd=repo)
    git("merge", "-q", "-m", "again", "main", cwd=repo)
    commit(repo, "c", "c")
    git("checkout", "-q", "main", cwd=repo)
    assert standing(repo) == (3, 0, None, False)
    squash(repo)
    commit(repo, "a", "other")
    assert standing(repo) == (3, 2, "squashed", False)


def test_rebased_or_picked(repo: Path) -> None:
    branch(repo, "a", "b")
    commit(repo, "c", "c")
    git("cherry-pick", "work~1", "work", cwd=repo)
    commit(repo, "a", "other")
    assert standing(repo).merged == "squashed"


def test_picked_in_part(repo: Path) -> None:
    branch(repo, "a", "b")
    commit(repo, "c", "c")
    git("cherry-pick", "work~1", cwd=repo)
    assert standing(repo).merged is None


@pytest.mark.parametrize("file", [b"\0one", b"\0two"])
def test_binary(repo: Path, file: bytes) -> None:
    """As text, all changes of a binary file look the same."""
    (repo / "image").write_bytes(b"\0zero")
    commit(repo, "a", "a")
    git("checkout", "-q", "-b", "work", cwd=repo)
    (repo / "image").write_bytes(b"\0one")
    commit(repo, "b", "b")
    git("checkout", "-q", "main", cwd=repo)
    (repo / "image").write_bytes(file)
    commit(repo, "b", "b", "squashed")
    (repo / "image").write_bytes(b"\0three")
    commit(repo, "c", "c")
    assert standing(repo).merged == ("squashed" if file == b"\0one" else None)


def test_mode(repo: Path) -> None:
    git("checkout", "-q", "-b", "work", cwd=repo)
    git("update-index", "--chmod=+x", "README", cwd=repo)
    git("commit", "-q", "-m", "chmod", cwd=repo)
    git("checkout", "-q", "-f", "main", cwd=repo)
    assert standing(repo).merged is None
    squash(repo)
    assert standing(repo).merged == "squashed"


def test_deleted(repo: Path) -> None:
    commit(repo, "a", "a")
    git("checkout", "-q", "-b", "work", cwd=repo)
    git("rm", "-q", "a", cwd=repo)
    git("commit", "-q", "-m", "rm", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    assert standing(repo).merged is None
    squash(repo)
    commit(repo, "b", "b")
    assert standing(repo).merged == "squashed"


@pytest.mark.parametrize("file", ["a b", "ünï", 'q"uote', "line\nbreak", ":(top)x", "*"])
def test_odd_files(repo: Path, file: str) -> None:
    branch(repo, file)
    assert standing(repo).merged is None
    squash(repo)
    assert standing(repo).merged == "squashed"


def test_commits_that_change_nothing_are_not_merged(repo: Path) -> None:
    git("checkout", "-q", "-b", "work", cwd=repo)
    git("commit", "-q", "--allow-empty", "-m", "thoughts", cwd=repo)
    commit(repo, "a", "a")
    git("revert", "--no-edit", "HEAD", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    assert standing(repo).merged is None


def test_unrelated(repo: Path) -> None:
    git("checkout", "-q", "--orphan", "work", cwd=repo)
    commit(repo, "a", "a")
    git("checkout", "-q", "main", cwd=repo)
    assert standing(repo) == (None, None, None, False)


# A branch made a minute ago has all its commits in main, and so has one that was merged.


@pytest.mark.parametrize("moved", [False, True])
def test_empty(repo: Path, moved: bool) -> None:
    branch(repo)
    if moved:
        commit(repo, "a", "a")
    assert standing(repo) == (0, int(moved), None, True)


def test_empty_on_a_merged_branch(repo: Path) -> None:
    git("checkout", "-q", "-b", "other", cwd=repo)
    commit(repo, "a", "a")
    git("branch", "work", cwd=repo)
    git("checkout", "-q", "main", cwd=repo)
    git("merge", "-q", "--no-ff", "-m", "m", "other", cwd=repo)
    assert standing(repo) == (0, 1, None, True)
    assert standing(repo, "other") == (0, 1, "merged", False)


def test_empty_moved_to_a_newer_base(repo: Path) -> None:
    branch(repo)
    commit(repo, "a", "a")
    for how in (["merge", "--ff-only", "main"], ["rebase", "main"], ["reset", "--hard", "main"]):
        git("checkout", "-q", "work", cwd=repo)
        git(*how[:1], "-q", *how[1:], cwd=repo)
        git("checkout", "-q", "main", cwd=repo)
        commit(repo, "a", how[0])
    assert standing(repo) == (0, 1, None, True)


def test_empty_and_pushed(repo: Path, tmp_path: Path) -> None:
    git("clone", "-q", repo, tmp_path / "clone")
    git("checkout", "-q", "-b", "work", cwd=tmp_path / "clone")
    git("push", "-q", "-u", "origin", "work", cwd=tmp_path / "clone")
    assert standing(tmp_path / "clone", into="origin/main") == (0, 0, None, True)


def test_somebody_elses_branch_that_was_merged(repo: Path, tmp_path: Path) -> None:
    branch(repo, "a")
    git("clone", "-q", repo, tmp_path / "clone")
    git("branch", "work", "origin/work", cwd=tmp_path / "clone")
    assert standing(tmp_path / "clone", into="origin/main") == (1, 0, None, False)
    git("merge", "-q", "--no-ff", "-m", "m", "work", cwd=repo)
    git("fetch", "-q", cwd=tmp_path / "clone")
    assert standing(tmp_path / "clone", into="origin/main") == (0, 1, "merged", False)


@pytest.mark.parametrize(("how", "merged"), [("--ff-only", None), ("--no-ff", "merged")])
def test_without_a_reflog(repo: Path, how: str, merged: str | None) -> None:
    """Nothing tells a branch that was merged by fast-forward from a new one; the careful answer is: new."""
    branch(repo, "a")
    git("merge", "-q", how, "work", cwd=repo)
    (repo / ".git" / "logs" / "refs" / "heads" / "work").unlink()
    assert standing(repo)[2:] == (merged, merged is None)


def test_default_branch_is_never_merged(repo: Path, tmp_path: Path) -> None:
    commit(repo, "a", "a")
    git("clone", "-q", repo, tmp_path / "clone")
    assert standing(repo, "main").merged is None
    with Repository(tmp_path / "clone") as repository:
        assert status.merged(repository, "origin/main") == {"main": None}


def test_all_at_once(repo: Path, tmp_path: Path) -> None:
    """Branches share walks and processes, and yet do not mix."""
    states: dict[str, status.Merged | None] = {}
    for i in range(3):
        for state in ("merged", "squashed", None):
            name = f"{state}-{i}"
            git("checkout", "-q", "-b", name, cwd=repo)
            commit(repo, name, name)
            commit(repo, "shared", name)
            git("checkout", "-q", "main", cwd=repo)
            if state == "merged":
                git("merge", "-q", "--no-ff", "-X", "theirs", "-m", "m", name, cwd=repo)
            if state == "squashed":
                git("merge", "-q", "--squash", "-X", "theirs", name, cwd=repo)
                git("commit", "-q", "-m", "s", cwd=repo)
            states[name] = state  # type: ignore[assignment]
    with Repository() as repository:
        assert status.merged(repository, "main", states) == states
        tips = {name: repository.refs.commit("refs/heads/" + name) for name in states}
        found = status.standings(repository, "main", tips)
    for name, line in found.items():
        counts = git("rev-list", "--left-right", "--count", f"{name}...main", cwd=repo).split()
        assert [line.ahead, line.behind] == [int(n) for n in counts], name


@pytest.mark.parametrize("seed", range(4))
def test_tangled_histories(tmp_path: Path, seed: int) -> None:
    """Branches that merge each other as they like, with clocks that go as they like; git counts the same."""
    chance = random.Random(seed)
    names = ["main", "a", "b", "c"]
    marks: dict[str, int] = {}
    stream = []
    for mark in range(1, 41):
        name = chance.choice(names)
        others = sorted({marks[other] for other in chance.sample(names, 2) if other in marks} - {marks.get(name)})
        parents = [marks[name]] if name in marks else [marks["main"]] if "main" in marks and name != "c" else []
        parents += others[: chance.randrange(3)] if parents and name != "c" else []
        stream += [f"commit refs/heads/{name}", f"mark :{mark}"]
        stream += [f"committer a <a@b> {1_700_000_000 + chance.randrange(1000)} +0000", "data 0"]
        stream += [f"{'merge' if i else 'from'} :{parent}" for i, parent in enumerate(parents)]
        marks[name] = mark
    git("init", "-q", tmp_path / "demo")
    (tmp_path / "stream").write_text("\n".join(stream) + "\n")
    with (tmp_path / "stream").open() as lines:
        subprocess.run(["git", "fast-import", "--quiet"], cwd=tmp_path / "demo", stdin=lines, check=True)
    with Repository(tmp_path / "demo") as repository:
        tips = {name: repository.refs.commit("refs/heads/" + name) for name in marks}
        found = ancestry.Ancestry(repository, tips.values(), tips["main"]).lines
    for name, tip in tips.items():
        ahead, behind = git("rev-list", "--left-right", "--count", f"{tip}...main", cwd=tmp_path / "demo").split()
        bases = subprocess.run(["git", "merge-base", "--all", tip, "main"], cwd=tmp_path / "demo", capture_output=True)
        line = found[tip]
        if bases.stdout:
            assert (line.ahead, line.behind) == (int(ahead), int(behind)), name
            assert line.base in bases.stdout.decode().split(), name
        assert (line.base is None) == (not bases.stdout)
        assert line.contained == (ahead == "0")


def test_branches_of_all_worktrees(repo: Path, tmp_path: Path) -> None:
    branch(repo, "a")
    git("branch", "elsewhere", cwd=repo)
    git("worktree", "add", "-q", tmp_path / "w", "work", cwd=repo)
    git("worktree", "add", "-q", "--detach", tmp_path / "d", cwd=repo)
    git("merge", "-q", "work", cwd=repo)
    with Repository() as repository:
        assert status.merged(repository, "main") == {"main": None, "work": "merged"}
        assert status.merged(repository, "main", ["work", "nowhere"]) == {"work": "merged", "nowhere": None}


def test_partial_clone_fetches_nothing(repo: Path, tmp_path: Path) -> None:
    squash_below_a_change(repo)
    squash(repo)
    commit(repo, "lines", "gone\n")
    git("checkout", "-q", "-b", "other", cwd=repo)
    commit(repo, "other", "other")
    git("checkout", "-q", "main", cwd=repo)
    git("merge", "-q", "--squash", "other", cwd=repo)
    git("commit", "-q", "-m", "squashed, too", cwd=repo)
    commit(repo, "other", "gone\n")
    git("config", "uploadpack.allowFilter", "true", cwd=repo)
    git("clone", "-q", "--no-checkout", "--filter=blob:none", f"file://{repo}", tmp_path / "clone")
    for name in ("work", "other"):
        git("branch", name, "origin/" + name, cwd=tmp_path / "clone")
    repo.rename(tmp_path / "away")
    assert standing(tmp_path / "clone", into="origin/main").merged is None
    assert standing(tmp_path / "clone", "other", into="origin/main").merged == "squashed"  # trees are enough
