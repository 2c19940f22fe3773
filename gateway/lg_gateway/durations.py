"""Durations as settings write them."""

from __future__ import annotations

import re

from lg_policy.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str) -> float:
    """Read a duration such as `7d`. Raises `ConfigError`."""
    match = re.fullmatch(r"(\d{1,6})\s*([smhd])", duration)
    if match is None or int(match.group(1)) == 0:
        raise ConfigError(f"approval.ttl: {duration!r} is no duration", hint="a number and s, m, h or d, like 7d")
    return float(int(match.group(1)) * _UNITS[match.group(2)])
