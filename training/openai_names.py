"""Ask a server that speaks OpenAI's chat completions for prompts and names; keep every answer that was paid for.

An answer goes to a JSON Lines file, synced to the disk, before anything is made of it, with a key of what was asked:
what has an answer there is not asked again.
"""

from __future__ import annotations

import email.utils
import hashlib
import json
import os
import random
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from training.stage import bar

# Longer than this a server's wish to be left alone is not waited for: run again later.
LONGEST_WAIT = 120.0
LONGEST_BACK_OFF = 30.0
OPENAI = "https://api.openai.com/v1"
WHAT_TO_DO = {
    401: "the key was not accepted; check OPENAI_API_KEY",
    402: "the account has nothing left to pay with",
    403: "the key may not use this model or server; check --model and OPENAI_BASE_URL",
    404: "there is no such model or address; check --model and OPENAI_BASE_URL (it often ends in /v1)",
}


class ApiError(Exception):
    """One line of what failed and what to do; nothing more will come of this run."""


class Ask(NamedTuple):
    """One request: the key of each thing it asks for, what the server is told, and how many items are to come."""

    keys: tuple[str, ...]
    system: str
    user: str
    schema: dict[str, Any]
    count: int


def key_of(*parts: str) -> str:
    """A key for what is asked, the same for the same parts."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def listing(what: str, **fields: str) -> dict[str, Any]:
    """The JSON schema of an object with one list, `what`, of objects with just these fields of these JSON types."""
    item = {
        "type": "object", "properties": {name: {"type": kind} for name, kind in fields.items()},
        "required": list(fields), "additionalProperties": False,
    }  # fmt: skip
    return {
        "type": "object", "properties": {what: {"type": "array", "items": item}}, "required": [what],
        "additionalProperties": False,
    }  # fmt: skip


def formats(ask: Ask) -> list[dict[str, Any] | None]:
    """What to pass as response_format, strictest first; each next is for servers that refuse the one before.

    Only some servers (llama.cpp among them) heed a schema beside "json_object", and only some take it. The number of
    items is left out of the strict one, which not every server of that format lets a schema say.
    """
    [(what, items)] = ask.schema["properties"].items()
    counted = {**ask.schema, "properties": {what: {**items, "minItems": ask.count, "maxItems": ask.count}}}
    return [
        {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": ask.schema}},
        {"type": "json_object", "schema": counted},
        {"type": "json_object"},
        None,
    ]


def dig(text: str) -> tuple[list[Any] | None, bool]:
    """The list of items in an answer, with prose or a fence around it or not, and whether the answer was whole.

    None where there is no list. Of JSON that breaks off, the items that came before are still given.
    """
    import jiter

    for at in [m.start() for m in re.finditer(r"[{\[]", text)][:50]:
        try:
            value, _ = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            try:
                value = jiter.from_json(text[at:].encode("utf-8", "replace"), partial_mode=True)
            except ValueError:
                continue  # a bracket in prose
            return _list_in(value) or [], False
        if (items := _list_in(value)) is not None:
            return items, True
    return None, True


def _list_in(value: Any) -> list[Any] | None:
    if isinstance(value, list):
        return value if all(isinstance(item, dict) for item in value) else None
    if isinstance(value, dict):
        lists = [v for v in value.values() if isinstance(v, list)]
        return lists[0] if lists else [value] if "name" in value else None
    return None


class Answers:
    """The file of answers: one line each, whole or not there, in the order in which they came."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self.by_key: dict[str, list[dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._torn = False
        if path.exists():
            data = path.read_bytes()
            self._torn = bool(data) and not data.endswith(b"\n")
            for line in data.splitlines():
                try:
                    self._note(json.loads(line))
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # the line that a killed run was writing

    def _note(self, record: dict[str, Any]) -> None:
        _ = record["text"], record["whole"], record["usage"]["in"], record["usage"]["out"]  # KeyError if it is not ours
        for key in record["keys"]:
            self.by_key.setdefault(key, []).append(record)
        self.records.append(record)

    def open(self) -> BinaryIO:
        """The file, to append to, in a folder that is made where there is none. Raises OSError where it cannot be."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return open(self.path, "ab")

    def add(self, record: dict[str, Any]) -> None:
        """Append an answer; it is on the disk once this returns."""
        line = json.dumps(record).encode() + b"\n"
        with self._lock:
            with self.open() as out:
                out.write(b"\n" + line if self._torn else line)
                out.flush()
                os.fsync(out.fileno())
            self._torn = False
            self._note(record)

    def done(self, key: str, attempts: int) -> bool:
        """Whether what the key stands for has a whole answer, or so many that broke off that no better one is due."""
        records = self.by_key.get(key, [])
        return len(records) >= attempts or any(r["whole"] for r in records)


class Server:
    """The server, how patiently it is asked, and what came back: `came` counts answers and failures by kind.

    Raises ValueError for an address that is none.
    """

    def __init__(self, key: str, model: str, answers: Answers, attempts: int, timeout: float, back_off: float) -> None:
        import openai

        # The client takes an empty OPENAI_BASE_URL at its word.
        url = os.environ.get("OPENAI_BASE_URL", "").strip() or OPENAI
        try:
            self.client = openai.OpenAI(api_key=key, base_url=url, max_retries=0, timeout=timeout)
        except Exception as error:  # InvalidURL is httpx's or httpx2's, as the version of openai has it
            if type(error).__name__ != "InvalidURL":
                raise
            raise ValueError(str(error)) from None
        self.url = re.sub(r"//[^/@]*@", "//", str(self.client.base_url))
        self.model = model
        self.answers = answers
        self.attempts = attempts
        self.back_off = back_off
        self.extra: dict[str, Any] = {}  # max_tokens, temperature: sent only where they are asked for
        self.came: Counter[str] = Counter()
        self.stop = threading.Event()
        self._key = key
        self._format = 0
        self._format_works = False
        self._lock = threading.Lock()

    def _count(self, kind: str) -> None:
        with self._lock:
            self.came[kind] += 1

    def _one_line(self, error: object) -> str:
        return " ".join(str(error).replace(self._key, "(the key)").split())[:300]

    def ask(self, ask: Ask) -> None:
        """Ask until a whole answer is kept, or `attempts` times. Raises ApiError where asking on is no use."""
        failures = 0
        while not self.stop.is_set():
            wait = min(LONGEST_BACK_OFF, self.back_off * 2**failures) * random.uniform(0.75, 1.25)
            why = None
            try:
                if self._once(ask):
                    return
            except _Refused:
                continue  # in the next format, at once
            except _Failed as failed:
                why, wait = str(failed), max(wait, failed.wait)
            failures += 1
            if wait > LONGEST_WAIT:
                raise ApiError(f"{why}, and {self.url} asks to be left alone for {wait:.0f} s; run again after that")
            if failures >= self.attempts or all(self.answers.done(key, self.attempts) for key in ask.keys):
                if why is None:
                    return  # all broke off: kept and counted, and no reason to give up on the rest
                raise ApiError(f"{why}: {failures} attempts at {self.url}; run again to go on, all answers are kept")
            self.stop.wait(wait)

    def _once(self, ask: Ask) -> bool:
        """Ask once, keep the answer, and tell whether it was whole."""
        import openai

        at = self._format
        wanted = formats(ask)[at]
        try:
            reply = self.client.chat.completions.create(
                model=self.model,
                messages=[{"role": "system", "content": ask.system}, {"role": "user", "content": ask.user}],
                **({"response_format": wanted} if wanted else {}),  # type: ignore[arg-type]
                **self.extra,
            )
            choice = reply.choices[0]
            text = choice.message.content or getattr(choice.message, "refusal", None) or ""
        except openai.APITimeoutError:
            self._count("time-out")
            raise _Failed("no answer in time") from None
        except openai.APIConnectionError as error:
            self._count("no connection")
            raise _Failed(f"no connection ({self._one_line(error.__cause__ or error)})") from None
        except openai.APIStatusError as error:
            self._count(str(error.status_code))
            raise self._judged(error, at, len(formats(ask)) - 1) from None
        except (ValueError, TypeError, AttributeError, IndexError, openai.APIResponseValidationError):
            self._count("no completion")  # 200, and then half a body, or a body of something else
            raise _Failed("an answer that is no chat completion") from None
        items, whole = dig(text)
        if items is None and choice.finish_reason == "length":
            whole = False  # thought, or spoke, for too long before it came to the point
        self._format_works = True
        self._count("cut JSON" if not whole else "no JSON" if items is None else "200")
        used = (getattr(reply.usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
        usage = dict(zip(("in", "out"), used))
        record = {"keys": list(ask.keys), "model": self.model, "whole": whole, "usage": usage, "text": text}
        self.answers.add(record)
        return whole

    def _judged(self, error: Any, at: int, last: int) -> Exception:
        """What to do about a status: ask in another format, wait and ask again, or give up."""
        body = error.body if isinstance(error.body, dict) else {}
        status, message = error.status_code, self._one_line(body.get("message") or error.message)
        named = re.search(r"response_format|json_schema|json_object|grammar", message)
        if at < last and (
            (status in (400, 422) and (named or not self._format_works)) or (status in (500, 501) and named)
        ):
            with self._lock:
                if self._format == at:
                    self._format, self._format_works = at + 1, False
            return _Refused()
        if status == 429 and getattr(error, "code", None) == "insufficient_quota":
            return ApiError(f"{self.url} says that the quota is used up; top it up and run again")
        if status in (408, 409, 429) or status >= 500:
            return _Failed(f"status {status} ({message})", retry_after(error.response.headers.get("retry-after")))
        what = WHAT_TO_DO.get(status, message)
        return ApiError(f"{self.url} answers {status} to model {self.model!r}: {what}")


class _Refused(Exception):
    """The server does not know the format asked for."""


class _Failed(Exception):
    """A failure that may pass, and the seconds that the server wants to be left alone for."""

    def __init__(self, why: str, wait: float = 0.0) -> None:
        super().__init__(why)
        self.wait = wait


def retry_after(value: str | None) -> float:
    """Seconds to wait from a Retry-After header, given in seconds or as an HTTP date (RFC 9110, 10.2.3); 0 for none."""
    if not value:
        return 0.0
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return 0.0


def estimate(asks: Iterable[Ask], out_per_key: int) -> tuple[int, int]:
    """About how many tokens the requests take in and out, at four characters a token."""
    asks = list(asks)
    return sum(len(a.system) + len(a.user) for a in asks) // 4, sum(len(a.keys) for a in asks) * out_per_key


def ask_all(asks: Sequence[Ask], server: Server, concurrency: int) -> None:
    """Ask them all, a few at a time. An ApiError is raised once what is under way has been kept; no more is sent.

    Raises OSError, and asks nothing, where answers could not be kept.
    """
    if asks:
        server.answers.open().close()
    pool = ThreadPoolExecutor(concurrency)
    futures: list[Future[None]] = [pool.submit(server.ask, ask) for ask in asks]
    try:
        for future in bar(as_completed(futures), "asking", len(futures)):
            future.result()
    finally:
        server.stop.set()
        pool.shutdown(wait=True, cancel_futures=True)
