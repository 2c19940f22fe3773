"""A call that is given up while a thread reads its long answer: whichever comes first, nothing is left behind."""

from __future__ import annotations

import json
import random
import sys
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel
import pytest

from lg_gateway.upstreams.relay import INLINE_BYTES, Relay
from lg_gateway.upstreams.replies import Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio
ROUNDS = 120


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns after nearly every step."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def answer(number: int, *, readable: bool = True) -> bytes:
    text = "x" * (INLINE_BYTES + 1)
    line = json.dumps({"jsonrpc": "2.0", "id": number, "result": {"content": [{"type": "text", "text": text}]}})
    return line.encode() if readable else line[:-2].encode()


@pytest.mark.parametrize("readable", [True, False])
@pytest.mark.usefixtures("quick_switches")
async def test_a_call_given_up_while_its_long_answer_is_read_is_not_in_doubt_afterwards(readable: bool) -> None:
    relay, chance = Relay("odd"), random.Random(7)
    data = [answer(number, readable=readable) for number in range(ROUNDS)]
    took: list[float] = []
    for number in range(ROUNDS):
        reply = Reply()
        relay.sent_directly(number, "tools/call", reply)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.received, data[number])
            begun = anyio.current_time()
            if number >= 20:
                moment = begun + chance.uniform(0.6, 1.1) * sorted(took)[len(took) // 2]
                while anyio.current_time() < moment:
                    await anyio.lowlevel.checkpoint()
                relay.give_up(number)
        took.append(anyio.current_time() - begun)
        assert not relay.calls_given_up, "its answer has come, so nothing is in doubt"
        assert not relay.unanswered("tools/call")


@pytest.mark.usefixtures("quick_switches")
async def test_lists_that_are_given_up_while_other_answers_are_read_break_nothing() -> None:
    relay = Relay("odd")
    for number in range(ROUNDS):
        relay.sent_directly(number, "tools/call", Reply())
    data = [answer(number) for number in range(ROUNDS)]

    async def read(part: list[bytes]) -> None:
        for line in part:
            await relay.received(line)

    async with anyio.create_task_group() as tasks:
        for start in range(4):
            tasks.start_soon(read, data[start::4])
        while relay.unanswered("tools/call"):
            relay.timed_out("tools/list")
            await anyio.lowlevel.checkpoint()
    assert not relay.calls_given_up
