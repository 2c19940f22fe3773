"""One kept-alive HTTP/1.1 connection to a server: sends a request, and reads its answer as it comes."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

import h11
import httpx2

HEAD_BYTES = 100_000
"""Of an answer's head; a longer one ends the connection."""
HELD_BYTES = 1_000_000
"""Bytes of an answer that may wait to be read. Then no more are taken from the network."""
LINGER_S = 1.0
"""How long an answer that nobody needs any longer may take to end. Then its connection is closed."""
LINGER_BYTES = 64_000
"""Bytes that such an answer may still have."""
Headers = Sequence[tuple[bytes, bytes]]
_TCP_INFO = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
"""Other systems that have it mean other fields."""
_QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_INFO_BYTES = 128
_ACKED_AT = 120
"""Where Linux keeps the count of acknowledged bytes in `struct tcp_info`; the first byte is the state."""
_ESTABLISHED = 1


class KeptConnection(asyncio.Protocol):
    """One connection. Make it with `connect`."""

    def __init__(self) -> None:
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
        self._transport: asyncio.Transport | None = None
        self._socket: Any = None
        self._waiting: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._held = 0
        self._paused = False
        self._ended = False
        self._in_order = False
        self._error = ""
        self._acked_before: int | None = None
        self._acked_at_end: int | None = None
        self._left: tuple[Callable[[], None], asyncio.TimerHandle] | None = None
        self._left_bytes = 0
        self.idle_since = 0.0

    # What asyncio tells.

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport
        self._socket = transport.get_extra_info("socket")

    def data_received(self, data: bytes) -> None:
        """Take bytes of an answer."""
        if self._h11.our_state is h11.IDLE:  # nothing was asked
            self.close()
            return
        self._feed(data)
        self._held += len(data)
        if self._left is not None:
            self._left_bytes += len(data)
            self._finish_left()
        elif self._held > HELD_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that the server sends no more."""
        self._end("")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the end of the connection."""
        # After the other side's FIN, a reset shows as a broken pipe. Another error may hide that it took the request.
        self._end(str(exc or ""), in_order=exc is None or isinstance(exc, BrokenPipeError))
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        if self._left is not None:
            self._let_go()

    def pause_writing(self) -> None:
        """Note that the server does not read."""
        self._drained = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        """Note that the server reads again."""
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None

    # What the pool asks.

    @property
    def usable(self) -> bool:
        """Whether another request may be sent over it: it is open, and nobody waits for an answer on it."""
        if self._ended or self._transport is None or self._transport.is_closing():
            return False
        info = self._info()
        return self._h11.our_state is h11.IDLE and (info is None or info[0] == _ESTABLISHED)

    @property
    def took_nothing(self) -> bool:
        """Whether the other side has ended the connection before it took a byte of the request: nobody acted on it.

        Only an end with a FIN tells that, because it says what was taken until then. The system does not read that in
        a reset: a server may take a request, act on it, and reset the connection within the 40 ms that it waits
        before it acknowledges anything.
        """
        before, after = self._acked_before, self._acked_at_end
        # Linux counts the opening of a connection too. A system that says 0 here does not count (gVisor).
        return self._in_order and bool(before) and before == after

    async def send(self, method: bytes, target: bytes, headers: Headers, body: bytes, timeout_s: float | None) -> None:
        """Send a request. Raises `WriteError` or `WriteTimeout`, and `LocalProtocolError` for one that is no HTTP."""
        if self._transport is None or self._transport.is_closing():
            raise httpx2.WriteError("the connection is closed")
        try:
            made = h11.Request(method=method, target=target, headers=headers)  # type: ignore[arg-type]  # a list of pairs
            data = (self._h11.send(made) or b"") + (self._h11.send(h11.Data(body)) or b"" if body else b"")
            data += self._h11.send(h11.EndOfMessage()) or b""
        except h11.LocalProtocolError as error:
            raise httpx2.LocalProtocolError(str(error)) from error
        self._acked_before = self._acked()
        self._transport.write(data)
        drained = self._drained
        if drained is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await asyncio.shield(drained)
            except TimeoutError:
                raise httpx2.WriteTimeout("the server does not read the request") from None

    async def head(self, timeout_s: float | None) -> h11.Response:
        """Wait for the head of the answer, past those that only say that it will come."""
        while True:
            event = await self._event(timeout_s)
            if isinstance(event, h11.Response):
                return event
            if not isinstance(event, h11.InformationalResponse):
                raise httpx2.RemoteProtocolError("the server ended the connection without an answer")

    async def body(self, timeout_s: float | None) -> bytes | None:
        """Wait for the next part of the body; return `None` at its end."""
        event = await self._event(timeout_s)
        if isinstance(event, h11.Data):
            return bytes(event.data)
        if isinstance(event, h11.EndOfMessage):
            return None
        raise httpx2.RemoteProtocolError("the server ended the connection within an answer")

    def next_cycle(self) -> bool:
        """Make the connection ready for another request, after an answer that has come whole."""
        if self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE or self._ended:
            return False
        self._h11.start_next_cycle()
        self._resume()  # what comes before the next request must be noticed
        return not self._h11.trailing_data[0]

    def leave(self, on_end: Callable[[], None]) -> None:
        """Read the rest of an answer that nobody needs, for a while; `on_end` is called once that is over."""
        timer = asyncio.get_running_loop().call_later(LINGER_S, self._give_up_left)
        self._left, self._left_bytes = (on_end, timer), 0
        self._resume()
        self._finish_left()

    def close(self) -> None:
        """Close it at once."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()

    # Inside.

    async def _event(self, timeout_s: float | None) -> Any:
        while True:
            event = self._parsed()
            if event is not h11.NEED_DATA:
                return event
            if self._ended:
                raise httpx2.ReadError(self._error or "the server ended the connection")
            self._resume()
            self._acknowledge_at_once()
            self._waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    await self._waiting
            except TimeoutError:
                raise httpx2.ReadTimeout(f"nothing came for {timeout_s:g} s") from None
            finally:
                self._waiting = None

    def _parsed(self) -> Any:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as error:
            if self._error:
                raise httpx2.ReadError(self._error) from None
            raise httpx2.RemoteProtocolError(str(error)) from None

    def _feed(self, data: bytes) -> None:
        try:
            self._h11.receive_data(data)
        except (h11.RemoteProtocolError, RuntimeError):  # bytes after its end
            self.close()

    def _end(self, error: str, *, in_order: bool = True) -> None:
        if self._ended:
            return
        self._ended, self._in_order, self._error, self._acked_at_end = True, in_order, error, self._acked()
        self._feed(b"")
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _resume(self) -> None:
        self._held = 0
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _finish_left(self) -> None:
        try:
            event = self._h11.next_event()
            while isinstance(event, h11.Data):
                event = self._h11.next_event()
        except h11.RemoteProtocolError:
            self._give_up_left()
            return
        if isinstance(event, h11.EndOfMessage):
            self._let_go()
        elif self._left_bytes > LINGER_BYTES or self._ended:
            self._give_up_left()

    def _give_up_left(self) -> None:
        self.close()
        self._let_go()

    def _let_go(self) -> None:
        left, self._left = self._left, None
        if left is not None:
            on_end, timer = left
            timer.cancel()
            on_end()

    def _acknowledge_at_once(self) -> None:
        """Acknowledge what comes without delay: a server that writes head and body one by one would wait for that."""
        if _QUICKACK is not None and self._socket is not None:
            try:
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except OSError:
                return  # it is only quicker

    def _info(self) -> bytes | None:
        """Return what the system knows of the connection; `None` where it does not say."""
        if _TCP_INFO is None or self._socket is None:
            return None
        try:
            info: bytes = self._socket.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
        except OSError:
            return None
        return info if len(info) == _INFO_BYTES else None

    def _acked(self) -> int | None:
        info = self._info()
        return struct.unpack_from("=Q", info, _ACKED_AT)[0] if info is not None else None
