"""Recorded traffic of a real model, to be replayed in tests: a server between the run and the provider.

    with Cassette(Path("fix.jsonl"), upstream="https://api.example/v1", by="me") as model:     # records
        ...  # base_url = model.base_url
    with Cassette(Path("fix.jsonl")) as model:                                                 # replays
        ...

A request is found again by its path and body, in which times, decimals and addresses count for nothing; equal requests
are answered in the order in which they were recorded. One that was not recorded is answered with status 424 and is an
error: leaving the block raises `Miss`.
A `lenient` cassette gives it the next answer that was recorded for a request of its kind, with tools or without, and
notes it in `changed`: so a recording can be tried with newer prompts. Headers are not kept, so no key is; known secrets
in bodies are masked.

Not covered: secrets of unknown shapes that a prompt or an answer holds; look at a cassette before you share it.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import urllib.error
import urllib.request
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from lg_orch.agent.loop_detection import settled
from lg_orch.llm.providers import api_keys
from lg_policy.secrets.masking import Masker

if TYPE_CHECKING:
    from pathlib import Path

FORMAT = 1
MISS_STATUS = 424
TIMEOUT_S = 300
_PASSED = (
    "authorization", "content-type", "accept", "x-api-key", "anthropic-version", "anthropic-beta", "x-goog-api-key",
)  # fmt: skip


class Miss(AssertionError):
    """A request that the cassette does not have."""


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One answer as it came."""

    status: int
    content_type: str
    body: str


@dataclass
class Cassette:
    """Serves on a free port of this machine for the length of a `with` block."""

    path: Path
    upstream: str | None = None
    """Address of the provider to record from, as a `base_url`; `None`: replay."""
    by: str = ""
    """Who records; kept in the cassette."""
    base_url: str = ""
    misses: list[str] = field(default_factory=list)
    """Paths and ends of requests that were not recorded."""
    lenient: bool = False
    changed: list[str] = field(default_factory=list)
    """Those that a lenient cassette answered nevertheless."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._masker = Masker(b"cassette", [*api_keys(os.environ)])
        self._answers: dict[str, list[Recorded]] = defaultdict(list)
        self._order: list[tuple[bool, Recorded]] = []
        if self.upstream is None:
            self._load()
        else:
            head = {"format": FORMAT, "recorded": datetime.now(UTC).isoformat(timespec="seconds"), "by": self.by}
            self.path.write_text(json.dumps(head) + "\n")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.misses and kind is None:
            raise Miss(f"{len(self.misses)} requests are not in {self.path.name}; the first: {self.misses[0]}")

    def answer(self, path: str, body: bytes, headers: dict[str, str]) -> Recorded:
        """What a request is answered with; called by the server."""
        key = key_of(path, self._masker.mask(body.decode("utf-8", "replace")))
        if self.upstream is not None:
            return self._record(key, path, body, headers)
        with self._lock:
            known = self._answers.get(key)
            if known:
                found = known.pop(0) if len(known) > 1 else known[0]
                self._order = [entry for entry in self._order if entry[1] is not found]
                return found
            if self.lenient and (following := self._next(body)) is not None:
                self.changed.append(path)
                return following
            text = body.decode("utf-8", "replace")
            self.misses.append(f"{path} …{text[-300:]}")
        error = {"error": {"message": f"{self.path.name} has no answer to this request", "type": "cassette_miss"}}
        return Recorded(status=MISS_STATUS, content_type="application/json", body=json.dumps(error))

    def _next(self, body: bytes) -> Recorded | None:
        """The first answer that is left for a request of this kind."""
        kind = _offers_tools(body)
        for entry in self._order:
            if entry[0] == kind:
                self._order.remove(entry)
                return entry[1]
        return None

    def _record(self, key: str, path: str, body: bytes, headers: dict[str, str]) -> Recorded:
        passed = {name: value for name, value in headers.items() if name.lower() in _PASSED}
        request = urllib.request.Request(f"{self.upstream}{path}", data=body, headers=passed, method="POST")  # noqa: S310  # the tester named it
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:  # noqa: S310  # likewise
                status, content_type, data = reply.status, reply.headers.get("content-type", ""), reply.read()
        except urllib.error.HTTPError as error:
            status, content_type, data = error.code, error.headers.get("content-type", ""), error.read()
        kept = Recorded(status=status, content_type=content_type, body=self._masker.mask(data.decode()))
        line = {
            "key": key,
            "model": _model(body),
            "tools": _offers_tools(body),
            "status": status,
            "content_type": content_type,
            "body": kept.body,
        }
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        return kept

    def _load(self) -> None:
        head, *lines = self.path.read_text().splitlines()
        if json.loads(head).get("format") != FORMAT:
            raise Miss(f"{self.path.name} is not a cassette of format {FORMAT}")
        for record in map(json.loads, lines):
            answer = Recorded(status=record["status"], content_type=record["content_type"], body=record["body"])
            self._answers[record["key"]].append(answer)
            self._order.append((record.get("tools", True), answer))


def key_of(path: str, body: str) -> str:
    """SHA-256 over path and body, keys of objects in order, without what differs by chance between two runs."""
    try:
        canonical = json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        canonical = body
    return hashlib.sha256(f"{path}\n{settled(canonical)}".encode()).hexdigest()


def _model(body: bytes) -> str:
    return str(_fields(body).get("model", ""))


def _offers_tools(body: bytes) -> bool:
    return bool(_fields(body).get("tools"))


def _fields(body: bytes) -> dict[str, Any]:
    try:
        found: Any = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _handler(cassette: Cassette) -> type[BaseHTTPRequestHandler]:
    class _CassetteHandler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one request."""
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = cassette.answer(self.path, body, dict(self.headers.items()))
            data = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("content-type", answer.content_type)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return _CassetteHandler
