"""Turns the `sandbox` table of a server into its confinement, and proposes such tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lg_gateway.confinement.confinement import Confinement, named_path, overlap
from lg_gateway.confinement.hosts import read_patterns
from lg_gateway.confinement.programs import home_of
from lg_gateway.processes.gateway_paths import GatewayPaths
from lg_policy.config.gateway import UpstreamSandboxSettings
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError
from lg_policy.state import config_home, key_dir

FOLDER = "servers"
"""The folder of the state directory that holds what sandboxes need: homes, generated files, sockets."""


def server_confinement(
    name: str,
    sandbox: UpstreamSandboxSettings,
    settings: Settings,
    place: GatewayPaths,
) -> Confinement:
    """Return the sandbox of a server. Raises `ConfigError`."""
    where = f"[gateway.servers.{name}] sandbox"
    if sys.platform != "linux":
        raise ConfigError(f"{where} works on Linux only", hint="take it out, or run the gateway on Linux or under WSL")
    try:
        read_patterns(sandbox.network)
    except ValueError as error:
        raise ConfigError(f"{where} network: {error}") from error
    values = place.values()

    def paths(key: str, written: tuple[str, ...]) -> tuple[str, ...]:
        expanded = [values.expand(text, f"{where} {key}") for text in written]
        return shown_paths(expanded, f"{where} {key}", place.state.path, place.environ)

    folder = place.state.path / FOLDER
    return Confinement(
        name=name,
        network=sandbox.network,
        read=paths("read", sandbox.read),
        write=paths("write", sandbox.write),
        home=home_of(place.environ),
        private_home=str(folder / name / "home") if sandbox.home == "kept" else None,
        state=str(folder),
        memory_mb=sandbox.memory_mb,
        processes=sandbox.processes,
        disk_mb=sandbox.disk_mb,
        home_mb=sandbox.home_mb,
        raise_home_with=f"raise `home_mb` in {where}",
        masked_root=str(place.root) if place.root != place.state.path else None,
        hide=settings.policy.read_deny,
        protect=settings.policy.write_deny,
        add_with=f"add it with: [gateway.servers.{name}] sandbox = {{ network = [{_listed(sandbox.network)}] }}",
    )


def shown_paths(written: Iterable[str], where: str, state: Path, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return paths that a sandbox is to show. Raises `ConfigError` for those that would show too much."""
    private = (str(state), str(config_home(environ)), str(key_dir(environ)))
    found = tuple(named_path(text, where) for text in written)
    for path in found:
        if any(overlap(path, own) for own in private):
            raise ConfigError(f"{where}: {path!r} would show files of the gateway itself")
    return found


def _listed(hosts: tuple[str, ...]) -> str:
    return ", ".join([*map(json.dumps, hosts), '"{host}"'])
