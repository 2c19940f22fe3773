"""A scripted server for tests: speaks the wire of OpenAI as a run needs it, streaming included.

    with ScriptedModel([text("hello"), calls(("fs__read_file", {"path": "a.py"}))]) as model:
        ...  # [models.default] provider = "openai", model = "scripted", base_url = model.base_url

The script is a sequence of answers, given in order whatever is asked, or a function from a request's body to an answer.
It may misbehave as models and providers do: errors that ask for a pause, silence, a stream that breaks off or fails
midway, arguments that are not JSON, text without end. `requests` keeps what came, with the `model`, the `path` and the
key's header as `authorization`; `prompt_tokens` and `completion_tokens` say what answers were counted as, at four
characters a token unless an answer says otherwise. The limit of a reply that the client sends is kept, as a provider
would.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from lg_orch.testing.openai import OpenAIWire
from lg_orch.testing.script import Script, broken, in_order
from lg_orch.testing.wire import Answer, tokens_of, within_limit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.testing.wire import Asked, Wire

WIRES: Mapping[str, Wire] = {wire.provider: wire for wire in (OpenAIWire(),)}
FIRST_PIECES = 3
"""Pieces of a stream before it breaks off."""


@dataclass
class ScriptedModel:
    """Serves on a free port of this machine for the length of a `with` block; out of answers, it says status 410."""

    script: Script
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests, each with its `model`, its `path`, and its key's header as `authorization`."""
    refused: list[str] = field(default_factory=list)
    """Why requests were refused that the provider would refuse."""
    prompt_tokens: list[int] = field(default_factory=list)
    """Per answered request, as reported."""
    completion_tokens: list[int] = field(default_factory=list)
    base_url: str = ""
    """For OpenAI's wire."""

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = self.url_for("openai")
        self._answers = self.script if callable(self.script) else in_order(iter(self.script))
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url_for(self, provider: str) -> str:
        """The `base_url` for a provider's client."""
        return WIRES[provider].base_url(f"http://127.0.0.1:{self._server.server_address[1]}")

    def answer(self, asked: Asked, request: dict[str, Any]) -> Answer:
        """The scripted answer to a request; called by the server."""
        with self._lock:
            self.requests.append(request)
            if asked.problem:
                self.refused.append(asked.problem)
                given = broken(400, asked.problem)
            else:
                given = within_limit(self._answers(request), asked.limit)
            prompt, completion = tokens_of(given, asked.chars)
            if given.status == 200 and not given.silent:
                self.prompt_tokens.append(prompt)
                self.completion_tokens.append(completion)
            number = next(self._numbers)
            return Answer(given=given, model=asked.model, number=number, prompt=prompt, completion=completion)

    def wait_for_end(self) -> None:
        """Return when the server is ended; called by an answer that never comes."""
        self._ended.wait()


def _wire_of(path: str, body: Mapping[str, Any]) -> tuple[Wire, Asked]:
    for wire in WIRES.values():
        asked = wire.asked(path, body)
        if asked is not None:
            return wire, asked
    raise ValueError(f"no wire has the path {path}")


class _Server(ThreadingHTTPServer):
    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        """Answer one request."""
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
        try:
            wire, asked = _wire_of(self.path, body)
        except ValueError as error:
            self._send(404, {"error": str(error)}, None)
            return
        key = self.headers.get(wire.key_header, "")
        answer = self.server.model.answer(
            asked, {"model": asked.model, **body, "path": self.path, "authorization": key}
        )
        given = answer.given
        if given.silent:
            self.server.model.wait_for_end()
        elif given.status != 200:
            self._send(given.status, wire.error(given), given.retry_after)
        elif asked.stream:
            self._stream(wire, answer)
        else:
            self._send(200, wire.whole(answer), None)

    def _send(self, status: int, body: dict[str, Any], retry_after: float | None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        if retry_after is not None:
            self.send_header("retry-after", str(retry_after))
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, wire: Wire, answer: Answer) -> None:
        self.send_response(200)
        self.send_header("content-type", wire.stream_type)
        self.end_headers()
        pieces = wire.pieces(answer)
        try:
            for piece in itertools.islice(pieces, FIRST_PIECES) if answer.given.breaks_off else pieces:
                self.wfile.write(piece)
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            # The client has heard enough.
            return

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
