"""Limits the time and number of HTTP connections that have not sent a whole request yet, and what they can log.

Such a connection has not logged in. Without limits a few hundred of them use up the descriptors of the process, and
no other client can connect. A connection that waits for its client's next request is another matter: its client has
been answered. It is kept longer than HTTP clients keep theirs, since a client that sends a request at the very moment
when the server closes loses it.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from lg_policy.wire.repeated_log import once_per_kind

HEAD_S = 10.0
"""Seconds in which the head of a request must arrive."""
BODY_S = 60.0
"""Seconds in which its body must arrive."""
MAX_UNFINISHED = 128
"""Connections that may be sending a request at once; one more closes the oldest of them."""
KEPT_S = 75
"""Seconds that a connection is kept for another request. Most clients give theirs up after 5 to 60."""
MAX_KEPT = 4_096
"""Connections that may be kept at once; one more closes the one that has been idle longest."""
JOINED_BYTES = 64_000
"""Of an answer, at most so much waits for what is written next."""

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Limits:
    """What the connections of one server share: the limits, and which connections have not sent a whole request."""

    head_s: float = HEAD_S
    body_s: float = BODY_S
    most: int = MAX_UNFINISHED
    most_kept: int = MAX_KEPT
    unfinished: dict[LimitedProtocol, asyncio.TimerHandle] = field(default_factory=dict)
    kept: dict[LimitedProtocol, None] = field(default_factory=dict)


def limited_protocol(limits: Limits | None = None) -> type[LimitedProtocol]:
    """Return a uvicorn protocol class for one server.

    Unfinished requests take at most a quarter of the process's descriptors, and idle connections another one.
    """
    quarter = max(1, _descriptors() // 4)
    shared = limits or Limits(most=min(MAX_UNFINISHED, quarter), most_kept=min(MAX_KEPT, quarter))
    return type("LimitedProtocol", (LimitedProtocol,), {"limits": shared})


class LimitedProtocol(H11Protocol):
    """A connection that must send its requests in time."""

    limits: ClassVar[Limits]
    _sending: Any = None
    _answered = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        """Start the clock for the first request."""
        self.timeout_keep_alive = KEPT_S
        super().connection_made(_Joined(transport))  # type: ignore[arg-type]  # it has what uvicorn uses
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes, and start or stop the clock."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Keep the connection for another request."""
        self._answered = True
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._unwatch()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Start the clock for what the client is sending now, unless it runs already."""
        state, limits = self.conn.their_state, self.limits
        if state not in (h11.IDLE, h11.SEND_BODY) or self.transport.is_closing():
            self._unwatch()
            return
        if self._answered and state is h11.IDLE and not self.conn.trailing_data[0]:
            self._unwatch()
            limits.kept[self] = None
            if len(limits.kept) > limits.most_kept:
                next(iter(limits.kept)).timeout_keep_alive_handler()
            return
        if self in limits.unfinished and state is self._sending:
            return
        self._unwatch()
        self._sending = state
        seconds = limits.head_s if state is h11.IDLE else limits.body_s
        limits.unfinished[self] = self.loop.call_later(seconds, self._end, "a request did not arrive in time")
        if len(limits.unfinished) > limits.most:
            next(iter(limits.unfinished))._end("too many connections have not sent a whole request")

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that no request has come over for long, in order."""
        self._unwatch()
        super().timeout_keep_alive_handler()

    def _unwatch(self) -> None:
        self.limits.kept.pop(self, None)
        timer = self.limits.unfinished.pop(self, None)
        if timer is not None:
            timer.cancel()

    def _end(self, why: str) -> None:
        self._unwatch()
        log.warning("a connection was closed: %s", why)
        self.transport.abort()


class _Joined:
    """A transport that sends the head and the body of an answer together; uvicorn writes them one by one."""

    def __init__(self, inner: asyncio.Transport) -> None:
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._held = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def write(self, data: bytes) -> None:
        """Send bytes with those that are written before anything else happens."""
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)
        self._held += len(data)
        if self._held > JOINED_BYTES:
            self._flush()

    def close(self) -> None:
        """Close it after what was written."""
        self._flush()
        self._inner.close()

    def _flush(self) -> None:
        parts, self._parts, self._held = self._parts, [], 0
        if parts and not self._inner.is_closing():
            self._inner.write(b"".join(parts))


def _descriptors() -> int:
    """Return how many files this process may have open."""
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        return 4 * MAX_UNFINISHED
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft > 0 else 4 * MAX_UNFINISHED


def quiet_logs() -> None:
    """Log each kind of bad request once a minute, however many arrive."""
    for name in ("asyncio", "uvicorn.error", "mcp.server.transport_security", "mcp.server.streamable_http", __name__):
        once_per_kind(logging.getLogger(name))
