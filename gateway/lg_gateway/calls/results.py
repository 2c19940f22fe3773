"""Results as a client gets them: refusals with a code, long results cut, nothing about the upstream's connection."""

from __future__ import annotations

import json
from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_gateway.calls.approval_step import Preview
from lg_gateway.catalog.catalog import CatalogEntry
from lg_gateway.ledger.outcomes import Outcome
from lg_policy.errors import Internal, InvalidArguments, LgError
from lg_policy.limits import cut_text
from lg_policy.secrets.masking import Masker

_HIDDEN_META = ("io.modelcontextprotocol/",)


def refusal(error: LgError, masker: Masker | None = None) -> t.CallToolResult:
    """Return the result that tells a model and a program what was refused or failed, and what to do.

    With a masker nothing that a server said about its failure can bring a known secret along.
    """
    text, payload = error.text(), error.payload()
    if masker is not None:
        text, payload = masker.mask(text), masker.mask_json(payload)
    return t.CallToolResult(
        content=[t.TextContent(type="text", text=text)], structured_content={"error": payload}, is_error=True
    )


def upstream_refusal(server: str, error: MCPError) -> LgError:
    """Turn a server's protocol error into a result: as a protocol error it would end many clients' runs."""
    text = f"server {server} refused the call: {error.message[:500]} ({error.code})"
    return InvalidArguments(text) if error.code == t.INVALID_PARAMS else Internal(text)


def tidy(result: t.CallToolResult, entry: CatalogEntry) -> t.CallToolResult:
    """Drop what belongs to the upstream's connection, and `lg/…` keys that only the gateway and our servers may set."""
    meta = {
        key: value
        for key, value in (result.meta or {}).items()
        if not key.startswith(_HIDDEN_META) and (entry.server.builtin or not key.startswith("lg/"))
    }
    if not entry.server.trusted:
        meta["lg/untrusted"] = True  # what follows is data from a stranger, not instructions
    return result.model_copy(update={"meta": meta or None})


def masks(setting: str, entry: CatalogEntry) -> bool:
    """Whether secrets in this tool's results are hidden."""
    return setting == "all" or (setting == "auto" and (not entry.server.trusted or entry.server.builtin == "exec"))


def masked(result: t.CallToolResult, masker: Masker) -> t.CallToolResult:
    """Return a result with known secret shapes hidden wherever it holds text; binary parts stay."""
    content = [_masked_block(block, masker) for block in result.content]
    structured, meta = masker.mask_json(result.structured_content), masker.mask_json(result.meta)
    return result.model_copy(update={"content": content, "structured_content": structured, "meta": meta})


def _masked_block(block: t.ContentBlock, masker: Masker) -> t.ContentBlock:
    if isinstance(block, t.TextContent):
        return block.model_copy(update={"text": masker.mask(block.text)})
    if isinstance(block, t.ResourceLink) and block.description:
        return block.model_copy(update={"description": masker.mask(block.description)})
    if isinstance(block, t.EmbeddedResource) and isinstance(block.resource, t.TextResourceContents):
        resource = block.resource.model_copy(update={"text": masker.mask(block.resource.text)})
        return block.model_copy(update={"resource": resource})
    return block


def whole_text(result: t.CallToolResult) -> str:
    """Return what is kept of a result that was cut: its text, or its structured content where there is none."""
    text = "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))
    return text if text else json.dumps(result.structured_content, ensure_ascii=False)


def cut(
    result: t.CallToolResult, entry: CatalogEntry, *, limit: int, actual: int, result_id: str | None
) -> t.CallToolResult:
    """Cut a result of `actual` bytes to about `limit` and say so in its text and in `structuredContent`.

    A tool with an output schema cannot return half an object, so its cut answer is an error `too_large` with the
    beginning of the text; a caller that asks for less gets the whole.
    """
    advice = f"read on with mcp_result(result_id={result_id!r}), or ask for less" if result_id else "ask for less"
    note = f"[cut by the gateway: the answer has {actual} bytes, the limit is {limit}; {advice}]"
    content: list[Any] = []
    room = max(0, limit - 2_000)
    for block in result.content:
        if not isinstance(block, t.TextContent):
            continue
        text, was_cut = cut_text(block.text, room)
        room -= len(text.encode("utf-8", "replace"))
        content.append(block.model_copy(update={"text": text}))
        if was_cut:
            break
    dropped = len(result.content) - len(content)
    content.append(t.TextContent(type="text", text=note + (f" [{dropped} parts left out]" if dropped else "")))
    error = {
        "code": "too_large",
        "message": f"the answer has {actual} bytes, the limit is {limit}",
        "hint": advice,
    }
    return result.model_copy(
        update={
            "content": content,
            "structured_content": {"error": error} if entry.listed.output_schema or result.is_error else None,
            "is_error": result.is_error or entry.listed.output_schema is not None,
            "meta": (result.meta or {}) | {"lg/cut": {"bytes": actual, "limit": limit, "result_id": result_id}},
        }
    )


def as_outcome(result: t.CallToolResult, size: int | None, limit: int) -> Outcome:
    """Return a result as it is kept. One of more than `limit` bytes is only noted. `size` is known if it was cut."""
    text = _json(result)
    actual = len(text.encode("utf-8", "replace"))
    if actual > limit:
        error = {"code": "too_large", "message": "the outcome was too large to be kept", "hint": "the call took place"}
        text = _json(
            t.CallToolResult(
                content=[t.TextContent(type="text", text="too_large: the outcome was too large to be kept")],
                structured_content={"error": error},
                is_error=True,
            )
        )
    return Outcome(text=text, size=actual if size is None else size)


def _json(result: t.CallToolResult) -> str:
    return result.model_dump_json(by_alias=True, exclude_none=True)


def error_code(result: t.CallToolResult) -> str | None:
    """Return the error code inside a failed result, as our own servers set it."""
    if not result.is_error or not isinstance(result.structured_content, dict):
        return None
    error = result.structured_content.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return code[:64] if isinstance(code, str) else None


def as_preview(result: t.CallToolResult, hidden: Masker | None) -> Preview:
    """Read what a preview says: text for the human, and the hashes of the files it looked at.

    `hidden` is the masker where secrets in this tool's results are kept from its callers.
    """
    if result.is_error:
        return Preview(failure=result)
    structured = result.structured_content if isinstance(result.structured_content, dict) else {}
    files = structured.get("files")
    expected: dict[str, str | None] = {}
    for file in files if isinstance(files, list) else []:
        if isinstance(file, dict) and isinstance(file.get("path"), str) and "before_sha256" in file:
            before, to = file["before_sha256"], file.get("to")
            expected[file["path"]] = before if isinstance(before, str) else None
            expected |= {to: None} if isinstance(to, str) else {}
    diff = structured.get("diff")
    text = "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))
    text = diff if isinstance(diff, str) and diff else text
    here_only = hidden is not None and hidden.mask(text) != text
    return Preview(text=text, expected=expected or None, here_only=here_only)
