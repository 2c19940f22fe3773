"""Checks a server before it is written into the settings: there, one mistake would keep the gateway from starting."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lg_gateway.clients.values import MissingValue
from lg_gateway.processes.gateway_paths import GatewayPaths
from lg_gateway.processes.server_specs import server_spec
from lg_policy.config.settings import Settings, UpstreamSettings
from lg_policy.errors import ConfigError
from lg_policy.state import StateDir, state_home


def check_entry(name: str, upstream: UpstreamSettings, *, root: Path | None, environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` for a server that settings cannot have. One whose values are missing costs only itself."""
    state = StateDir(path=state_home(environ) / "none", id="")
    place = GatewayPaths(root=root or state.path, state=state, environ=environ)
    bare = upstream.model_copy(update={"args": (), "env": {}, "env_file": None, "headers": {}})
    try:
        server_spec(name, bare, Settings(), place, state.path, state.path)
    except MissingValue:
        return
    except ConfigError as error:
        raise ConfigError(error.message.replace(f"[gateway.servers.{name}] ", "its "), hint=error.hint) from error
