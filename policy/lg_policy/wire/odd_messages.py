r"""Repairs lines that are not valid messages. Pure, and linear in the line.

Node writes half a surrogate pair as `\ud83d`; older clients send several messages in one array; a number may have
thousands of digits. What can be read is passed on with the unreadable part replaced. A request that still is not a
message is answered with an error under its id: without an answer its caller would wait until a time-out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mcp_types import jsonrpc_message_adapter

MAX_DIGITS = 300
"""A longer whole number is passed on as a string, which no schema accepts as a number."""
MAX_BATCH = 100
"""Messages in one array that are read."""
INVALID_REQUEST = -32600


@dataclass(frozen=True, kw_only=True)
class Mended:
    """Messages that can be passed on, and answers to those that cannot. Each is one line."""

    messages: list[bytes] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)


def messages_in(line: bytes) -> Mended:
    """Repair a line that is not a message. The result is empty if there is nothing to answer."""
    made = Mended()
    try:
        value = json.loads(line.decode("utf-8", "replace"), parse_int=_whole_number, parse_constant=str)
    except (ValueError, RecursionError):
        return made
    batch = value if isinstance(value, list) else [value]
    for number, message in enumerate(batch):
        if not isinstance(message, dict):
            continue
        text = json.dumps(message, ensure_ascii=False).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        problem = "too many messages in one array" if number >= MAX_BATCH else _problem(text)
        if problem is None:
            made.messages.append(text.encode())
        elif "method" in message and _is_id(message.get("id")):
            error = {"code": INVALID_REQUEST, "message": f"this is no JSON-RPC request: {problem}"}
            answer = {"jsonrpc": "2.0", "id": message["id"], "error": error}
            made.answers.append(json.dumps(answer).encode())
    return made


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) <= MAX_DIGITS else digits


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _problem(text: str) -> str | None:
    """Say briefly what is wrong with a message; `None` if nothing is."""
    try:
        jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValueError as error:
        first = str(error).splitlines()
        return " ".join(first[1:3]).strip()[:200] or "it has a wrong form"
    return None
