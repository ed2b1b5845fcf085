from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.conftest import Run, git

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

from tests.mcp_client import TASK, TOOLS

CLAUDE = os.environ.get("WTNAME_CLAUDE") or shutil.which("claude")


@pytest.fixture
def claude(repo: Path, hermetic: Path) -> Callable[..., str]:
    """Claude Code with a home of its own; no API but that of `api`, if any."""

    def ask(*args: str, api: str = "http://127.0.0.1:9") -> str:
        env = {
            **os.environ,
            "CLAUDE_CONFIG_DIR": str(hermetic / ".claude"),
            "ANTHROPIC_BASE_URL": api,
            "ANTHROPIC_API_KEY": "none",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "ENABLE_TOOL_SEARCH": "false",
            "MCP_CONNECTION_NONBLOCKING": "false",
        }
        argv = [str(CLAUDE), *args]
        done = subprocess.run(
            argv, cwd=repo, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return ask


@pytest.mark.skipif(not CLAUDE, reason="Claude Code is not installed: npm install @anthropic-ai/claude-code")
def test_claude_code_finds_it_healthy(claude: Callable[..., str]) -> None:
    for name, *more in (["wtname"], ["broken", "--nothing"]):
        claude("mcp", "add", "--scope", "user", name, "--", sys.executable, "-m", "wtname", "mcp", *more)
    told = dict(line.partition(": ")[::2] for line in claude("mcp", "list").splitlines())
    assert "Connected" in told["wtname"] and "Connected" not in told["broken"]


class Api(BaseHTTPRequestHandler):
    """The API that Claude Code talks to, with a model that calls our tools one after the other."""

    calls: ClassVar[list[tuple[str, dict[str, str]]]] = []
    results: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = [part for one in body["messages"] if isinstance(one["content"], list) for part in one["content"]]
        self.results[:] = [part for part in said if part.get("type") == "tool_result"]
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta: dict[str, Any] = {"type": "text_delta", "text": "done"}
        if calls := self.calls[len(self.results) :]:
            tool, arguments = calls[0]
            block = {"type": "tool_use", "id": f"toolu_{len(calls)}", "name": f"mcp__wtname__{tool}", "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(arguments)}
        usage = {"input_tokens": 1, "output_tokens": 1}
        message = {"id": "msg", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": usage}
        stop = {"stop_reason": "tool_use" if calls else "end_turn", "stop_sequence": None}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": message | {"stop_reason": None, "stop_sequence": None}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "content_block_delta", "index": 0, "delta": delta},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": usage},
            {"type": "message_stop"},
        ]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for event in events:
            self.wfile.write(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())

    def log_message(self, *args: object) -> None:
        pass


@pytest.mark.skipif(not CLAUDE, reason="Claude Code is not installed: npm install @anthropic-ai/claude-code")
def test_claude_code_calls_the_tools(run: Run, repo: Path, tmp_path: Path, claude: Callable[..., str]) -> None:
    branch = "wt-" + run("suggest", TASK).stdout.strip()
    Api.calls[:] = [
        ("create_worktree", {"prompt": TASK}),
        ("list_worktrees", {"repository": str(tmp_path)}),
        ("remove_worktree", {"name": branch}),  # nobody is there to be asked
    ]
    command = {"type": "stdio", "command": sys.executable, "args": ["-m", "wtname", "mcp"]}
    config = json.dumps({"mcpServers": {"wtname": command}})
    allowed = ",".join(f"mcp__wtname__{tool}" for tool in TOOLS)
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as api:
        threading.Thread(target=api.serve_forever, daemon=True).start()
        place = f"http://127.0.0.1:{api.server_port}"
        said = claude("-p", "go", "--mcp-config", config, "--strict-mcp-config", "--allowedTools", allowed, api=place)
        api.shutdown()
    assert said == "done\n"
    made, listed, removed = Api.results
    path = Path(json.loads(made["content"])["path"])
    assert git("branch", "--show-current", cwd=path) == branch
    assert listed["is_error"] and "outside of what the client's roots allow" in str(listed["content"])
    assert not json.loads(removed["content"])["removed"]
