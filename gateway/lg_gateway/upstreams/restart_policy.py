"""Decides when a server that ended is started again. Pure."""

from __future__ import annotations

from dataclasses import dataclass

QUICK_FAILURE_S = 10.0
"""A server that was up for less than this counts as failed at once."""
CRASH_LOOP = 8
"""After this many failures in a row, the gateway starts the server early only if it gets a call."""
RETRY_S = 300.0
"""Seconds after which a server that keeps failing is tried again without a call."""


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """Pauses between restarts: `first_s`, doubled each time, at most `longest_s`."""

    first_s: float
    longest_s: float

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after that many failures in a row."""
        return float(min(self.first_s * 2 ** max(0, failures - 1), self.longest_s))


@dataclass(frozen=True, kw_only=True)
class Restart:
    """What happens after a server ended.

    The gateway waits at least `at_least_s`. Then a call starts the server, or it starts after `at_most_s`. If that is
    `None`, only a call or a reload starts it. `failures` is the number in a row, with this one.
    """

    failures: int
    at_least_s: float
    at_most_s: float | None
    given_up: bool


def restart(failures: int, up_s: float, backoff: Backoff, *, startable: bool = True) -> Restart:
    """Decide what follows after a server that was up for `up_s` seconds ended, with `failures` in a row before.

    `startable` says that its program could be run. If it is not installed, retrying without a call is useless. A server
    that had been up is started at once: that cannot become a loop without pauses.
    """
    now = failures + 1 if up_s < QUICK_FAILURE_S else 1
    if not startable:
        return Restart(failures=now, at_least_s=backoff.first_s, at_most_s=None, given_up=True)
    if up_s >= QUICK_FAILURE_S:
        return Restart(failures=now, at_least_s=0.0, at_most_s=0.0, given_up=False)
    if now < CRASH_LOOP:
        pause = backoff.pause(now)
        return Restart(failures=now, at_least_s=min(pause, 1.0), at_most_s=pause, given_up=False)
    return Restart(failures=now, at_least_s=min(backoff.longest_s, 1.0), at_most_s=RETRY_S, given_up=True)
