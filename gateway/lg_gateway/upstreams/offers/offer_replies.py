"""Reads answers about resources, prompts and completions as leniently as those of tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mcp_types as t
from pydantic import ValidationError

from lg_gateway.upstreams.replies import (
    RelayedResult,
    Reply,
    as_json,
    content_block,
    first_problem,
    read_call_result,
    read_called,
    without_nulls,
)
from lg_gateway.upstreams.wire_text import TOO_DEEP

COMPLETION_VALUES = 100
VALUE_CHARACTERS = 1_000
"""Of one value that completes an argument."""
EMPTY_PAGE: dict[str, Any] = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}


def read_contents(raw: object) -> RelayedResult:
    """Return the contents of a resource. What is no content becomes text."""
    result = raw if isinstance(raw, Mapping) else {}
    given = result.get("contents")
    blocks = [
        content_block({"type": "resource", "resource": without_nulls(part) if isinstance(part, Mapping) else part})
        for part in (given if isinstance(given, list) else [])
    ]
    made = read_call_result({"_meta": result.get("_meta")})
    made.content = blocks
    time = result.get("ttlMs")
    known = isinstance(time, int) and not isinstance(time, bool) and time > 0
    return made.with_unsent(frame={"ttl_ms": time}) if known else made


def read_messages(raw: object) -> RelayedResult:
    """Return the messages of a prompt."""
    result = raw if isinstance(raw, Mapping) else {}
    given = result.get("messages")
    messages = [part for part in (given if isinstance(given, list) else []) if isinstance(part, Mapping)]
    made = read_call_result({"_meta": result.get("_meta")})
    made.content = [content_block(message.get("content")) for message in messages]
    roles = ["assistant" if message.get("role") == "assistant" else "user" for message in messages]
    said = {"description": result["description"]} if isinstance(result.get("description"), str) else {}
    return made.with_unsent(frame={"roles": roles, **said})


def read_completion(raw: object) -> RelayedResult:
    """Return the values that complete an argument."""
    result = raw if isinstance(raw, Mapping) else {}
    completion = result.get("completion")
    said = completion if isinstance(completion, Mapping) else {}
    values, total = said.get("values"), said.get("total")
    made = read_call_result({"_meta": result.get("_meta")})
    listed = (values if isinstance(values, list) else [])[:COMPLETION_VALUES]
    frame = {
        "values": [str(value)[:VALUE_CHARACTERS] for value in listed],
        "total": total if isinstance(total, int) and not isinstance(total, bool) else None,
        "has_more": said.get("hasMore") is True,
    }
    return made.with_unsent(frame=frame)


LISTS: Mapping[str, tuple[str, Any]] = {
    "resources/list": ("resources", t.Resource),
    "resources/templates/list": ("resourceTemplates", t.ResourceTemplate),
    "prompts/list": ("prompts", t.Prompt),
}
"""The member and the type of the items of each list but that of tools."""
ITEM_BYTES = 20_000
"""Of one such item; a larger one is left out."""


def read_items(method: str, raw: object, reply: Reply) -> None:
    """Read a page of such a list into `reply`, with what is wrong with the items that are left out."""
    member, kind = LISTS[method]
    page = raw if isinstance(raw, Mapping) else {}
    listed, cursor = page.get(member), page.get("nextCursor")
    reply.next_cursor = cursor if isinstance(cursor, str) else None
    reply.items = []
    for place, definition in enumerate(listed if isinstance(listed, list) else []):
        try:
            if isinstance(definition, Mapping) and TOO_DEEP in definition:
                raise ValueError(TOO_DEEP)
            if len(as_json(definition)) > ITEM_BYTES:
                raise ValueError(f"its definition has more than {ITEM_BYTES} bytes")
            given = without_nulls(definition) if isinstance(definition, Mapping) else definition
            reply.items.append(kind.model_validate(given, by_name=False))
        except ValidationError as error:
            reply.left_out[f"{member} {place + 1}"] = (
                f"its definition does not fit the protocol: {first_problem(error)}"
            )
        except ValueError as error:
            reply.left_out[f"{member} {place + 1}"] = str(error)


CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "tools/call": (read_called, {"content": [], "resultType": "complete"}),
    "resources/read": (read_contents, {"contents": [], **EMPTY_PAGE}),
    "prompts/get": (read_messages, {"messages": [], "resultType": "complete"}),
    "completion/complete": (read_completion, {"completion": {"values": []}, "resultType": "complete"}),
}
"""How the result of each call is read, and what the SDK gets in its place."""
