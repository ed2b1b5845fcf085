from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed: pip install 'wtname[mcp]'")

from tests.mcp_client import wire

PARSE, REQUEST = -32700, -32600
LINES: list[tuple[str, list[tuple[object, int]]]] = [
    ("no JSON", [(None, PARSE)]),
    ("[" * 100_000, [(None, PARSE)]),
    ("7", [(None, REQUEST)]),
    ("[]", [(None, REQUEST)]),
    ('[{"jsonrpc": "2.0", "id": 1, "method": "ping"}, {"id": "b", "method": "ping"}]', [(1, REQUEST), ("b", REQUEST)]),
    ('{"jsonrpc": "1.0", "id": 2, "method": "ping"}', [(2, REQUEST)]),
    ('{"id": 3, "method": "ping"}', [(3, REQUEST)]),
    ('{"jsonrpc": "2.0", "id": 4, "method": "ping", "params": [1]}', [(4, REQUEST)]),
    ('{"jsonrpc": "2.0", "id": true, "method": 7}', [(None, REQUEST)]),
    ('{"jsonrpc": "2.0", "id": 5}', [(None, REQUEST)]),  # who knows whose number that is
    ('{"jsonrpc": "1.0", "id": 6, "result": {}}', []),  # an answer is not answered
    ('{"jsonrpc": "2.0", "id": 7, "error": {}}', []),
    ("", []),
    ("\t", []),
]


def test_lines_that_are_no_messages_are_answered(repo: Path) -> None:
    with wire(repo) as client:
        for number, (line, expected) in enumerate(LINES, start=100):
            client.say(line, {"id": number, "method": "ping"})
            told = [client.hear() for _ in range(len(expected) + 1)]
            assert told.pop() == {"jsonrpc": "2.0", "id": number, "result": {}}, line
            assert [(one["id"], one["error"]["code"]) for one in told] == expected, line
            assert all("; send one message a line" in one["error"]["message"] for one in told)


def test_half_an_emoji_is_no_reason_to_be_silent(repo: Path) -> None:
    call = '{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"%s","arguments":{"%s":"fix \\ud83d%s"}}}'
    with wire(repo) as client:
        client.say(call % (1, "suggest_branch_name", "prompt", " the login redirect"))
        [one] = client.hear()["result"]["structuredContent"]["names"]
        assert "login" in one["name"]
        client.say(call % (2, "remove_worktree", "name", ""))
        assert "no worktree is called 'fix \ufffd'; " in client.hear()["result"]["content"][0]["text"]
        client.say(call % (3, "remove_worktree", "name", "\\ude00"))  # a whole one
        assert "no worktree is called 'fix \U0001f600'; " in client.hear()["result"]["content"][0]["text"]


@pytest.mark.skipif(os.name == "nt", reason="pipes there break in other ways")
def test_it_ends_quietly_where_nobody_reads(repo: Path) -> None:
    with wire(repo) as client:
        server = client.server
        assert server.stdout and server.stderr
        server.stdout.close()
        client.say({"id": 1, "method": "ping"})  # and the client's end of stdin stays open
        assert server.wait(30) == 1 and server.stderr.read() == ""


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no such signal")
def test_nohup_is_heeded(repo: Path) -> None:
    before = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    code = f"{before}; from wtname.cli import main; main(['mcp'])"
    ping = '{"jsonrpc": "2.0", "id": %d, "method": "ping"}\n'
    with subprocess.Popen([sys.executable, "-c", code], cwd=repo, stdin=-1, stdout=-1, text=True) as server:
        assert server.stdin and server.stdout
        for number in range(2):
            server.stdin.write(ping % number)
            server.stdin.flush()
            assert f'"id":{number}' in server.stdout.readline()
            server.send_signal(signal.SIGHUP)
        server.communicate()
    assert server.returncode == 0
