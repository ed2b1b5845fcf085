from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Run, git

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

import anyio

from tests.mcp_client import MODES, OTHER, TASK, Session, talk

# For a minute, if nobody ends it, in a process that another one has started and that does not heed a polite end.
LONG = "sh -c 'trap : TERM; touch ../begun; for i in $(seq 600); do echo >> ../beats; sleep 0.1; done'; true"


def slow_checkout(repo: Path, what: str = LONG) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.write_text(f"#!/bin/sh\n{what}\n")
    hook.chmod(0o755)


def slow_command(repo: Path) -> None:
    git("config", "--global", "wtname.postcreate", LONG)


def ended(repo: Path) -> bool:
    """Whether that is at its end."""
    beats = repo.parent / "demo.worktrees" / "beats"
    before = beats.stat().st_size
    time.sleep(0.3)
    return beats.stat().st_size == before


def test_what_comes_along_and_what_is_not_trusted(run: Run, repo: Path) -> None:
    (repo / ".gitignore").write_text("*.env\n")
    (repo / ".worktreeinclude").write_text("*.env\n")
    (repo / ".wtname").write_text("touch theirs\n")
    git("add", "--all", cwd=repo)
    git("commit", "-q", "-m", "lists", cwd=repo)
    for i in range(3):
        (repo / f"{i}.env").write_text("x")
    git("config", "--global", "wtname.postcreate", "echo told; touch ours")

    async def act(session: Session) -> None:
        made = await session.call("create_worktree", name="one")
        path = Path(made["path"])
        assert made["copied"] == 3 and made["source"] == "user" and made["name"] == "one"
        assert (path / "ours").exists() and not (path / "theirs").exists()
        assert [(one["command"], one["code"], one["skipped"]) for one in made["commands"]] == [
            ("echo told; touch ours", 0, None),
            ("touch theirs", None, "not trusted"),
        ]
        assert any("wtname trust" in line for line in made["notes"])
        numbers, messages = zip(*session.progress, strict=True)
        assert list(numbers) == sorted(set(numbers))
        assert messages == (
            "making the worktree",
            "checking out wt-one",
            *(f"copying {i} of 3 files" for i in range(3)),
            "running echo told; touch ours",
        )
        assert run("trust", "--yes").exit_code == 0
        made = await session.call("create_worktree", name="two")
        assert (Path(made["path"]) / "theirs").exists()

    talk(act, repo)


def test_many_at_once(run: Run, repo: Path) -> None:
    name, other = (run("suggest", task).stdout.strip() for task in (TASK, OTHER))
    made: list[dict[str, Any]] = []
    names: list[str] = []

    async def act(session: Session) -> None:
        async def create() -> None:
            made.append(await session.call("create_worktree", prompt=TASK))

        async def suggest(prompt: str) -> None:
            names.append((await session.call("suggest_branch_name", prompt=prompt))["names"][0]["name"])

        async with anyio.create_task_group() as group:
            for i in range(8):
                group.start_soon(create)
                group.start_soon(suggest, [TASK, OTHER][i % 2])

    talk(act, repo)
    assert sorted(names) == sorted([name, other] * 4)
    branches = {one["branch"] for one in made}
    assert branches == {f"wt-{name}" + (f"-{i}" if i > 1 else "") for i in range(1, 9)}
    assert {one["source"] for one in made} == {"model"}
    assert {git("branch", "--show-current", cwd=Path(one["path"])) for one in made} == branches


@pytest.mark.skipif(os.name == "nt", reason="the hook is a shell's")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("slow", [slow_checkout, slow_command])
def test_a_cancelled_create_is_taken_back(repo: Path, mode: str, slow: Callable[[Path], None]) -> None:
    slow(repo)
    before = git("for-each-ref", "refs/heads", cwd=repo), git("worktree", "list", cwd=repo)

    async def act(session: Session) -> None:
        async with anyio.create_task_group() as group:

            async def create() -> None:
                await session.call("create_worktree", name="gone")

            group.start_soon(create)
            while not list(repo.parent.glob("demo.worktrees/begun")):
                await anyio.sleep(0.02)
            group.cancel_scope.cancel()
        assert await session.call("suggest_branch_name", prompt=TASK)  # others are answered meanwhile
        for _ in range(200):
            now = git("for-each-ref", "refs/heads", cwd=repo), git("worktree", "list", cwd=repo)
            if now == before and not (repo / ".git" / "wtname").exists():
                break
            await anyio.sleep(0.05)
        assert now == before and not (repo.parent / "demo.worktrees" / "wt-gone").exists()
        assert ended(repo)
        shutil.rmtree(repo / ".git" / "hooks")
        git("config", "--global", "wtname.postcreate", "true")
        assert (await session.call("create_worktree", name="stays"))["branch"] == "wt-stays"

    talk(act, repo, mode=mode)
    assert (repo.parent / "demo.worktrees" / "wt-stays").exists()


def serve_raw(repo: Path, call: dict[str, object]) -> subprocess.Popen[str]:
    """A server that is sent a call, byte for byte."""
    client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    sent = [
        {"id": 1, "method": "initialize", "params": client},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/call", "params": call},
    ]
    server = subprocess.Popen(
        [sys.executable, "-m", "wtname", "mcp"], cwd=repo, stdin=-1, stdout=-1, stderr=-1, text=True
    )
    assert server.stdin
    for one in sent:
        server.stdin.write(json.dumps({"jsonrpc": "2.0", **one}) + "\n")
    server.stdin.flush()
    return server


@pytest.mark.skipif(os.name == "nt", reason="the hook is a shell's")
def test_signs_of_life_while_git_is_at_work(repo: Path) -> None:
    slow_checkout(repo, "sleep 0.5")

    async def act(session: Session) -> None:
        await session.call("create_worktree", name="it")
        told = [message for _, message in session.progress if message != "at work"]  # before the first step
        assert told[0] == "making the worktree" and told[1:] == ["checking out wt-it"] * len(told[1:]) and len(told) > 3
        numbers = [number for number, _ in session.progress]
        assert numbers == sorted(set(numbers))
        session.progress.clear()
        await session.call("list_worktrees")
        assert len(session.progress) < 4

    talk(act, repo, before="from wtname.serving import work; work._BEAT = 0.1")


@pytest.mark.skipif(os.name == "nt", reason="the hook is a shell's")
def test_a_client_that_goes_leaves_nothing_half_made(repo: Path) -> None:
    slow_checkout(repo)
    server = serve_raw(repo, {"name": "create_worktree", "arguments": {"name": "it"}})
    while not list(repo.parent.glob("demo.worktrees/begun")):
        time.sleep(0.02)
    server.communicate()  # closes its stdin first
    assert server.returncode == 0 and ended(repo)
    assert git("branch", "--list", "wt-it", cwd=repo) == "" and not (repo / ".git" / "wtname").exists()
    assert not (repo.parent / "demo.worktrees" / "wt-it").exists()


@pytest.mark.skipif(os.name == "nt", reason="there, a signal is the end")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("busy", [slow_checkout, slow_command, None])
def test_told_to_end_it_ends_and_leaves_nothing_half_made(
    repo: Path, name: str, busy: Callable[[Path], None] | None
) -> None:
    number = getattr(signal, name)
    if busy:
        busy(repo)
    call: dict[str, object] = {"name": "create_worktree", "arguments": {"name": "it"}}
    server = serve_raw(repo, call if busy else {"name": "list_worktrees", "arguments": {}})
    assert server.stdin and server.stdout
    for _ in range(1 if busy else 2):
        assert server.stdout.readline()
    while busy and not list(repo.parent.glob("demo.worktrees/begun")):
        time.sleep(0.02)
    server.send_signal(number)  # and the client's end of stdin stays open
    try:
        assert server.wait(20) == 128 + number and server.stdout.read() == ""
        # A shell may have a last word on the command that we end.
        assert server.stderr and server.stderr.read() in ("", "Terminated\n")
    finally:
        server.kill()
        server.communicate()
    assert not busy or ended(repo)
    assert git("branch", "--list", "wt-it", cwd=repo) == "" and not (repo / ".git" / "wtname").exists()
    assert not (repo.parent / "demo.worktrees" / "wt-it").exists()


@pytest.mark.skipif(os.name == "nt", reason="the hook is a shell's")
def test_only_the_protocol_goes_to_stdout(repo: Path) -> None:
    hook = repo / ".git" / "hooks" / "post-checkout"
    hook.write_text("#!/bin/sh\nseq 100\nprintf '%01000d\\n' 7\necho from the hook\n")
    hook.chmod(0o755)
    git("config", "--global", "wtname.postcreate", "echo from the command")
    server = serve_raw(repo, {"name": "create_worktree", "arguments": {"name": "it"}})
    assert server.stdout
    lines = [server.stdout.readline(), server.stdout.readline()]
    out, err = server.communicate()
    lines += out.splitlines()
    assert server.returncode == 0
    answers = [json.loads(line) for line in lines]
    assert [one["id"] for one in answers] == [1, 2] and "Traceback" not in err
    made = answers[1]["result"]["structuredContent"]
    assert made["branch"] == "wt-it" and "from the command" in err
    long = [*map(str, range(83, 101)), "0" * 500, "from the hook"]
    assert made["notes"] == ["… 82 more lines before these", *long]
