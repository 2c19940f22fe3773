"""Whose call runs next. Clients take turns, and the calls of one client run in the order in which they came.

This is round robin between clients, as in stochastic fairness queueing (McKenney, 1990). When the queue is full, the
client with the most waiting calls loses its newest call, as it does there.

Not covered: a client is who it says it is. One that poses as many gets the turns of many.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from lg_policy.errors import LimitExceeded


class _Waiter:
    def __init__(self) -> None:
        self.decided = anyio.Event()
        self.served = False


class Turns:
    """`places` calls run at the same time and at most `max_waiting` wait, over all clients. For one event loop."""

    def __init__(self, places: int, max_waiting: int) -> None:
        self._free = places
        self._max_waiting = max_waiting
        self._queues: dict[str, deque[_Waiter]] = {}
        """The waiting calls of each client that has some. The client whose turn is next comes first."""

    @property
    def waiting(self) -> int:
        """Return the number of calls that wait for their turn."""
        return sum(map(len, self._queues.values()))

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for a turn and hold it. Raises `LimitExceeded` when the queue is full and no client has more in it."""
        if self._free:  # then nobody waits
            self._free -= 1
        else:
            await self._wait(client)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, client: str) -> None:
        if self.waiting >= self._max_waiting:
            self._make_room(client)
        waiter = _Waiter()
        self._queues.setdefault(client, deque()).append(waiter)
        try:
            await waiter.decided.wait()
        except BaseException:  # cancelled: the place in the queue, or the turn just given, is for another
            if waiter.served:
                self._next()
            elif not waiter.decided.is_set():
                self._leave(client, waiter)
            raise
        if not waiter.served:
            raise self._full()

    def _make_room(self, client: str) -> None:
        longest = max(self._queues, key=lambda name: len(self._queues[name]))
        if len(self._queues[longest]) <= len(self._queues.get(client, ())) + 1:
            raise self._full()
        self._queues[longest].pop().decided.set()  # it has two at least, so that the client keeps its turn

    def _full(self) -> LimitExceeded:
        return LimitExceeded(
            f"the queue is full: {self._max_waiting} calls are waiting", hint="wait until a running command has ended"
        )

    def _leave(self, client: str, waiter: _Waiter) -> None:
        self._queues[client].remove(waiter)
        if not self._queues[client]:
            del self._queues[client]

    def _next(self) -> None:
        """Give a free turn to the first client, which then goes to the end of the row."""
        if not self._queues:
            self._free += 1
            return
        client, queue = next(iter(self._queues.items()))
        del self._queues[client]
        waiter = queue.popleft()
        if queue:
            self._queues[client] = queue
        waiter.served = True
        waiter.decided.set()
