"""The answer to one POST of a client: whole at once, or as a stream of events that begins when something comes before.

While a request is carried out, this also notices that its client has gone, and keeps a stream alive.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any

from starlette.types import Receive, Send

WATCH_S = 0.05
"""A request that takes longer is watched: most do not, and a watch costs something."""
PING_S = 15.0
"""Seconds between signs of life on a stream."""
_PING = b": ping\r\n\r\n"
Headers = list[tuple[bytes, bytes]]


class PostedAnswer:
    """One answer. `stream` are the headers of a stream of events.

    A stream begins with its first event, and after `stream_after_s` in any case.
    """

    def __init__(self, send: Send, stream: Headers, *, stream_after_s: float) -> None:
        self._send = send
        self._stream = stream
        self._stream_after_s = stream_after_s
        self.turn = asyncio.Lock()
        """Held while something is written."""
        self.begun = False
        """Whether a stream has begun."""

    def watched(self, receive: Receive, on_gone: Callable[[], None]) -> _Watched:
        """Within the block, keep a stream alive, and call `on_gone` once the client has gone."""
        return _Watched(partial(self.watch, receive, on_gone), self.turn)

    async def event(self, data: bytes) -> None:
        """Send an event before the answer."""
        await self._part(b"event: message\r\ndata: " + data + b"\r\n\r\n")

    async def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Send the answer, where no stream has begun."""
        await self._send({"type": "http.response.start", "status": status, "headers": headers})
        await self._send({"type": "http.response.body", "body": body})

    async def last_event(self, data: bytes | None) -> None:
        """End the stream with the answer, or without one."""
        body = b"event: message\r\ndata: " + data + b"\r\n\r\n" if data is not None else b""
        async with self.turn:
            await self._begin()
            await self._send({"type": "http.response.body", "body": body})

    async def watch(self, receive: Receive, on_gone: Callable[[], None]) -> None:
        """Keep a stream alive until the client has gone; then call `on_gone`."""
        pause = max(0.0, self._stream_after_s - WATCH_S)
        while True:
            try:
                async with asyncio.timeout(pause):
                    gone = (await receive())["type"] == "http.disconnect"
            except TimeoutError:
                await self._part(_PING if pause else b"")
                pause = PING_S
                continue
            if gone:
                on_gone()
                return

    async def _part(self, data: bytes) -> None:
        async with self.turn:
            await self._begin()
            if data:
                await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def _begin(self) -> None:
        if not self.begun:
            self.begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": self._stream})


class _Watched:
    """A block during which something else runs, once the block takes longer. A class: every request pays for this."""

    def __init__(self, watch: Callable[[], Coroutine[Any, Any, None]], turn: asyncio.Lock) -> None:
        self._watch = watch
        self._turn = turn
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(WATCH_S, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if self._task is not None:
            async with self._turn:  # not within a write
                self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
