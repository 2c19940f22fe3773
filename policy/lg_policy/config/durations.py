"""Parses durations in settings and flags: a number and `s`, `m`, `h` or `d`."""

from __future__ import annotations

import re

from lg_policy.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(duration: str, what: str) -> float:
    """Return the seconds of `7d`, `12h` and so on. Raises `ConfigError`, which names `what`."""
    found = re.fullmatch(r"(\d{1,6})\s*([smhd])", duration)
    if found is None or int(found[1]) == 0:
        raise ConfigError(f"{what}: {duration!r} is not a duration", hint="a number and s, m, h or d, such as 7d")
    return float(int(found[1]) * _UNITS[found[2]])
