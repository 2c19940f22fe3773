"""Who awaits an answer goes on when it has come: at once where that is possible, else in the next turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Arrival, Reply

pytestmark = pytest.mark.anyio


async def heard(end: Callable[[Arrival], object]) -> tuple[list[str], list[str]]:
    """Return what a task that awaits an answer has said right after `end`, and what it said in all."""
    said: list[str] = []
    arrival = Arrival(asyncio.get_running_loop())
    waits = asyncio.Event()

    async def wait() -> None:
        waits.set()
        try:
            await arrival
            said.append("it came")
        except (OSError, asyncio.CancelledError) as error:
            said.append(type(error).__name__)

    task = asyncio.create_task(wait())
    await waits.wait()
    over: asyncio.Future[list[str]] = asyncio.get_running_loop().create_future()

    def ended() -> None:
        end(arrival)
        over.set_result(list(said))

    asyncio.get_running_loop().call_soon(ended)  # as a protocol hears of data: not within a task
    at_once = await over
    await asyncio.wait([task])
    return at_once, said


@pytest.mark.parametrize(
    ("end", "at_once", "in_all"),
    [
        (lambda arrival: arrival.come(at_once=True), ["it came"], ["it came"]),
        (lambda arrival: arrival.come(at_once=False), [], ["it came"]),
        (lambda arrival: arrival.set_result(None), [], ["it came"]),
        (lambda arrival: arrival.set_exception(OSError()), [], ["OSError"]),
        (lambda arrival: arrival.cancel(), [], ["CancelledError"]),
    ],
)
async def test_who_awaits_an_answer_goes_on(
    end: Callable[[Arrival], object], at_once: list[str], in_all: list[str]
) -> None:
    assert await heard(end) == (at_once, in_all)


async def test_an_answer_comes_once_and_who_asks_later_has_it() -> None:
    arrival, calls = Arrival(asyncio.get_running_loop()), list[str]()
    first, second = (lambda _arrival: calls.append("first")), (lambda _arrival: calls.append("second"))
    arrival.add_done_callback(first)
    arrival.add_done_callback(second)
    assert (arrival.remove_done_callback(first), arrival.remove_done_callback(first)) == (1, 0)
    arrival.come(at_once=True)
    arrival.come(at_once=True)
    assert calls == ["second"]
    await arrival


async def test_a_cancelled_task_no_longer_waits_for_its_answer() -> None:
    arrival, waits = Arrival(asyncio.get_running_loop()), asyncio.Event()

    async def wait() -> None:
        waits.set()
        await arrival

    task = asyncio.create_task(wait())
    await waits.wait()
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), arrival.cancelled()) == (True, True)


async def test_an_answer_does_not_overtake_a_report_of_progress_that_came_before_it() -> None:
    said: list[str] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        said.append(f"{progress} of {total}: {message}")

    loop, waits = asyncio.get_running_loop(), asyncio.Event()
    arrival, relay = Arrival(loop), Relay("a")
    relay.sent_directly(7, "tools/call", Reply(progress=report, ended=arrival))

    async def wait() -> None:
        waits.set()
        await arrival
        said.append("answer")

    def come() -> None:
        line = b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":7,"progress":1}}'
        relay.received_now(line, go_on=True)
        relay.received_now(b'{"jsonrpc":"2.0","id":7,"result":{"content":[]}}', go_on=True)

    task = asyncio.create_task(wait())
    await waits.wait()
    loop.call_soon(come)
    await asyncio.wait([task])
    assert said == ["1.0 of None: None", "answer"]
