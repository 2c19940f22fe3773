"""Does things in the background of a run: one visit of a node begins them, a later one takes their results."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio

from lg_policy.errors import LgError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from anyio.abc import TaskGroup


@dataclass(kw_only=True)
class _BackgroundCall:
    """One call of a tool or a model in the background."""

    ended: anyio.Event
    result: Any = None
    error: LgError | None = None


class CallsBeside:
    """Calls that one visit of a node begins and a later one takes the result of. They end with the process's run."""

    def __init__(self, group: TaskGroup) -> None:
        self._group = group
        self._calls: dict[str, _BackgroundCall] = {}

    def begin(self, key: str, make: Callable[[], Awaitable[object]]) -> None:
        """Begin a call unless one with this key was begun."""
        if key in self._calls:
            return
        call = self._calls[key] = _BackgroundCall(ended=anyio.Event())
        self._group.start_soon(self._run, call, make)

    def begun(self, key: str) -> bool:
        """Tell whether a call with this key was begun."""
        return key in self._calls

    def ended(self, key: str) -> bool:
        """Tell whether that call has ended."""
        return self.begun(key) and self._calls[key].ended.is_set()

    async def result(self, key: str) -> Any:
        """Wait for that call's result. Raises what the call raised."""
        call = self._calls[key]
        await call.ended.wait()
        if call.result is None:
            raise call.error or LgError("a call in the background brought no result")
        return call.result

    async def _run(self, call: _BackgroundCall, make: Callable[[], Awaitable[object]]) -> None:
        try:
            call.result = await make()
        except LgError as error:
            call.error = error
        finally:
            call.ended.set()


@asynccontextmanager
async def calls_beside() -> AsyncIterator[CallsBeside]:
    """Yield what runs calls in the background; those that still run at the end of the block are given up."""
    try:
        async with anyio.create_task_group() as group:
            yield CallsBeside(group)
            group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # What the block raises must come out as it is: callers tell errors apart by their class.
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise
