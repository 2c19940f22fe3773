"""A scripted server for tests: speaks enough of the OpenAI chat-completions wire for a run, without streaming.

    with ScriptedModel([text("hello"), calls(("fs__read_file", {"path": "a.py"}))]) as model:
        ...  # [models.default] provider = "openai", model = "scripted", base_url = model.base_url

Answers are given in order, whatever is asked; `requests` keeps what came, header `authorization` included. Not covered:
streaming, the Responses API, and any check of what the client sends.
"""

from __future__ import annotations

import itertools
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """One answer: an HTTP status and what goes with it."""

    status: int = 200
    content: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    """Tool names and arguments, the latter as the text that is sent."""
    error: str = ""
    tokens: tuple[int, int] = (100, 20)
    """Prompt and completion tokens that the usage figures report."""


def text(content: str, *, tokens: tuple[int, int] = (100, 20)) -> Scripted:
    """An answer in words."""
    return Scripted(content=content, tokens=tokens)


def calls(*made: tuple[str, dict[str, Any]], tokens: tuple[int, int] = (100, 20)) -> Scripted:
    """An answer that calls tools."""
    return Scripted(calls=tuple((name, json.dumps(arguments)) for name, arguments in made), tokens=tokens)


def broken(status: int, message: str) -> Scripted:
    """An HTTP error."""
    return Scripted(status=status, error=message)


@dataclass
class ScriptedModel:
    """Serves on a free port of this machine for the length of a `with` block; out of answers, it says status 410."""

    script: Iterable[Scripted]
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests, each with the value of its authorization header as `authorization`."""
    base_url: str = ""

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._answer(iter(self.script))))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, script: Iterator[Scripted]) -> Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]:
        numbers, lock = itertools.count(1), threading.Lock()

        def answer(request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
            with lock:
                self.requests.append(request)
                given = next(script, broken(410, "the script has no further answer"))
                return given.status, _body(given, str(request.get("model")), next(numbers))

        return answer


def _body(given: Scripted, model: str, number: int) -> dict[str, Any]:
    if given.status != 200:
        return {"error": {"message": given.error, "type": "scripted", "code": None, "param": None}}
    message: dict[str, Any] = {"role": "assistant", "content": given.content}
    if given.calls:
        message["tool_calls"] = [
            {"id": f"call-{number}-{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for place, (name, arguments) in enumerate(given.calls, start=1)
        ]
    prompt, completion = given.tokens
    return {
        "id": f"scripted-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls" if given.calls else "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion},
    }


def _handler(
    answer: Callable[[dict[str, Any]], tuple[int, dict[str, Any]]],
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one request."""
            request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            status, body = answer({**request, "authorization": self.headers.get("authorization", "")})
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler
