"""Build the server from settings and flags, and run it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from lg_code.server.server import make_server
from lg_code.server.service import Service
from lg_policy.config.flags import CommonFlags, ServeFlags
from lg_policy.config.loading import closed_to_changes, load_settings
from lg_policy.config.settings import Settings
from lg_policy.jobs import Workers
from lg_policy.paths.root import Root
from lg_policy.state import state_home
from lg_policy.tree.served_roots import closed_directories, served_workspace, tools_meta
from lg_policy.wire.serving import serve, start_logging

FOLDER = "code"
"""The directory of the index in the state directory."""


def run(roots: Sequence[Path], common: CommonFlags, flags: ServeFlags) -> int:
    """Serve until the client leaves or a signal arrives. Raises `ConfigError`."""
    start_logging(common.log_level)
    loaded = load_settings(profile=common.profile, config=common.config, effective=common.effective_config)
    with ExitStack() as stack:
        opened = [stack.enter_context(Root(path, allow_broad=common.allow_broad_root)) for path in roots]
        for root in opened:
            loaded = closed_to_changes(loaded, root.path, (common.config,))
        state = common.state_dir.absolute() if common.state_dir is not None else state_home() / opened[0].id
        service = make_service(opened, loaded.settings, state)
        stack.callback(service.close)
        return serve(make_server(service), flags)


def make_service(roots: Sequence[Root], settings: Settings, state: Path) -> Service:
    """Build the service for opened roots. The index goes below `state`, which must lie outside all of them.

    Nothing is made or read before the first call. Raises `ConfigError`.
    """
    workspace = served_workspace(roots, settings, state)
    return Service(
        workspace=workspace,
        directory=state / FOLDER,
        workers=Workers(settings.code.threads, settings.code.call_timeout_s),
        settings=settings,
        closed=closed_directories(settings),
        meta=tools_meta(workspace, roots, settings),
    )
