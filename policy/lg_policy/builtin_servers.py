"""Names our own servers."""

from __future__ import annotations

from typing import Literal

BUILTINS: tuple[Literal["fs", "exec", "code"], ...] = ("fs", "exec", "code")
"""They are served, each under its own name, where the settings name no server."""
