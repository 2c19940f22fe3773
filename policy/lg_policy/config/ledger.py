"""The settings of the ledger: what is kept with it, for how long, and when repetition is only counted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lg_policy.config.section import PositiveInt, Section


class LedgerSettings(Section):
    """The record of every call."""

    keep_days: Annotated[int, Field(ge=0)] = 0
    """Days that records stay in the store; older ones move to sealed segment files. 0: they stay until
    `lg-gateway audit seal`."""
    segment_records: PositiveInt = 50_000
    """Records in one segment file at most."""
    segment_days: Annotated[int, Field(ge=0)] = 0
    """Days that segment files are kept, counted from their newest record. 0: until `lg-gateway audit prune`."""
    segments_dir: str = ""
    """Where segment files go, relative to the settings file; by default `segments` in the state directory."""
    refusals_a_minute: PositiveInt = 30
    """Refusals of one caller, tool and error code in a minute that get a record each. One more record counts the rest.
    Refusals by limits count together, whatever the tool."""
    outcomes: Literal["all", "keyed"] = "all"
    """Which results are kept beside the ledger: those of all calls, or only of calls with an idempotency key."""
    outcome_days: PositiveInt = 7
    """Days that results are kept. For as long, a repeated idempotency key is recognised."""
    outcome_max_bytes: PositiveInt = 1_000_000
    """Bytes of one kept result; a larger one is only noted."""
