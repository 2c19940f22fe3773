"""Counts the tokens of a run's model traffic and says how many the next request may use.

The sum starts from the journal, so that a request whose step was lost in a crash stays counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.models_trace import Event

MAX_REPLY = 8_192
"""Tokens that one reply may have."""
MIN_REPLY = 64
"""A request that leaves less than this for its reply is not made."""
CHARS_PER_TOKEN = 3
"""For the estimate of a prompt before it is sent; low on purpose, so that the estimate is rather too high."""


class Meter:
    """One run's tokens; `limit` is `budgets.max_tokens`."""

    def __init__(self, limit: int, total: int = 0) -> None:
        self.limit = limit
        self.total = total

    def reply_room(self, prompt_chars: int) -> int:
        """Tokens that the reply to a prompt of that size may have. Raises `LimitExceeded` when none are left."""
        room = self.limit - self.total - prompt_chars // CHARS_PER_TOKEN
        if room < MIN_REPLY:
            message = (
                f"the next request to the model, about {prompt_chars // CHARS_PER_TOKEN} tokens, does not fit into "
                f"what is left of the run's {self.limit} tokens, {max(0, self.limit - self.total)} (budgets.max_tokens)"
            )
            raise LimitExceeded(message)
        return min(MAX_REPLY, room)

    def add(self, tokens: int) -> None:
        """Count what a request used."""
        self.total += max(0, tokens)


def used_tokens(events: Sequence[Event]) -> int:
    """Tokens that the journal's requests used."""
    return sum(int(event.data.get("total_tokens", 0)) for event in events if event.kind == "model")
