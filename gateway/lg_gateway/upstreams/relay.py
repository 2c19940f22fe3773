"""Passes every message of one connection between the transport and the SDK, and repairs answers on the way.

If the SDK would drop an answer, the relay repairs and delivers it. If it cannot, the request that the answer belongs to
fails at once, with the reason. Results of calls and lists do not go through the SDK at all: the SDK gets an empty one,
and the `Reply` gets the real one.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from functools import partial
from typing import Any

import anyio.to_thread
import mcp_types as t
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.exceptions import MCPError
from pydantic import ValidationError

from lg_gateway.upstreams.client_side.log_messages import LogMessages
from lg_gateway.upstreams.offers.offer_replies import CALLS, EMPTY_PAGE, LISTS, read_items
from lg_gateway.upstreams.progress import reported
from lg_gateway.upstreams.replies import (
    Reply,
    current_reply,
    read_error,
    read_handshake,
    read_tools,
    without_nulls,
)
from lg_gateway.upstreams.wire_text import (
    Unreadable,
    looks_like_a_message,
    outline,
    read_values,
    unpacked,
    whole_number,
)

log = logging.getLogger(__name__)

INLINE_BYTES = 100_000
"""A longer message is read in a worker thread."""
GIVEN_UP = 1_000
"""Requests that were given up and may still get a late answer. Older ones are forgotten."""
ORPHANS = 20
"""Answers without a request id that are remembered."""
_QUESTIONS = ("elicitation/create", "sampling/createMessage", "roots/list")
_LONG_LIVED = "subscriptions/listen"
Id = str | int


class Relay:
    """One connection's requests and their answers."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._open: dict[Id, tuple[str, Reply | None]] = {}
        self._given_up: dict[Id, str] = {}
        self._moving = threading.Lock()
        """Held while a request goes from one of the two to the other, or leaves both: a thread reads long answers."""
        self._orphans: list[tuple[str | t.ErrorData, set[Id]]] = []
        self._noise = _Noise(server)
        self._ended: list[Reply] = []
        self._logged: list[tuple[LogMessages, Mapping[str, Any]]] = []
        self._questions: dict[Id, None] = {}
        """Questions of the server that went to the SDK, and that no call has taken yet."""
        self.over = False
        """Whether the connection has ended."""

    @property
    def calls_given_up(self) -> bool:
        """Return whether a cancelled call has no answer yet. Its server may still be working on it."""
        return not CALLS.keys().isdisjoint(list(self._given_up.values()))

    def unanswered(self, method: str) -> bool:
        """Return whether a request of this method was sent and never answered."""
        return method in [*(sent for sent, _ in list(self._open.values())), *list(self._given_up.values())]

    def sent(self, message: t.JSONRPCMessage) -> None:
        """Note a message that goes to the server. Runs in the sender's context variables."""
        if isinstance(message, t.JSONRPCRequest):
            reply = current_reply.get()
            if reply is not None:
                reply.request_id = message.id
            self._open[message.id] = (message.method, reply)
        elif isinstance(message, t.JSONRPCResponse | t.JSONRPCError):
            self._question_over(message.id)
        elif message.method == "notifications/cancelled":
            self._cancelled((message.params or {}).get("requestId"))

    def left(self, message: t.JSONRPCMessage) -> None:
        """Note that a request has gone to the server, or is about to be written."""
        if isinstance(message, t.JSONRPCRequest):
            _, reply = self._open.get(message.id, ("", None))
            if reply is not None:
                reply.left = True

    def timed_out(self, method: str) -> None:
        """Note that answers to this method are no longer awaited."""
        for number in [number for number, (sent, _) in list(self._open.items()) if sent == method]:
            self._cancelled(number)

    def sent_directly(self, number: Id, method: str, reply: Reply) -> None:
        """Note a request that the SDK knows nothing of. `reply.ended` is set when its answer has come."""
        reply.request_id, reply.left = number, True
        self._open[number] = (method, reply)

    def give_up(self, number: Id) -> None:
        """Note that the answer to a request is no longer awaited."""
        self._cancelled(number)

    def cannot_write(self, number: Id, reply: Reply) -> None:
        """End a direct request that could not be written. What was written before may still be answered."""
        self.over = True
        self._open.pop(number, None)
        _connection_closed(reply)

    def forget(self, number: Id) -> None:
        """Forget a direct request that is over without an answer of its server."""
        self._open.pop(number, None)

    def connection_ended(self) -> None:
        """End the direct requests that have no answer."""
        self.over = True
        self._questions.clear()  # nobody is left to take them
        self._end_direct()
        for number, (_, reply) in list(self._open.items()):
            if reply is not None and reply.ended is not None:
                del self._open[number]
                _connection_closed(reply)

    async def received(self, data: bytes, expected: Id | None = None) -> list[t.JSONRPCMessage]:
        """Return the messages of a line or body. `expected`: the request that it answers, where the transport knows."""
        if len(data) <= INLINE_BYTES or not data.strip():
            return self.received_now(data, expected)
        return self._taken_in(await anyio.to_thread.run_sync(partial(self._messages, data, expected)))

    def received_now(self, data: bytes, expected: Id | None = None, *, go_on: bool = False) -> list[t.JSONRPCMessage]:
        """Do what `received` does, in this thread. `go_on`: this is no task, so who waits can go on within the call."""
        return self._taken_in(self._messages(data, expected), go_on=go_on) if data.strip() else []

    def _taken_in(self, found: list[t.JSONRPCMessage], *, go_on: bool = False) -> list[t.JSONRPCMessage]:
        logged, self._logged = self._logged, []
        for logs, params in logged:
            logs.take(params)
        found = [message for message in found if not reported(message, self._open)]
        self._end_direct(go_on=go_on)
        return found

    def _question_over(self, number: Id | None) -> None:
        """Note that a question was answered or withdrawn, perhaps before a call has taken it."""
        if number is not None:
            self._questions.pop(coerce_request_id(number), None)
            self._end_direct()

    def question_taken(self) -> None:
        """Note that the oldest question of the server has found its call, or cannot."""
        if self._questions:
            del self._questions[next(iter(self._questions))]
        self._end_direct()

    def _end_direct(self, *, go_on: bool = False) -> None:
        """Let direct requests go on that have their answers, but not before a question that came first is taken.

        A question may belong to the call that is answered right after it. Where several wait, all go on in the next
        turn: their records are then committed together.
        """
        if self._questions:
            return
        ended, self._ended = self._ended, []
        for reply in ended:
            if reply.ended is not None:  # a report of progress that came before is still on its way
                reply.ended.come(at_once=go_on and not self._open and reply.progress is None)

    def failed(self, number: Id, error: t.ErrorData, *, lost: str = "") -> t.JSONRPCMessage:
        """Return the answer to a request that the server's HTTP front refused. `lost`: it got no answer either."""
        _, reply = self._open.pop(number, ("", None))
        if reply is not None:
            reply.error, reply.lost = error, lost
        return t.JSONRPCError(jsonrpc="2.0", id=number, error=error)

    def awaits(self, number: Id) -> bool:
        """Return whether a request has no answer yet."""
        return number in self._open

    def broken(self, number: Id, why: str) -> t.JSONRPCMessage:
        """Return the answer to a request whose own answer did not come whole: its server may have done the work."""
        return self.failed(number, t.ErrorData(code=t.INTERNAL_ERROR, message=why), lost=why)

    def without_answer(self, number: Id, why: str) -> list[t.JSONRPCMessage]:
        """Fail a request whose HTTP answer has come whole and holds no answer to it."""
        return self._give_up(number, why) if number in self._open else []

    def refused_before_the_server(self, number: Id) -> None:
        """Note that an error came with an HTTP status of failure: no tool has run."""
        _, reply = self._open.get(number, ("", None))
        if reply is not None:
            reply.by_http = True

    def _messages(self, data: bytes, expected: Id | None) -> list[t.JSONRPCMessage]:
        try:
            values = read_values(data)
        except Unreadable as why:
            return self._unreadable(data, str(why), expected)
        if values == [[]]:
            return self._orphan("it is an empty list")
        found: list[t.JSONRPCMessage] = []
        for value in unpacked(values):
            found += self._message(value, expected)
        if not found and not any(isinstance(value, dict | list) for value in values):
            if b'\\"jsonrpc' in data:
                return self._orphan("it is a text, and no message")
            self._noise.heard(len(data))
        return found

    def _message(self, value: Any, expected: Id | None) -> list[t.JSONRPCMessage]:
        if not isinstance(value, dict):
            return []
        error = value.get("error")
        answers = "result" in value or error is not None
        if value.get("method") is not None and not answers:
            return self._from_server(value, expected)
        named = value.get("id")
        number = self._owner(named, expected)
        if number is not None and answers:
            return self._answer(number, value)
        if number is not None and "jsonrpc" in value:
            return [*self._give_up(number, "it has neither a result nor an error"), *self._settle()]
        if not answers:
            self._noise.heard(len(str(value)))
        elif not isinstance(named, str | int) or isinstance(named, bool):
            return self._orphan(read_error(error) if error is not None else "it names no request")
        return []  # an answer that nobody waits for, or waits for any longer

    def _from_server(self, value: dict[str, Any], expected: Id | None) -> list[t.JSONRPCMessage]:
        if value["method"] == "notifications/message" and "id" not in value:
            self._log_message(value.get("params"), expected)
            return []
        try:
            message = t.jsonrpc_message_adapter.validate_python(without_nulls(value), by_name=False)
        except ValidationError:
            self._noise.heard(len(str(value)))
            return []
        if isinstance(message, t.JSONRPCRequest) and message.method in _QUESTIONS:
            self._questions[coerce_request_id(message.id)] = None
        elif isinstance(message, t.JSONRPCNotification) and message.method == "notifications/cancelled":
            withdrawn = (message.params or {}).get("requestId")
            if isinstance(withdrawn, str | int):
                self._questions.pop(coerce_request_id(withdrawn), None)
        return [message]

    def _log_message(self, params: Any, expected: Id | None) -> None:
        """Give a log message to its call: over HTTP that of its stream, over stdio the only one that wants any."""
        calls = [reply for _, reply in list(self._open.values()) if reply is not None and reply.logs is not None]
        if expected is not None:
            _, reply = self._open.get(expected, ("", None))
            calls = [reply] if reply is not None else []
        if len(calls) == 1 and calls[0].logs is not None and isinstance(params, Mapping):
            self._logged.append((calls[0].logs, params))

    def _owner(self, number: Any, expected: Id | None) -> Id | None:
        """Return the open request that an answer with this id belongs to; the transport knows it better (HTTP)."""
        for candidate in (number, whole_number(number)) if expected is None else (expected,):
            if not isinstance(candidate, str | int) or isinstance(candidate, bool):
                continue
            with self._moving:
                if candidate in self._open:
                    return candidate
                if self._given_up.pop(candidate, None) is not None:
                    return None
        return None

    def _answer(self, number: Id, value: Mapping[str, Any]) -> list[t.JSONRPCMessage]:
        method, reply = self._taken(number)
        settled = self._settle()
        # `"error": false` or `""` beside a result is how some write that there is none.
        if value.get("error") or (value.get("result") is None and value.get("error") is not None):
            error = read_error(value["error"])
            if reply is not None:
                reply.error = error
            return [*self._failure(number, reply, error), *settled]
        result = self._result(method, value.get("result"), reply)
        if reply is not None and reply.ended is not None:
            reply.asked_for_input = result if reply.result is None else None
            self._ended.append(reply)
            return settled
        return [t.JSONRPCResponse(jsonrpc="2.0", id=number, result=result), *settled]

    def _taken(self, number: Id) -> tuple[str, Reply | None]:
        """Take a request whose answer is here. It may have been given up while a thread read the answer."""
        with self._moving:
            self._given_up.pop(number, None)
            return self._open.pop(number, ("", None))

    def _failure(self, number: Id, reply: Reply | None, error: t.ErrorData) -> list[t.JSONRPCMessage]:
        """Return the error for the SDK; a direct request has it in its reply."""
        if reply is not None and reply.ended is not None:
            self._ended.append(reply)
            return []
        return [t.JSONRPCError(jsonrpc="2.0", id=number, error=error)]

    def _result(self, method: str, raw: Any, reply: Reply | None) -> dict[str, Any]:
        """Keep a result, and return what the SDK gets in its place."""
        final = not isinstance(raw, Mapping) or raw.get("resultType") in (None, "complete", "task")
        if reply is not None and method in CALLS and final:
            read, empty = CALLS[method]
            reply.result = read(raw)
            return dict(empty)
        if reply is not None and method in LISTS:
            read_items(method, raw, reply)
            return {LISTS[method][0]: [], **EMPTY_PAGE}
        if reply is not None and method == "tools/list":
            read_tools(raw, reply)
            # The SDK mirrors marked arguments into HTTP headers; for that it has to know the tools that mark some.
            marked = [tool for tool in reply.tools or () if "x-mcp-header" in json.dumps(tool.input_schema)]
            shown = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in marked]
            return {"tools": shown, **EMPTY_PAGE}
        return without_nulls(read_handshake(method, raw)) if isinstance(raw, Mapping) else {}

    def _unreadable(self, data: bytes, why: str, expected: Id | None) -> list[t.JSONRPCMessage]:
        seen = outline(data)
        number = self._owner(seen.number, expected) if not seen.asks else None
        if number is not None:
            return [*self._give_up(number, why), *self._settle()]
        if seen.answers or looks_like_a_message(data):
            return self._orphan(why)
        self._noise.heard(len(data))
        return []

    def _give_up(self, number: Id, why: str) -> list[t.JSONRPCMessage]:
        """Fail a request because its answer cannot be read."""
        _, reply = self._taken(number)
        log.warning("cannot read an answer of %s: %s", self._server, why)
        if reply is not None:
            reply.unreadable = why
        return self._failure(number, reply, t.ErrorData(code=t.PARSE_ERROR, message=why))

    def _orphan(self, what: str | t.ErrorData) -> list[t.JSONRPCMessage]:
        """Take an answer without a request id. It belongs to the request that is left when all others are answered."""
        waiting = {number for number, (method, _) in list(self._open.items()) if method != _LONG_LIVED}
        if len(waiting) == 1:
            return self._deliver(what, waiting.pop())
        said = what if isinstance(what, str) else what.message
        log.warning("%s sent an answer without a request id: %.200r", self._server, said)
        if waiting:
            self._orphans = [*self._orphans, (what, waiting)][-ORPHANS:]
        return []

    def _settle(self) -> list[t.JSONRPCMessage]:
        """Deliver an answer that named no request once only one request is left that it can belong to."""
        found: list[t.JSONRPCMessage] = []
        for orphan in list(self._orphans):
            what, waiting = orphan
            waiting -= {number for number in waiting if number not in self._open}
            if len(waiting) < 2:
                self._orphans.remove(orphan)
                found += self._deliver(what, waiting.pop()) if waiting else []
        return found

    def _deliver(self, what: str | t.ErrorData, number: Id) -> list[t.JSONRPCMessage]:
        if isinstance(what, str):
            return self._give_up(number, what)
        _, reply = self._taken(number)
        if reply is not None:
            reply.error = what
        return self._failure(number, reply, what)

    def _cancelled(self, number: Any) -> None:
        with self._moving:
            method, _ = self._open.pop(number, ("", None)) if isinstance(number, str | int) else ("", None)
            if method:
                self._given_up[number] = method
                if len(self._given_up) > GIVEN_UP:
                    self._given_up.pop(next(iter(self._given_up)))


def _connection_closed(reply: Reply) -> None:
    if reply.ended is not None and not reply.ended.done():
        reply.ended.set_exception(MCPError(t.CONNECTION_CLOSED, "Connection closed"))


class _Noise:
    """Counts lines that are not messages. Logs the first, the tenth, the hundredth and so on."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lines = 0
        self._next = 1

    def heard(self, size: int) -> None:
        """Count a line of `size` bytes that is not a message."""
        self._lines += 1
        if self._lines == self._next:
            what = "something" if self._lines == 1 else f"{self._lines} lines by now, each something"
            log.warning("%s wrote %s to standard output that is not a message (%d bytes)", self._name, what, size)
            self._next *= 10
