"""Reads the flags and prepares what the gateway needs before the MCP SDK is imported: settings, paths, keys, servers.

Imports little on purpose: it starts the servers while the gateway is still importing.
"""

from __future__ import annotations

import getpass
import logging
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lg_gateway.clients.values import MissingValue
from lg_gateway.processes import child_process
from lg_gateway.processes.builtin_roots import own_roots, refuse_reach
from lg_gateway.processes.child_process import Child, Reaper
from lg_gateway.processes.gateway_paths import GatewayPaths
from lg_gateway.processes.server_specs import ServerSpec, build_specs, needs_root, server_settings
from lg_gateway.store.factory import StorePlace, server_id, store_url
from lg_policy.config.flags import CommonFlags
from lg_policy.config.loading import Loaded, closed_to_changes, load_settings
from lg_policy.config.settings import Settings, UpstreamSettings
from lg_policy.config.trust import FILE_NAME, repository_layer
from lg_policy.errors import ConfigError, SandboxUnavailable
from lg_policy.state import StateDir, config_home, key_dir, load_key, make_private, open_state, refuse_missing, root_id

if TYPE_CHECKING:
    from lg_gateway.ledger.ledger import Ledger

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int] | None


@dataclass(frozen=True, kw_only=True)
class GatewayLocation:
    """Where a gateway keeps its state, keys and store."""

    state: StateDir
    environ: Mapping[str, str]
    store_url: str | None = None
    """Address of a PostgreSQL server; `None` is a file in the state directory."""
    segments_dir: str = ""
    """Where segment files go; by default into the state directory."""
    segment_records: int = 50_000

    @property
    def store_place(self) -> StorePlace:
        """Where the store is."""
        path, lock_path = self.state.path / "gateway.sqlite", self.head_path.with_suffix(".lock")
        return StorePlace(path=path, url=self.store_url, lock_path=lock_path)

    @property
    def head_path(self) -> Path:
        """The file of the ledger's signed head, in the key directory. One store has one head, whatever its id."""
        heads = key_dir(self.environ) / "heads"
        heads.mkdir(mode=0o700, exist_ok=True)
        name = root_id(self.state.path) if self.store_url is None else server_id(self.store_url)
        return heads / f"{name}.head"

    @property
    def segments_path(self) -> Path:
        """The folder of the ledger's sealed segment files."""
        return Path(self.segments_dir) if self.segments_dir else self.state.path / "segments"

    def ledger(self) -> Ledger:
        """Return the ledger of this place, with its keys."""
        from lg_gateway.ledger.head import HeadFile
        from lg_gateway.ledger.ledger import Ledger

        return Ledger(HeadFile(self.head_path, self.key("head")), self.key("ledger"), self.segments_path)

    def key(self, name: str) -> bytes:
        """Return one of the gateway's secrets, made on first use."""
        return load_key(f"gateway-{name}", self.environ)


@dataclass(frozen=True, kw_only=True)
class GatewaySetup(GatewayLocation):
    """A gateway that could be started. `root` is `None` where no server works on a root."""

    loaded: Loaded
    root: Path | None
    specs: tuple[ServerSpec, ...]
    missing: Mapping[str, MissingValue]
    """Why servers of the settings are left out: a value that they need is not there."""
    identity: str
    watched: Mapping[Path, Stamp]
    """Files whose change may change the settings, whether they exist or not, as they were before they were read."""
    workers: int = 1
    """How many processes serve one address together. Each gets its share of every limit."""

    @property
    def settings(self) -> Settings:
        """The settings in force at the start."""
        return self.loaded.settings


@dataclass(frozen=True, kw_only=True)
class _Basis:
    """What both a gateway and a command that reads its ledger need."""

    root: Path | None
    loaded: Loaded
    servers: Mapping[str, UpstreamSettings]
    state: StateDir


def locate(
    flags: CommonFlags, *, mcp_json: Path | None, existing: bool = True, environ: Mapping[str, str] = os.environ
) -> GatewayLocation:
    """Find the state that a gateway with these flags uses, without preparing one. Raises `ConfigError`.

    A state directory that is named needs no root to be found: the current directory is none then. With `existing` it
    must be there if it holds the store.
    """
    if flags.state_dir is not None and flags.root is None:
        settings = _load(flags, None, environ).settings
        if existing and store_url(settings.store.url, environ) is None:
            refuse_missing(flags.state_dir.absolute())
        make_private(flags.state_dir.absolute())
        state = StateDir(path=flags.state_dir.absolute(), id=root_id(flags.state_dir))
    else:
        basis = _basis(flags, mcp_json, environ, existing=existing)
        state, settings = basis.state, basis.loaded.settings
    return GatewayLocation(
        state=state,
        environ=environ,
        store_url=store_url(settings.store.url, environ),
        segments_dir=settings.ledger.segments_dir,
        segment_records=settings.ledger.segment_records,
    )


def prepare(flags: CommonFlags, *, mcp_json: Path | None, environ: Mapping[str, str] = os.environ) -> GatewaySetup:
    """Read the settings and find the places. Raises `ConfigError`."""
    stamps = {path: stamp(path) for path in _watched(flags, mcp_json, flags.root or Path.cwd(), environ)}
    basis = _basis(flags, mcp_json, environ)
    settings = basis.loaded.settings
    place = GatewayPaths(
        root=basis.root or basis.state.path,
        state=basis.state,
        environ=environ,
        allow_broad_root=flags.allow_broad_root,
    )
    specs, missing = build_specs(settings, basis.servers, place)
    return GatewaySetup(
        state=basis.state,
        environ=environ,
        store_url=store_url(settings.store.url, environ),
        segments_dir=settings.ledger.segments_dir,
        segment_records=settings.ledger.segment_records,
        loaded=basis.loaded,
        root=basis.root,
        specs=tuple(specs),
        missing=missing,
        identity=local_identity(settings.gateway.identity),
        watched={path: stamps[path] for path in _watched(flags, mcp_json, basis.root, environ)},
    )


def _basis(flags: CommonFlags, mcp_json: Path | None, environ: Mapping[str, str], *, existing: bool = False) -> _Basis:
    root = _existing_directory(flags.root) if flags.root is not None else None
    loaded = _load(flags, root, environ)
    if root is None and needs_root(loaded.settings.gateway, mcp_json):
        root = _existing_directory(Path.cwd())
        loaded = _load(flags, root, environ)
    servers = server_settings(loaded.settings.gateway, mcp_json, root=root)
    if root is not None:
        _refuse_broad(root, flags.allow_broad_root)
    others = own_roots(servers, root)
    for own in others:
        _refuse_broad(own, flags.allow_broad_root)
    pins = loaded.settings.gateway.pins_file
    files = (flags.config, mcp_json, Path(pins) if pins is not None else None)
    for each in (root, *others):
        loaded = closed_to_changes(loaded, each, files) if each is not None else loaded
    state = open_state(
        root=root,
        config=mcp_json or flags.config,
        explicit=flags.state_dir,
        existing=existing and store_url(loaded.settings.store.url, environ) is None,
        environ=environ,
    )
    for own in others:
        refuse_reach(own, state.path, environ)
    return _Basis(root=root, loaded=loaded, servers=servers, state=state)


async def start_children(setup: GatewaySetup, reaper: Reaper) -> dict[str, Child]:
    """Start every stdio server now. If one cannot be started, its own task tries again and says why."""
    started: dict[str, Child] = {}
    for spec in setup.specs:
        if spec.launch is not None:
            try:
                started[spec.name] = await child_process.start(spec.launch, reaper)
            except (OSError, SandboxUnavailable) as error:
                log.info("%s did not start: %s", spec.name, error)
    return started


def stamp(path: Path) -> Stamp:
    """Return a value that changes when the file changes: inode, size and time. `None` if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _watched(
    flags: CommonFlags, mcp_json: Path | None, root: Path | None, environ: Mapping[str, str]
) -> tuple[Path, ...]:
    if flags.effective_config is not None:
        found = [flags.effective_config, mcp_json]
    else:
        own, repository = config_home(environ), Path(os.path.realpath(root)) / FILE_NAME if root else None
        found = [own / "config.toml", own / "trust.json", flags.config, mcp_json, repository]
    return tuple(path.absolute() for path in found if path is not None)


def local_identity(name: str) -> str:
    """Return who calls on stdio. The prefix keeps configured names apart from those that a login gives."""
    return f"local:{user_name()}" + (f"/{name}" if name else "")


def user_name() -> str:
    """Return the name of the user this process runs as, from the system's user table, not from the environment."""
    if sys.platform == "win32":
        return getpass.getuser()
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _load(flags: CommonFlags, root: Path | None, environ: Mapping[str, str]) -> Loaded:
    if flags.tools == "":  # as from a variable that is not set: all tools would be more than was meant
        raise ConfigError("--tools names no profile", hint="leave it out for all tools")
    layer = repository_layer(root, environ) if root is not None and flags.effective_config is None else None
    return load_settings(
        profile=flags.profile,
        config=flags.config,
        effective=flags.effective_config,
        overrides={"gateway": {"profile": flags.tools}} if flags.tools is not None else None,
        extra=(layer,) if layer is not None else (),
        environ=environ,
    )


def _existing_directory(path: Path) -> Path:
    if not path.is_dir():
        raise ConfigError(f"--root {path} is not a directory")
    return Path(os.path.realpath(path))


def _refuse_broad(root: Path, allowed: bool) -> None:
    from lg_policy.paths.root import Root

    Root(root, allow_broad=allowed).close()
