"""Limits what callers use within a minute, by identity, server and tool. `clock` is monotonic.

A call counts once, just before it is sent. A question about it, a refusal and a repeat under its key do not count.
Requests of any kind have a limit of their own, so that asking is limited too. Each gateway process has its own counts.
If several workers serve one address, each has its share of every limit: together they never let more through.
The budget of a whole run is kept in the store (`run_budgets`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import NamedTuple

from lg_gateway.calls.call import CallContext
from lg_policy.config.settings import GatewaySettings
from lg_policy.config.usage_limits import LimitSettings
from lg_policy.errors import LimitExceeded
from lg_policy.rules.rule_set import Names

WINDOW_S = 60
SWEEP_EVERY = 1_000
COVERS = 10_000
"""Subjects whose limits are remembered."""
_COUNTED = ("calls_per_minute", "calls_at_once", "bytes_in_per_minute", "bytes_out_per_minute")


class Subject(NamedTuple):
    """Whose call of what."""

    identity: str
    server: str
    tool: str


def subject_of(context: CallContext) -> Subject:
    """Return whose call of what a call is."""
    entry = context.entry
    return Subject(context.call.identity, entry.server.name, entry.name)


@dataclass(kw_only=True)
class Use:
    """What was used: by one call, in one second, or in a minute."""

    calls: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    seconds: float = 0.0

    def add(self, other: Use, times: int = 1) -> None:
        """Add what another call used; take it away with `times=-1`."""
        self.calls += times * other.calls
        self.bytes_in += times * other.bytes_in
        self.bytes_out += times * other.bytes_out
        self.seconds += times * other.seconds


@dataclass
class _Count:
    """What one limit has counted for one caller, server or tool: a minute in steps of one second.

    A step is dropped when all of it is older than a minute, so that no minute ever holds more than the limit.
    """

    steps: dict[int, Use] = field(default_factory=dict)
    """Oldest first."""
    total: Use = field(default_factory=Use)
    running: int = 0

    def used(self, now: float) -> Use:
        """Return what the last minute has used."""
        while self.steps and (oldest := next(iter(self.steps))) + 1 <= now - WINDOW_S:
            self.total.add(self.steps.pop(oldest), -1)
        if not self.steps:
            self.total = Use()  # what rounding left of the seconds
        return self.total

    def add(self, now: float, use: Use) -> None:
        step = self.steps.get(int(now))
        if step is None:
            step = self.steps[int(now)] = Use()
        step.add(use)
        self.total.add(use)

    def wait(self, now: float) -> float:
        """Seconds until the oldest step is over."""
        return max(1.0, min(self.steps, default=int(now)) + 1 + WINDOW_S - now)


class _Counted:
    """What runs and is counted. A class: every call pays for this."""

    def __init__(self, counts: Sequence[_Count], refused: int = 0) -> None:
        self._counts = counts
        self._refused = refused

    def __enter__(self) -> int:
        return self._refused

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for count in self._counts:
            count.running -= 1


@dataclass(frozen=True, kw_only=True)
class _Limit:
    name: str
    settings: LimitSettings
    tools: Names
    identities: Names

    def key(self, subject: Subject) -> tuple[str, ...]:
        return (self.name, *(getattr(subject, part) for part in self.settings.per))


_Covering = tuple[_Limit, tuple[str, ...]]
"""A limit that covers a subject, and the key of what it has counted for it."""


class RateLimiter:
    """Counts for one process, which is one of `workers` that share the limits."""

    def __init__(
        self, settings: Callable[[], GatewaySettings], clock: Callable[[], float] = time.monotonic, *, workers: int = 1
    ) -> None:
        self._settings = settings
        self._workers = workers
        self._clock = clock
        self._compiled: tuple[GatewaySettings | None, Sequence[_Limit]] = (None, ())
        self._covers: dict[Subject, list[_Covering]] = {}
        self._counts: dict[tuple[str, ...], _Count] = {}
        self._refused: dict[str, int] = {}
        self._until_sweep = SWEEP_EVERY

    def admit(self, subject: Subject, *, bytes_in: int, again: bool = False) -> _Counted:
        """Count one call, until the block that this is entered for has ended. Raises `LimitExceeded`.

        `again`: this call was counted before, so only the number of calls at once is checked.
        """
        now = self._clock()
        self._sweep(now)
        counts = [(limit, self._count(key)) for limit, key in self._covering(subject)]
        for limit, count in counts:
            _check(limit, count, now, bytes_in=None if again else bytes_in)
        for _, count in counts:
            count.running += 1
            if not again:
                count.add(now, Use(calls=1, bytes_in=bytes_in))
        return _Counted([count for _, count in counts])

    def took(self, subject: Subject, *, bytes_out: int, seconds: float) -> None:
        """Count what a call's answer had."""
        now = self._clock()
        for _, key in self._covering(subject):
            self._count(key).add(now, Use(bytes_out=bytes_out, seconds=seconds))

    def timeout_s(self, subject: Subject, server_s: float) -> float:
        """Return how long a call may take: the shortest time that covers it."""
        limits = [limit.settings.call_timeout_s for limit, _ in self._covering(subject)]
        return min([server_s, *[limit for limit in limits if limit is not None]])

    def request(self, identity: str) -> _Counted:
        """Count one request of a caller, until the block that this is entered for has ended.

        The block gets how many were refused since the last one.

        Raises `LimitExceeded`.
        """
        settings, now = self._settings(), self._clock()
        count = self._count(("requests", identity))
        most, at_once = self._share(settings.requests_per_minute), self._share(settings.requests_at_once)
        if count.used(now).calls >= most:
            self._refused[identity] = self._refused.get(identity, 0) + 1
            wait = count.wait(now)
            raise _exceeded(f"{most} requests in a minute", "gateway.requests_per_minute", f"wait {wait:.0f} s")
        if count.running >= at_once:
            self._refused[identity] = self._refused.get(identity, 0) + 1
            raise _exceeded(
                f"{at_once} requests are waiting already",
                "gateway.requests_at_once",
                "wait for one of them",
            )
        count.add(now, Use(calls=1))
        count.running += 1
        return _Counted([count], self._refused.pop(identity, 0))

    def refused(self, identity: str) -> int:
        """Return how many requests of a caller were refused since one passed."""
        return self._refused.get(identity, 0)

    def _covering(self, subject: Subject) -> list[_Covering]:
        settings = self._settings()
        if self._compiled[0] is not settings:
            self._compiled = (settings, [self._shared(limit) for limit in _limits(settings)])
            self._covers = {}
        covering = self._covers.get(subject)
        if covering is None:
            limits = self._compiled[1]
            about = [limit for limit in limits if subject.identity in limit.identities and subject.tool in limit.tools]
            covering = [(limit, limit.key(subject)) for limit in about]
            if len(self._covers) >= COVERS:
                self._covers.clear()
            self._covers[subject] = covering
        return covering

    def _shared(self, limit: _Limit) -> _Limit:
        if self._workers == 1:
            return limit
        given = {name: getattr(limit.settings, name) for name in _COUNTED}
        shares: dict[str, float] = {name: self._share(most) for name, most in given.items() if most is not None}
        if limit.settings.seconds_per_minute is not None:
            shares["seconds_per_minute"] = limit.settings.seconds_per_minute / self._workers
        return replace(limit, settings=limit.settings.model_copy(update=shares))

    def _count(self, key: tuple[str, ...]) -> _Count:
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count()
        return count

    def _share(self, most: float) -> int:
        """Return this process's share of a limit, at least 1."""
        return max(1, int(most / self._workers))

    def _sweep(self, now: float) -> None:
        """Forget what nobody has used for a minute."""
        self._until_sweep -= 1
        if self._until_sweep:
            return
        self._until_sweep = SWEEP_EVERY
        for key in [key for key, count in self._counts.items() if not count.running and not count.used(now).calls]:
            del self._counts[key]


def _limits(settings: GatewaySettings) -> list[_Limit]:
    own = LimitSettings(
        calls_per_minute=settings.calls_per_minute,
        calls_at_once=settings.calls_at_once,
        bytes_in_per_minute=settings.bytes_in_per_minute,
        bytes_out_per_minute=settings.bytes_out_per_minute,
    )
    named = [("gateway", own), *((f"gateway.limits[{n}]", limit) for n, limit in enumerate(settings.limits))]
    return [
        _Limit(name=name, settings=limit, tools=Names(limit.tools), identities=Names(limit.identities))
        for name, limit in named
    ]


def _check(limit: _Limit, count: _Count, now: float, *, bytes_in: int | None) -> None:
    """Raise `LimitExceeded` when there is no room for one more call; `bytes_in` is `None` for one that was counted."""
    settings, used = limit.settings, count.used(now)
    if settings.calls_at_once is not None and count.running >= settings.calls_at_once:
        words = f"{count.running} calls are running already"
        raise _exceeded(words, f"{limit.name}.calls_at_once", "wait for one of them")
    if bytes_in is None:
        return
    checks = (
        ("calls_per_minute", "{} calls in a minute", used.calls + 1),
        ("bytes_in_per_minute", "{} bytes of arguments in a minute", used.bytes_in + bytes_in),
        ("bytes_out_per_minute", "{} bytes of results in a minute", used.bytes_out + 1),
        ("seconds_per_minute", "calls that took {} s in a minute", used.seconds),
    )
    for name, words, would_be in checks:
        most = getattr(settings, name)
        if most is not None and would_be > most:
            alone = name == "bytes_in_per_minute" and bytes_in > most
            hint = "send less in one call" if alone else f"wait {count.wait(now):.0f} s"
            raise _exceeded(words.format(most), f"{limit.name}.{name}", hint)


def _exceeded(words: str, setting: str, hint: str) -> LimitExceeded:
    return LimitExceeded(f"the limit is reached: {words} ({setting})", hint=hint)
