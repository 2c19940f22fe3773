"""Puts the corrected wire (`openai_stream`, `openai_answers`) under OpenAI's own package.

Servers that imitate OpenAI get many small things wrong, and each of them costs a whole run where a client insists on
the wording of the standard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.llm.wire.openai_stream import StreamRepair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class WatchedCompletions:
    """The package's `chat.completions`, whose streams are read as strangers write them."""

    def __init__(self, completions: Any) -> None:
        self._completions = completions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def create(self, **payload: Any) -> Any:
        """Make the request."""
        answer = await self._completions.create(**payload)
        if payload.get("stream"):
            _repair(answer)
        return answer


def _repair(stream: Any) -> None:
    """Have the package read the stream's bytes as they should be."""
    response, read, repair = stream.response, stream.response.aiter_bytes, StreamRepair()

    async def repaired(*arguments: Any) -> AsyncIterator[bytes]:
        async for part in read(*arguments):
            for event in repair.take(part):
                yield event
        for event in repair.take(b"", last=True):
            yield event

    response.aiter_bytes = repaired
