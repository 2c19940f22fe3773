"""Where a gateway works."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lg_gateway.clients.values import Values
from lg_policy.state import StateDir


@dataclass(frozen=True, kw_only=True)
class GatewayPaths:
    """Where the gateway works: the root that built-in servers are confined to, and the private directory."""

    root: Path
    state: StateDir
    environ: Mapping[str, str]
    allow_broad_root: bool = False

    def values(self) -> Values:
        """Return where placeholders get their values."""
        return Values(environ=self.environ, root=None if self.root == self.state.path else self.root)
