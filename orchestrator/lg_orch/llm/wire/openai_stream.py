"""Reads an event stream as strangers write it, and writes it anew as the standard has it.

Keep-alives, comments, events without data and a mark at the beginning are left out; bytes that are no UTF-8 are
replaced; an event `error`, an error object, a whole answer or a web page in place of a stream become an error or an
answer of the stream.
"""

from __future__ import annotations

import codecs
import json
from typing import TYPE_CHECKING, Any

from lg_orch.llm.wire.openai_answers import MAX_SHOWN, AnswerError, CallNumbers, standard_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_EVENT = 4_000_000
"""Characters of one event; a longer one ends the stream with an error."""
_DONE = "[DONE]"
_FIELDS = ("data", "event", "id", "retry")


class StreamRepair:
    """Takes the bytes of one stream and returns those of the standard one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._line: list[str] = []
        self._size = 0
        """Characters of the event, or of what is no event, so far."""
        self._data: list[str] = []
        self._event = ""
        self._numbers = CallNumbers()
        self._foreign: list[str] = []
        self._begun = False
        self._return = False
        """The part before ended with a carriage return, which ends a line with or without a line feed after it."""
        self._answered = False
        self._reason = False
        self.ended = False
        """Nothing after `[DONE]` or an error is read."""

    def take(self, part: bytes, *, last: bool = False) -> Iterator[bytes]:
        """Return what the next bytes of the stream amount to. Raises nothing: an error is an event."""
        if self.ended:
            return
        text = self._decoder.decode(part, last)
        if not self._begun and text:
            text, self._begun = text.removeprefix("\ufeff"), True
        try:
            yield from self._lines(text, last=last)
            if last and not self.ended:
                yield from self._at_end()
        except AnswerError as error:
            self.ended = True
            yield _event({"error": _error_of(error)})

    def _lines(self, text: str, *, last: bool) -> Iterator[bytes]:
        text, self._return = f"\r{text}" if self._return else text, text.endswith("\r") and not last
        text = text[:-1] if self._return else text
        *lines, rest = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        for line in lines:
            whole = "".join((*self._line, line))
            self._line = []
            self._size += len(line)
            yield from self._take_line(whole)
            self._check_size()
        if rest:
            self._line.append(rest)
            self._size += len(rest)
        self._check_size()
        if last and self._line:
            whole = "".join(self._line)
            self._line = []
            yield from self._take_line(whole)

    def _check_size(self) -> None:
        if self._size > MAX_EVENT:
            raise AnswerError(f"one event of the server's stream is longer than {MAX_EVENT:,} characters")

    def _take_line(self, line: str) -> Iterator[bytes]:
        if self.ended:
            return
        name, _, value = line.partition(":")
        if not line:
            yield from self._dispatch()
        elif name == "data":
            self._data.append(value.removeprefix(" "))
        elif name == "event":
            self._event = value.strip()
        elif name and name not in _FIELDS:
            self._foreign.append(line)

    def _dispatch(self) -> Iterator[bytes]:
        """One event is whole."""
        data, event = "\n".join(self._data).strip(), self._event
        self._data, self._event = [], ""
        self._size = sum(map(len, self._foreign)) if self._foreign else 0
        if data == _DONE:
            yield from self._done()
            return
        if not data or event == "ping":
            return
        try:
            said = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise AnswerError(f"the server's stream holds an event that is no JSON: {data[:MAX_SHOWN]}") from error
        if event == "error" and not (isinstance(said, dict) and said.get("error")):
            said = {"error": said}
        yield from self._chunk(said)

    def _chunk(self, said: Any) -> Iterator[bytes]:
        chunk = standard_chunk(said, self._numbers)
        self._answered = self._answered or bool(chunk["choices"])
        self._reason = self._reason or any(choice["finish_reason"] for choice in chunk["choices"])
        yield _event(chunk)

    def _done(self) -> Iterator[bytes]:
        """`[DONE]`: the reply is complete, also without a `finish_reason`."""
        if not self._answered:
            raise AnswerError("the server's stream ended without an answer: its `choices` were empty")
        if not self._reason:
            yield _event({"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]})
        self.ended = True
        yield f"data: {_DONE}\n\n".encode()

    def _at_end(self) -> Iterator[bytes]:
        """The connection was closed without `[DONE]`."""
        if self._data:
            yield from self._dispatch()
        text = "\n".join(self._foreign).strip()
        if self.ended or self._answered or not text:
            return
        try:
            said = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise AnswerError(f"the server answered no event stream: {text[:MAX_SHOWN]}") from error
        yield from self._chunk(said)


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _error_of(error: AnswerError) -> dict[str, Any]:
    """The error as the client's package reads it, with the kind that the server named."""
    body = error.body if isinstance(error.body, dict) else {}
    told = body.get("error")
    inner: dict[str, Any] = told if isinstance(told, dict) else body
    return {"message": str(error), "type": inner.get("type"), "code": inner.get("code")}
