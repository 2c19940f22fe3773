"""What a run lends to a mind that asks a language model: its tools, its meter, its journal, its clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.meter import Meter
    from lg_orch.services import Services
    from lg_orch.tools import ToolInfo


class RunDesk:
    """The desk of one run in this process."""

    def __init__(self, services: Services, meter: Meter) -> None:
        self._services = services
        self._meter = meter

    @property
    def tools(self) -> Sequence[ToolInfo]:
        """The tools found at the gateway."""
        return self._services.tools.tools

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        return max(0.0, self._services.budgets.limits.max_wall_s - self._services.wall_s())

    def reply_room(self, prompt_chars: int) -> int:
        """Tokens that the next reply may have. Raises `LimitExceeded`."""
        return self._meter.reply_room(prompt_chars)

    def record(self, name: str, phase: str, data: Mapping[str, Any], tokens: int = 0) -> None:
        """Journal it and count it."""
        self._meter.add(tokens)
        self._services.bus.emit("model", name, phase, dict(data))

    def mask(self, text: str) -> str:
        """Hide known secrets."""
        return self._services.bus.mask(text)
