"""Settings of the ledger: what it keeps, for how long, and when repeated refusals are only counted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lg_policy.config.section import PositiveInt, Section


class LedgerSettings(Section):
    """The record of every call."""

    durability: Literal["effects", "full"] = "effects"
    """When a record must be on the disk before the gateway goes on. `effects`: before a call that may change something,
    and with the outcome of a call with an idempotency key. Other records are written at once, and flushed within
    `flush_ms`: a power cut may lose them, a killed process does not. `full`: every record."""
    flush_ms: PositiveInt = 20
    """Milliseconds until a record that was only written is on the disk."""
    keep_days: Annotated[int, Field(ge=0)] = 0
    """Days that records stay in the store. Older ones move to sealed segment files. 0: records stay until
    `lg-gateway audit seal`."""
    segment_records: PositiveInt = 50_000
    """Most records in one segment file."""
    segment_days: Annotated[int, Field(ge=0)] = 0
    """Days that segment files are kept, counted from their newest record. 0: until `lg-gateway audit prune`."""
    segments_dir: str = ""
    """Where segment files go, relative to the settings file; by default `segments` in the state directory."""
    refusals_a_minute: PositiveInt = 30
    """Refusals of one caller, tool and error code in a minute that get own records. One more record counts the rest.
    Refusals by limits count together, whatever the tool."""
    outcomes: Literal["all", "keyed"] = "all"
    """Which results are kept beside the ledger: those of all calls, or only of calls with an idempotency key."""
    outcome_days: PositiveInt = 7
    """Days that results are kept. A repeated idempotency key is recognised for that time."""
    outcome_max_bytes: PositiveInt = 1_000_000
    """Bytes of one kept result. Of a larger one only the fact is recorded."""

    @property
    def flush_s(self) -> float:
        """Seconds that a record may be written without being on the disk; 0: none may."""
        return self.flush_ms / 1000 if self.durability == "effects" else 0.0
