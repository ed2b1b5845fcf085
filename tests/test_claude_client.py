"""The real Claude Code, with a home of its own and no network: the model's answers come from this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from claude_api import Api, use
from conftest import ROOT, Run, git

CLAUDE = os.environ.get("WTNAME_CLAUDE") or shutil.which("claude") or ""
PLUGIN = ROOT / "hooks" / "claude-code"
TASK, BRANCH = "Fix the login redirect", "wt-fix-login-redirect"
NOBODY = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "CLAUDE_CODE_MAX_RETRIES": "0"}

pytestmark = [
    pytest.mark.skipif(not CLAUDE, reason="claude is not installed; npm install @anthropic-ai/claude-code"),
    pytest.mark.skipif(os.name == "nt", reason="the stand-in for wtname on PATH is a shell script"),
]


class Client:
    """Claude Code in a repository."""

    def __init__(self, repo: Path, home: Path) -> None:
        self.repo = repo
        self.trees = repo.parent / "demo.worktrees"
        self.config = home / ".claude"
        tools = home / "bin"
        tools.mkdir()
        shim = tools / "wtname"
        shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wtname "$@"\n')
        shim.chmod(0o755)
        self.env = {key: value for key, value in os.environ.items() if not key.startswith(("CLAUDE", "ANTHROPIC"))}
        self.env |= {
            "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
            "CLAUDE_CONFIG_DIR": str(self.config),
            "ANTHROPIC_API_KEY": "sk-ant-none",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        }

    def run(self, *args: str | Path, code: int = 0, **env: str) -> str:
        done = subprocess.run(
            [CLAUDE, *map(str, args)],
            cwd=self.repo,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def ask(self, *args: str | Path, answers: tuple[dict[str, object], ...] = (), **env: str) -> Api:
        """Run it with these answers of the model's."""
        tools = [str(answer["name"]) for answer in answers]
        allowed = ["--allowedTools", *tools] if tools else []
        with Api(*answers) as api:
            self.run(*args, *allowed, ANTHROPIC_BASE_URL=api.url, **env)
        return api

    def worktrees(self) -> dict[str, str]:
        """Branch by folder, the main worktree aside."""
        found = git("worktree", "list", "--porcelain", cwd=self.repo).split("\n\n")[1:]
        lines = [dict(line.partition(" ")[::2] for line in block.splitlines()) for block in found]
        return {Path(line["worktree"]).name: line["branch"].removeprefix("refs/heads/") for line in lines}


@pytest.fixture
def client(repo: Path, hermetic: Path) -> Client:
    return Client(repo, hermetic)


@pytest.fixture
def installed(client: Client, run: Run, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(client.config))
    assert run("hook", "claude", "install").exit_code == 0
    return client


def test_a_typed_name_without_any_network(installed: Client) -> None:
    repo = installed.repo
    (repo / ".gitignore").write_text(".env\n")
    (repo / ".env").write_text("KEY=1\n")
    (repo / ".worktreeinclude").write_text(".env\n")
    installed.run("-w", "my-task", "-p", "hi", code=1, **NOBODY)
    assert installed.worktrees() == {"wt-my-task": "wt-my-task"}
    assert (installed.trees / "wt-my-task" / ".env").read_text() == "KEY=1\n"
    installed.run("-w", "my-task", "-p", TASK, code=1, **NOBODY)
    assert installed.worktrees() == {"wt-my-task": "wt-my-task"}


def test_a_random_name_goes_with_the_first_prompt(installed: Client) -> None:
    api = installed.ask("-p", TASK, "-w")
    [(folder, branch)] = installed.worktrees().items()
    assert branch == BRANCH != folder
    assert f"renamed the branch of this worktree from {folder} to {BRANCH}" in api.told()
    assert str(installed.trees / folder) in api.told() + json.dumps(api.asked)


def test_a_prompt_that_names_no_task(installed: Client) -> None:
    api = installed.ask("-p", "hi", "-w")
    [(folder, branch)] = installed.worktrees().items()
    assert branch == folder and "renamed the branch" not in api.told()


def test_prompt_from_the_environment(installed: Client) -> None:
    installed.ask("-p", TASK, "-w", WTNAME_PROMPT=TASK)
    assert installed.worktrees() == {BRANCH: BRANCH}


def test_failing_creation_is_told(installed: Client) -> None:
    git("config", "wtname.template", "none", cwd=installed.repo)
    told = installed.run("-w", "my-task", "-p", "hi", code=1, **NOBODY)
    assert "wtname: template 'none' gives every task the same branch" in told
    assert installed.worktrees() == {}


def test_in_the_middle_of_a_session_and_out_again(installed: Client) -> None:
    answers = (use("EnterWorktree"), use("ExitWorktree", action="remove", discard_changes=True))
    api = installed.ask("-p", TASK, answers=answers)
    assert f"Created worktree at {installed.trees / BRANCH}" in api.told()
    assert f"Exited and removed worktree at {installed.trees / BRANCH}" in api.told()
    assert installed.worktrees() == {} and not (installed.trees / BRANCH).exists()
    assert git("branch", "--list", "wt-*", cwd=installed.repo) == ""


def test_commits_outlive_a_removal(installed: Client) -> None:
    work = use("Bash", command="git commit -q --allow-empty -m work", description="Commit")
    answers = (use("EnterWorktree"), work, use("ExitWorktree", action="remove", discard_changes=True))
    api = installed.ask("-p", TASK, answers=answers)
    assert "could not remove it" in api.told()
    assert installed.worktrees() == {BRANCH: BRANCH}


def test_a_subagent(installed: Client) -> None:
    agent = use("Agent", description="Fix it", prompt=TASK, subagent_type="general-purpose", isolation="worktree")
    installed.ask("-p", TASK, answers=(agent,))
    assert list(installed.worktrees().values()) == [BRANCH]


def test_plugin(client: Client) -> None:
    """Claude Code makes the worktree of `-w` before it has plugins; the first prompt names its branch all the same."""
    api = client.ask("--plugin-dir", PLUGIN, "-p", TASK, "-w")
    assert list(client.worktrees().values()) == [BRANCH]
    assert "renamed the branch" in api.told()
    assert "wtname:wtname" in json.dumps(api.asked)  # the skill
    client.ask("--plugin-dir", PLUGIN, "-p", "Add a dark mode toggle", answers=(use("EnterWorktree"),))
    assert "wt-feat-dark-mode-toggle" in client.worktrees()


def test_plugin_and_settings_make_one_worktree(installed: Client) -> None:
    installed.ask("--plugin-dir", PLUGIN, "-p", TASK, "-w")
    assert list(installed.worktrees().values()) == [BRANCH]
    assert git("branch", "--list", "wt-*", cwd=installed.repo).count("\n") == 0


@pytest.mark.parametrize("what", [PLUGIN, ROOT])
def test_valid(client: Client, what: Path) -> None:
    assert "Validation passed" in client.run("plugin", "validate", "--strict", what)


def test_plugin_from_a_clone(client: Client, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    client.run("plugin", "marketplace", "add", ROOT)
    client.run("plugin", "install", "wtname@wtname")
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(client.config))
    monkeypatch.setenv("PATH", client.env["PATH"])
    done = run("hook", "claude", "status")
    assert done.exit_code == 0, done.stderr
    assert "plugin wtname@wtname: WorktreeCreate, WorktreeRemove, UserPromptSubmit" in done.stdout
    run("hook", "claude", "install")
    assert "installed in user and plugin wtname@wtname" in run("hook", "claude", "status").stderr
