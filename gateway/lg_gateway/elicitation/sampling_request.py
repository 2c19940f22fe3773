"""Prepares a server's request for a message of the client's model, and checks the answers of clients. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mcp_types as t
from pydantic import TypeAdapter, ValidationError

from lg_gateway.elicitation.refusals import NotPassedOn
from lg_policy.errors import InvalidArguments, TooLarge
from lg_policy.limits import is_small
from lg_policy.wire.call_metadata import SERVER

REQUEST_CHARACTERS = 100_000
"""Of a server's request, images included."""
MESSAGES = 200
ANSWER_CHARACTERS = 1_000_000
"""Of a client's answer to it."""
ROOTS_CHARACTERS = 100_000
UNTRUSTED = "lg/untrusted"
_BINARY = ("data", "blob")
_MESSAGE: TypeAdapter[Any] = TypeAdapter(t.CreateMessageResult | t.CreateMessageResultWithTools)
_NOT_BLOCKS = ("structuredContent", "input", "inputSchema", "tools")
"""What stays as the server wrote it."""
Mask = Callable[[str], str]
Public = Callable[[str], str]
"""Returns the address that clients use for a URI of the server."""


def prepared(
    request: t.CreateMessageRequest, server: str, *, tools: bool, trusted: bool, mask: Mask | None, public: Public
) -> dict[str, Any]:
    """Return the parameters as the client gets them: marked, masked, and without what asks for other servers' data.

    Raises `NotPassedOn` when the request is too large, or wants tools that the client does not offer.
    """
    params = request.params
    if (params.tools or params.tool_choice is not None) and not tools:
        raise NotPassedOn(f"server {server} asked for a message with tools, which this client does not support")
    if len(params.messages) > MESSAGES:
        raise NotPassedOn(f"server {server} asked for a message with more than {MESSAGES} messages before it")
    wire = params.model_dump(mode="json", by_alias=True, exclude_none=True)
    if not is_small(wire, REQUEST_CHARACTERS):
        raise NotPassedOn(f"server {server} asked for a message with more than {REQUEST_CHARACTERS} characters")
    for name in ("_meta", "task", "includeContext"):
        wire.pop(name, None)
    wire = addressed(wire, public)
    made: dict[str, Any] = masked(wire, mask) if mask is not None else wire
    made["_meta"] = {SERVER: server} | ({} if trusted else {UNTRUSTED: True})
    return made


def addressed(value: Any, public: Public) -> Any:
    """Return a JSON value in which links to resources, and resources themselves, have the addresses of clients."""
    if isinstance(value, list):
        return [addressed(item, public) for item in value]
    if not isinstance(value, dict):
        return value
    made = {key: item if key in _NOT_BLOCKS else addressed(item, public) for key, item in value.items()}
    if value.get("type") == "resource_link" and isinstance(value.get("uri"), str):
        made["uri"] = public(value["uri"])
    inner = value.get("resource") if value.get("type") == "resource" else None
    if isinstance(inner, dict) and isinstance(inner.get("uri"), str):
        made["resource"] = {**inner, "uri": public(inner["uri"])}
    return made


def masked(value: Any, mask: Mask) -> Any:
    """Return a JSON value with the texts in it masked; binary parts stay."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, list):
        return [masked(item, mask) for item in value]
    if isinstance(value, dict):
        return {key: item if key in _BINARY else masked(item, mask) for key, item in value.items()}
    return value


def message_answer(given: object) -> t.InputResponse:
    """Return a client's message. Raises `InvalidArguments` when it is none, `TooLarge` when it is too long."""
    if isinstance(given, t.CreateMessageResult | t.CreateMessageResultWithTools):
        answer: t.InputResponse = given
    elif isinstance(given, dict):
        try:
            answer = _MESSAGE.validate_python(given, by_name=False)
        except ValidationError as error:
            raise InvalidArguments("the answer to sampling/createMessage is not a message") from error
    else:
        raise InvalidArguments("the answer to sampling/createMessage is not a message")
    if not is_small(answer.model_dump(mode="json"), ANSWER_CHARACTERS):
        raise TooLarge(f"the message has more than {ANSWER_CHARACTERS} characters")
    return answer


def roots_answer(given: object) -> t.ListRootsResult:
    """Return a client's roots. Raises `InvalidArguments` when they are none, `TooLarge` when they are too long."""
    try:
        answer = given if isinstance(given, t.ListRootsResult) else t.ListRootsResult.model_validate(given)
    except ValidationError as error:
        raise InvalidArguments("the answer to roots/list is not a list of roots") from error
    if not is_small(answer.model_dump(mode="json"), ROOTS_CHARACTERS):
        raise TooLarge(f"the roots have more than {ROOTS_CHARACTERS} characters")
    return answer
