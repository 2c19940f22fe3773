"""What can be watched of a running gateway, and how it stands now."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lg_gateway.approvals.records import ApprovalTable
from lg_gateway.catalog.catalog import Catalog
from lg_gateway.ledger.halting import HaltStep
from lg_gateway.observability.call_counts import CallCounts
from lg_gateway.observability.store_health import StoreHealth
from lg_gateway.store.interface import Store
from lg_gateway.upstreams.upstream import Upstream
from lg_policy.version import __version__


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The parts of one gateway process."""

    upstreams: Mapping[str, Upstream]
    catalog: Catalog
    counts: CallCounts
    store: Store
    store_health: StoreHealth
    store_kind: str
    approvals: ApprovalTable
    halts: HaltStep
    held: Callable[[], Mapping[str, int]]
    """How many definitions of each server wait for a human."""
    about: Mapping[str, Any]
    """Who this process is: root, transport and the like."""
    mask: Callable[[str], str] = str
    """Hides known secrets in what others said about an error."""

    async def status(self) -> dict[str, Any]:
        """Return how the gateway stands now, for JSON."""
        usable = await self.store_health.usable()
        held, tools = self.held(), self.tools()
        return {
            "pid": os.getpid(),
            "version": __version__,
            "started": timestamp(self.counts.began),
            **self.about,
            "store": {"kind": self.store_kind, "ok": usable, "error": self.mask(self.store_health.error) or None},
            "halted": self.halts.current is not None,
            "servers": [
                self._server(name, upstream, tools[name], held.get(name, 0))
                for name, upstream in sorted(self.upstreams.items())
            ],
        }

    def tools(self) -> Counter[str]:
        """Return how many tools of each server the catalogue has."""
        return Counter(entry.server.name for entry in self.catalog.entries())

    def _server(self, name: str, upstream: Upstream, tools: int, held: int) -> dict[str, Any]:
        calls, failure = self.counts.of_server(name), self.counts.failures.get(name)
        median, slow = self.counts.quantiles(name, 0.5, 0.95)
        return {
            "name": name,
            "state": str(upstream.state),
            "protocol": upstream.protocol or None,
            "version": upstream.version or None,
            "tools": tools,
            "held_back": held,
            "restarts": upstream.restarts,
            "error": upstream.error or None,
            "last_error": upstream.last_error or None,
            "last_error_at": timestamp(upstream.last_error_at) if upstream.last_error else None,
            "calls": calls,
            "p50_ms": _ms(median),
            "p95_ms": _ms(slow),
            "last_failed_call": None
            if failure is None
            else {"tool": failure.tool, "code": failure.code, "at": timestamp(failure.at)},
        }


def timestamp(seconds: float) -> str:
    """Return a time as texts have it: UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def age_s(since: str) -> float:
    """Return how many seconds ago a time was that `timestamp` wrote."""
    return max(0.0, time.time() - datetime.fromisoformat(since).timestamp())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
