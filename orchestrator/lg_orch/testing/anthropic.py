"""Anthropic's Messages API. A request that it would refuse is refused, in its words as far as they are known."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lg_orch.testing.wire import WireRequest, arguments_of, asks_for_pause, chars_of, chunks, event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lg_orch.testing.script import Scripted
    from lg_orch.testing.wire import WireAnswer

_ENDS = {"stop": "end_turn", "calls": "tool_use", "length": "max_tokens", "refused": "refusal"}
_ERRORS = {
    400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
    413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
}  # fmt: skip
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_COMBINATORS = ("oneOf", "allOf", "anyOf")
MAX_MARKS = 4
"""Places in a request that may be marked for the cache."""


class AnthropicWire:
    """`POST /v1/messages`."""

    provider = "anthropic"
    key_headers: tuple[str, ...] = ("x-api-key", "authorization")
    stream_type = "text/event-stream; charset=utf-8"

    def base_url(self, origin: str) -> str:
        """The origin; the client adds the version."""
        return origin

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """Read a request."""
        if not path.split("?", maxsplit=1)[0].endswith("/messages"):
            return None
        limit = body.get("max_tokens")
        return WireRequest(
            model=str(body.get("model")),
            stream=bool(body.get("stream")),
            limit=limit if isinstance(limit, int) else None,
            chars=chars_of([body.get("system", ""), body.get("messages", [])]) + len(json.dumps(body.get("tools", ""))),
            problem=_problem(body),
        )

    def possible(self, given: Scripted) -> Scripted:
        """Everything is."""
        return given

    def error(self, given: Scripted) -> tuple[dict[str, Any], dict[str, str]]:
        """Anthropic's form of an error. One in the middle of a stream says that the service is overloaded."""
        kind = _ERRORS.get(529 if given.status == 200 else given.status, "api_error")
        error = {"type": kind, "message": given.error}
        return {"type": "error", "error": error, "request_id": "req_scripted"}, asks_for_pause(given)

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """One `message`."""
        return _head(answer) | {
            "content": [
                block | ({"input": arguments_of(text)} if block["type"] == "tool_use" else {}) | _filled(block, text)
                for block, text in _blocks(answer)
            ],
            "stop_reason": _ENDS[answer.end],
            "usage": _usage(answer),
        }

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """The same as events."""

        def say(kind: str, **data: Any) -> bytes:
            return event({"type": kind, **data}, kind)

        usage = _usage(answer)
        yield say("message_start", message=_head(answer) | {"usage": usage | {"output_tokens": 1 if usage else 0}})
        yield say("ping")
        for index, (block, text) in enumerate(_blocks(answer)):
            yield say("content_block_start", index=index, content_block=block)
            for delta in _deltas(block, text):
                yield say("content_block_delta", index=index, delta=delta)
                if answer.given.fails_midway:
                    yield event(self.error(answer.given)[0], "error")
                    return
            yield say("content_block_stop", index=index)
        yield say("message_delta", delta={"stop_reason": _ENDS[answer.end], "stop_sequence": None}, usage=usage)
        yield say("message_stop")


def _head(answer: WireAnswer) -> dict[str, Any]:
    return {
        "id": f"msg_scripted{answer.number}", "type": "message", "role": "assistant", "model": answer.model,
        "content": [], "stop_reason": None, "stop_sequence": None,
    }  # fmt: skip


def _blocks(answer: WireAnswer) -> Iterator[tuple[dict[str, Any], str]]:
    """Blocks as they begin, each with the text that fills it."""
    given = answer.given
    if given.thinking:
        yield {"type": "thinking", "thinking": "", "signature": ""}, given.thinking
    if given.content:
        yield {"type": "text", "text": ""}, given.content
    for place, (name, arguments) in enumerate(given.calls, start=1):
        yield {"type": "tool_use", "id": f"toolu_{answer.number}_{place}", "name": name, "input": {}}, arguments


def _filled(block: Mapping[str, Any], text: str) -> dict[str, Any]:
    if block["type"] == "thinking":
        return {"thinking": text, "signature": "c2NyaXB0ZWQ="}
    return {"text": text} if block["type"] == "text" else {}


def _deltas(block: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    if block["type"] == "tool_use":
        # The real one begins with an empty piece, too.
        yield {"type": "input_json_delta", "partial_json": ""}
        yield from ({"type": "input_json_delta", "partial_json": part} for part in chunks(text))
    elif block["type"] == "text":
        yield from ({"type": "text_delta", "text": part} for part in chunks(text))
    else:
        yield from ({"type": "thinking_delta", "thinking": part} for part in chunks(text))
        yield {"type": "signature_delta", "signature": "c2NyaXB0ZWQ="}


def _usage(answer: WireAnswer) -> dict[str, int]:
    """What was read from the cache or written to it is no part of `input_tokens`; without figures they are zero."""
    given = answer.given
    if not given.usage:
        return {"input_tokens": 0, "output_tokens": 0}
    return {
        "input_tokens": answer.prompt - given.cached - given.cache_written,
        "cache_read_input_tokens": given.cached,
        "cache_creation_input_tokens": given.cache_written,
        "output_tokens": answer.completion,
    }


def _problem(body: Mapping[str, Any]) -> str:
    limit, messages = body.get("max_tokens"), body.get("messages") or []
    if not isinstance(limit, int) or limit < 1:
        return "max_tokens: Field required"
    if not messages or messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    marks = json.dumps(body).count('"cache_control"')
    if marks > MAX_MARKS:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    if body.get("system") is not None and _empty(body["system"]):
        return "system: text content blocks must be non-empty"
    return _tools_problem(body.get("tools") or []) or _messages_problem(messages, bool(body.get("tools")))


def _tools_problem(tools: Sequence[Mapping[str, Any]]) -> str:
    names = [str(tool.get("name")) for tool in tools]
    for place, tool in enumerate(tools):
        schema = tool.get("input_schema") or {}
        if not _NAME.fullmatch(names[place]):
            return f"tools.{place}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        if schema.get("type") != "object":
            return f"tools.{place}.custom.input_schema.type: Field required"
        if any(word in schema for word in _COMBINATORS):
            return f"tools.{place}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the top"
    return "tools: Tool names must be unique." if len(set(names)) < len(names) else ""


def _messages_problem(messages: Sequence[Mapping[str, Any]], tools: bool) -> str:
    open_calls: list[str] = []
    for place, message in enumerate(messages):
        content = message["content"]
        if message["role"] not in ("user", "assistant"):
            return f"messages.{place}.role: Input should be 'user' or 'assistant'"
        if _empty(content):
            return f"messages.{place}: text content blocks must contain non-whitespace text"
        blocks = content if isinstance(content, list) else []
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if any(block["type"] == "tool_result" for block in blocks[len(results) :]):
            return f"messages.{place}: tool_result blocks must come first"
        if sorted(results) != sorted(open_calls):
            return f"messages.{place}: `tool_use` ids were found without `tool_result` blocks immediately after, or \
unexpected ones: {open_calls} and {results}"
        open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if not all(map(_ID.fullmatch, open_calls)) or len(set(open_calls)) < len(open_calls):
            return f"messages.{place}: tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$', once each"
        if (results or open_calls) and not tools:
            return "Requests which have `tool_use` or `tool_result` blocks in their messages must define tools"
    last = messages[-1]["content"]
    if messages[-1]["role"] == "assistant" and str(last) != str(last).rstrip():
        return "messages: final assistant content cannot end with trailing whitespace"
    return ""


def _empty(content: Any) -> bool:
    if isinstance(content, str):
        return not content.strip()
    return not content or any(block["type"] == "text" and not block["text"].strip() for block in content)
