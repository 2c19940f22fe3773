"""`lg-orch serve`: the run API with a worker, until a signal arrives."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lg_orch.commands.session import get_ready
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from lg_orch.service.assembly import Parts


def command(args: argparse.Namespace) -> int:
    """Serve. Returns the exit status."""
    with service_parts(args) as parts:
        from lg_orch.service.serving import serve_runs

        return serve_runs(args, parts)


@contextmanager
def service_parts(args: argparse.Namespace) -> Iterator[Parts]:
    """Have what drives runs ready for the length of the block, for `serve` and `worker`."""
    args.base_url = None  # a run's model is one of the settings, or named by the run
    get_ready(args)
    with quick_imports():
        import lg_orch.service.serving  # noqa: F401  what the block uses
        from lg_orch.engine.driver import import_heavy
        from lg_orch.service.assembly import assemble
        from lg_orch.service.logs import start_logging
        from lg_orch.settings.setup import prepare
        from lg_policy.secrets.masking import Masker
        from lg_policy.state import load_key

    setup = prepare(args)
    start_logging(setup.flags.log_level, setup.loaded.settings.log, Masker(load_key("mask"), []))
    parts = assemble(args, setup)
    # Some libraries read a `.env` of the current directory when imported: that must not be the repository's.
    os.chdir(setup.state.path)
    import_heavy()
    try:
        yield parts
    finally:
        parts.close()
