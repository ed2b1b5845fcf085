"""A stand-in for the API that Claude Code asks, on this machine alone: it answers what a test says, in order."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def use(tool: str, **given: object) -> dict[str, object]:
    """An answer that has the client use a tool."""
    return {"type": "tool_use", "name": tool, "input": given}


class Api(ThreadingHTTPServer):
    """Answers with `answers`, then with "done"; keeps the requests in `asked`."""

    daemon_threads = True

    def __init__(self, *answers: dict[str, object]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []
        self.turn = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Api:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def told(self) -> str:
        """All that was said to the model, as text."""
        return json.dumps([request.get("messages") for request in self.asked])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Api

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._send(404, "text/plain", b"")

    do_GET = do_HEAD

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        with self.server.turn:
            self.server.asked.append(request)
            ready = request.get("tools") and self.server.answers  # titles and the like are asked for without tools
            answer = self.server.answers.pop(0) if ready else {"type": "text", "text": "done"}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": request.get("model"), "content": []}
        usage = {"input_tokens": 1, "output_tokens": 1}
        if not request.get("stream"):
            whole = {**message, "content": [answer], "stop_reason": "end_turn", "usage": usage, "input_tokens": 1}
            self._send(200, "application/json", json.dumps(whole).encode())
            return
        if answer["type"] == "text":
            block = {"type": "text", "text": ""}
            delta = {"type": "text_delta", "text": answer["text"]}
        else:
            block = {**answer, "id": f"toolu_{len(self.server.asked)}", "input": {}}
            delta = {"type": "input_json_delta", "partial_json": json.dumps(answer["input"])}
        reason = "end_turn" if answer["type"] == "text" else "tool_use"
        events = [
            ("message_start", {"message": {**message, "stop_reason": None, "usage": usage}}),
            ("content_block_start", {"index": 0, "content_block": block}),
            ("content_block_delta", {"index": 0, "delta": delta}),
            ("content_block_stop", {"index": 0}),
            ("message_delta", {"delta": {"stop_reason": reason, "stop_sequence": None}, "usage": usage}),
            ("message_stop", {}),
        ]
        lines = [f"event: {name}\ndata: {json.dumps({'type': name, **facts})}\n\n" for name, facts in events]
        self._send(200, "text/event-stream", "".join(lines).encode())

    def _send(self, code: int, kind: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
