"""What Claude Code calls, fed over stdin as it does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import platformdirs
import pytest
from click.testing import Result
from conftest import Run, git, make_repository, snapshot

from wtname import claude_code, claude_names, claude_prompts
from wtname.claude_code import Event, anchors
from wtname.git import Repository
from wtname.git.provisional import Look

RANDOM = "nifty-dreaming-biscuit"
TASK, BRANCH = "Fix the login redirect", "wt-fix-login-redirect"


@pytest.fixture(autouse=True)
def no_claude(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("CLAUDE"):
            monkeypatch.delenv(variable)


def event(cwd: Path, session: str = "s1", **facts: object) -> str:
    return json.dumps({"session_id": session, "transcript_path": "/x.jsonl", "cwd": str(cwd), **facts})


def create(run: Run, cwd: Path, name: str = RANDOM, **facts: object) -> Path:
    done = run("hook", "worktree-create", input=event(cwd, hook_event_name="WorktreeCreate", name=name, **facts))
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("\n") == 1
    path = Path(done.stdout.removesuffix("\n"))
    assert path.is_dir() and str(path) == os.path.realpath(path)
    return path


def submit(run: Run, cwd: Path, prompt: object, **facts: object) -> Result:
    facts = {"hook_event_name": "UserPromptSubmit", "prompt": prompt, **facts}
    done = run("hook", "user-prompt-submit", input=event(cwd, **facts))
    assert done.exit_code == 0
    if done.stdout:
        told = json.loads(done.stdout)["hookSpecificOutput"]
        assert told["hookEventName"] == "UserPromptSubmit" and "\n" not in told["additionalContext"]
    return done


def remove(run: Run, cwd: Path, path: Path) -> Result:
    return run("hook", "worktree-remove", input=event(cwd, hook_event_name="WorktreeRemove", worktree_path=str(path)))


def branch(path: Path) -> str:
    return git("symbolic-ref", "--short", "HEAD", cwd=path)


def branches(repo: Path) -> list[str]:
    return git("for-each-ref", "--format=%(refname:short)", "refs/heads", cwd=repo).split()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (RANDOM, f"wt-{RANDOM}"),
        ("fix-login", "wt-fix-login"),
        ("feature/log.in_2", "wt-feature/log.in_2"),
        ("wt-fix-login", "wt-fix-login"),
        ("../../x", "wt-x"),
        ("-x --orphan", "wt-x---orphan"),
        ("a..b.lock", "wt-a-b"),
        ("café crème", "wt-cafe-creme"),
        ("$(touch x)`y`;z", "wt-touch-x-y-z"),
    ],
)
def test_claudes_name(run: Run, repo: Path, name: str, expected: str) -> None:
    path = create(run, repo, name)
    assert path == repo.parent / "demo.worktrees" / expected.replace("/", "-")
    assert branch(path) == expected
    assert sorted(os.listdir(repo.parent)) == ["demo", "demo.worktrees"]


@pytest.mark.parametrize("name", ["x" * 300, "", "...", "\0", None, 7, ["a"], {"a": 1}])
def test_no_name_is_no_failure(run: Run, repo: Path, name: object) -> None:
    path = create(run, repo, name)  # type: ignore[arg-type]
    assert len(branch(path)) == len("wt-12345678")
    assert submit(run, path, TASK).stdout
    assert branch(path) == BRANCH


@pytest.mark.parametrize("hook", ["worktree-create", "worktree-remove", "user-prompt-submit"])
def test_closed_stdin(repo: Path, hook: str) -> None:
    argv = [sys.executable, "-c", "import sys; sys.stdin = None; from wtname.cli import run; run()", "hook", hook]
    done = subprocess.run(argv, cwd=repo, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (int(hook != "user-prompt-submit"), "")
    assert done.stderr.count("\n") == done.returncode


@pytest.mark.parametrize("data", ["", "{", "[]", "null", '"x"', "\x00", "[" * 9999, "{}x"[2:], "name: x"])
def test_no_event(run: Run, repo: Path, data: str) -> None:
    before = snapshot(repo.parent, repo)
    for hook in ("worktree-create", "worktree-remove"):
        done = run("hook", hook, input=data)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    done = run("hook", "user-prompt-submit", input=data)
    assert (done.exit_code, done.stdout) == (0, "")
    assert snapshot(repo.parent, repo) == before


def test_the_first_of_two_events_counts(run: Run, repo: Path) -> None:
    both = "\ufeff " + event(repo, name="fix-a") + "\n" + event(repo, name="fix-b")
    assert run("hook", "worktree-create", input=both).stdout.endswith("wt-fix-a\n")


def test_too_much(run: Run, repo: Path) -> None:
    big = event(repo, name="x", prompt="y" * (17 << 20))
    assert run("hook", "worktree-create", input=big).exit_code == 1
    assert (submit(run, repo, "y" * (17 << 20)).stdout, claude_prompts.load("s1").prompt) == ("", "")


def test_arguments_are_no_usage_error(run: Run, repo: Path) -> None:
    """Exit code 2 would hold a prompt back."""
    done = run("hook", "user-prompt-submit", "--new", "x", input=event(repo, prompt="hi"))
    assert done.exit_code == 0


def test_prompt_from_the_environment(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WTNAME_PROMPT", TASK)
    path = create(run, repo, "some-name")
    assert (branch(path), path.name) == (BRANCH, BRANCH)
    assert git("config", f"branch.{BRANCH}.description", cwd=repo) == TASK
    assert create(run, repo, "some-name") == path
    assert branch(create(run, repo, "other", session="s2")) == BRANCH + "-2"
    assert [branch(create(run, repo, name, session="")) for name in ("a", "b")] == [BRANCH + "-3", BRANCH + "-4"]
    monkeypatch.setenv("WTNAME_PROMPT", "hi")
    assert branch(create(run, repo, "third", session="s3")) == "wt-third"


def test_prompt_from_the_environment_is_for_the_first_worktree(
    run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WTNAME_PROMPT", TASK)
    git("config", "wtname.template", "none", cwd=repo)
    assert run("hook", "worktree-create", input=event(repo, name="some-name")).exit_code == 1  # which is none
    git("config", "--unset", "wtname.template", cwd=repo)
    assert branch(create(run, repo)) == BRANCH
    assert branch(create(run, repo, "add-tests")) == "wt-add-tests"
    submit(run, repo, "Add a dark mode toggle")
    assert branch(create(run, repo, "agent-a1b2c3d")) == "wt-feat-dark-mode-toggle"
    assert branch(create(run, repo, "agent-b1b2c3d")) == "wt-agent-b1b2c3d"


def test_one_that_is_opened_again_is_the_first_worktree(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = create(run, repo, "fix-login", session="s0")
    monkeypatch.setenv("WTNAME_PROMPT", TASK)
    assert create(run, repo, "fix-login") == path
    assert branch(create(run, repo, "add-tests")) == "wt-add-tests"


def test_of_many_worktrees_one_is_the_first(repo: Path) -> None:
    argv = [sys.executable, "-m", "wtname", "hook", "worktree-create"]
    env = {**os.environ, "WTNAME_PROMPT": TASK}

    def make(name: str) -> None:
        subprocess.run(argv, cwd=repo, env=env, input=event(repo, name=name).encode(), check=True)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(make, ["a", "b", "c"]))
    made = branches(repo)
    assert BRANCH in made and len({"wt-a", "wt-b", "wt-c"} & set(made)) == 2


def test_prompt_of_the_session(run: Run, repo: Path) -> None:
    submit(run, repo, TASK)
    assert claude_prompts.load("s1").prompt == TASK
    assert branch(create(run, repo, "fix-typed")) == "wt-fix-typed"
    assert branch(create(run, repo, RANDOM, session="s2")) == f"wt-{RANDOM}"
    assert branch(create(run, repo, "agent-a1b2c3d")) == BRANCH
    assert branch(create(run, repo, "agent-b1b2c3d")) == "wt-agent-b1b2c3d"


@pytest.mark.parametrize(
    "prompt", ["hi", "continue", "yes, go on!", "...", "/model opus", "/clear", "!ls -la", "# remember this", "", "  "]
)
def test_no_task(run: Run, repo: Path, prompt: str) -> None:
    path = create(run, repo)
    assert submit(run, path, prompt).stdout == ""
    assert branch(path) == f"wt-{RANDOM}"
    assert claude_prompts.load("s1").prompt == ""
    assert submit(run, path, TASK).stdout
    assert branch(path) == BRANCH


@pytest.mark.parametrize("prompt", ["/srv/app/login.py fails", "#12 login redirect", "# Login\nFix the redirect", TASK])
def test_a_task(run: Run, repo: Path, prompt: str) -> None:
    path = create(run, repo)
    assert submit(run, path, prompt).stdout
    assert "login" in branch(path)


def test_the_first_prompt_names_and_the_second_does_not(run: Run, repo: Path) -> None:
    path = create(run, repo)
    told = submit(run, path, TASK).stdout
    assert f"wt-{RANDOM}" in told and BRANCH in told
    assert path.name == f"wt-{RANDOM}" and path.is_dir()
    assert git("config", f"branch.{BRANCH}.description", cwd=repo) == TASK
    assert submit(run, path, "Add a dark mode toggle").stdout == ""
    assert branch(path) == BRANCH
    assert create(run, repo) == path
    assert run("rename", "--undo", "-C", path).exit_code == 0
    assert submit(run, path, "Add a dark mode toggle").stdout == ""
    git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
    assert submit(run, path, "Add a dark mode toggle", session="s2").stdout == ""
    assert branch(path) == f"wt-{RANDOM}"


def push(path: Path, repo: Path) -> None:
    git("init", "-q", "--bare", repo.parent / "hub.git")
    git("remote", "add", "origin", repo.parent / "hub.git", cwd=repo)
    git("push", "-q", "-u", "origin", "HEAD", cwd=path)


def rebase(path: Path, repo: Path) -> None:
    (Path(git("rev-parse", "--absolute-git-dir", cwd=path)) / "rebase-merge").mkdir()


KEPT = {
    "pushed": push,
    "off": lambda path, repo: git("config", "wtname.autorename", "false", cwd=repo),
    "detached": lambda path, repo: git("switch", "-q", "--detach", cwd=path),
    "rebase": rebase,
}


@pytest.mark.parametrize("case", KEPT)
def test_a_branch_keeps_its_name(run: Run, repo: Path, case: str) -> None:
    path = create(run, repo)
    KEPT[case](path, repo)
    before = branches(repo)
    assert submit(run, path, TASK).stdout == ""
    assert branches(repo) == before
    assert claude_prompts.load("s1").prompt == TASK


@pytest.mark.parametrize("how", ["-m", "-c"])
def test_a_branch_that_somebody_named_meanwhile(run: Run, repo: Path, how: str) -> None:
    path = create(run, repo)
    git("branch", how, "my-login", cwd=path)
    git("switch", "-q", "my-login", cwd=path)
    assert submit(run, path, TASK).stdout == ""
    assert branch(path) == "my-login"


def test_a_typed_name_stays(run: Run, repo: Path) -> None:
    path = create(run, repo, "fix-it")
    assert submit(run, path, TASK).stdout == ""
    assert branch(path) == "wt-fix-it"


GENERIC = {
    "linked": ("wt-3f9a1c2d", True, False, True),
    "own commits": ("wt-3f9a1c2d", True, True, False),
    "main worktree": ("wt-3f9a1c2d", False, False, False),
    "a name": ("fix-session", True, False, False),
    "default": ("main", False, False, False),
}


@pytest.mark.parametrize("case", GENERIC)
def test_generic_names_of_others(run: Run, repo: Path, case: str) -> None:
    name, linked, commit, renamed = GENERIC[case]
    path = repo
    if linked:
        path = repo.parent / "other"
        git("worktree", "add", "-q", "-b", name, path, cwd=repo)
    elif name != "main":
        git("switch", "-q", "-c", name, cwd=repo)
    if commit:
        git("commit", "-q", "--allow-empty", "-m", "work", cwd=path)
    assert bool(submit(run, path, TASK).stdout) is renamed
    assert branch(path) == (BRANCH if renamed else name)


def test_a_branch_of_others_gets_one_look_a_session(run: Run, repo: Path) -> None:
    path = repo.parent / "other"
    git("worktree", "add", "-q", "-b", "fix-it-well", path, cwd=repo)
    submit(run, path, TASK)
    git("branch", "-m", "wt-3f9a1c2d", cwd=path)
    assert submit(run, path, "Add a dark mode toggle").stdout == ""
    assert submit(run, path, "Add a dark mode toggle", session="s2").stdout


def test_a_prompt_outside_a_repository(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert submit(run, tmp_path, TASK).stdout == ""
    assert submit(run, tmp_path / "gone", TASK).stdout == ""
    assert claude_prompts.load("s1").prompt == ""
    done = run("hook", "worktree-create", input=event(tmp_path, name="x"))
    assert done.exit_code == 128 and done.stdout == "" and done.stderr.count("\n") == 1


def test_agents_prompts_are_not_the_users(run: Run, repo: Path) -> None:
    submit(run, repo, TASK, agent_id="a1")
    assert claude_prompts.load("s1").prompt == ""


@pytest.mark.parametrize(
    "prompt", [TASK + " \x1b[31m\ud800\0", "--force Fix the login redirect", "Fix `x` $(y) 'z' " * 99]
)
def test_hostile_prompts(run: Run, repo: Path, prompt: str) -> None:
    path = create(run, repo)
    assert submit(run, path, prompt).stdout.isascii()
    assert branch(path).startswith("wt-fix-")
    assert sorted(os.listdir(path)) == [".git", "README"]


@pytest.mark.parametrize("prompt", [None, 7, ["x"], {"a": "b"}])
def test_a_prompt_that_is_no_text(run: Run, repo: Path, prompt: object) -> None:
    assert submit(run, repo, prompt).stdout == ""


@pytest.mark.parametrize("name", ["fix-login", RANDOM, "feature/x"])
def test_an_existing_name_opens_its_worktree(run: Run, repo: Path, name: str) -> None:
    path = create(run, repo, name)
    before = snapshot(repo.parent, repo)
    assert create(run, repo, name) == path
    assert create(run, path, name, session="s2") == path
    assert snapshot(repo.parent, repo) == before


def test_worktrees_that_are_there_already(run: Run, repo: Path) -> None:
    native = repo / ".claude" / "worktrees" / "a+b"
    git("worktree", "add", "-q", "-b", "worktree-a+b", native, cwd=repo)
    assert create(run, repo, "a/b") == native
    git("switch", "-q", "-c", "else", cwd=native)
    assert create(run, repo, "a/b") == native
    plain = repo.parent / "plain"
    git("worktree", "add", "-q", "-b", "topic", plain, cwd=repo)
    assert create(run, repo, "topic") == plain
    assert branch(create(run, repo, "main")) == "wt-main"


def test_a_record_that_names_a_strangers_folder(run: Run, repo: Path) -> None:
    git("worktree", "add", "-q", "-b", "topic", repo.parent / "topic", cwd=repo)
    (victim := repo.parent / "victim").mkdir()
    (repo / ".git" / "worktrees" / "topic" / "gitdir").write_text(f"{victim / '.git'}\n")
    (victim / ".git").write_text("gitdir: elsewhere\n")
    assert create(run, repo, "topic").name == "wt-topic"


def test_one_whose_folder_is_gone_is_made_again(run: Run, repo: Path) -> None:
    path = create(run, repo, "fix-login")
    path.rename(path.with_name("away"))
    assert branch(create(run, repo, "fix-login")) == "wt-fix-login-2"


def test_what_comes_along(run: Run, repo: Path) -> None:
    (repo / ".gitignore").write_text(".env\n")
    (repo / ".env").write_text("KEY=1\n")
    (repo / ".worktreeinclude").write_text(".env\n")
    (repo / ".wtname").write_text("touch strange\n")
    git("add", ".wtname", cwd=repo)
    git("commit", "-q", "-m", "commands", cwd=repo)
    git("config", "--global", "wtname.postcreate", "echo loud; touch ran")
    git("config", "wtname.template", "{user}/{slug}", cwd=repo)
    path = create(run, repo, "fix-login")
    assert branch(path) == "ada/login"
    assert (path / ".env").read_text() == "KEY=1\n"
    assert (path / "ran").exists() and not (path / "strange").exists()


@pytest.mark.skipif(os.name == "nt", reason="no alarms there")
def test_what_takes_too_long_is_stopped(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wtname.commands.claude_hook._FURNISH", 0.3)
    git("config", "--global", "wtname.postcreate", "sleep 30")
    done = run("hook", "worktree-create", input=event(repo, name="fix-login"))
    assert done.exit_code == 0 and done.stdout.endswith("wt-fix-login\n")
    assert "stopped" in done.stderr


def test_anchors(tmp_path: Path) -> None:
    def at(cwd: object, worktree: object = "", **environ: str) -> list[Path]:
        return anchors(Event("", str(cwd), "", "", str(worktree), ""), environ)

    (project := tmp_path / "project").mkdir()
    (worktree := tmp_path / "worktree").mkdir()
    assert at(tmp_path, worktree, CLAUDE_PROJECT_DIR=str(project)) == [project, tmp_path, worktree]
    assert at(tmp_path, CLAUDE_PROJECT_DIR=str(tmp_path)) == [tmp_path]
    assert at(tmp_path, CLAUDE_PROJECT_DIR=str(tmp_path / "gone")) == [tmp_path]
    assert at(tmp_path, CLAUDE_PROJECT_DIR="project") == [tmp_path]
    assert at("", "worktree", CLAUDE_PROJECT_DIR="") == [Path.cwd()]


def test_a_project_that_is_no_repository(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repo.parent))
    monkeypatch.chdir(repo.parent)
    path = create(run, repo, "fix-login")
    assert branch(path) == "wt-fix-login"
    assert remove(run, repo, path).exit_code == 0 and not path.exists()
    path = create(run, repo, "fix-login")
    assert remove(run, repo.parent, path).exit_code == 0 and not path.exists()
    assert branches(repo) == ["main"]
    before = snapshot(repo.parent, repo)
    done = run("hook", "worktree-create", input=event(repo.parent, name="x"))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (128, "", 1)
    done = remove(run, repo.parent, repo)
    assert done.exit_code == 1 and "main worktree" in done.stderr
    assert snapshot(repo.parent, repo) == before


def test_a_project_that_git_refuses_is_not_passed_over(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_repository(repo.parent / "vendored")
    (repo / ".git" / "config").write_text("[broken")
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repo))
    done = run("hook", "worktree-create", input=event(other, name="fix-login"))
    assert done.exit_code == 128 and "bad config" in done.stderr and done.stderr.count("\n") == 1
    assert branches(other) == ["main"]


def test_a_project_that_is_one_costs_no_other_git(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(project: Path) -> int:
        monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(project))
        monkeypatch.setenv("GIT_TRACE2_EVENT", str(trace := repo.parent / "trace"))
        create(run, repo, "fix-login")
        started = trace.read_text().count('"event":"start"')
        trace.unlink()
        return started

    create(run, repo, "fix-login")
    assert asked(repo) == asked(repo.parent / "gone") < asked(repo.parent)


def test_a_drifted_agent_stays_in_its_project(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_repository(repo.parent / "vendored")
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(repo))
    assert create(run, other, "fix-login").parent.name == "demo.worktrees"


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_no_link_in_the_path(run: Run, repo: Path) -> None:
    (repo.parent / "real").mkdir()
    (repo / "trees").symlink_to(repo.parent / "real")
    git("config", "wtname.path", "trees/{branch}", cwd=repo)
    assert create(run, repo, "fix-login") == (repo.parent / "real" / "wt-fix-login").resolve()


def edit(path: Path) -> None:
    (path / "new").write_text("work\n")


def commit(path: Path) -> None:
    edit(path)
    git("add", "new", cwd=path)
    git("commit", "-q", "-m", "work", cwd=path)


def merge(path: Path) -> None:
    commit(path)
    git("merge", "-q", "--ff-only", branch(path), cwd=path.parent.parent / "demo")


# What is done in the worktree; whether it goes, and whether its branch does.
REMOVALS = {
    "nothing": ([], True, True),
    "edited": ([edit], True, True),
    "committed": ([commit], False, False),
    "committed and edited": ([commit, lambda path: (path / "README").write_text("more\n")], True, False),
    "merged": ([merge], True, True),
    "merged and edited": ([merge, lambda path: (path / "README").write_text("more\n")], True, True),
    "locked": ([edit, lambda path: git("worktree", "lock", path, cwd=path)], False, False),
    "unfinished": ([lambda path: rebase(path, path)], False, False),
}


@pytest.mark.parametrize("case", REMOVALS)
def test_remove(run: Run, repo: Path, case: str) -> None:
    done_in_it, goes, branch_goes = REMOVALS[case]
    path = create(run, repo, "fix-login")
    for work in done_in_it:
        work(path)
    files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != ".git"}
    tip = git("rev-parse", "HEAD", cwd=path)
    done = remove(run, repo, path)
    assert (done.exit_code == 0) is goes is not path.exists(), done.stderr
    assert ("wt-fix-login" not in branches(repo)) is branch_goes
    if goes:
        assert run("restore").exit_code == 0
    assert {file.name: file.read_bytes() for file in path.iterdir() if file.name != ".git"} == files
    assert (git("rev-parse", "HEAD", cwd=path), branch(path)) == (tip, "wt-fix-login")


def test_remove_only_worktrees_of_this_repository(run: Run, repo: Path) -> None:
    other = make_repository(repo.parent / "other")
    git("worktree", "add", "-q", repo.parent / "theirs", cwd=other)
    before = snapshot(repo.parent, repo)
    for path in (repo, other, repo.parent / "theirs", repo.parent, repo / ".git", Path("demo"), Path("")):
        done = remove(run, repo, path)
        assert (done.exit_code, done.stdout) == (1, ""), path
    assert snapshot(repo.parent, repo) == before


def test_commits_of_a_repository_inside_are_not_lost(run: Run, repo: Path) -> None:
    (repo / ".git" / "info" / "exclude").write_text("vendor/\n")
    path = create(run, repo, "fix-login")
    edit(path)
    inside = make_repository(path / "vendor")
    done = remove(run, repo, path)
    assert done.exit_code == 1 and "vendor in it is ignored" in done.stderr and inside.is_dir()
    git("clone", "-q", "--bare", inside, repo.parent / "hub.git")
    git("remote", "add", "origin", repo.parent / "hub.git", cwd=inside)
    git("fetch", "-q", "origin", cwd=inside)
    assert remove(run, repo, path).exit_code == 0


def test_remove_what_is_gone(run: Run, repo: Path) -> None:
    assert remove(run, repo, repo.parent / "gone").exit_code == 0
    path = create(run, repo, "fix-login")
    path.rename(path.with_name("away"))
    assert remove(run, repo, path).exit_code == 0
    assert branches(repo) == ["main"]


def test_remove_from_inside(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = create(run, repo, "fix-login")
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(path))
    monkeypatch.chdir(path)
    assert remove(run, path, path).exit_code == 0
    assert not path.exists() and Path.cwd().is_relative_to(repo)


def test_installed_twice_is_one_worktree_and_one_renaming(repo: Path) -> None:
    def twice(hook: str, data: str) -> list[bytes]:
        argv = [sys.executable, "-m", "wtname", "hook", hook]
        both = [subprocess.Popen(argv, cwd=repo, stdin=-1, stdout=-1, stderr=-1) for _ in range(2)]
        for process in both:
            assert process.stdin
            process.stdin.write(data.encode())
            process.stdin.close()
        return [process.stdout.read() for process in both if process.stdout and process.wait() == 0]

    one, other = twice("worktree-create", event(repo, name=RANDOM))
    assert one == other
    path = Path(os.fsdecode(one).strip())
    told = twice("user-prompt-submit", event(path, prompt=TASK))
    assert sorted(map(bool, told)) == [False, True]
    assert sorted(branches(repo)) == ["main", BRANCH]


def test_a_branch_that_another_renamed_meanwhile(run: Run, repo: Path) -> None:
    path = create(run, repo)
    looked = Look(path)
    assert looked.answer() and looked.provisional
    git("branch", "-m", "chosen", cwd=path)
    seen = Event("s1", str(path), "", TASK, "", "")
    with Repository(path) as there:
        assert claude_code.rename(there, seen, lambda: pytest.fail("it was named"), looked) is None
    assert branch(path) == "chosen"


def test_prompts_are_private_and_small(hermetic: Path) -> None:
    claude_prompts.store("s1", claude_prompts.Session("x" * 99_999))
    file = claude_prompts.folder() / "s1.json"
    if os.name != "nt":
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
    assert file.stat().st_size < 5000
    assert claude_prompts.take("s1") and not claude_prompts.take("s1")
    assert "x" not in file.read_text().replace('"prompt"', "")


def test_a_prompt_is_taken_by_one_of_many(hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = claude_prompts.store
    monkeypatch.setattr(claude_prompts, "store", lambda *known: (time.sleep(0.005), store(*known)))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            store("s1", claude_prompts.Session(TASK))
            assert sorted(pool.map(claude_prompts.take, ["s1"] * 8)) == [""] * 7 + [TASK]


@pytest.mark.parametrize("data", [None, "", " ", "/srv/data"])
def test_prompts_are_where_data_belongs(data: str | None, hermetic: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if data is not None:
        monkeypatch.setenv("XDG_DATA_HOME", data)
    assert claude_prompts.folder() == platformdirs.user_data_path("wtname", appauthor=False) / "claude"


def test_that_a_session_had_its_worktree_is_known_longer(hermetic: Path) -> None:
    def given(session: str, age: float) -> str:
        file = claude_prompts.folder() / f"{session}.once"
        os.utime(file, (time.time() - age,) * 2)
        claude_prompts.store("other", claude_prompts.Session("new"))
        with claude_prompts.once(session, TASK) as prompt:
            return prompt

    for session in ("s1", "s2"):
        with claude_prompts.once(session, TASK) as prompt:
            assert prompt == TASK
    assert given("s1", 2 * claude_prompts.KEPT) == ""
    assert given("s2", 40 * 24 * 3600) == TASK
    assert all(file.stat().st_size == 0 for file in claude_prompts.folder().glob("*.once"))


def test_prompts_expire(hermetic: Path) -> None:
    claude_prompts.store("s1", claude_prompts.Session("old"))
    os.utime(claude_prompts.folder() / "s1.json", (0, 0))
    assert claude_prompts.load("s1").prompt == ""
    claude_prompts.store("s2", claude_prompts.Session("new"))
    assert os.listdir(claude_prompts.folder()) == ["s2.json"]


@pytest.mark.parametrize("session", ["", "../../x", "a/b", "x" * 200, "a\nb", "é"])
def test_a_session_is_no_path(hermetic: Path, session: str) -> None:
    claude_prompts.store(session, claude_prompts.Session("secret"))
    assert claude_prompts.load(session).prompt == ""
    assert not any(file.is_file() and "secret" in file.read_text() for file in hermetic.rglob("*"))


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_in_the_place_of_prompts_is_not_followed(hermetic: Path, tmp_path: Path) -> None:
    claude_prompts.store("s1", claude_prompts.Session("mine"))
    place = claude_prompts.folder()
    (tmp_path / "s2.json").write_text('{"prompt": "theirs"}')
    (place / "s2.json").symlink_to(tmp_path / "s2.json")
    assert claude_prompts.load("s2").prompt == ""
    claude_prompts.store("s2", claude_prompts.Session("mine"))
    assert "theirs" in (tmp_path / "s2.json").read_text()


def test_nothing_of_a_prompt_in_the_log(run: Run, repo: Path, hermetic: Path) -> None:
    (repo / ".git" / "config").write_text("[broken")
    assert submit(run, repo, "Fix the xyzzy redirect").stdout == ""
    logs = [file.read_text() for file in hermetic.rglob("*.log")]
    assert not any("xyzzy" in log for log in logs)


def test_a_wrong_setting_holds_no_prompt_back(run: Run, repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = create(run, repo)
    monkeypatch.setenv("WTNAME_DEADLINE", "soon")
    done = submit(run, path, TASK)
    assert done.exit_code == 0 and done.stdout and branch(path) != f"wt-{RANDOM}"


def test_a_broken_model_names_all_the_same(
    run: Run, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WTNAME_MODEL_DIR", str(tmp_path / "none"))
    path = create(run, repo)
    assert submit(run, path, TASK).stdout
    assert branch(path).startswith("wt-fix-login")


@pytest.mark.parametrize(
    ("name", "generated"),
    [
        ("nifty-dreaming-biscuit", True),
        ("zazzy-coalescing-lovelace", True),
        ("async-knitting-kernighan", True),
        ("swift-fox-k3x9", True),
        ("agent-a1b2c3d4e5", True),
        ("bridge-cse_01abc", True),
        ("", True),
        ("fix-login", False),
        ("fix-skipping-tests", False),
        ("add-missing-docs", False),
        ("user-loading-spinner", False),
        ("field-mapping-ui", False),
        ("async-mapping-layer", False),
        ("long-running-star", False),
        ("pr-12", False),
        ("main", False),
        ("PROJ-123", False),
    ],
)
def test_generated_names(name: str, generated: bool) -> None:
    assert claude_names.is_generated(name) is generated
