"""OpenAI's Responses API, which some of its models speak only.

Not covered: any check of what the client sends.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lg_orch.testing.openai import OpenAIWire
from lg_orch.testing.wire import WireRequest, chars_of, chunks, event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lg_orch.testing.wire import WireAnswer

_INCOMPLETE = {"length": "max_output_tokens", "refused": "content_filter"}


class ResponsesWire(OpenAIWire):
    """`POST /v1/responses`; errors are those of the other wire."""

    provider = "openai_responses"

    def asked(self, path: str, body: Mapping[str, Any]) -> WireRequest | None:
        """Read a request."""
        if not path.endswith("/responses"):
            return None
        limit = body.get("max_output_tokens")
        return WireRequest(
            model=str(body.get("model")),
            stream=bool(body.get("stream")),
            limit=limit if isinstance(limit, int) else None,
            chars=chars_of([body.get("instructions") or "", body.get("input", [])])
            + len(json.dumps(body.get("tools") or "")),
        )

    def whole(self, answer: WireAnswer) -> dict[str, Any]:
        """One `response`."""
        reason = _INCOMPLETE.get(answer.end)
        body = _empty(answer) | {
            "status": "incomplete" if reason else "completed",
            "incomplete_details": {"reason": reason} if reason else None,
            "output": list(_items(answer)),
        }
        return body | ({"usage": _usage(answer)} if answer.given.usage else {})

    def pieces(self, answer: WireAnswer) -> Iterator[bytes]:
        """The same as events."""
        number = iter(range(10_000))

        def say(kind: str, **data: Any) -> bytes:
            return event({"type": kind, "sequence_number": next(number), **data}, kind)

        yield say("response.created", response=_empty(answer))
        for place, item in enumerate(_items(answer)):
            where = {"output_index": place, "item_id": item["id"]}
            begun = item | ({"arguments": ""} if item["type"] == "function_call" else {})
            begun |= {"content": []} if item["type"] == "message" else {}
            yield say("response.output_item.added", output_index=place, item=begun)
            if answer.given.fails_midway:
                yield say("error", code="server_error", message=answer.given.error, param=None)
                return
            if item["type"] == "message":
                for part in chunks(item["content"][0]["text"]):
                    yield say("response.output_text.delta", **where, content_index=0, delta=part, logprobs=[])
            elif item["type"] == "function_call":
                for part in chunks(item["arguments"]):
                    yield say("response.function_call_arguments.delta", **where, delta=part)
            yield say("response.output_item.done", output_index=place, item=item)
        body = self.whole(answer)
        yield say(f"response.{body['status']}", response=body)


def _empty(answer: WireAnswer) -> dict[str, Any]:
    return {
        "id": f"resp_{answer.number}", "object": "response", "created_at": 0, "model": answer.model, "output": [],
        "status": "in_progress", "error": None, "incomplete_details": None, "parallel_tool_calls": True,
        "tool_choice": "auto", "tools": [], "instructions": None, "metadata": {}, "temperature": None, "top_p": None,
    }  # fmt: skip


def _items(answer: WireAnswer) -> Iterator[dict[str, Any]]:
    given, number = answer.given, answer.number
    if given.thinking:
        yield {"type": "reasoning", "id": f"rs_{number}", "summary": [{"type": "summary_text", "text": given.thinking}]}
    if given.content:
        said = {"type": "output_text", "text": given.content, "annotations": []}
        yield {
            "type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [said],
        }  # fmt: skip
    for place, (name, arguments) in enumerate(given.calls, start=1):
        yield {
            "type": "function_call", "id": f"fc_{number}_{place}", "call_id": f"call_{number}_{place}", "name": name,
            "arguments": arguments, "status": "completed",
        }  # fmt: skip


def _usage(answer: WireAnswer) -> dict[str, Any]:
    return {
        "input_tokens": answer.prompt, "input_tokens_details": {"cached_tokens": answer.given.cached},
        "output_tokens": answer.completion,
        "output_tokens_details": {"reasoning_tokens": len(answer.given.thinking) // 4},
        "total_tokens": answer.prompt + answer.completion,
    }  # fmt: skip
