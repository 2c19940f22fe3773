"""Waits for the first answer to a question whose caller waits, and ends the question when the caller leaves."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import anyio

from lg_gateway.approvals.records import Approval
from lg_gateway.store.interface import StoreError

LEASE_S = 60.0
"""How long a question stays open whose caller waits for the answer but was killed."""
KEPT_EVERY_S = 10.0
"""How often a caller that waits says so."""
Answer: TypeAlias = "tuple[str, Mapping[str, Any] | None]"


async def first_answer(
    *,
    ask: Callable[[], Awaitable[Answer]] | None,
    elsewhere: Callable[[], Awaitable[Approval | None]],
    keep: Callable[[], Awaitable[None]],
    withdraw: Callable[[], Awaitable[None]] | None,
    limit_s: float,
) -> tuple[Answer | None, Approval | None]:
    """Return the client's answer, or the question as another terminal answered it; neither when the time is over.

    `keep` notes that the caller is there. `withdraw` ends the question if the caller leaves; `None` for a question that
    others may wait for without staying.
    """
    answer: Answer | None = None
    current: Approval | None = None
    try:
        async with anyio.create_task_group() as tasks:

            async def look() -> None:
                nonlocal current
                current = await elsewhere()
                tasks.cancel_scope.cancel()

            async def stay() -> None:
                while True:
                    await anyio.sleep(KEPT_EVERY_S)
                    await keep()

            tasks.start_soon(look)
            tasks.start_soon(stay)
            if ask is not None:
                with anyio.move_on_after(limit_s):
                    answer = await ask()
            tasks.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        if withdraw is not None:
            with anyio.CancelScope(shield=True), suppress(StoreError):
                await withdraw()
        raise
    return answer, current
