"""Stops a run: the first Ctrl-C lets the current call finish; the second, or SIGTERM, ends the run at once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, TypeVar

import anyio

from lg_orch.contracts.errors import Interrupted
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

T = TypeVar("T")


async def stoppable(work: Callable[[], Awaitable[T]], ask_to_stop: Callable[[], bool]) -> T:
    """Run `work`; on a first SIGINT call `ask_to_stop`, and unless it returns true, or on SIGTERM, cancel the work.

    Raises `Interrupted` for cancelled work, and what the work raises.
    """
    failure: LgError | None = None
    done: list[T] = []
    async with anyio.create_task_group() as group:

        async def watch(*, task_status: TaskStatus[None]) -> None:
            asked = False
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
                task_status.started()
                async for number in received:
                    if number == signal.SIGINT and not asked and ask_to_stop():
                        asked = True
                        continue
                    group.cancel_scope.cancel()

        await group.start(watch)
        try:
            done.append(await work())
        except LgError as error:
            failure = error
        except ExceptionGroup as errors:
            # The task groups of the connections on the way out wrap what the work raised.
            failure = _only(errors)
            if failure is None:
                raise
        group.cancel_scope.cancel()
    if failure is not None:
        raise failure
    if not done:
        raise Interrupted("the run was stopped by a signal")
    return done[0]


def _only(errors: ExceptionGroup[Exception]) -> LgError | None:
    """The one `LgError` in a tree of groups; `None` if there is anything else in it."""
    own, rest = errors.split(LgError)
    if own is None or rest is not None:
        return None
    first: BaseException = own
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, LgError) else None
