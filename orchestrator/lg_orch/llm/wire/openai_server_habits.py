"""Corrects what servers that imitate OpenAI do differently: no `finish_reason`, and arguments of calls as objects.

Both cost a whole run where a client insists on the wording of the standard, and neither is in doubt: a stream that ends
with `[DONE]` is complete, and an object is what its text would say.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_DONE = b"[DONE]"
_TAIL = 64
"""Bytes of a stream's end that are kept to see how it ended."""


class WatchedCompletions:
    """The package's `chat.completions`, whose streams say so when they came to their end without a reason."""

    def __init__(self, completions: Any) -> None:
        self._completions = completions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._completions, name)

    async def create(self, **payload: Any) -> Any:
        """Make the request."""
        answer = await self._completions.create(**payload)
        return WholeStream(answer) if payload.get("stream") else answer


class WholeStream:
    """One stream of chunks; after `[DONE]` without any `finish_reason` it adds the reason "stop"."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._tail = b""
        response, read = stream.response, stream.response.aiter_bytes

        async def watched(*arguments: Any) -> AsyncIterator[bytes]:
            async for part in read(*arguments):
                self._tail = (self._tail + part)[-_TAIL:]
                yield part

        response.aiter_bytes = watched

    async def __aenter__(self) -> Self:
        await self._stream.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stream.__aexit__(*error)

    async def __aiter__(self) -> AsyncIterator[Any]:
        reason = False
        async for chunk in self._stream:
            reason = reason or any(_part(choice, "finish_reason") for choice in _part(chunk, "choices") or ())
            yield with_text_arguments(chunk)
        if not reason and self._tail.rstrip().endswith(_DONE):
            yield {"choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "stop"}]}


def with_text_arguments(answer: Any) -> Any:
    """Return a chunk or a whole answer in which the arguments of calls are texts, as the standard has them."""
    for choice in _part(answer, "choices") or ():
        for message in (_part(choice, "delta"), _part(choice, "message")):
            for call in _part(message, "tool_calls") or ():
                function = _part(call, "function")
                arguments = _part(function, "arguments")
                if isinstance(function, dict) and isinstance(arguments, dict | list):
                    function["arguments"] = json.dumps(arguments)
                elif isinstance(arguments, dict | list):
                    function.arguments = json.dumps(arguments)
    return answer


def _part(whole: Any, name: str) -> Any:
    """A part of what may be a dictionary or one of the package's objects."""
    return whole.get(name) if isinstance(whole, dict) else getattr(whole, name, None)
