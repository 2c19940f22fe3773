"""Streams a run's events to clients of LangGraph Server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.service.api.event_stream import EventStream, framed
from lg_orch.service.langgraph_api.shapes import interrupts_of, is_over, values_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.contracts.events import Event
    from lg_orch.service.api.endpoints import Call
    from lg_orch.service.records.rows import RunRow


class ThreadStream(EventStream):
    """`metadata` first, then what the client's modes ask for, and `values` at the end.

    `updates` brings a step when it has ended, `custom` and `events` bring each event as the run API shows it. Every
    event has the number of the journal's last one as its `id`.
    """

    def __init__(self, call: Call, row: RunRow, after: int, modes: str | list[str], headers: Mapping[str, str]) -> None:
        super().__init__(call, row, after, follow=True)
        self._modes = {modes} if isinstance(modes, str) else set(modes)
        for name, text in headers.items():
            self.headers[name] = text

    def opening(self, row: RunRow) -> str:
        """Return the name of the run."""
        return framed("metadata", {"run_id": row.run_id, "attempt": max(1, row.epoch)})

    def of_event(self, event: Event) -> str:
        """Return what the client's modes show of an event."""
        text = ""
        if "updates" in self._modes and event.kind == "node" and event.phase == "end":
            text += framed("updates", {event.name: event.data}, event.seq)
        for mode in sorted(self._modes & {"custom", "events"}):
            text += framed(mode, event.model_dump(mode="json"), event.seq)
        return text

    def of_state(self, row: RunRow) -> str:
        """Return the values as they are now."""
        return framed("values", values_of([row])) if "values" in self._modes else ""

    def of_end(self, row: RunRow) -> str:
        """Return what the run waits for, or what it came to."""
        interrupts = interrupts_of(self._call.service, row)
        if interrupts:
            return framed("updates", {"__interrupt__": interrupts})
        if row.state in ("failed", "refused"):
            return framed("error", {"error": row.state, "message": str((row.report or {}).get("text") or row.state)})
        return framed("end", None)

    def is_over(self, row: RunRow) -> bool:
        """Tell whether the client need not wait any longer."""
        return is_over(row)
