"""The metrics of one gateway process. Labels name servers, tools of the catalogue, outcomes and codes, and no caller.

Names and labels are a contract: dashboards and alerts of `deploy/` use them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lg_gateway.ledger.ledger import Ledger
from lg_gateway.observability.call_counts import BOUNDS
from lg_gateway.observability.observed import Observed
from lg_gateway.store.interface import StoreError, Tx
from lg_gateway.upstreams.upstream import UpstreamState
from lg_policy.metrics_text import Family, counter, gauge, histogram, info
from lg_policy.version import __version__


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """What only the store knows."""

    waiting: int = 0
    oldest_s: float = 0.0
    share: float = 0.0
    """How much of its time the question that expires first by that measure has used up."""
    records: int = 0
    unsigned: int = 0
    unsigned_s: float = 0.0
    whole: bool = True


async def families(observed: Observed, ledger: Ledger, store_file: Path | None) -> list[Family]:
    """Return all metrics now. If the store cannot be read, those that it knows are left out."""
    usable = await observed.store_health.usable()
    stored = None
    if usable:
        with suppress(StoreError):
            stored = await observed.store.read(lambda tx: _stored(tx, observed, ledger))
    found = [*_process(observed), *_calls(observed), *_upstreams(observed)]
    found.append(gauge("lg_store_up", "Whether the store takes a transaction.", [({}, usable and stored is not None)]))
    if store_file is not None:
        found.append(gauge("lg_store_bytes", "Size of the store's files.", [({}, _size(store_file))], "bytes"))
    return [*found, *(_of_store(stored) if stored is not None else ())]


def _process(observed: Observed) -> Iterator[Family]:
    counts = observed.counts
    yield info("lg_build", "The version that runs.", {"version": __version__})
    yield gauge(
        "process_start_time_seconds",
        "When this process began to count, since the epoch.",
        [({}, counts.began)],
        "seconds",
    )
    times = os.times()
    yield counter("process_cpu_seconds", "CPU time of this process.", [({}, times.user + times.system)])
    with suppress(OSError, ValueError):
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        resident = pages * os.sysconf("SC_PAGE_SIZE")
        yield gauge("process_resident_memory_bytes", "Memory of this process.", [({}, resident)], "bytes")
        yield gauge("process_open_fds", "Open descriptors.", [({}, len(os.listdir("/proc/self/fd")))])
    yield gauge("lg_halted", "Whether a human has halted all calls.", [({}, observed.halts.current is not None)])


def _calls(observed: Observed) -> Iterator[Family]:
    counts = observed.counts
    names = ("server", "tool", "outcome", "decision")
    calls = [(dict(zip(names, key, strict=True)), count) for key, count in tuple(counts.calls.items())]
    yield counter("lg_calls", "Calls that ended, by how they ended and what policy decided.", calls)
    refused = [({"server": server, "code": code}, count) for (server, code), count in tuple(counts.refusals.items())]
    yield counter("lg_refusals", "Calls that were not made, by error code.", refused)
    durations = [
        ({"server": server, "tool": tool}, tuple(each.counts), each.total_s)
        for (server, tool), each in tuple(counts.durations.items())
    ]
    about = "How long calls took from being sent to being recorded, without the time that a human took."
    yield histogram("lg_call_duration_seconds", about, BOUNDS, durations)
    yield counter(
        "lg_logins_failed", "Requests over HTTP with a token that is not valid.", [({}, counts.failed_logins)]
    )


def _upstreams(observed: Observed) -> Iterator[Family]:
    servers = sorted(observed.upstreams.items())
    tools, held = observed.tools(), observed.held()
    up = [({"server": name}, each.state is UpstreamState.UP) for name, each in servers]
    yield gauge("lg_upstream_up", "Whether a server is connected.", up)
    states = [
        ({"server": name, "state": str(state)}, each.state is state)
        for name, each in servers
        for state in UpstreamState
    ]
    yield gauge("lg_upstream_state", "1 for the state that a server is in.", states)
    yield counter(
        "lg_upstream_restarts", "Reconnects of a server.", [({"server": name}, each.restarts) for name, each in servers]
    )
    yield gauge(
        "lg_upstream_tools", "Tools that a server offers.", [({"server": name}, tools[name]) for name, _ in servers]
    )
    waiting = [({"server": name}, held.get(name, 0)) for name, _ in servers]
    yield gauge("lg_upstream_held_back", "Definitions of a server that wait for a human.", waiting)


def _of_store(stored: _Stored) -> Iterator[Family]:
    yield gauge("lg_approvals_waiting", "Questions that wait for a human.", [({}, stored.waiting)])
    oldest = "Age of the oldest question that waits."
    yield gauge("lg_approvals_oldest_seconds", oldest, [({}, stored.oldest_s)], "seconds")
    used = "The largest share of its time that a waiting question has used up."
    yield gauge("lg_approvals_used_ratio", used, [({}, stored.share)], "ratio")
    yield gauge("lg_ledger_last_record", "Number of the newest record of the ledger.", [({}, stored.records)])
    yield gauge("lg_ledger_unsigned_records", "Records beyond the signed head.", [({}, stored.unsigned)])
    age = "Age of the oldest record beyond the signed head."
    yield gauge("lg_ledger_unsigned_seconds", age, [({}, stored.unsigned_s)], "seconds")
    yield gauge("lg_ledger_chain_ok", "Whether the ledger contains its signed head.", [({}, stored.whole)])


def _stored(tx: Tx, observed: Observed, ledger: Ledger) -> _Stored:
    now = time.time()
    pending = observed.approvals.pending(tx, now)
    last = int(tx.execute("SELECT coalesce(max(seq), 0) FROM ledger")[0][0])
    try:
        head = ledger.head.read()
        whole = head is None or ledger.holds(tx, head)
    except (OSError, ValueError):
        head, whole = None, False
    signed = head.seq if head is not None else 0
    first = tx.execute("SELECT record FROM ledger WHERE seq > ? ORDER BY seq LIMIT 1", (signed,))
    return _Stored(
        waiting=len(pending),
        oldest_s=max((now - each.created for each in pending), default=0.0),
        share=max(((now - each.created) / max(each.expires - each.created, 1e-9) for each in pending), default=0.0),
        records=max(last, signed),
        unsigned=max(0, last - signed),
        unsigned_s=_age(first[0][0], now) if first else 0.0,
        whole=whole,
    )


def _age(record: str, now: float) -> float:
    import json
    from datetime import datetime

    return max(0.0, now - datetime.fromisoformat(json.loads(record)["time"]).timestamp())


def _size(path: Path) -> int:
    size = 0
    for part in (path, path.with_name(path.name + "-wal")):
        with suppress(OSError):
            size += part.stat().st_size
    return size
