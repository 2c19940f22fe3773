"""Ollama's own wire: one JSON object a line. A call comes whole, in one of them.

It has no words for a refusal, for what it found in its cache, and for arguments that are no object: a model's torn call
is an error of the server.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.testing.script import broken
from lg_orch.testing.wire import WireRequest, arguments_of, chars_of, chunks, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lg_orch.testing.script import Scripted
    from lg_orch.testing.wire import WireAnswer

_ENDS = {"stop": "stop", "calls": "stop", "length": "length", "refused": "stop"}
_ROLES = ("system", "user", "assistant", "tool")


class OllamaWire:
    """`POST /api/chat`."""

    provider = "ollama"
    key_headers: tuple[str, ...] = ("authorization",)
    stream_type = "application/x-ndjson"

    def base_url(self, origin: str) -> str:
        """The origin."""
        return origin

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """Read a request."""
        if not path.endswith("/api/chat"):
            return None
        limit = (body.get("options") or {}).get("num_predict")
        return WireRequest(
            model=str(body.get("model")),
            stream=bool(body.get("stream", True)),
            limit=limit if isinstance(limit, int) and limit > 0 else None,
            chars=chars_of(body.get("messages", [])) + len(json.dumps(body.get("tools") or "")),
            problem=_problem(body),
        )

    def possible(self, given: Scripted) -> Scripted:
        """A call that is no JSON object never leaves the server."""
        torn = [arguments for _name, arguments in given.calls if not is_object(arguments)]
        return (
            broken(500, f"error parsing tool call: raw='{torn[0]}', err=unexpected end of JSON input")
            if torn
            else given
        )

    def error(self, given: Scripted) -> tuple[dict[str, Any], dict[str, str]]:
        """Ollama's form of an error; it asks for no pause."""
        return {"error": given.error}, {}

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """One object with everything."""
        given = answer.given
        message: dict[str, Any] = {"role": "assistant", "content": given.content or ""}
        if given.thinking:
            message["thinking"] = given.thinking
        if given.calls:
            message["tool_calls"] = [_call(name, arguments) for name, arguments in given.calls]
        return _part(answer, message) | _end(answer)

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """The same in lines."""
        given = answer.given

        def line(**message: Any) -> bytes:
            return _line(_part(answer, {"role": "assistant", "content": "", **message}) | {"done": False})

        for part in chunks(given.thinking):
            yield line(thinking=part)
        for part in chunks(given.content or ""):
            yield line(content=part)
            if given.fails_midway:
                yield _line({"error": given.error})
                return
        for name, arguments in given.calls:
            yield line(tool_calls=[_call(name, arguments)])
        yield _line(_part(answer, {"role": "assistant", "content": ""}) | _end(answer))


def _line(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data).encode() + b"\n"


def _part(answer: WireAnswer, message: dict[str, Any]) -> dict[str, Any]:
    return {"model": answer.model, "created_at": "2026-01-01T00:00:00Z", "message": message}


def _call(name: str, arguments: str) -> dict[str, Any]:
    return {"function": {"name": name, "arguments": arguments_of(arguments)}}


def _end(answer: WireAnswer) -> dict[str, Any]:
    counts = {"prompt_eval_count": answer.prompt, "eval_count": answer.completion} if answer.given.usage else {}
    return {"done": True, "done_reason": _ENDS[answer.end], "total_duration": 1_000, **counts}


def _problem(body: Mapping[str, Any]) -> str:
    if not body.get("model"):
        return "model is required"
    for message in body.get("messages") or ():
        if message.get("role") not in _ROLES:
            return f"invalid role: {message.get('role')}, role must be one of {list(_ROLES)}"
        if not isinstance(message.get("content", ""), str):
            return "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string"
        for call in message.get("tool_calls") or ():
            if not isinstance(call["function"]["arguments"], dict):
                return "json: cannot unmarshal string into Go struct field .arguments of type object"
    for tool in body.get("tools") or ():
        if tool.get("type") != "function" or not isinstance(tool["function"].get("parameters"), dict):
            return "json: cannot unmarshal tools"
    return ""
