"""Puts the questions about all calls of a turn together, before the first of them is made.

What a question shows must still be so when its call is made: patches are asked about together only where no two of them
touch the same file. The others are asked about by themselves, when their turn comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patch_preview import changed_blindly, look, wants_look
from lg_orch.agent.patches import changes_files, touched_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lg_orch.agent.services import Services
    from lg_orch.contracts.state import QueuedCall, RunState

MAX_TOGETHER = 8
"""Calls of one question."""


async def ask_together(
    state: RunState, services: Services, room: int, refused: Callable[[QueuedCall], bool]
) -> tuple[QueuedCall, ...] | None:
    """Ask about the calls to come that need a human; returns the queue with these noted, `None` if none were asked.

    Nobody is asked about a call that is `refused` here whatever the answer.
    """
    first = state.queue[0]
    if first.asked or services.answers_itself or not isinstance(services.backend, ActingBackend):
        return None
    if not services.tools.asks_ahead(first.call.tool):
        return None
    together = await _together(state, services, room, refused)
    if len(together) < 2:
        return None
    limit = services.budgets.call_timeout(services.wall_s())
    await services.tools.ask_together(together, step="executor", timeout_s=limit)
    keys = {queued.key for queued in together}
    return tuple(queued.model_copy(update={"asked": True}) if queued.key in keys else queued for queued in state.queue)


async def drop_questions(services: Services, calls: Sequence[QueuedCall]) -> None:
    """Have nobody wait for an answer about calls that are not made."""
    asked = [queued for queued in calls if queued.asked]
    if asked:
        limit = services.budgets.call_timeout(services.wall_s())
        await services.tools.drop_questions(asked, step="executor", timeout_s=limit)


async def _together(
    state: RunState, services: Services, room: int, refused: Callable[[QueuedCall], bool]
) -> list[QueuedCall]:
    found: list[QueuedCall] = []
    touched: set[str] = set()
    for queued in state.queue[: min(room, MAX_TOGETHER)]:
        if not services.tools.asks_ahead(queued.call.tool) or refused(queued):
            continue
        asked = queued
        if changes_files(services, queued.call.tool):
            paths = await _touches(state, services, queued)
            if paths is None or touched & paths:
                # What comes after it may depend on what it does.
                break
            touched |= paths
            asked = queued.model_copy(update={"touches": tuple(sorted(paths))})
        found.append(asked)
    return found


async def _touches(state: RunState, services: Services, queued: QueuedCall) -> set[str] | None:
    """The files that a patch touches; `None` for one of which that is not known, or that will not be made."""
    if queued.touches is not None:
        return set(queued.touches)
    if not wants_look(services, queued):
        return None
    looked = await look(services, queued)
    if not looked.ok or changed_blindly(state, services, looked):
        return None
    return set(touched_paths(looked))
