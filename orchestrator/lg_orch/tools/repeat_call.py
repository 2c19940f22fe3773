"""Retries a call under its key while its outcome may still be found.

The gateway answers a repeated key from its record, makes a lost call again where that is harmless, and otherwise says
that the outcome is unknown. So a retry never does anything twice; it only needs the server to be back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from lg_orch.contracts.envelopes import Problem, ToolEnvelope


async def persist(
    attempt: Callable[[], Awaitable[ToolEnvelope]],
    *,
    pauses: Sequence[float],
    harmless: bool,
    on_repeat: Callable[[float, Problem], None],
) -> ToolEnvelope:
    """Return the envelope of the last attempt, or the one that says that the outcome was lost if nothing tells it.

    `harmless`: the call only reads, so it is retried whenever its server was down; any other only once it was started.
    """
    lost: ToolEnvelope | None = None
    for number, pause in enumerate([*pauses, None]):
        envelope = await attempt()
        repeated = envelope.artifacts.model_copy(update={"repeated": number})
        envelope = envelope.model_copy(update={"artifacts": repeated})
        problem = envelope.artifacts.error
        away = problem is not None and problem.code == "upstream_unavailable"
        lost_now = problem is not None and problem.code == "outcome_unknown" and not problem.begun_before
        if problem is None or pause is None or not (lost_now or (away and (harmless or lost is not None))):
            return lost if lost is not None and away else envelope
        lost = envelope if lost_now else lost
        on_repeat(pause, problem)
        await anyio.sleep(pause)
    raise ValueError("the last of the pauses is none")
