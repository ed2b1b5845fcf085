"""A chat completions server on loopback that does what a script says: answers, refuses, hangs, hangs up, breaks off."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

Act = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """One request of the client's; the server's script tells what to do with it."""

    server: Misbehaving
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the tests' stderr."""

    def do_POST(self) -> None:
        """Read the request, note it, and act."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.act_on(self, body)

    def reply(self, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
        """A whole response."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class Misbehaving(ThreadingHTTPServer):
    """Acts by the scripts: for each subject, what to do the first time it is asked about, the second, …, then the last
    again. The subject is the category in the user's message, or "label" where there is none."""

    daemon_threads = True

    def __init__(self, **scripts: list[Act]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.scripts = {name.replace("_", " "): acts for name, acts in scripts.items()}
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Message] = []
        self.times: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is killed, or waits no longer, is part of the play."""

    def act_on(self, handler: Handler, body: dict[str, Any]) -> None:
        """Do what the script says for this time."""
        subject = json.loads(body["messages"][1]["content"]).get("category", "label")
        with self._lock:
            acts = self.scripts[subject]
            act = acts[min(self.asked[subject], len(acts) - 1)]
            self.asked[subject] += 1
            self.bodies.append(body)
            self.headers.append(handler.headers)
            self.times.setdefault(subject, []).append(time.monotonic())
        act(handler)


def completion(text: str | None, finish: str = "stop") -> bytes:
    """The body of a chat completion that says the text."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    ).encode()


def says(text: str | None, finish: str = "stop") -> Act:
    """An answer in words."""
    return lambda handler: handler.reply(200, completion(text, finish))


def gives(*rows: tuple[str, str]) -> Act:
    """An answer with examples, as it was asked for."""
    return says(json.dumps({"examples": [{"prompt": p, "name": n} for p, n in rows]}))


def names(**by_id: str) -> Act:
    """An answer with names: `names(i0="fix-x")` names the prompt of id 0."""
    return says(json.dumps({"names": [{"id": int(key[1:]), "name": name} for key, name in by_id.items()]}))


def fails(status: int, message: str = "no", code: str | None = None, **headers: str) -> Act:
    """A status, as OpenAI words it."""
    body = json.dumps({"error": {"message": message, "type": "t", "param": None, "code": code}}).encode()
    return lambda handler: handler.reply(status, body, **headers)


def busy_until(seconds: float) -> Act:
    """429 with the date on which to come back: whole seconds, so at most one earlier than asked."""
    return lambda handler: fails(429, Retry_After=email.utils.formatdate(time.time() + seconds, usegmt=True))(handler)


def hangs(seconds: float) -> Act:
    """Nothing, for so long."""

    def act(handler: Handler) -> None:
        time.sleep(seconds)
        handler.close_connection = True

    return act


def hangs_up(handler: Handler) -> None:
    """The connection is closed without a word."""
    handler.close_connection = True


def half_a_body(handler: Handler) -> None:
    """The connection breaks in the middle of a good response."""
    body = completion("{}")
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def broken_body(handler: Handler) -> None:
    """A whole response whose JSON is not."""
    handler.reply(200, completion("{}")[:40])


def a_page(handler: Handler) -> None:
    """A login page where an answer should be."""
    handler.reply(200, b"<html>log in</html>", "text/html")
