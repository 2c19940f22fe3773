"""`lg-orch resume RUN_ID`: go on where a run stopped, in another process, whenever."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.commands.session import Past, drive, require_extra
from lg_orch.text import one_line
from lg_policy.errors import ConfigError, Conflict
from lg_policy.fastimport import quick_imports

if TYPE_CHECKING:
    import argparse

    from lg_orch.approvals import Verdict


def command(args: argparse.Namespace) -> int:
    """Continue the run under the conditions it was started with, except for what flags say now."""
    begun = time.monotonic()
    require_extra()
    with quick_imports():
        from lg_orch.journal import read_journal
        from lg_orch.runs import find_anywhere, find_run
        from lg_orch.setup import locate, prepare
        from lg_orch.trace import build_trace

    if args.root is None:
        args.root = find_anywhere(args.run_id)
    _root, state = locate(args)
    run = find_run(state.path, args.run_id)
    events = tuple(read_journal(run.journal))
    begin: dict[str, Any] = next((event.data for event in events if event.name == "run"), {})
    _adopt(args, begin.get("options") or {})
    status = build_trace(run.run_id, events).status
    if status in ("done", "failed", "refused"):
        raise Conflict(f"run {run.run_id} has ended ({status}); there is nothing to resume")
    request = str(begin.get("request", ""))
    if not args.json:
        print(f"lg-orch: resuming {run.run_id}: {one_line(request, 80)}", file=sys.stderr, flush=True)
    return drive(args, prepare(args), request, begun, Past(run=run, events=events, answer=_answer(args)))


def _adopt(args: argparse.Namespace, options: dict[str, Any]) -> None:
    """Fill in what the run was started with where no flag says otherwise."""
    for name in ("profile", "model", "gateway"):
        if getattr(args, name) is None:
            setattr(args, name, options.get(name))
    if args.config is None and options.get("config"):
        args.config = Path(options["config"])
    args.trace = args.trace or bool(options.get("trace"))


def _answer(args: argparse.Namespace) -> Verdict | None:
    from lg_orch.approvals import Verdict

    if args.reason and not args.deny:
        raise ConfigError("--reason goes with --deny")
    if args.approve:
        return Verdict(decision="run" if args.for_run else "once", by="resume --approve")
    if args.deny:
        return Verdict(decision="deny", by="resume --deny", reason=args.reason or "")
    return None
