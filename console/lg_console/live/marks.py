"""Says what has changed. A topic has a mark, a short text; another mark means that the page should look again.

Many pages may listen: each topic is looked at once for all of them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio

POLL_S = 0.5
Look = Callable[[str], Awaitable[str]]
"""Returns the mark of a topic; it gets what stands behind the colon: the run's id of `run:ID`."""


class Marks:
    """The marks of all topics, each at most as old as `POLL_S`."""

    def __init__(self, topics: Mapping[str, Look]) -> None:
        self._topics = topics
        self._known: dict[str, tuple[float, str]] = {}
        self._looking = anyio.Lock()

    def known(self, topic: str) -> bool:
        """Whether there is such a topic."""
        return topic.partition(":")[0] in self._topics

    async def of(self, topic: str) -> str:
        """Return the mark of a topic."""
        async with self._looking:
            now = anyio.current_time()
            at, mark = self._known.get(topic, (-POLL_S, ""))
            if now - at >= POLL_S:
                name, _, rest = topic.partition(":")
                mark = await self._topics[name](rest)
                self._known = {key: kept for key, kept in self._known.items() if now - kept[0] < 10 * POLL_S}
                self._known[topic] = (now, mark)
            return mark
