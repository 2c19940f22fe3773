"""Gives the answers for resources and prompts their form in the protocol. Inside, they are results like those of tools.

The protocol has no error result for them: a refusal becomes a JSON-RPC error whose `data` says what a refused tool call
says. An error of the server itself keeps its code and its data.
"""

from __future__ import annotations

from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.results import FRAME, GATEWAY, REFUSED, SERVER_ERROR
from lg_policy.rules.rule_set import Kind

NOT_FOUND_2025 = -32_002
"""How a server of the 2025 protocol says that a resource does not exist; later it is `-32602`."""
_CODES = {"invalid_arguments": t.INVALID_PARAMS, "not_found": t.INVALID_PARAMS, "internal": t.INTERNAL_ERROR}
UNASKED = ("policy_denied", "approval_required")
"""Why there is no completion: said by an empty one, because clients ask with every key that is pressed."""
Final = t.ReadResourceResult | t.GetPromptResult


def offer_answer(answer: t.CallToolResult, kind: Kind, address: str, *, modern: bool) -> Final:
    """Return an answer as the client gets it. Raises `MCPError` for a refusal and for a server's own error.

    `address` is what the client asked for. `modern`: the client speaks the protocol of 2026.
    """
    meta = dict(answer.meta or {})
    frame = meta.pop(FRAME, None) or {}
    if answer.is_error:
        raise _error(answer, meta, kind, address, modern=modern)
    if kind is Kind.RESOURCE:
        contents: list[Any] = [_contents(block, address) for block in answer.content]
        return t.ReadResourceResult(contents=contents, ttl_ms=frame.get("ttl_ms", 0), _meta=meta or None)
    roles = [*frame.get("roles", ()), *["user"] * len(answer.content)]
    messages = [t.PromptMessage(role=role, content=block) for role, block in zip(roles, answer.content, strict=False)]
    return t.GetPromptResult(description=frame.get("description"), messages=messages, _meta=meta or None)


def completion_answer(answer: t.CallToolResult, name: str) -> t.CompleteResult:
    """Return the completion as the client gets it; an empty one where the rules do not allow it. Raises `MCPError`."""
    meta = dict(answer.meta or {})
    frame = meta.pop(FRAME, None) or {}
    if answer.is_error:
        error = _error(answer, meta, Kind.COMPLETION, name, modern=True)
        if SERVER_ERROR in (answer.meta or {}) or _code(answer) not in UNASKED:
            raise error
    completion = t.Completion(
        values=frame.get("values", []), total=frame.get("total"), has_more=frame.get("has_more", False)
    )
    return t.CompleteResult(completion=completion, _meta=meta or None)


def not_found(kind: Kind, address: str, *, modern: bool) -> MCPError:
    """Return the error for what does not exist, or what this caller cannot see."""
    if kind is Kind.RESOURCE:
        code = t.INVALID_PARAMS if modern else NOT_FOUND_2025
        return MCPError(code, f"Resource not found: {address[:200]}", {"uri": address[:1_000]})
    return MCPError(t.INVALID_PARAMS, f"Unknown {kind}: {address[:200]}")


def _contents(block: t.ContentBlock, address: str) -> t.TextResourceContents | t.BlobResourceContents:
    if isinstance(block, t.EmbeddedResource):
        return block.resource
    text = block.text if isinstance(block, t.TextContent) else block.model_dump_json(by_alias=True, exclude_none=True)
    return t.TextResourceContents(uri=address, text=text)


def _error(answer: t.CallToolResult, meta: dict[str, Any], kind: Kind, address: str, *, modern: bool) -> MCPError:
    theirs = meta.pop(SERVER_ERROR, None)
    if isinstance(theirs, dict):
        code, data = theirs["code"], theirs.get("data")
        if kind is Kind.RESOURCE:
            names_it = isinstance(data, dict) and isinstance(data.get("uri"), str)
            if isinstance(data, dict) and names_it:
                data = {**data, "uri": address}
            if code == NOT_FOUND_2025 and modern:
                code = t.INVALID_PARAMS
            elif code == t.INVALID_PARAMS and names_it and not modern:
                code = NOT_FOUND_2025
        return MCPError(code, str(theirs["message"]), data)
    text = "\n".join(block.text for block in answer.content if isinstance(block, t.TextContent))
    error = _refusal(answer)
    return MCPError(_CODES.get(_code(answer), REFUSED), text, {"error": error, GATEWAY: True} if error else None)


def _code(answer: t.CallToolResult) -> str:
    """Return the code of a refusal by the gateway."""
    return str(_refusal(answer).get("code", ""))


def _refusal(answer: t.CallToolResult) -> dict[str, Any]:
    structured = answer.structured_content if isinstance(answer.structured_content, dict) else {}
    error = structured.get("error")
    return error if isinstance(error, dict) else {}
