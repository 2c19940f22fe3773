"""Does work on a conversation's messages once for each message, although every request repeats them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")
R = TypeVar("R")


class MessageMemo(Generic[T, R]):
    """`make` for each object of a sequence, but not for those of the sequence before, which must not have changed."""

    def __init__(self, make: Callable[[T], R]) -> None:
        self._make = make
        # By identity; an entry keeps its object alive, so that no other can have its identity.
        self._made: dict[int, tuple[T, R]] = {}

    def __call__(self, given: Sequence[T]) -> list[R]:
        """What was made of each, in order."""
        before, self._made = self._made, {}
        for message in given:
            known = before.get(id(message)) or self._made.get(id(message))
            self._made[id(message)] = known if known is not None else (message, self._make(message))
        return [self._made[id(message)][1] for message in given]
