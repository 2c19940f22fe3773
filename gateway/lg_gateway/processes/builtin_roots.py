"""The directories that built-in servers work on, where their settings name one of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from lg_gateway.processes.gateway_paths import GatewayPaths
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError
from lg_policy.state import make_private, open_state, refuse_around_settings, refuse_inside, root_id, state_home

FOLDER = "roots"


def own_roots(servers: Mapping[str, UpstreamSettings], main: Path | None) -> tuple[Path, ...]:
    """Return the roots that servers name besides the gateway's. Raises `ConfigError` for what cannot be one.

    A root in another one would be under two sets of anchored rules and two journals.
    """
    found: dict[str, Path] = {}
    for name, server in servers.items():
        if server.root is not None:
            where = f"[gateway.servers.{name}] root"
            if server.builtin is None:
                raise ConfigError(f"{where} is for built-in servers", hint="write cwd, or arguments of the server")
            if not os.path.isdir(server.root):
                raise ConfigError(f"{where}: {server.root} is not a directory")
            found[where] = Path(os.path.realpath(server.root))
    named = dict(found) if main is None else found | {"the gateway's root": main}
    for (first, one), (second, other) in combinations(named.items(), 2):
        if one != other and (one in other.parents or other in one.parents):
            raise ConfigError(f"{first} and {second} lie in one another", hint="take one of them out")
    return tuple(dict.fromkeys(root for root in found.values() if root != main))


def refuse_reach(root: Path, state: Path, environ: Mapping[str, str]) -> None:
    """Raise `ConfigError` if an agent could reach state, settings or keys below a root."""
    refuse_inside(state, root, "the state directory")
    refuse_around_settings(root, environ)


def place_of(server: UpstreamSettings, place: GatewayPaths) -> tuple[Path, Path]:
    """Return the root of a built-in server and the state directory for its journal. Raises `ConfigError`."""
    root = place.root if server.root is None else Path(os.path.realpath(server.root))
    if root == place.root:
        return root, place.state.path
    if place.state.path.parent == state_home(place.environ):
        return root, open_state(root=root, environ=place.environ).path
    path = place.state.path / FOLDER / root_id(root)  # below the state directory that was chosen by hand
    make_private(path)
    return root, path
