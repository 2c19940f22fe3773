"""Put the parts of the server together from settings and flags, and serve."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from mcp.server import Server

from lg_fs.job import Workers
from lg_fs.server import Service, make_server
from lg_fs.workspace import Workspace
from lg_policy.config import Settings
from lg_policy.flags import CommonFlags, ServeFlags
from lg_policy.globs import FileRules
from lg_policy.loading import load_settings
from lg_policy.paths import Root
from lg_policy.serving import serve, start_logging


def run(roots: Sequence[Path], common: CommonFlags, flags: ServeFlags) -> int:
    """Serve until the client leaves or a signal arrives. Raises `ConfigError`."""
    start_logging(common.log_level)
    loaded = load_settings(profile=common.profile, config=common.config, effective=common.effective_config)
    with ExitStack() as stack:
        opened = [stack.enter_context(Root(path, allow_broad=common.allow_broad_root)) for path in roots]
        service = make_service(opened, loaded.settings)
        stack.callback(service.workers.close)
        return serve(make_server(service, lifespan=_lifespan), flags)


def make_service(roots: Sequence[Root], settings: Settings) -> Service:
    """Build the service for opened roots. Raises `ConfigError`."""
    rules = FileRules.from_settings(settings.policy, extra_deny=closed_directories(settings))
    return Service(
        workspace=Workspace(roots, rules, settings.fs),
        workers=Workers(settings.fs.threads, settings.fs.call_timeout_s),
        settings=settings.fs,
        meta={
            "lg/root": {"id": joint_id(roots), "name": ", ".join(root.name for root in roots)},
            "lg/policy": settings.policy_digest(),
        },
    )


def closed_directories(settings: Settings) -> tuple[str, ...]:
    """Directories below the root that hold what the system writes about itself: closed to every tool."""
    output = settings.trace.output_dir.strip("/")
    return (f"/{output}/",) if output and not settings.trace.output_dir.startswith("/") else ()


def joint_id(roots: Sequence[Root]) -> str:
    """One root's id, or one for the set of several."""
    if len(roots) == 1:
        return roots[0].id
    return hashlib.sha256("\0".join(root.id for root in roots).encode()).hexdigest()[:16]


@asynccontextmanager
async def _lifespan(_server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
    yield {}
