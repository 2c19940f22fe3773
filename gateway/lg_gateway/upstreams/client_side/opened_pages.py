"""Tells when a 2025 server says that a page which it wanted opened is done with (`elicitation/complete`).

A call that waits for the page goes on then, and the client that was shown the page is told too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio
from mcp.shared.exceptions import MCPError

log = logging.getLogger(__name__)

ID_CHARACTERS = 200
SHOWN = 200
"""Pages of one server whose clients are told; of more, the oldest is forgotten."""
Tell = Callable[[], Awaitable[None]]


class OpenedPages:
    """The pages that calls wait for, by the server's own ids."""

    def __init__(self) -> None:
        self._awaited: dict[str, list[tuple[set[str], anyio.Event]]] = {}
        self._shown: dict[str, Tell] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def shown(self, page: str, tell: Tell) -> None:
        """Note that a client was shown a page. It is told once when the page is done with, also after its call."""
        self._shown.pop(page[:ID_CHARACTERS], None)
        self._shown[page[:ID_CHARACTERS]] = tell
        if len(self._shown) > SHOWN:
            del self._shown[next(iter(self._shown))]

    @contextmanager
    def awaited(self, pages: Iterable[str]) -> Iterator[anyio.Event]:
        """Yield an event that is set once all of these pages are done with."""
        waiting = (set(pages), anyio.Event())
        for page in list(waiting[0]):
            self._awaited.setdefault(page, []).append(waiting)
        mine = list(waiting[0])
        try:
            yield waiting[1]
        finally:
            for page in mine:
                left = [other for other in self._awaited.get(page, []) if other is not waiting]
                if left:
                    self._awaited[page] = left
                else:
                    self._awaited.pop(page, None)

    def done(self, page: str) -> None:
        """Note that a page is done with."""
        tell = self._shown.pop(page[:ID_CHARACTERS], None)
        if tell is not None:
            telling = asyncio.get_running_loop().create_task(_told(tell))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)
        for open_pages, event in self._awaited.get(page[:ID_CHARACTERS], []):
            open_pages.discard(page[:ID_CHARACTERS])
            if not open_pages:
                event.set()


async def _told(tell: Tell) -> None:
    try:
        await tell()
    except (MCPError, RuntimeError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
        log.debug("a client could not be told that a page is done with: %r", error)
