"""The command templates that ship with `lg-exec`, as data for `lg_policy.config.CommandTemplate`."""

from __future__ import annotations

from typing import Any

DEFAULT_COMMANDS: dict[str, dict[str, Any]] = {}
