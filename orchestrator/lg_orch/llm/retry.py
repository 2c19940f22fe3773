"""Asks one model again after a transient failure, with growing pauses."""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from lg_orch.llm.conversation.request_log import record_failed, record_retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from lg_orch.llm.conversation.request_log import RequestAttempt
    from lg_orch.llm.ports import RunPorts
    from lg_orch.llm.provider_errors import Failure
    from lg_orch.llm.replies import Reply
    from lg_policy.config.settings import ModelSettings

MAX_PAUSE_S = 60.0
"""Longest pause before a retry. If a provider's `Retry-After` asks for more, the next model is asked instead."""


@dataclass(frozen=True, kw_only=True)
class FailedAttempt:
    """An attempt that brought no answer, and may be made again."""

    asked: RequestAttempt
    failure: Failure
    elapsed: int
    """Milliseconds."""


async def ask_with_retries(
    ports: RunPorts,
    settings: ModelSettings,
    attempt: Callable[[], Awaitable[Reply | Failure | FailedAttempt]],
    *,
    falls_back: bool,
) -> Reply | Failure:
    """Make the attempt until it brings an outcome, or until no retry is left or the run's time would end first."""
    number = 0
    while True:
        outcome = await attempt()
        if not isinstance(outcome, FailedAttempt):
            return outcome
        number += 1
        failure = outcome.failure
        pause = pause_s(settings, number, failure)
        if pause is None or pause >= ports.clock.wall_left_s:
            if (failure.retry_after_s or 0.0) > MAX_PAUSE_S and failure.transient:
                asked = f"it asks for a pause of {failure.retry_after_s:.0f} s; the longest is {MAX_PAUSE_S:.0f} s"
                failure = dataclasses.replace(failure, text=f"{failure.text} ({asked})")
            goes_on = failure.transient and falls_back
            record_failed(ports, outcome.asked, failure, outcome.elapsed, falls_back=goes_on)
            return dataclasses.replace(failure, text=ports.mask(failure.text))
        record_retry(ports, outcome.asked, failure, outcome.elapsed, pause)
        await anyio.sleep(pause)


def pause_s(settings: ModelSettings, attempt: int, failure: Failure) -> float | None:
    """Return the seconds to wait before retry number `attempt`, counted from 1; `None` when there is to be no retry.

    The pause grows exponentially, with jitter, so that clients which failed together do not retry together. It is at
    least what the provider asked for.
    """
    if not failure.transient or attempt > settings.retries:
        return None
    asked = failure.retry_after_s or 0.0
    if asked > MAX_PAUSE_S:
        return None
    longest = min(MAX_PAUSE_S, settings.retry_pause_s * 2 ** (attempt - 1))
    return max(asked, random.uniform(longest / 2, longest))  # noqa: S311  # spreads load, hides nothing
