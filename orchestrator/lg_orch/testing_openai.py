"""A scripted server for tests: speaks the OpenAI chat-completions wire as a run needs it, streaming included.

    with ScriptedModel([text("hello"), calls(("fs__read_file", {"path": "a.py"}))]) as model:
        ...  # [models.default] provider = "openai", model = "scripted", base_url = model.base_url

The script is a sequence of answers, given in order whatever is asked, or a function from a request's body to an answer.
It may misbehave as models and providers do: errors with `Retry-After`, silence, a stream that breaks off, arguments
that are not JSON, text without end. `requests` keeps what came, the header `authorization` included; `prompt_tokens`
and `completion_tokens` say what answers were counted as, at four characters a token unless an answer says otherwise.
The limit of a reply that the client sends is kept, as a provider would.

Not covered: the Responses API, and any check of what the client sends.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

CHARS_PER_TOKEN = 4
CHUNK = 24
"""Characters of one piece of a stream."""


@dataclass(frozen=True, kw_only=True)
class Scripted:
    """One answer: an HTTP status and what goes with it."""

    status: int = 200
    content: str | None = None
    calls: tuple[tuple[str, str], ...] = ()
    """Tool names and arguments, the latter as the text that is sent."""
    error: str = ""
    tokens: tuple[int, int] | None = None
    """Prompt and completion tokens that the usage figures report; `None`: by the length of the texts."""
    cached: int = 0
    """Prompt tokens reported as found in the provider's cache."""
    retry_after: float | None = None
    silent: bool = False
    """Nothing is sent until the server ends."""
    breaks_off: bool = False
    """The connection is closed after the first piece of a stream."""
    usage: bool = True
    """Whether usage figures are reported at all."""


Script = Iterable[Scripted] | Callable[[dict[str, Any]], Scripted]


def text(content: str, *, tokens: tuple[int, int] | None = None) -> Scripted:
    """An answer in words."""
    return Scripted(content=content, tokens=tokens)


def calls(*made: tuple[str, dict[str, Any]], tokens: tuple[int, int] | None = None, content: str = "") -> Scripted:
    """An answer that calls tools."""
    return Scripted(
        calls=tuple((name, json.dumps(arguments)) for name, arguments in made), tokens=tokens, content=content or None
    )


def broken(status: int, message: str, *, retry_after: float | None = None) -> Scripted:
    """An HTTP error."""
    return Scripted(status=status, error=message, retry_after=retry_after)


def silent() -> Scripted:
    """No answer at all."""
    return Scripted(silent=True)


@dataclass
class ScriptedModel:
    """Serves on a free port of this machine for the length of a `with` block; out of answers, it says status 410."""

    script: Script
    requests: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of the requests, each with the value of its authorization header as `authorization`."""
    prompt_tokens: list[int] = field(default_factory=list)
    """Per answered request, as reported."""
    completion_tokens: list[int] = field(default_factory=list)
    base_url: str = ""

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._answers = self.script if callable(self.script) else _in_order(iter(self.script))
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, request: dict[str, Any]) -> tuple[Scripted, dict[str, Any]]:
        """The scripted answer to a request, and what it becomes on the wire; called by the server."""
        with self._lock:
            self.requests.append(request)
            given = _within_limit(self._answers(request), request)
            usage = _usage(given, request)
            if given.status == 200 and not given.silent:
                self.prompt_tokens.append(usage["prompt_tokens"])
                self.completion_tokens.append(usage["completion_tokens"])
            return given, _body(given, str(request.get("model")), next(self._numbers), usage)

    def wait_for_end(self) -> None:
        """Return when the server is ended; called by an answer that never comes."""
        self._ended.wait()


def _in_order(script: Iterator[Scripted]) -> Callable[[dict[str, Any]], Scripted]:
    return lambda _request: next(script, broken(410, "the script has no further answer"))


def _within_limit(given: Scripted, request: dict[str, Any]) -> Scripted:
    limit = request.get("max_completion_tokens") or request.get("max_tokens")
    if not isinstance(limit, int) or given.content is None or len(given.content) <= limit * CHARS_PER_TOKEN:
        return given
    return Scripted(content=given.content[: limit * CHARS_PER_TOKEN], tokens=given.tokens, error="length")


def request_chars(request: dict[str, Any]) -> int:
    """Characters of everything in a request that a provider counts: messages, tool calls in them, tools."""
    messages = [
        f"{one.get('content') or ''}{json.dumps(one['tool_calls']) if one.get('tool_calls') else ''}"
        for one in request.get("messages", ())
    ]
    return sum(map(len, messages)) + (len(json.dumps(request["tools"])) if request.get("tools") else 0)


def _usage(given: Scripted, request: dict[str, Any]) -> dict[str, Any]:
    said = len(given.content or "") + sum(len(name) + len(arguments) for name, arguments in given.calls)
    prompt, completion = given.tokens or (request_chars(request) // CHARS_PER_TOKEN, said // CHARS_PER_TOKEN)
    usage: dict[str, Any] = {
        "prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion,
    }  # fmt: skip
    return usage | ({"prompt_tokens_details": {"cached_tokens": given.cached}} if given.cached else {})


def _body(given: Scripted, model: str, number: int, usage: dict[str, Any]) -> dict[str, Any]:
    if given.status != 200:
        return {"error": {"message": given.error, "type": "scripted", "code": None, "param": None}}
    message: dict[str, Any] = {"role": "assistant", "content": given.content}
    if given.calls:
        message["tool_calls"] = [
            {"id": f"call-{number}-{place}", "type": "function", "function": {"name": name, "arguments": arguments}}
            for place, (name, arguments) in enumerate(given.calls, start=1)
        ]
    reason = given.error or ("tool_calls" if given.calls else "stop")
    return {
        "id": f"scripted-{number}",
        "object": "chat.completion",
        "created": 0,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        **({"usage": usage} if given.usage else {}),
    }


def _pieces(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The same answer as the pieces of a stream."""
    choice = body["choices"][0]
    message = choice["message"]
    base = {key: body[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

    def piece(delta: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

    yield piece({"role": "assistant", "content": ""})
    content = message["content"] or ""
    for at in range(0, len(content), CHUNK):
        yield piece({"content": content[at : at + CHUNK]})
    for index, call in enumerate(message.get("tool_calls", ())):
        function = call["function"]
        begun = {"index": index, "id": call["id"], "type": "function"}
        yield piece({"tool_calls": [begun | {"function": {"name": function["name"], "arguments": ""}}]})
        for at in range(0, len(function["arguments"]), CHUNK):
            part = function["arguments"][at : at + CHUNK]
            yield piece({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield piece({}, choice["finish_reason"])
    if "usage" in body:
        yield base | {"choices": [], "usage": body["usage"]}


def _handler(model: ScriptedModel) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            """Answer one request."""
            request = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
            given, body = model.answer({**request, "authorization": self.headers.get("authorization", "")})
            if given.silent:
                model.wait_for_end()
                return
            if request.get("stream") and given.status == 200:
                self._stream(given, body)
                return
            data = json.dumps(body).encode()
            self.send_response(given.status)
            if given.retry_after is not None:
                self.send_header("retry-after", str(given.retry_after))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, given: Scripted, body: dict[str, Any]) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            try:
                for piece in _pieces(body):
                    self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
                    self.wfile.flush()
                    if given.breaks_off:
                        return
                self.wfile.write(b"data: [DONE]\n\n")
            except (BrokenPipeError, ConnectionResetError):
                # The client has heard enough.
                return

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    return Handler
