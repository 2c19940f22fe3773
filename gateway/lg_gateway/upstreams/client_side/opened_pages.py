"""Tells when a 2025 server says that a page which it wanted opened is done with (`elicitation/complete`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import anyio

ID_CHARACTERS = 200


class OpenedPages:
    """The pages that calls wait for, by the server's own ids."""

    def __init__(self) -> None:
        self._awaited: dict[str, list[tuple[set[str], anyio.Event]]] = {}

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
        for open_pages, event in self._awaited.get(page[:ID_CHARACTERS], []):
            open_pages.discard(page[:ID_CHARACTERS])
            if not open_pages:
                event.set()
