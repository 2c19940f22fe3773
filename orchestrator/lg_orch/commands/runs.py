"""`lg-orch runs list|show`: what the journals of this repository's runs say."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lg_orch.text import one_line, visible

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from lg_orch.models_trace import RunTrace
    from lg_orch.runs import RunDir


def command(args: argparse.Namespace) -> int:
    """List the newest runs, or show one."""
    from lg_orch.runs import all_runs
    from lg_orch.setup import locate

    _root, state = locate(args)
    if args.action == "show":
        return _show(state.path, args)
    shown = 0
    for run in all_runs(state.path):
        trace = load(run)
        if trace is None:
            continue
        if args.json:
            summary = {"run_id": trace.run_id, "status": trace.status, "request": trace.request}
            print(json.dumps(summary | {"usage": trace.usage.model_dump()}, ensure_ascii=False))
        else:
            print(
                f"{trace.run_id}  {trace.status:<11}  {trace.usage.tool_calls:>3} calls  {one_line(trace.request, 60)}"
            )
        shown += 1
        if shown == args.limit:
            break
    if shown == 0 and not args.json:
        print("no runs yet")
    return 0


def load(run: RunDir) -> RunTrace | None:
    """Make a run's trace, with status `running` while a living process drives it; `None` without a journal."""
    from lg_orch.journal import read_journal
    from lg_orch.runs import is_driven
    from lg_orch.trace import build_trace
    from lg_policy.errors import NotFound

    try:
        events = read_journal(run.journal)
    except NotFound:
        return None
    trace = build_trace(run.run_id, events)
    if trace.status == "killed" and is_driven(run):
        return trace.model_copy(update={"status": "running"})
    return trace


def _show(state: Path, args: argparse.Namespace) -> int:
    from lg_orch.runs import find_run
    from lg_policy.errors import ConfigError

    if args.run_id is None:
        raise ConfigError("runs show needs a RUN_ID", hint="`lg-orch runs list` shows them")
    trace = load(find_run(state, args.run_id))
    if trace is None:
        print(f"run {args.run_id} ended before it wrote anything")
        return 1
    if args.json:
        print(trace.model_dump_json(indent=1))
        return 0
    print(f"run       {trace.run_id}\nrequest   {visible(trace.request)}\nstatus    {trace.status}")
    print(f"profile   {trace.profile}\ncalls     {trace.usage.tool_calls} in {trace.usage.loops} loops")
    for call in trace.tool_calls:
        outcome = "no outcome" if call.result is None else "ok" if call.result.ok else "failed"
        took = "" if call.result is None else f", {call.result.timing_ms} ms"
        tool = call.result.tool if call.result is not None else ""
        print(f"  {call.call_id:<20} {tool} {outcome}{took}")
    if trace.final is not None:
        print(f"\n{visible(trace.final.text)}")
    return 0
