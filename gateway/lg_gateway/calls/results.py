"""Shapes results for the client: refusals get a code, long results are cut, the upstream connection stays hidden."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError
from pydantic import TypeAdapter

from lg_gateway.calls.approval_step import Preview
from lg_gateway.calls.in_thread import in_thread_if
from lg_gateway.calls.kept_results import KEPT_CHARACTERS
from lg_gateway.catalog.entry import Entry
from lg_gateway.catalog.names import with_addresses
from lg_gateway.ledger.outcomes import Outcome
from lg_gateway.upstreams.replies import RelayedResult
from lg_policy.errors import Internal, LgError, TooLarge
from lg_policy.limits import EACH, INLINE_CHARACTERS, cut_at_word, cut_text, is_small
from lg_policy.rules.rule_set import Kind
from lg_policy.secrets.masking import Masker
from lg_policy.wire.quick_models import changed

log = logging.getLogger(__name__)

_HIDDEN_META = ("io.modelcontextprotocol/",)
GATEWAY = "lg/gateway"
"""On a result: the gateway itself says so. A client believes our error codes and ids only beside this mark."""
REFUSED = -31_000
"""The code of a refusal by the gateway where the protocol has no error result: policy, approval, limits.
`data.error.code` says which."""
SERVER_ERROR = "lg/server-error"
"""On a refusal: the JSON-RPC error of the server, `{server, code, message, data}`."""
FRAME = "lg/frame"
"""On the answer for a resource or a prompt, inside the gateway only: what it says besides its content."""
_OURS = (GATEWAY, SERVER_ERROR, FRAME, "lg/untrusted", "lg/cut", "lg/request", "lg/replayed", "lg/unrecorded")
DATA_CHARACTERS = 20_000
"""Of a server's error data; more is left out."""
SECRET_CHARACTERS = 8_000
"""A secret that begins this much before a cut is seen whole, and masked."""
PIECE = 250_000
"""Characters that are masked at once: between pieces, other threads get their turn."""
_BLOCKS: TypeAdapter[Any] = TypeAdapter(t.ContentBlock)
Mask = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Shaped:
    """A result as it goes out. `size` is that of the whole; `whole` is the text of one that was cut, to be kept."""

    result: t.CallToolResult
    size: int
    whole: str | None = None
    text: str | None = None
    """The result as JSON, where that is known already."""


class ServerRefusal(Internal):
    """A server answered a call with a protocol error of its own.

    Nothing in it passes for a refusal by the gateway: neither its code nor the mark in its data.
    """

    def __init__(self, server: str, error: t.ErrorData) -> None:
        if error.code == REFUSED:
            error = error.model_copy(update={"code": t.INTERNAL_ERROR})
        small = error.data is not None and is_small(error.data, DATA_CHARACTERS)
        data = _without_gateway_mark(error.data) if small else None
        said = f" {cut_at_word(json.dumps(data, ensure_ascii=False), 500)}" if data not in (None, "") else ""
        super().__init__(f"server {server} refused the call: {cut_at_word(error.message, 500)} ({error.code}){said}")
        self.detail = {"server": server, "code": error.code, "message": error.message, "data": data}


class ServerRefusedArguments(ServerRefusal):
    """A server answered that the arguments are wrong."""

    code = "invalid_arguments"


def refusal(error: LgError, masker: Masker | None = None) -> t.CallToolResult:
    """Return the result that tells a model and a program what was refused or failed, and what to do.

    With a masker nothing that a server said about its failure can bring a known secret along.
    """
    text, payload = error.text(), error.payload()
    meta: dict[str, Any] = {GATEWAY: True}
    if isinstance(error, ServerRefusal):
        meta[SERVER_ERROR] = error.detail
    if masker is not None:
        text, payload, meta = masker.mask(text), masker.mask_json(payload), masker.mask_json(meta)
    return t.CallToolResult(
        content=[t.TextContent(type="text", text=text)],
        structured_content={"error": payload},
        is_error=True,
        _meta=meta,
    )


def upstream_refusal(server: str, error: MCPError) -> LgError:
    """Turn a server's protocol error into a result: as a protocol error it would end many clients' runs."""
    kind = ServerRefusedArguments if error.code == t.INVALID_PARAMS else ServerRefusal
    return kind(server, error.error)


def shape(
    result: t.CallToolResult, entry: Entry, masker: Masker | None, limit: int, public: Callable[[str], str]
) -> Shaped:
    """Return a server's result as it goes to a caller: without foreign marks, cut to `limit` bytes, then masked.

    `public` returns the address that clients use for a URI of the server.
    """
    result = tidy(result, entry, public)
    text = _json(result)
    size = _bytes(text)
    if size > limit and entry.kind is not Kind.TOOL and not _is_text(result, entry):
        how = "use a tool of its server that returns less, or have gateway.result_max_bytes raised"
        what = TooLarge(f"the {entry.kind} has {size} bytes, the limit is {limit}", hint=how)
        return Shaped(result=refusal(what), size=size)
    if size <= limit:
        hidden = masked(result, masker) if masker is not None else result
        return Shaped(result=hidden, size=size, text=text if hidden is result else None)
    whole = whole_text(result, entry)[:KEPT_CHARACTERS]
    mask = masker.mask if masker is not None else None
    kept = in_pieces(whole, masker) if masker is not None else whole
    return Shaped(result=cut(result, entry, limit=limit, actual=size, mask=mask), size=size, whole=kept)


async def shape_result(
    result: t.CallToolResult, entry: Entry, masker: Masker | None, limit: int, public: Callable[[str], str]
) -> Shaped:
    """Do what `shape` does, in a worker thread where the result is large."""
    return await in_thread_if(not _is_small(result), shape, result, entry, masker, limit, public)


def _is_small(result: t.CallToolResult) -> bool:
    room = INLINE_CHARACTERS
    for block in result.content:
        if type(block) is not t.TextContent or block.meta is not None or block.annotations is not None:
            return is_small(result)
        room -= EACH + len(block.text)
    alone = result.structured_content is None and not result.meta
    return room >= 0 and (alone or is_small([result.structured_content, result.meta], room))


def tidy(result: t.CallToolResult, entry: Entry, public: Callable[[str], str]) -> t.CallToolResult:
    """Drop what belongs to the upstream's connection, and marks that only the gateway or our servers may set.

    URIs become the addresses that clients use, except in text and in structured content.
    """
    builtin = entry.server.builtin is not None
    meta = with_addresses(_without_marks(result.meta, builtin=builtin) or {}, public) if result.meta else {}
    if isinstance(result, RelayedResult) and result.frame:
        meta[FRAME] = result.frame
    if not entry.server.trusted:
        meta["lg/untrusted"] = True  # what follows is data from a stranger, not instructions
    content = [_addressed(_without_block_marks(block, builtin=builtin), public) for block in result.content]
    structured = _without_gateway_mark(result.structured_content)
    same = all(a is b for a, b in zip(content, result.content, strict=True))
    if same and (meta or None) == result.meta and structured == result.structured_content:
        return result
    return changed(result, meta=meta or None, content=content, structured_content=structured)


def _without_marks(meta: Mapping[str, Any] | None, *, builtin: bool) -> dict[str, Any] | None:
    if meta is None:
        return None
    return {
        key: _without_gateway_mark(value)
        for key, value in meta.items()
        if not key.startswith(_HIDDEN_META) and key not in _OURS and (builtin or not _poses(key))
    }


def _without_block_marks(block: t.ContentBlock, *, builtin: bool) -> t.ContentBlock:
    made = block.model_copy(update={"meta": _without_marks(block.meta, builtin=builtin)}) if block.meta else block
    if isinstance(made, t.EmbeddedResource) and made.resource.meta:
        inner = made.resource.model_copy(update={"meta": _without_marks(made.resource.meta, builtin=builtin)})
        made = made.model_copy(update={"resource": inner})
    return made


def _addressed(block: t.ContentBlock, public: Callable[[str], str]) -> t.ContentBlock:
    """Return a block whose URI is the address that clients use."""
    if isinstance(block, t.ResourceLink):
        return block.model_copy(update={"uri": public(block.uri), "meta": _addressed_meta(block.meta, public)})
    if isinstance(block, t.EmbeddedResource):
        resource = block.resource
        given = {"uri": public(resource.uri), "meta": _addressed_meta(resource.meta, public)}
        return block.model_copy(update={"resource": resource.model_copy(update=given)})
    return block


def _addressed_meta(meta: dict[str, Any] | None, public: Callable[[str], str]) -> dict[str, Any] | None:
    return with_addresses(meta, public) if meta else meta


def _without_gateway_mark(value: Any) -> Any:
    """Return a JSON value in which the gateway's mark stands nowhere as a key."""
    if isinstance(value, dict):
        return {key: _without_gateway_mark(item) for key, item in value.items() if _plain(key) != GATEWAY}
    return [_without_gateway_mark(item) for item in value] if isinstance(value, list) else value


def _poses(key: str) -> bool:
    """Whether a key is one of ours, or reads like one to a program that is not exact."""
    return _plain(key).startswith("lg/")


def _plain(key: str) -> str:
    return key.strip().casefold()


def masks(setting: str, entry: Entry) -> bool:
    """Whether secrets in this tool's results are hidden."""
    return setting == "all" or (setting == "auto" and (not entry.server.trusted or entry.server.builtin == "exec"))


def masked(result: t.CallToolResult, masker: Masker) -> t.CallToolResult:
    """Return a result with known secrets hidden wherever it holds text; binary parts stay."""
    content = [_masked_block(block, masker) for block in result.content]
    structured, meta = masker.mask_json(result.structured_content), masker.mask_json(result.meta)
    same = all(a is b for a, b in zip(content, result.content, strict=True))
    if same and structured == result.structured_content and meta == result.meta:
        return result
    return result.model_copy(update={"content": content, "structured_content": structured, "meta": meta})


def _masked_block(block: t.ContentBlock, masker: Masker) -> t.ContentBlock:
    """Mask every text of a block: names, titles, addresses, descriptions and metadata too."""
    if isinstance(block, t.TextContent) and not block.meta and block.annotations is None:
        text = masker.mask(block.text)
        return block if text == block.text else block.model_copy(update={"text": text})
    whole = block.model_dump(mode="json", by_alias=True, exclude_none=True)
    binary = whole.pop("data", None)
    inner = whole.get("resource")
    blob = inner.pop("blob", None) if isinstance(inner, dict) else None
    made: dict[str, Any] = masker.mask_json(whole)
    if binary is not None:
        made["data"] = binary
    if blob is not None:
        made["resource"]["blob"] = blob
    found: t.ContentBlock = _BLOCKS.validate_python(made, by_name=False)
    return found


def in_pieces(text: str, masker: Masker) -> str:
    """Mask a long text in pieces that end at line ends, and never inside a key that has begun."""
    pieces = []
    at = 0
    while at < len(text):
        end = min(len(text), at + PIECE)
        if end < len(text):
            line = text.rfind("\n", at, end) + 1
            key = text.rfind("-----BEGIN", max(at, end - SECRET_CHARACTERS), end)
            if key > at and "-----END" not in text[key:end]:
                line = key
            end = line if line > at else end
        pieces.append(masker.mask(text[at:end]))
        at = end
    return "".join(pieces)


def whole_text(result: t.CallToolResult, entry: Entry) -> str:
    """Return what is kept of a result that was cut: its text, or its structured content where there is none."""
    text = "\n".join(text for block in result.content if (text := _text_of(block, entry)) is not None)
    return text if text else json.dumps(result.structured_content, ensure_ascii=False)


def _text_of(block: t.ContentBlock, entry: Entry) -> str | None:
    """Return the text of a block; `None` for one that is not text, or that is cut as a whole."""
    text = block.resource if isinstance(block, t.EmbeddedResource) and entry.kind is Kind.RESOURCE else block
    return text.text if isinstance(text, t.TextContent | t.TextResourceContents) else None


def _is_text(result: t.CallToolResult, entry: Entry) -> bool:
    """Whether an answer is a resource of text alone, which can be cut."""
    return entry.kind is Kind.RESOURCE and all(_text_of(block, entry) is not None for block in result.content)


def _with_text(block: t.ContentBlock, text: str) -> t.ContentBlock:
    if isinstance(block, t.EmbeddedResource):
        return block.model_copy(update={"resource": block.resource.model_copy(update={"text": text})})
    return t.TextContent(type="text", text=text)


def cut(result: t.CallToolResult, entry: Entry, *, limit: int, actual: int, mask: Mask | None) -> t.CallToolResult:
    """Cut a result of `actual` bytes to about `limit`. `cut_note` adds what was done.

    A tool with an output schema cannot return half an object, so its cut answer is an error `too_large` with the
    beginning of the text; a caller that asks for less gets the whole.
    """
    content: list[Any] = []
    room = max(0, limit - 2_000)
    for block in result.content:
        whole = _text_of(block, entry)
        if whole is None:
            continue
        text = whole[: room + SECRET_CHARACTERS]
        text, was_cut = cut_text(mask(text) if mask is not None else text, room)
        room -= len(text.encode("utf-8", "replace"))
        content.append(_with_text(block, text))
        if was_cut or room <= 0:
            break
    failed = result.is_error or entry.has_output_schema
    dropped = len(result.content) - len(content)
    meta: dict[str, Any] = {"lg/cut": {"bytes": actual, "limit": limit, "result_id": None, "dropped": dropped}}
    if not entry.server.trusted:
        meta["lg/untrusted"] = True
    if failed:
        meta[GATEWAY] = True
    return t.CallToolResult(content=content, is_error=failed, _meta=meta)


def cut_note(result: t.CallToolResult, limit: int, actual: int, result_id: str | None) -> t.CallToolResult:
    """Say in a result that was cut that it was, and where the rest is."""
    advice = f"read on with mcp_result(result_id={result_id!r}), or ask for less" if result_id else "ask for less"
    meta = dict(result.meta or {})
    dropped = meta["lg/cut"].pop("dropped", 0)
    meta["lg/cut"] |= {"result_id": result_id}
    note = f"[cut by the gateway: the answer has {actual} bytes, the limit is {limit}; {advice}]"
    said = t.TextContent(type="text", text=note + (f" [{dropped} parts left out]" if dropped > 0 else ""))
    message = f"the answer has {actual} bytes, the limit is {limit}"
    error = {"error": {"code": "too_large", "message": message, "hint": advice}}
    given = {"content": [*result.content, said], "meta": meta}
    return result.model_copy(update=given | ({"structured_content": error} if result.is_error else {}))


def as_outcome(result: t.CallToolResult, size: int | None, limit: int, known: str | None = None) -> Outcome:
    """Return a result as it is kept. One of more than `limit` bytes is only noted. `size` is known if it was cut.

    `known` is the result as JSON, where that was made before.
    """
    text = _json(result) if known is None else known
    actual = _bytes(text)
    if actual > limit:
        error = {"code": "too_large", "message": "the outcome was too large to be kept", "hint": "the call took place"}
        text = _json(
            t.CallToolResult(
                content=[t.TextContent(type="text", text="too_large: the outcome was too large to be kept")],
                structured_content={"error": error},
                is_error=True,
                _meta={GATEWAY: True},
            )
        )
    return Outcome(text=text, size=actual if size is None else size)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _json(result: t.CallToolResult) -> str:
    return result.model_dump_json(by_alias=True, exclude_none=True)


def error_code(result: t.CallToolResult, entry: Entry) -> str | None:
    """Return the error code inside a failed result: the gateway's own, or of a server that is trusted to know them."""
    believed = entry.server.trusted or (result.meta or {}).get(GATEWAY) is True
    if not result.is_error or not believed or not isinstance(result.structured_content, dict):
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


def internal_failure(error: BaseException) -> t.CallToolResult:
    """Log an unexpected exception, and return a result that says nothing about it."""
    log.error("a call failed inside the gateway", exc_info=error)
    return refusal(Internal("the gateway failed; its log says why"))
