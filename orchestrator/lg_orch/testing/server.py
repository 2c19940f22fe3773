"""A scripted server for tests: speaks the wires of OpenAI, Anthropic, Google and Ollama, streaming included.

    with ScriptedModel([text("hello"), calls(("fs__read_file", {"path": "a.py"}))]) as model:
        ...  # [models.default] provider = "anthropic", model = "scripted", base_url = model.url_for("anthropic")

The script is a sequence of answers, given in order whatever is asked, or a function from a request's body to an answer.
Which wire is spoken is told by the path of a request, so that one script may serve several providers.
It may misbehave as models and providers do: errors that ask for a pause, silence, a stream that breaks off or fails
midway, arguments that are not JSON, text without end. `requests` keeps what came, with the `model`, the `path` and the
key's header as `authorization`; `prompt_tokens` and `completion_tokens` say what answers were counted as, at four
characters a token unless an answer says otherwise. The limit of a reply that the client sends is kept, as a provider
would, and requests that the provider would refuse are answered with status 400 (not on OpenAI's wire); they take no
answer of the script.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from lg_orch.testing.anthropic import AnthropicWire
from lg_orch.testing.google import GoogleWire
from lg_orch.testing.ollama import OllamaWire
from lg_orch.testing.openai import OpenAIWire
from lg_orch.testing.responses import ResponsesWire
from lg_orch.testing.script import Script, broken, in_order
from lg_orch.testing.wire import WireAnswer, tokens_of, within_limit

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lg_orch.testing.wire import Wire, WireRequest

WIRES: Mapping[str, Wire] = {
    wire.provider: wire for wire in (OpenAIWire(), ResponsesWire(), AnthropicWire(), GoogleWire(), OllamaWire())
}
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
    hung_up: int = 0
    """Streams that the client ended."""
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

    def answer(self, wire: Wire, asked: WireRequest, request: dict[str, Any]) -> WireAnswer:
        """The scripted answer to a request; called by the server."""
        with self._lock:
            self.requests.append(request)
            if asked.problem:
                self.refused.append(asked.problem)
                given = broken(400, asked.problem)
            else:
                given = wire.possible(within_limit(self._answers(request), asked.limit))
            prompt, completion = tokens_of(given, asked.chars)
            if given.status == 200 and not given.silent:
                self.prompt_tokens.append(prompt)
                self.completion_tokens.append(completion)
            number = next(self._numbers)
            return WireAnswer(given=given, model=asked.model, number=number, prompt=prompt, completion=completion)

    def was_hung_up(self) -> None:
        """Note that the client has heard enough; called by the server."""
        with self._lock:
            self.hung_up += 1

    def wait_for_end(self) -> None:
        """Return when the server is ended; called by an answer that never comes."""
        self._ended.wait()


def _wire_of(path: str, body: Mapping[str, Any]) -> tuple[Wire, WireRequest]:
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
        length = int(self.headers.get("content-length", 0))
        data = self.rfile.read(length)
        if len(data) < length:
            return  # the client went away meanwhile
        body = json.loads(data)
        try:
            wire, asked = _wire_of(self.path, body)
        except ValueError as error:
            self._send(404, {"error": str(error)})
            return
        key = next((value for name in wire.key_headers if (value := self.headers.get(name))), "")
        answer = self.server.model.answer(
            wire, asked, {"model": asked.model, **body, "path": self.path, "authorization": key}
        )
        given = answer.given
        if given.silent:
            self.server.model.wait_for_end()
        elif given.status != 200:
            self._send(given.status, *wire.error(given))
        elif given.raw:
            self._pieces(wire.stream_type if asked.stream else "application/json", iter(given.raw))
        elif asked.stream:
            self._stream(wire, answer)
        else:
            self._send(200, wire.whole(answer))

    def _send(self, status: int, body: dict[str, Any], headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, wire: Wire, answer: WireAnswer) -> None:
        pieces = wire.pieces(answer)
        if answer.given.breaks_off:
            whole = list(pieces)
            pieces = iter(whole[: min(FIRST_PIECES, len(whole) - 1)])
        self._pieces(wire.stream_type, pieces)

    def _pieces(self, content_type: str, pieces: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.end_headers()
        try:
            for piece in pieces:
                self.wfile.write(piece)
                self.wfile.flush()
        except (BrokenPipeError, ConnectionResetError):
            self.server.model.was_hung_up()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""
