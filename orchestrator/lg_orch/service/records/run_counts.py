"""Counts of runs that have ended: kept in the database, so that they are the same for every server and survive it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_policy.metrics_text import Family, counter, gauge, histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.service.records.interface import Database, Transaction

BOUNDS_S = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0)
_ADD = (
    "INSERT INTO lg_run_counts (name, label, value) VALUES (?, ?, ?) "
    "ON CONFLICT (name, label) DO UPDATE SET value = lg_run_counts.value + excluded.value"
)


COUNTED = "counted"
"""In a kept report: whether the end of its run was counted. A run that is resumed after its end ends again."""


def count_report(
    tx: Transaction, outcome: str | None, before: Mapping[str, Any] | None, report: Mapping[str, Any], model: str
) -> bool:
    """Count what a report adds to the one before it; returns whether the run's end is counted now.

    `outcome` is none for a run that goes on. A run counts once, with how it first ended.
    """
    counted = (before or {}).get(COUNTED) is True
    used, known = report.get("usage") or {}, (before or {}).get("usage") or {}
    added = {
        (name, model): max(0.0, float(used.get(name) or 0) - float(known.get(name) or 0))
        for name in ("tokens", "cost_usd")
    }
    if outcome is not None and not counted:
        seconds = float(used.get("wall_s") or 0)
        place = sum(bound < seconds for bound in BOUNDS_S)
        added |= {("finished", outcome): 1.0, ("bucket", f"{place:02}"): 1.0, ("seconds", ""): seconds}
    for (name, label), value in sorted(added.items()):  # in one order: two reports cannot wait for each other
        if value:
            tx.execute(_ADD, (name, label, value))
    return counted or outcome is not None


def run_families(database: Database) -> list[Family]:
    """Return the metrics of all runs of a database. Raises `StoreGone`."""
    with database.transaction() as tx:
        now = tx.now()
        rows = tx.execute(
            "SELECT state, count(*), min(updated) FROM lg_runs WHERE state IN ('queued', 'running', 'waiting') "
            "GROUP BY state"
        )
        counts = {(str(row[0]), str(row[1])): float(row[2]) for row in tx.execute("SELECT * FROM lg_run_counts")}
    states = {str(row[0]): (int(row[1]), max(0.0, now - float(row[2]))) for row in rows}
    named = ("queued", "running", "waiting")
    buckets = [int(counts.get(("bucket", f"{place:02}"), 0)) for place in range(len(BOUNDS_S) + 1)]

    def by(name: str, label: str) -> list[tuple[dict[str, str], float]]:
        return [({label: key[1]}, value) for key, value in sorted(counts.items()) if key[0] == name]

    return [
        gauge("lg_runs", "Runs that have not ended.",
              [({"state": name}, states.get(name, (0, 0))[0]) for name in named]),
        gauge(
            "lg_runs_oldest_seconds", "Seconds since the state of the oldest such run changed.",
            [({"state": name}, states.get(name, (0, 0.0))[1]) for name in ("queued", "waiting")], unit="seconds",
        ),
        counter("lg_runs_finished", "Runs that ended, by how they first ended.", by("finished", "outcome")),
        counter("lg_runs_tokens", "Tokens of model traffic, by the model that was asked for.", by("tokens", "model")),
        counter("lg_runs_cost_usd", "US dollars of model traffic.", by("cost_usd", "model")),
        histogram(
            "lg_runs_duration_seconds", "Seconds that processes spent on a run.", BOUNDS_S,
            [({}, buckets, counts.get(("seconds", ""), 0.0))],
        ),
    ]  # fmt: skip
