"""`lg-orch replay RUN_ID`: replays a run from its journal alone, without model, tools or gateway."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from lg_orch.contracts.text import one_line
from lg_orch.display.report_view import print_report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event


def command(args: argparse.Namespace) -> int:
    """Print the run's progress on stderr and its result on stdout, as it did; returns its exit status.

    A run that waited, or was interrupted and resumed, is shown as one; one that has not ended gives exit status 1.
    """
    from lg_orch.display.progress import choose_renderer
    from lg_orch.recording.journal import read_journal
    from lg_orch.runs.trace import build_trace
    from lg_orch.settings.find_run import find

    found = find(args.run_id, args)
    run = found.run
    events = read_journal(run.journal)
    if not args.json:
        request = next((str(event.data.get("request", "")) for event in events if event.name == "run"), "")
        print(f"lg-orch: replaying {run.run_id}: {one_line(request, 80)}", file=sys.stderr, flush=True)
    renderer = choose_renderer(sys.stderr, time.monotonic(), as_json=args.json, replayed=True)
    for event in events:
        renderer.show(event)
    renderer.close()
    final = build_trace(run.run_id, events).final
    if final is None:
        print(f"lg-orch: run {run.run_id} has not ended; its journal stops here", file=sys.stderr)
        return 1
    if args.json:
        result = {"run_id": run.run_id, "trace": _exported(events), **final.model_dump(mode="json")}
        print(json.dumps(result, ensure_ascii=False), flush=True)
    else:
        print_report(final.text, found.root)
    return final.exit_status


def _exported(events: Sequence[Event]) -> str | None:
    """Where the last part of the run wrote its trace."""
    for event in reversed(events):
        if event.name == "trace":
            return str(event.data["path"])
        if event.name == "run" and event.phase in ("begin", "resume"):
            return None
    return None
