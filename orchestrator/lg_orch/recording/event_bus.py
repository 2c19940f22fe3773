"""Publishes each event once: masked, written to the journal, displayed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from lg_orch.contracts.events import Event, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_policy.secrets.masking import Masker


class Listener(Protocol):
    """Shows events to somebody; must not fail and must not block."""

    def show(self, event: Event) -> None:
        """Show one event."""
        ...


@runtime_checkable
class TracesCalls(Protocol):
    """A listener that knows the trace which a call belongs to."""

    def context_of(self, call_id: str) -> Mapping[str, str]:
        """Return what tells another program which span its own belong below; nothing for a call without one."""
        ...


class EventLog(Protocol):
    """Keeps events."""

    def append(self, event: Event) -> None:
        """Keep one event. Raises `OSError` when that is impossible."""
        ...


class EventBus:
    """Gives each event its number and time, hides secrets in it, keeps it, shows it. Numbers continue from `after`."""

    def __init__(
        self, journal: EventLog, masker: Masker, listeners: Sequence[Listener] = (), *, after: int = 0
    ) -> None:
        self._journal = journal
        self._masker = masker
        self._listeners = tuple(listeners)
        self._seq = after

    def emit(self, kind: Kind, name: str, phase: str, data: dict[str, Any] | None = None) -> Event:
        """Keep one event and show it. Raises `OSError` when it cannot be kept."""
        self._seq += 1
        event = self._event(kind, name, phase, data)
        self._journal.append(event)
        self._show(event)
        return event

    def progress(self, name: str, data: dict[str, Any], *, kind: Kind = "tool") -> None:
        """Show something passing that is not worth keeping."""
        self._show(self._event(kind, name, "progress", data))

    def trace_of(self, call_id: str) -> Mapping[str, str]:
        """Return what joins the spans of a call elsewhere to those of the run: `traceparent`, or nothing."""
        for listener in self._listeners:
            if isinstance(listener, TracesCalls):
                return listener.context_of(call_id)
        return {}

    def mask(self, text: str) -> str:
        """Return `text` with known secrets replaced by markers."""
        return self._masker.mask(text)

    def _event(self, kind: Kind, name: str, phase: str, data: dict[str, Any] | None) -> Event:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        masked = self._masker.mask_json(data or {})
        return Event(seq=self._seq, time=now, kind=kind, name=name, phase=phase, data=masked)

    def _show(self, event: Event) -> None:
        for listener in self._listeners:
            try:
                listener.show(event)
            except OSError:  # a closed pipe or terminal: who no longer looks does not end the run
                self._listeners = tuple(other for other in self._listeners if other is not listener)
