"""Sends a page the marks of what it shows, as server-sent events, until it leaves, is logged out, or the program ends.

An event holds all marks, so a page that missed some misses nothing. A browser that does not read is dropped: it
connects again by itself.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import anyio

from lg_console.live.marks import POLL_S, Marks
from lg_console.login.guard import Guard, Visitor
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

BEAT_S = 15.0
SEND_S = 20.0
TOPICS = 20
"""Topics of one stream."""
STREAMS = 200
"""Streams at once."""


class Streams:
    """The open streams of a program."""

    def __init__(self, marks: Marks, guard: Guard, *, recheck_s: float = BEAT_S) -> None:
        """`recheck_s`: after so many seconds a stream looks again whether its reader is still logged in."""
        self.marks = marks
        self.recheck_s = recheck_s
        self.guard = guard
        self.closing = False
        self.open = 0

    def close(self) -> None:
        """End every stream: the program ends. May be called from a signal handler."""
        self.closing = True


class EventStream:
    """One stream, as an ASGI application."""

    def __init__(self, streams: Streams, topics: Sequence[str], visitor: Visitor) -> None:
        self._streams = streams
        self._topics = topics
        self._visitor = visitor

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until it ends."""
        headers = [
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"cache-control", b"no-store"),
            (b"x-accel-buffering", b"no"),
            (b"x-content-type-options", b"nosniff"),
        ]
        self._streams.open += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_gone, receive, tasks.cancel_scope)
                await self._run(send)
                tasks.cancel_scope.cancel()
            with anyio.move_on_after(1):
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._streams.open -= 1

    async def _run(self, send: Send) -> None:
        sent, beat = "", anyio.current_time()
        checked = beat
        await _send(send, "retry: 2000\n\n")
        while not self._streams.closing:
            # However much changes: who was logged out hears no more.
            if anyio.current_time() - checked >= self._streams.recheck_s:
                checked = anyio.current_time()
                if not await self._streams.guard.lasts(self._visitor):
                    await _send(send, "event: over\ndata: {}\n\n")
                    return
            try:
                marks = {topic: await self._streams.marks.of(topic) for topic in self._topics}
            except LgError:
                return  # its store is gone for now: the browser connects again
            text = json.dumps(marks)
            if text != sent:
                sent, beat = text, anyio.current_time()
                if not await _send(send, f"event: marks\ndata: {text}\n\n"):
                    return
            elif anyio.current_time() - beat >= BEAT_S:
                beat = anyio.current_time()
                if not await _send(send, ": still here\n\n"):
                    return
            await anyio.sleep(POLL_S)


async def _send(send: Send, text: str) -> bool:
    """Return whether the browser took it in time."""
    with anyio.move_on_after(SEND_S) as scope:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
    return not scope.cancelled_caught


async def _gone(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
