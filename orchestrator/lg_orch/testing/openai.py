"""OpenAI's chat completions, which many other servers speak too.

Not covered: the Responses API, and any check of what the client sends.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

from lg_orch.testing.wire import WireRequest, asks_for_pause, chunks, event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lg_orch.testing.script import Scripted
    from lg_orch.testing.wire import WireAnswer

_ENDS = {"stop": "stop", "calls": "tool_calls", "length": "length", "refused": "content_filter"}


class OpenAIWire:
    """`POST /v1/chat/completions`."""

    provider = "openai"
    key_headers: tuple[str, ...] = ("authorization",)
    stream_type = "text/event-stream"

    def base_url(self, origin: str) -> str:
        """With the version, as OpenAI's client wants it."""
        return f"{origin}/v1"

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """Read a request."""
        if not path.endswith("/chat/completions"):
            return None
        limit = body.get("max_completion_tokens") or body.get("max_tokens")
        return WireRequest(
            model=str(body.get("model")),
            stream=bool(body.get("stream")),
            limit=limit if isinstance(limit, int) else None,
            chars=_chars(body),
        )

    def possible(self, given: Scripted) -> Scripted:
        """Everything is."""
        return given

    def error(self, given: Scripted) -> tuple[dict[str, Any], dict[str, str]]:
        """OpenAI's form of an error."""
        error = {"message": given.error, "type": "scripted", "code": None, "param": None}
        return {"error": error}, asks_for_pause(given)

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """One `chat.completion`."""
        given = answer.given
        message: dict[str, Any] = {"role": "assistant", "content": given.content}
        if given.calls:
            message["tool_calls"] = [
                {
                    "id": f"call-{answer.number}-{place}", "type": "function",
                    "function": {
                        "name": name, "arguments": json.loads(arguments) if given.object_arguments else arguments,
                    },
                }
                for place, (name, arguments) in enumerate(given.calls, start=1)
            ]  # fmt: skip
        return {
            "id": f"scripted-{answer.number}",
            "object": "chat.completion",
            "created": 0,
            "model": answer.model,
            "choices": [{"index": 0, "message": message, "finish_reason": _ENDS[answer.end] if given.finish else None}],
            **({"usage": _usage(answer)} if given.usage else {}),
        }

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """The same as `chat.completion.chunk`s."""
        body = self.whole(answer)
        message = body["choices"][0]["message"]
        base = {key: body[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}

        def piece(delta: dict[str, Any], reason: str | None = None) -> bytes:
            return event(base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})

        yield piece({"role": "assistant", "content": ""})
        if answer.given.fails_midway:
            yield event(self.error(answer.given)[0])
            return
        said = chunks(message["content"] or "")
        for part in itertools.cycle(said) if answer.given.endless else said:
            yield piece({"content": part})
        for index, call in enumerate(message.get("tool_calls", ())):
            function = call["function"]
            begun = {"index": index, "id": call["id"], "type": "function"}
            if answer.given.object_arguments:
                yield piece({"tool_calls": [begun | {"function": function}]})
                continue
            yield piece({"tool_calls": [begun | {"function": {"name": function["name"], "arguments": ""}}]})
            for part in chunks(function["arguments"]):
                yield piece({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
        yield piece({}, body["choices"][0]["finish_reason"])
        if "usage" in body:
            yield event(base | {"choices": [], "usage": body["usage"]})
        yield b"data: [DONE]\n\n"


def _chars(body: Mapping[str, Any]) -> int:
    """Characters of everything that a provider counts: messages, tool calls in them, tools."""
    messages = [
        f"{message.get('content') or ''}{json.dumps(message['tool_calls']) if message.get('tool_calls') else ''}"
        for message in body.get("messages", ())
    ]
    return sum(map(len, messages)) + (len(json.dumps(body["tools"])) if body.get("tools") else 0)


def _usage(answer: WireAnswer) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": answer.prompt, "completion_tokens": answer.completion,
        "total_tokens": answer.prompt + answer.completion,
    }  # fmt: skip
    cached = answer.given.cached
    return usage | ({"prompt_tokens_details": {"cached_tokens": cached}} if cached else {})
