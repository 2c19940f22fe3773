"""What a run has used of its budgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.contracts.base import Strict

if TYPE_CHECKING:
    pass


class Spent(Strict):
    """What a run has used so far; part of its state."""

    loop: int = 0
    room: int = 0
    """Calls left in this loop."""
    calls: int = 0
    patch_bytes: int = 0
    tokens: int = 0
    cost_usd: float = 0.0

    def with_call(self, *, patch_bytes: int = 0, in_loop: bool = True) -> Spent:
        """Return the same with one more call made."""
        return self.model_copy(
            update={
                "calls": self.calls + 1,
                "room": max(0, self.room - 1) if in_loop else self.room,
                "patch_bytes": self.patch_bytes + patch_bytes,
            }
        )
