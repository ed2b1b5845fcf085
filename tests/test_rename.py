from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.conftest import Run, git, make_repository, snapshot
from wtname import gist
from wtname.git import refs
from wtname.git.work import Changes


@pytest.fixture
def place(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A worktree on the branch wt-x, and we stand in it."""
    path = repo.parent / "demo.worktrees" / "wt-x"
    git("worktree", "add", "-q", "-b", "wt-x", path, cwd=repo)
    monkeypatch.chdir(path)
    return path


def commit(place: Path, subject: str, name: str = "work") -> str:
    (place / name).write_text(subject)
    git("add", "--all", cwd=place)
    git("commit", "-q", "-m", subject, cwd=place)
    return git("rev-parse", "HEAD", cwd=place)


def settings(repo: Path, branch: str) -> dict[str, str]:
    lines = git("config", "--local", "--list", cwd=repo).splitlines()
    pairs = (line.partition("=") for line in lines if line.startswith(f"branch.{branch}."))
    return {key.rpartition(".")[2]: value for key, _, value in pairs}


def test_rename(run: Run, repo: Path, place: Path) -> None:
    head = commit(place, "wip")
    git("config", "branch.wt-x.rebase", "true", cwd=repo)
    done = run("rename", "Fix crash on zero-width columns")
    branch = done.stdout.strip()
    assert done.exit_code == 0 and branch == "wt-" + run("suggest", "Fix crash on zero-width columns").stdout.strip()
    assert f"the folder keeps its name: {place}" in done.stderr and "--undo" in done.stderr
    assert git("branch", "--show-current", cwd=place) == branch
    assert git("rev-parse", branch, cwd=repo) == head
    assert [line.split(": ", 1)[1] for line in git("reflog", branch, cwd=repo).splitlines()][1] == "commit: wip"
    assert settings(repo, branch) == {
        "rebase": "true",
        "description": "Fix crash on zero-width columns",
        "wtnamerenamedfrom": "wt-x",
    }
    assert git("branch", "--list", "wt-x", cwd=repo) == "" and not (repo / ".git" / "wtname").exists()


def test_description_that_is_there_stays(run: Run, repo: Path, place: Path) -> None:
    git("config", "branch.wt-x.description", "mine", cwd=repo)
    branch = run("rename", "Fix the parser").stdout.strip()
    assert settings(repo, branch)["description"] == "mine"


@pytest.mark.parametrize("move", [[], ["--move"]])
def test_undo(run: Run, repo: Path, place: Path, move: list[str]) -> None:
    (place / "new").write_text("mine")
    before = git("worktree", "list", "--porcelain", cwd=repo), git("for-each-ref", cwd=repo)
    log = git("reflog", "wt-x", cwd=repo)
    made = json.loads(run("rename", "--name", "fix-it", "--json", *move).stdout)
    to = place.with_name("wt-fix-it") if move else place
    assert made["path"] == str(to) and made["old"] == "wt-x" and made["moved"] == bool(move)
    assert (to / "new").read_text() == "mine" and place.exists() == (not move)
    assert git("status", "--porcelain", cwd=to) == "?? new"
    os.chdir(to)
    assert run("rename", "--undo").stdout == "wt-x\n"
    os.chdir(repo)
    assert (git("worktree", "list", "--porcelain", cwd=repo), git("for-each-ref", cwd=repo)) == before
    assert settings(repo, "wt-x") == {} and (place / "new").read_text() == "mine"
    assert git("reflog", "wt-x", cwd=repo).endswith(log.split("}", 1)[1])
    done = run("rename", "-C", place, "--undo")
    assert done.exit_code == 1 and "there is nothing to undo" in done.stderr


def test_undo_where_the_old_name_is_taken(run: Run, repo: Path, place: Path) -> None:
    run("rename", "--name", "fix-it")
    git("branch", "wt-x", cwd=repo)
    before = snapshot(repo.parent, repo)
    done = run("rename", "--undo")
    assert done.exit_code == 1 and "there is a branch 'wt-x' by now" in done.stderr
    assert snapshot(repo.parent, repo) == before


def test_undo_where_the_old_folder_is_taken_or_far(run: Run, repo: Path, place: Path) -> None:
    run("rename", "--name", "fix-it", "--move")
    os.chdir(place.with_name("wt-fix-it"))
    place.mkdir()
    assert "cannot go back" in run("rename", "--undo").stderr
    git("config", "branch.wt-fix-it.wtnamemovedfrom", "/root/.config/autostart", cwd=repo)
    assert "cannot go back" in run("rename", "--undo").stderr
    assert git("branch", "--show-current") == "wt-fix-it"


def test_names_that_are_taken_get_a_number(run: Run, repo: Path, place: Path) -> None:
    git("branch", "wt-fix-it", cwd=repo)
    git("update-ref", "refs/remotes/origin/wt-fix-it-2", "HEAD", cwd=repo)
    assert run("rename", "--name", "fix-it").stdout == "wt-fix-it-3\n"


def test_a_branch_with_a_number_is_not_called_what_another_is(run: Run, repo: Path, place: Path) -> None:
    git("branch", "wt-fix-it", cwd=repo)
    assert run("rename", "--name", "fix-it").stdout == "wt-fix-it-2\n"
    done = run("rename", "--name", "fix-it")
    assert done.stdout == "wt-fix-it-2\n" and "fix-it is taken; it stays as it is" in done.stderr
    assert "called that already" in run("rename", "--name", "fix-it-2").stderr


def test_its_own_name_is_not_taken(run: Run, repo: Path, place: Path) -> None:
    before = snapshot(repo.parent, repo)
    done = run("rename", "--name", "x")
    assert (done.exit_code, done.stdout) == (0, "wt-x\n") and "called that already" in done.stderr
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("args", [["--name", "fix-it"], ["--name", "fix-it", "--move"], ["Fix the parser"]])
def test_dry_run(run: Run, repo: Path, place: Path, args: list[str]) -> None:
    before = snapshot(repo.parent, repo)
    done = run("rename", "--dry-run", *args)
    assert done.exit_code == 0 and done.stdout.startswith("wt-fix-") and "nothing is renamed" in done.stderr
    assert snapshot(repo.parent, repo) == before


def clash(repo: Path, place: Path) -> None:
    """Commits here and on main that do not go together."""
    commit(place, "ours")
    commit(repo, "theirs")


REFUSED = {
    "the default branch": (lambda repo, place: os.chdir(repo), [], "main is the default branch"),
    "detached": (lambda repo, place: git("checkout", "-q", "--detach"), [], "HEAD is on no branch"),
    "no worktree": (lambda repo, place: os.chdir(repo / ".git"), [], "this is no worktree"),
    "upstream": (
        lambda repo, place: [
            git("config", f"branch.wt-x.{key}", value)
            for key, value in (("remote", "origin"), ("merge", "refs/heads/other"))
        ],
        [],
        "wt-x is pushed (origin/other)",
    ),
    "pushed": (
        lambda repo, place: git("update-ref", "refs/remotes/origin/wt-x", "HEAD"),
        [],
        "wt-x is pushed (origin/wt-x)",
    ),
    "pushed to a remote with a slash": (
        lambda repo, place: [
            git("config", "remote.team/fork.url", "nowhere"),
            git("update-ref", "refs/remotes/team/fork/wt-x", "HEAD"),
        ],
        [],
        "wt-x is pushed (team/fork/wt-x)",
    ),
    "unfinished": (lambda repo, place: git("bisect", "start"), [], "a bisect is not finished here"),
    "rebase": (lambda repo, place: (clash(repo, place), git("rebase", "main", code=1)), [], "a rebase is not finished"),
    "merge": (lambda repo, place: (clash(repo, place), git("merge", "main", code=1)), [], "a merge is not finished"),
    "main worktree": (
        lambda repo, place: (os.chdir(repo), git("checkout", "-q", "-b", "y")),
        ["--move"],
        "is the main",
    ),
    "locked": (lambda repo, place: git("worktree", "lock", "."), ["--move"], "is locked"),
    "illegal": (lambda repo, place: None, ["--name", "a..b"], "is no legal branch name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(run: Run, repo: Path, place: Path, case: str) -> None:
    make, args, why = REFUSED[case]
    make(repo, place)
    before = snapshot(repo.parent, repo)
    done = run("rename", *(args if "--name" in args else ["--name", "fix-it", *args]))
    assert (done.exit_code, done.stdout) == (1, "")
    assert why in done.stderr and done.stderr.count("\n") == 1
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("name", ["-D", "--force", "-", "..", "../../x", "a b", "@{-1}", "a\nb", "x.lock", "a/", "~"])
def test_hostile_name(run: Run, repo: Path, place: Path, name: str) -> None:
    git("config", "wtname.template", "{name}", cwd=repo)
    before = snapshot(repo.parent, repo)
    done = run("rename", f"--name={name}")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "is no legal branch name" in done.stderr and done.stderr.count("\n") == 1
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize("name", ["-D", "x{1}", "é", "$(touch)", "a/b"])
def test_odd_name(run: Run, repo: Path, place: Path, name: str) -> None:
    assert run("rename", f"--name={name}", "--move").stdout == f"wt-{name}\n"
    to = place.with_name("wt-" + name.replace("/", "-"))
    assert git("symbolic-ref", "HEAD", cwd=to) == f"refs/heads/wt-{name}"
    assert f"worktree {to}\n" in git("worktree", "list", "--porcelain", cwd=repo)


def test_another_branch_of_a_remote_with_a_slash_is_not_this_one(run: Run, repo: Path, place: Path) -> None:
    git("config", "remote.team/fork.url", "nowhere")
    git("update-ref", "refs/remotes/team/fork/old/wt-x", "HEAD")
    git("update-ref", "refs/remotes/team/wt-x-2", "HEAD")
    assert run("rename", "--name", "fix-it").stdout == "wt-fix-it\n"


@pytest.mark.parametrize("case", ["upstream", "pushed", "pushed to a remote with a slash"])
def test_forced(run: Run, repo: Path, place: Path, case: str) -> None:
    REFUSED[case][0](repo, place)
    assert run("rename", "--force", "--name", "fix-it").stdout == "wt-fix-it\n"


def test_tracking_the_default_branch_is_not_pushed(run: Run, repo: Path, place: Path) -> None:
    git("update-ref", "refs/remotes/origin/main", "HEAD")
    git("config", "remote.origin.url", "nowhere")
    git("config", "branch.wt-x.remote", "origin")
    git("config", "branch.wt-x.merge", "refs/heads/main")
    assert run("rename", "--name", "fix-it").exit_code == 0


def test_submodules_do_not_move(run: Run, repo: Path, place: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner")
    git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", inner, "sub")
    git("commit", "-q", "-m", "sub")
    before = snapshot(place, repo)
    done = run("rename", "--name", "fix-it", "--move")
    assert done.exit_code == 1 and "has submodules" in done.stderr and "leave out --move" in done.stderr
    assert snapshot(place, repo) == before
    assert run("rename", "--name", "fix-it").exit_code == 0


def test_submodules_without_contents_do_move(run: Run, repo: Path, place: Path, tmp_path: Path) -> None:
    inner = make_repository(tmp_path / "inner")
    git("submodule", "--quiet", "add", inner, "sub", cwd=repo)
    git("commit", "-q", "-m", "sub", cwd=repo)
    git("reset", "-q", "--hard", "main")
    assert run("rename", "--name", "fix-it", "--move").exit_code == 0
    to = place.with_name("wt-fix-it")
    assert f"worktree {to}\n" in git("worktree", "list", "--porcelain", cwd=repo) and not place.exists()


def test_undo_takes_nothing_else(run: Run, repo: Path, place: Path) -> None:
    assert run("rename", "--undo", "--name", "x").exit_code == 2


def note(repo: Path, **facts: object) -> None:
    """What a renaming leaves that is killed."""
    file = repo / ".git" / "wtname" / "journal" / "20260102T030405Z-0a1b2c3d.json"
    file.parent.mkdir(parents=True)
    same = {"operation": "rename", "old": "wt-x", "new": "wt-y", "description": "Why", "undo": False, "before": {}}
    file.write_text(json.dumps({**same, **facts}) + "\n")


def test_git_was_killed_before_it_came_to_the_worktree(run: Run, repo: Path, place: Path) -> None:
    head = commit(place, "work")
    git("config", "branch.wt-x.rebase", "true", cwd=repo)
    git("update-ref", "refs/heads/wt-y", head, cwd=repo)
    git("update-ref", "-d", "refs/heads/wt-x", cwd=repo)
    note(repo, commit=head, path=str(place), to="")
    assert "wt-x was half renamed, and is called wt-y now" in run("doctor", "--repair").stdout
    assert git("symbolic-ref", "HEAD", cwd=place) == "refs/heads/wt-y"
    assert git("status", "--porcelain", cwd=place) == ""
    assert settings(repo, "wt-y") == {"rebase": "true", "description": "Why", "wtnamerenamedfrom": "wt-x"}
    assert settings(repo, "wt-x") == {}


def test_git_was_killed_while_it_moved_the_folder(run: Run, repo: Path, place: Path) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    git("branch", "-m", "wt-x", "wt-y", cwd=repo)
    os.chdir(repo)
    to = place.rename(place.with_name("wt-y"))
    note(repo, commit=head, path=str(place), to=str(to))
    assert "is called wt-y now" in run("doctor", "--repair").stdout
    assert f"worktree {to}\n" in git("worktree", "list", "--porcelain", cwd=repo)
    assert "prunable" not in git("worktree", "list", "--porcelain", cwd=repo)
    assert run("rename", "-C", to, "--undo").stdout == "wt-x\n"
    assert place.exists() and not to.exists()


@pytest.mark.parametrize("log", [True, False])
def test_git_was_killed_between_the_two_names(run: Run, repo: Path, place: Path, log: bool) -> None:
    head = commit(place, "work")
    logs = repo / ".git" / "logs" / "refs"
    before = git("reflog", "wt-x", cwd=repo)
    (logs / "heads" / "wt-x").rename(logs / ".tmp-renamed-log")
    if not log:
        (logs / ".tmp-renamed-log").write_text("of somebody else's\n")
    (repo / ".git" / "refs" / "heads" / "wt-x").unlink()
    note(repo, commit=head, path=str(place), to="")
    assert "called as before" in run("doctor", "--repair").stdout
    assert git("rev-parse", "wt-x", cwd=repo) == head and git("status", "--porcelain", cwd=place) == ""
    assert git("reflog", "wt-x", cwd=repo).count("\n") == (before.count("\n") + 1 if log else 0)


# --- named by the work -----------------------------------------------------------------------------------------------


def test_from_the_commits(run: Run, repo: Path, place: Path) -> None:
    commit(place, "wip")
    commit(place, "Fix crash on zero-width columns")
    commit(place, "more")
    (place / "loose").write_text("def something_else(): pass\n")
    named = "wt-" + run("suggest", "Fix crash on zero-width columns").stdout
    assert run("rename", input="").stdout == named


def test_from_the_changes(run: Run, repo: Path, place: Path) -> None:
    (place / "report.py").write_text("def export_csv(rows):\n    return rows\n")
    branch = run("rename", input="\n").stdout.strip()
    assert "csv" in branch or "export" in branch


def test_stdin_is_read_where_it_is_asked_for(run: Run, repo: Path, place: Path) -> None:
    commit(place, "Fix crash on zero-width columns")
    assert run("rename", "--dry-run", input="Add a csv export").stdout == run("rename", "--dry-run").stdout
    assert "csv" in run("rename", "--dry-run", "-", input="Add a csv export").stdout


def test_from_nothing(run: Run, repo: Path, place: Path) -> None:
    before = snapshot(repo.parent, repo)
    for prompt in ([], ["wip"]):
        done = run("rename", *prompt, input="")
        assert (done.exit_code, done.stdout) == (1, "") and "nothing says what the task is" in done.stderr
    assert snapshot(repo.parent, repo) == before


@pytest.mark.parametrize(
    ("subjects", "text"),
    [
        (["Fix the parser"], "Fix the parser"),
        (["wip", "Fix the parser", "fixup! Fix the parser"], "Fix the parser"),
        (["Add login", "Add logout"], "Add login\nAdd logout"),
        (["Update the README for Python 3.10"], "Update the README for Python 3.10"),
        (["wip", "tmp"], ""),
        ([], ""),
    ],
)
def test_gist_of_subjects(subjects: list[str], text: str) -> None:
    assert gist.of_subjects(subjects) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (Changes([], [], [], [], []), ""),
        (Changes(["src/report.py"], [], [], ["export_csv"], []), "Add export_csv in report"),
        (Changes([], ["src/report.py"], [], [], ["export_csv"]), "Change export_csv in report"),
        (Changes([], [], ["src/old_api.py", "src/older.py"], ["x"], []), "Remove old_api older"),
        (Changes(["tests/test_login.py"], [], [], ["test_it"], []), "Add tests for test_it in login"),
        (Changes([], ["docs/install.md", "README.md"], [], [], []), "Document  install README"),
        (Changes([], ["src/index.ts", "src/session.ts"], [], [], []), "Change  session"),
    ],
)
def test_gist_of_changes(changes: Changes, text: str) -> None:
    assert " ".join(gist.of_changes(changes).split()) == " ".join(text.split())


def test_undo_beside_the_remotes_branch_of_the_old_name(repo: Path, tmp_path: Path, run: Run) -> None:
    git("init", "-q", "--bare", tmp_path / "hub.git")
    git("remote", "add", "origin", tmp_path / "hub.git", cwd=repo)
    made = json.loads(run("new", "--name", "fix-x", "--json").stdout)
    git("push", "-q", "-u", "origin", made["branch"], cwd=made["path"])
    assert run("rename", "-C", made["path"], "--force", "--name", "fix-it").stdout == "wt-fix-it\n"
    assert run("rename", "-C", made["path"], "--undo").stdout == "wt-fix-x\n"


@pytest.mark.parametrize("how", ["with upstream", "without"])
def test_undo_of_what_is_pushed_by_now(repo: Path, tmp_path: Path, run: Run, how: str) -> None:
    git("init", "-q", "--bare", tmp_path / "hub.git")
    git("remote", "add", "origin", tmp_path / "hub.git", cwd=repo)
    path = run("new", "--name", "x").stdout.strip()
    assert run("rename", "-C", path, "--name", "fix-it").stdout == "wt-fix-it\n"
    git("push", "-q", *(["-u"] if how == "with upstream" else []), "origin", "wt-fix-it", cwd=path)
    before = snapshot(repo.parent, repo)
    done = run("rename", "-C", path, "--undo")
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "wt-fix-it is pushed (origin/wt-fix-it)" in done.stderr and "pass --force to rename" in done.stderr
    assert snapshot(repo.parent, repo) == before
    assert run("rename", "-C", path, "--undo", "--force").stdout == "wt-x\n"


def test_undo_of_what_follows_the_default_branch(repo: Path, tmp_path: Path, run: Run) -> None:
    git("clone", "-q", repo, tmp_path / "clone")
    path = run("new", "-C", tmp_path / "clone", "--name", "x").stdout.strip()
    run("rename", "-C", path, "--name", "fix-it")
    git("branch", "-q", "-u", "origin/main", cwd=path)
    assert run("rename", "-C", path, "--undo").stdout == "wt-x\n"


LEFT = {"remote": "origin", "merge": "refs/heads/other", "description": "of another", "rebase": "true"}


def leave(repo: Path) -> None:
    """What is left of a branch wt-fix-it that was deleted by something other than git branch."""
    for key, value in LEFT.items():
        git("config", f"branch.wt-fix-it.{key}", value, cwd=repo)


@pytest.mark.parametrize("left", [True, False])
def test_nothing_of_an_older_branch_comes_along(run: Run, repo: Path, place: Path, left: bool) -> None:
    git("config", "branch.wt-x.rebase", "false", cwd=repo)
    if left:
        leave(repo)
    assert run("rename", "--name", "fix-it").stdout == "wt-fix-it\n"
    assert settings(repo, "wt-fix-it") == {"rebase": "false", "wtnamerenamedfrom": "wt-x"}


@pytest.mark.parametrize("left", [True, False])
def test_what_was_left_comes_back_where_rename_fails(
    run: Run, repo: Path, place: Path, left: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if left:
        leave(repo)
    monkeypatch.setattr(refs, "PATIENCE", 0.05)
    (repo / ".git" / "refs" / "heads" / "wt-fix-it.lock").touch()
    done = run("rename", "--name", "fix-it")
    assert done.exit_code != 0 and done.stderr.count("\n") == 1
    assert settings(repo, "wt-fix-it") == (LEFT if left else {})
    assert git("branch", "--show-current", cwd=place) == "wt-x"


@pytest.mark.parametrize("renamed", [True, False])
def test_what_was_left_comes_back_after_a_kill(run: Run, repo: Path, place: Path, renamed: bool) -> None:
    head = git("rev-parse", "HEAD", cwd=repo)
    note(repo, commit=head, path=str(place), to="", left={"remote": ["origin"], "rebase": ["true"]})
    if renamed:
        git("branch", "-m", "wt-x", "wt-y", cwd=repo)
    told = run("doctor", "--repair").stdout
    if renamed:
        assert "is called wt-y now" in told
        assert settings(repo, "wt-y") == {"description": "Why", "wtnamerenamedfrom": "wt-x"}
    else:
        assert "called as before" in told
        assert settings(repo, "wt-y") == {"remote": "origin", "rebase": "true"}
