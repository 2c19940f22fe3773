"""`lg-orch fork RUN_ID --at STEP`: starts a new run from a step of a run; the old run stays as it is."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from lg_orch.commands.resume import adopt, options_of
from lg_orch.commands.session import Past, drive, get_ready
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse


def command(args: argparse.Namespace) -> int:
    """Make the new run and drive it, under the old one's conditions except for what flags say now."""
    begun = time.monotonic()
    get_ready(args)
    with quick_imports():
        import anyio

        from lg_orch.engine.driver import import_heavy
        from lg_orch.recording.journal import read_journal
        from lg_orch.runs.forking import fork
        from lg_orch.runs.retention import remove
        from lg_orch.runs.run_directory import new_run
        from lg_orch.runs.run_root import require_root
        from lg_orch.settings.find_run import find
        from lg_orch.settings.setup import prepare
        from lg_policy.config.loading import expand_env

    found = find(args.run_id, args)
    args.root = found.working_root() or args.root
    events = read_journal(found.run.journal)
    begin: dict[str, Any] = next((event.data for event in events if event.name == "run"), {})
    adopt(args, options_of(events))
    setup = prepare(args)
    require_root(found.run.run_id, found.record, setup.root)
    store_url = expand_env(setup.loaded.settings.store.url, os.environ, "store.url")
    import_heavy()
    run = new_run(setup.state.path)
    try:
        origin = anyio.run(fork, found.run, events, run, args.at, store_url)
    except BaseException:
        remove(run)
        raise
    if not (args.json or args.quiet):
        text = f"lg-orch: {run.run_id} continues from step {args.at} of {found.run.run_id}"
        print(f"{text}; files are not restored to that step", file=sys.stderr, flush=True)
    return drive(args, setup, str(begin.get("request", "")), begun, Past(run=run, say=args.say, forked_from=origin))
