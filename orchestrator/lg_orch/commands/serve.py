"""`lg-orch serve`: the run API with a worker, until a signal arrives."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from lg_orch.commands.session import get_ready
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Serve. Returns the exit status."""
    args.base_url = None  # a run's model is one of the settings, or named by the run
    get_ready(args)
    with quick_imports():
        from lg_orch.engine.driver import import_heavy
        from lg_orch.service.assembly import assemble
        from lg_orch.service.logs import start_logging
        from lg_orch.service.serving import serve_runs
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
        return serve_runs(args, parts)
    finally:
        parts.close()
