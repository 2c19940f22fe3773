"""Build the server from settings and flags, and run it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from lg_fs.changes.service import Changes
from lg_fs.server.server import Service, make_server
from lg_policy.config.flags import CommonFlags, ServeFlags
from lg_policy.config.loading import closed_to_changes, load_settings
from lg_policy.config.settings import Settings
from lg_policy.errors import ConfigError, LgError
from lg_policy.jobs import Workers
from lg_policy.paths.root import Root
from lg_policy.state import open_state, refuse_inside, state_home
from lg_policy.tree.served_roots import served_workspace, tools_meta
from lg_policy.wire.serving import serve, start_logging

log = logging.getLogger(__name__)


def run(roots: Sequence[Path], common: CommonFlags, flags: ServeFlags) -> int:
    """Serve until the client leaves or a signal arrives. Raises `ConfigError`."""
    start_logging(common.log_level)
    loaded = load_settings(profile=common.profile, config=common.config, effective=common.effective_config)
    with ExitStack() as stack:
        opened = [stack.enter_context(Root(path, allow_broad=common.allow_broad_root)) for path in roots]
        for root in opened:
            loaded = closed_to_changes(loaded, root.path, (common.config,))
        service = make_service(opened, loaded.settings, state_directory(opened, common.state_dir))
        stack.callback(service.workers.close)
        try:
            service.changes.recover()
        except LgError as error:
            # Reading works all the same, and the next change tries again.
            log.warning("%s", error.text())
        return serve(make_server(service), flags)


def state_directory(roots: Sequence[Root], explicit: Path | None) -> Path:
    """Make or find the directory of the journals.

    Where it cannot be made, files can be read all the same: the log says so, and so does each attempt to change one.
    Raises `ConfigError` for a directory that lies inside a root.
    """
    path = explicit.absolute() if explicit is not None else state_home() / roots[0].id
    for root in roots:
        refuse_inside(path, root.path, "the state directory")
    try:
        return open_state(root=roots[0].path, explicit=explicit).path
    except (ConfigError, OSError) as error:
        reason = error.message if isinstance(error, ConfigError) else f"{path}: {error.strerror or error}"
        log.warning("files can be read but not changed: %s", reason)
        return path


def make_service(
    roots: Sequence[Root], settings: Settings, state: Path, *, on_step: Callable[[str], None] | None = None
) -> Service:
    """Build the service for opened roots. Journals go below `state`, which must lie outside all of them.

    `on_step` is called before each irreversible step of a change set. Raises `ConfigError`.
    """
    workspace = served_workspace(roots, settings, state)
    return Service(
        workspace=workspace,
        changes=Changes(workspace, state, on_step=on_step or (lambda _name: None)),
        workers=Workers(settings.fs.threads, settings.fs.call_timeout_s),
        settings=settings.fs,
        meta=tools_meta(workspace, roots, settings),
    )
