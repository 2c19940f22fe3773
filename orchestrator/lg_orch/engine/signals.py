"""Stops a run: the first Ctrl-C lets the current call finish; the second, or SIGTERM, ends the run at once.

So does the end of the terminal (SIGHUP). What the run changed is in its report then, which `lg-orch runs show` prints.

A worker drives several runs in one process, and asks each on its own (`StopRequests`).
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, TypeVar

import anyio

from lg_orch.contracts.errors import Interrupted
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from anyio.abc import TaskStatus

T = TypeVar("T")


class StopRequests:
    """What a run in a worker is asked to do, in the place of signals. Used in the event loop's thread alone."""

    def __init__(self) -> None:
        self._soon = anyio.Event()
        self._now = anyio.Event()

    @property
    def asked(self) -> bool:
        """Whether it was asked to stop in any way; may be read from any thread."""
        return self._soon.is_set()

    def soon(self) -> None:
        """Have the current call finish, and stop then."""
        self._soon.set()

    def now(self) -> None:
        """End the run at once."""
        self._now.set()
        self._soon.set()

    async def watch(self, ask_to_stop: Callable[[], bool], cancel: Callable[[], None]) -> None:
        """Do what is asked for."""
        await self._soon.wait()
        if self._now.is_set() or not ask_to_stop():
            cancel()
            return
        await self._now.wait()
        cancel()


async def stoppable(
    work: Callable[[], Awaitable[T]], ask_to_stop: Callable[[], bool], requests: StopRequests | None = None
) -> T:
    """Run `work`; on a first SIGINT call `ask_to_stop`, and unless it returns true, or on an end, cancel the work.

    With `requests` these count, and signals do not. Raises `Interrupted` for cancelled work, and what the work raises.
    """
    failure: LgError | None = None
    done: list[T] = []
    async with anyio.create_task_group() as group:

        async def watch(*, task_status: TaskStatus[None]) -> None:
            if requests is not None:
                task_status.started()
                await requests.watch(ask_to_stop, group.cancel_scope.cancel)
                return
            await _watch_signals(ask_to_stop, group.cancel_scope.cancel, task_status)

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
        raise Interrupted("the run was stopped" if requests is not None else "the run was stopped by a signal")
    return done[0]


async def _watch_signals(
    ask_to_stop: Callable[[], bool], cancel: Callable[[], None], task_status: TaskStatus[None]
) -> None:
    asked, terminals = False, [descriptor for descriptor in (1, 2) if os.isatty(descriptor)]
    with anyio.open_signal_receiver(signal.SIGINT, *_ends()) as received:
        task_status.started()
        async for number in received:
            if number == signal.SIGINT and not asked and ask_to_stop():
                asked = True
                continue
            if number not in (signal.SIGINT, signal.SIGTERM):
                _leave(terminals)
            cancel()


def _ends() -> list[signal.Signals]:
    """The signals that end a run at once. A program under `nohup` goes on when its terminal is closed."""
    hangup: signal.Signals | None = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) == signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


def _leave(terminals: list[int]) -> None:
    """Print nowhere from now on: writing to a terminal that was closed fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in terminals:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _only(errors: ExceptionGroup[Exception]) -> LgError | None:
    """The one `LgError` in a tree of groups; `None` if there is anything else in it."""
    own, rest = errors.split(LgError)
    if own is None or rest is not None:
        return None
    first: BaseException = own
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first if isinstance(first, LgError) else None
