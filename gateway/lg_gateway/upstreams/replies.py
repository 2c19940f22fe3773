"""Reads a server's answers leniently, and leaves out only the part that cannot be read.

The SDK refuses a whole answer for one field that it does not know. Here a null field counts as left out, a content
block of an unknown type becomes text, and only a tool whose definition no client could use is left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextvars import Context, ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Self

import mcp_types as t
from pydantic import PrivateAttr, TypeAdapter, ValidationError

from lg_gateway.upstreams.client_side.log_messages import LogMessages
from lg_gateway.upstreams.progress import Progress
from lg_gateway.upstreams.wire_text import TOO_DEEP
from lg_policy.limits import cut_at_word
from lg_policy.wire.argument_repair import target
from lg_policy.wire.quick_models import built, changed

DEFINITION_BYTES = 200_000
"""Of one tool; a larger one is left out."""
NAME_CHARACTERS = 256
MESSAGE_CHARACTERS = 2_000
"""Of a server's error message; the rest is cut."""
MAX_REFERENCES = 5
"""References, and alternatives inside alternatives, that are followed to learn what a schema is for."""
_BRANCHES = 20
_REQUIRED = ("name", "inputSchema")
_TEXT = {"type", "text"}
Answer = t.CallToolResult | t.InputRequiredResult
_BLOCKS: TypeAdapter[Any] = TypeAdapter(t.ContentBlock)


@dataclass(frozen=True, kw_only=True)
class _Unsent:
    """What the gateway knows of a result. One private attribute of its model is made sooner than four."""

    misfit: str = ""
    frame: Mapping[str, Any] = field(default_factory=dict)
    task: dict[str, Any] | None = None
    incarnation: str = ""


NOTHING_UNSENT = _Unsent()


class RelayedResult(t.CallToolResult):
    """A server's result, with what the gateway found wrong with it. That note is never sent.

    Contents of resources and messages of prompts are content blocks here, so that all that is done to results is done
    to them. `frame` has what else they say: the roles of messages, or for how long contents may be kept.
    """

    _unsent: _Unsent | None = PrivateAttr(default=None)

    @property
    def unsent(self) -> _Unsent:
        """What is known of the result and never sent."""
        private = self.__pydantic_private__  # pydantic's own way to it costs ten times as much
        return (private["_unsent"] if private is not None else None) or NOTHING_UNSENT

    @property
    def task(self) -> dict[str, Any] | None:
        """The task that the call became, as its server describes it; the result is then empty."""
        return self.unsent.task

    @property
    def incarnation(self) -> str:
        """Which process of the server a task belongs to; empty if it may be any."""
        return self.unsent.incarnation

    def of_process(self, incarnation: str) -> RelayedResult:
        """Return a task that belongs to a process of the server."""
        return self.with_unsent(incarnation=incarnation)

    @property
    def frame(self) -> Mapping[str, Any]:
        """What a resource or a prompt says besides its content."""
        return self.unsent.frame

    @property
    def misfit(self) -> str:
        """The reason why the structured part was left out; empty if it was not."""
        return self.unsent.misfit

    def with_unsent(self, **changes: Any) -> RelayedResult:
        """Return the same result, of which something else is known."""
        made = changed(self)
        made._unsent = replace(self.unsent, **changes)
        return made

    def without_structure(self, misfit: str) -> RelayedResult:
        """Return it without its structured part.

        Clients insist on one where a schema is listed; the empty object fits every schema that is.
        """
        return changed(self, structured_content={}).with_unsent(misfit=misfit)


class Arrival(asyncio.Future[None]):
    """Done when the answer to a request has come. Who awaits it can go on at once, in the turn that read the answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._awaiting: list[tuple[Callable[[Any], object], Context | None]] = []

    def add_done_callback(self, fn: Callable[[Self], object], /, *, context: Context | None = None) -> None:
        """Keep a callback."""
        if self.done():
            super().add_done_callback(fn, context=context)
        else:
            self._awaiting.append((fn, context))

    def remove_done_callback(self, fn: Callable[[Self], object], /) -> int:
        """Forget a callback; return how many times it was there."""
        kept = [(kept, context) for kept, context in self._awaiting if kept != fn]
        count, self._awaiting = len(self._awaiting) - len(kept), kept
        return count

    def come(self, *, at_once: bool) -> None:
        """Set the result, unless it is done. `at_once`: call the callbacks now, which must not be within a task."""
        if self.done():
            return
        if not at_once:
            self.set_result(None)
            return
        awaiting, self._awaiting = self._awaiting, []
        super().set_result(None)
        for fn, context in awaiting:
            if context is None:
                fn(self)
            else:
                context.run(fn, self)

    def set_result(self, result: None, /) -> None:
        """Set the result."""
        self._in_turn()
        super().set_result(result)

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Set an exception in place of the result."""
        self._in_turn()
        super().set_exception(exception)

    def cancel(self, msg: object = None) -> bool:
        """Cancel, and return whether it was not done yet."""
        self._in_turn()
        return super().cancel(msg)

    def _in_turn(self) -> None:
        awaiting, self._awaiting = self._awaiting, []
        for fn, context in awaiting:
            super().add_done_callback(fn, context=context)


@dataclass(eq=False)
class Reply:
    """What came back for one request. The SDK gets only part of it.

    `error` is the server's own error; if the transport fails, it stays empty. `unreadable` says why an answer cannot be
    delivered. `asked_for_input` is the answer to a direct request that asks for input. `lost` says that a proxy before
    the server (HTTP) got no answer. `by_http`: the error came with an HTTP error status, so the server did nothing with
    the call.
    """

    request_id: str | int | None = None
    left: bool = False
    """Whether the request was written, or is being written. What waits for a server that does not read has not left."""
    result: RelayedResult | None = None
    tools: list[t.Tool] | None = None
    items: list[Any] | None = None
    """The items of another list: resources, templates or prompts."""
    next_cursor: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    error: t.ErrorData | None = None
    unreadable: str = ""
    lost: str = ""
    by_http: bool = False
    asked_for_input: dict[str, Any] | None = None
    logs: LogMessages | None = None
    """Gets the server's log messages that belong to the request."""
    progress: Progress | None = None
    """Gets the reports of progress of a direct request. Those of the SDK's requests go to the SDK."""
    ended: Arrival | None = None
    """Of a direct request, which the SDK knows nothing of: set when its answer has come."""


current_reply: ContextVar[Reply | None] = ContextVar("current reply", default=None)
"""The reply of the request that is sent while this is set."""


def read_call_result(raw: object) -> RelayedResult:
    """Return the result of a tool call."""
    if not isinstance(raw, Mapping):
        return RelayedResult(content=[_text(as_json(raw))])
    content = raw.get("content")
    blocks = content if isinstance(content, list) else [] if content is None else [content]
    meta = raw.get("_meta")
    structured = raw.get("structuredContent")
    if not blocks and raw.get("toolResult") is not None:  # as the first revision of the protocol had it
        old = raw["toolResult"]
        blocks = [old if isinstance(old, str) else as_json(old)]
    fields = {
        "meta": dict(meta) if isinstance(meta, Mapping) else None,
        "content": [content_block(block) for block in blocks],
        "structured_content": structured,
        "is_error": raw.get("isError") is True,
        "result_type": "complete",
    }
    given = {"meta", "content", "is_error"} | ({"structured_content"} if structured is not None else set())
    return built(RelayedResult, fields, given, {"_unsent": None})


def read_called(raw: object) -> RelayedResult:
    """Return the result of a tool call, or the task that it became. The protocol of 2025 puts that one level down."""
    if not isinstance(raw, Mapping):
        return read_call_result(raw)
    inner = raw.get("task")
    task = raw if raw.get("resultType") == "task" else inner if "content" not in raw else None
    if not isinstance(task, Mapping) or "taskId" not in task:
        return read_call_result(raw)
    return task_answer(task)


def task_answer(task: Mapping[str, Any]) -> RelayedResult:
    """Return the result that stands for a task."""
    return RelayedResult(content=[]).with_unsent(task=dict(task))


def read_tools(raw: object, reply: Reply) -> None:
    """Read a page of a tool list into `reply`, with the name of each unusable tool and the reason."""
    page = raw if isinstance(raw, Mapping) else {}
    listed, cursor = page.get("tools"), page.get("nextCursor")
    reply.next_cursor = cursor if isinstance(cursor, str) else None
    reply.tools = []
    for place, definition in enumerate(listed if isinstance(listed, list) else []):
        tool, problem = _tool(definition)
        if tool is not None:
            reply.tools.append(tool)
        if problem:
            name = definition.get("name") if isinstance(definition, Mapping) else None
            reply.left_out[str(name)[:NAME_CHARACTERS] if name else f"number {place + 1}"] = problem


def read_error(raw: object) -> t.ErrorData:
    """Return a JSON-RPC error, whatever shape a server gave it."""
    if not isinstance(raw, Mapping):
        return t.ErrorData(code=t.INTERNAL_ERROR, message=_line(raw))
    code, message = raw.get("code"), raw.get("message")
    whole = isinstance(code, int) and not isinstance(code, bool)
    return t.ErrorData(
        code=code if isinstance(code, int) and whole else t.INTERNAL_ERROR, message=_line(message), data=raw.get("data")
    )


def read_handshake(method: str, raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an answer to `initialize` with what the server left out or wrote in another type; any other as it is."""
    if method != "initialize":
        return raw
    said, capabilities = raw.get("serverInfo"), raw.get("capabilities")
    about: Mapping[str, Any] = without_nulls(said) if isinstance(said, Mapping) else {}
    named = {name: str(about.get(name, "")) for name in ("name", "version")}
    known = capabilities if isinstance(capabilities, Mapping) else {}
    return {**raw, "serverInfo": {**about, **named}, "capabilities": known}


def without_nulls(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object without its null members: many servers write null for what they leave out."""
    return {key: value for key, value in raw.items() if value is not None}


def noted(answer: Answer, notes: list[str]) -> Answer:
    """Return an answer with the gateway's notes about it as text blocks at the end."""
    if not notes or not isinstance(answer, t.CallToolResult):
        return answer
    said = [t.TextContent(type="text", text=f"[the gateway: {note}]") for note in notes]
    return answer.model_copy(update={"content": [*answer.content, *said]})


def _tool(definition: object) -> tuple[t.Tool | None, str]:
    """Return a tool and what was wrong with its definition; no tool where that makes it unusable."""
    if isinstance(definition, Mapping) and _means_object(definition.get("inputSchema")):
        definition = {**definition, "inputSchema": {**definition["inputSchema"], "type": "object"}}
    problem = _unusable(definition)
    if problem or not isinstance(definition, Mapping):
        return None, problem or "its definition is not an object"
    given = without_nulls(definition)
    try:
        return t.Tool.model_validate(given, by_name=False), ""
    except ValidationError as error:
        wrong = {str(part["loc"][0]) for part in error.errors(include_url=False) if part["loc"]}
        if wrong & set(_REQUIRED) or not wrong:
            return None, f"its definition does not fit the protocol: {first_problem(error)}"
        kept = {key: value for key, value in given.items() if key not in wrong}
        problem = f"offered without {', '.join(sorted(wrong))}, which does not fit the protocol"
    try:
        return t.Tool.model_validate(kept, by_name=False), problem
    except ValidationError as error:
        return None, f"its definition does not fit the protocol: {first_problem(error)}"


def _means_object(schema: object) -> bool:
    """Return whether a schema without a type says by its reference or its alternatives that it is an object's."""
    return isinstance(schema, Mapping) and "type" not in schema and _is_object(schema, schema, MAX_REFERENCES)


def _is_object(root: Mapping[str, Any], part: object, room: int) -> bool:
    if not isinstance(part, Mapping) or room == 0:
        return False
    if "type" in part:
        return bool(part["type"] == "object")
    reference = part.get("$ref")
    if isinstance(reference, str):
        return _is_object(root, target(root, reference), room - 1)
    either = [part[key] for key in ("anyOf", "oneOf") if isinstance(part.get(key), list) and part[key]]
    if any(all(_is_object(root, branch, room - 1) for branch in branches[:_BRANCHES]) for branches in either):
        return all(len(branches) <= _BRANCHES for branches in either)
    both = part.get("allOf")
    return isinstance(both, list) and any(_is_object(root, branch, room - 1) for branch in both[:_BRANCHES])


def _unusable(definition: object) -> str:
    if not isinstance(definition, Mapping):
        return "its definition is not an object"
    if TOO_DEEP in definition:
        return TOO_DEEP
    name, schema = definition.get("name"), definition.get("inputSchema")
    if not isinstance(name, str) or not name:
        return "it has no name"
    if len(name) > NAME_CHARACTERS:
        return f"its name has {len(name)} characters"
    if not isinstance(schema, Mapping):
        return "its inputSchema is missing" if schema is None else "its inputSchema is not an object"
    if schema.get("type") != "object":
        return 'its inputSchema is not of type "object"'
    size = len(as_json(definition))
    return f"its definition has {size} bytes" if size > DEFINITION_BYTES else ""


def content_block(raw: object) -> Any:
    """Return a content block; what the SDK does not know becomes a text of its JSON."""
    if isinstance(raw, str):
        return _text(raw)
    if isinstance(raw, dict) and raw.keys() == _TEXT and raw["type"] == "text" and isinstance(raw["text"], str):
        return _text(raw["text"])  # almost all are so; choosing among all kinds takes ten times as long
    try:
        return _BLOCKS.validate_python(without_nulls(raw) if isinstance(raw, Mapping) else raw, by_name=False)
    except ValidationError:
        inner = raw.get("text") if isinstance(raw, Mapping) and raw.get("type") == "text" else None
        return _text(inner if isinstance(inner, str) else as_json(raw))


def _text(text: str) -> t.TextContent:
    return t.TextContent(type="text", text=text)


def as_json(value: object) -> str:
    """Return a value as JSON text."""
    return json.dumps(value, ensure_ascii=False)


def _line(message: object) -> str:
    text = message if isinstance(message, str) else "" if message is None else as_json(message)
    text = text or "the server gives no reason"
    return cut_at_word(text, MESSAGE_CHARACTERS)


def first_problem(error: ValidationError) -> str:
    """Say in one line where a value does not fit the protocol first."""
    part = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, part['loc']))[:100]}: {part['msg']}"[:200]
