"""Build the server from settings and flags, and run it."""

from __future__ import annotations

import hashlib
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
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root
from lg_policy.state import open_state, refuse_around_settings, refuse_inside, state_home
from lg_policy.tree.workspace import Workspace
from lg_policy.wire.serving import serve, start_logging

_GIT_OBJECTS = (".git/objects/", ".git/modules/**/objects/")

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
    for root in roots:
        refuse_inside(state, root.path, "the state directory")
        refuse_around_settings(root.path)
    rules = FileRules.from_settings(settings.policy, extra_deny=closed_directories(settings))
    workspace = Workspace(roots, rules, settings.fs)
    return Service(
        workspace=workspace,
        changes=Changes(workspace, state, on_step=on_step or (lambda _name: None)),
        workers=Workers(settings.fs.threads, settings.fs.call_timeout_s),
        settings=settings.fs,
        meta={
            "lg/root": {"id": joint_id(roots), "name": ", ".join(place.name for place in workspace.places)},
            "lg/policy": settings.policy_digest(),
        },
    )


def closed_directories(settings: Settings) -> tuple[str, ...]:
    """Return patterns for the directories that are closed to every tool.

    They hold what the system writes about itself, and git's objects, in which every committed file can be found again,
    also one that the rules hide.
    """
    output = settings.trace.output_dir.strip("/")
    traces = (f"/{output}/",) if output and not settings.trace.output_dir.startswith("/") else ()
    return (*traces, *_GIT_OBJECTS)


def joint_id(roots: Sequence[Root]) -> str:
    """Return the id of one root, or an id for the set of several."""
    if len(roots) == 1:
        return roots[0].id
    return hashlib.sha256("\0".join(root.id for root in roots).encode()).hexdigest()[:16]
