"""Processes large untrusted values in a worker thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio.to_thread

from lg_policy.limits import EACH, is_small

Made = TypeVar("Made")


async def in_thread_if_large(value: Any, work: Callable[..., Made], *args: Any) -> Made:
    """Return `work(*args)`, done in a worker thread where `value` is large."""
    return await in_thread_if(not is_small(value), work, *args)


async def in_thread_if(large: bool, work: Callable[..., Made], *args: Any) -> Made:
    """Return `work(*args)`, done in a worker thread if the work is large."""
    if not large:
        return work(*args)
    return await anyio.to_thread.run_sync(partial(work, *args))


def beginning(value: Any, room: int) -> Any:
    """Return a JSON value of about `room` characters: the beginning of its texts and lists."""
    return _beginning(value, [room])


def _beginning(value: Any, room: list[int]) -> Any:
    if isinstance(value, str):
        kept = value[: max(0, room[0])]
        room[0] -= len(kept) + EACH
        return kept
    if isinstance(value, dict):
        made = {}
        for key, item in value.items():
            if room[0] <= 0:
                break
            made[_beginning(str(key), room)] = _beginning(item, room)
        return made
    if isinstance(value, list | tuple):
        kept_items = []
        for item in value:
            if room[0] <= 0:
                break
            kept_items.append(_beginning(item, room))
        return kept_items
    room[0] -= EACH
    return value
