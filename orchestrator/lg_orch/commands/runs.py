"""`lg-orch runs list|show|prune`: reads the journals of past runs, and removes old runs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from lg_orch.contracts.text import in_line, one_line, visible
from lg_orch.display.report_view import print_diff, print_report

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event, RunTrace
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.runs.timeline import RunStep
    from lg_orch.settings.find_run import FoundRun


def command(args: argparse.Namespace) -> int:
    """List the newest runs, show one, or remove old ones."""
    if args.action == "show":
        return _show(args)
    return _prune(args) if args.action == "prune" else _list(args)


def _list(args: argparse.Namespace) -> int:
    shown = 0
    for found in chosen(args):
        trace = load(found.run)
        if trace is None:
            continue
        where = f"  {found.root}" if args.all else ""
        if args.json:
            summary = {"run_id": trace.run_id, "status": trace.status, "request": trace.request}
            place = {"root": str(found.root)} if found.root is not None else {}
            print(json.dumps(summary | {"usage": trace.usage.model_dump()} | place, ensure_ascii=False))
        else:
            print(
                f"{trace.run_id}  {trace.status:<11}  {trace.usage.tool_calls:>3} calls  "
                f"{one_line(trace.request, 60)}{' (can be resumed)' if broke_off(trace) else ''}{in_line(where)}"
            )
        shown += 1
        if shown == args.limit:
            break
    if shown == 0 and not args.json:
        print("no runs yet")
    return 0


def chosen(args: argparse.Namespace) -> Sequence[FoundRun]:
    """Return the runs of the repository here, or with `--all` of every one, the newest first."""
    from lg_orch.settings.find_run import everywhere, runs_of
    from lg_orch.settings.setup import locate

    if args.all:
        return everywhere(args)
    root, state = locate(args, existing=True)
    return list(runs_of(root, state.path))


def broke_off(trace: RunTrace) -> bool:
    """Tell whether a run failed without having come to its end."""
    from lg_orch.runs.trace import finished

    return trace.status == "failed" and not finished(trace.events)


def load(run: RunDir) -> RunTrace | None:
    """Make a run's trace, with status `running` while a living process drives it; `None` without a journal."""
    from lg_orch.recording.journal import read_journal
    from lg_orch.runs.run_directory import is_driven
    from lg_orch.runs.trace import build_trace
    from lg_policy.errors import NotFound

    try:
        events = read_journal(run.journal)
    except NotFound:
        return None
    trace = build_trace(run.run_id, events)
    if trace.status == "killed" and is_driven(run):
        return trace.model_copy(update={"status": "running"})
    return trace


def _show(args: argparse.Namespace) -> int:
    from lg_orch.runs.timeline import steps_of, undo_of
    from lg_orch.settings.find_run import find

    found = find(args.run_id, args)
    run, trace = found.run, load(found.run)
    if trace is None:
        print(f"run {run.run_id} ended before it wrote anything")
        return 1
    if args.diff:
        print(f"# run {run.run_id}: {one_line(trace.request, 80)}")
        return print_changes(run, trace.events)
    if args.html:
        from lg_orch.commands.run_html import run_html

        print(run_html(run, trace), end="")
        return 0
    if args.json:
        print(trace.model_dump_json(indent=1))
        return 0
    usage = trace.usage
    print(f"run       {trace.run_id}\nroot      {in_line(found.root or 'unknown')}")
    request = visible(trace.request).replace("\n", f"\n{' ' * 10}")  # a line of it could pass for one of ours
    print(f"request   {request}\nstatus    {trace.status}")
    print(f"profile   {trace.profile}\ncost      {usage.summary()}")
    print(f"commit    {trace.root.get('revision') or 'unknown'}\nfiles     {trace.root.get('tree') or 'no digest'}")
    for step in steps_of(trace.events):
        print(visible(_step(step, trace)))
    undo = undo_of(trace.events)
    if undo is not None:
        print(visible(_step(undo, trace)))
    if trace.final is not None:
        print()
        print_report(trace.final.text, found.root)
    return 0


def _step(step: RunStep, trace: RunTrace) -> str:
    """A line for the visit, one for each of its calls."""
    lines = [f"{step.number or '':>4}  {step.node}" + ("" if step.done else "  (broke off)")]
    changed = {patch["call_id"]: [file["to"] or file["path"] for file in patch["files"]] for patch in trace.patches}
    for result in step.results:
        names = changed.get(result.artifacts.call_id)
        what = f", changed {', '.join(map(in_line, names))}" if names else ""
        dry = " (dry run)" if result.artifacts.input.get("dry_run") is True else ""
        lines.append(
            f"      {result.artifacts.call_id:<20} {result.tool}{dry} {'ok' if result.ok else 'failed'}, "
            f"{result.timing_ms} ms{what}"
        )
    lines += [f"      {call_id:<20} {tool} no outcome" for call_id, tool in step.open_calls.items()]
    return "\n".join(lines)


def print_changes(run: RunDir, events: Sequence[Event]) -> int:
    """Print what is left in the files of a run's changes, as a diff."""
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.runs.timeline import patches_of, standing
    from lg_orch.undo.diffs import diff_of

    results = ResultStore(run.results)
    patches = standing(patches_of(events))
    for patch in patches:
        print_diff(f"# step {patch.step}, change set {patch.change_id}\n{diff_of(patch, results)}")
    if not patches:
        print("no change of this run is left in the files")
    return 0


def _prune(args: argparse.Namespace) -> int:
    from lg_orch.runs.retention import drop, expired
    from lg_orch.settings.find_run import runs_of
    from lg_orch.settings.setup import prepare
    from lg_policy.config.durations import seconds
    from lg_policy.config.loading import expand_env

    setup = prepare(args)
    store = setup.loaded.settings.store
    age = seconds(args.older_than, "--older-than") if args.older_than else seconds(store.runs_ttl, "store.runs_ttl")
    own = {found.run.run_id for found in runs_of(setup.root, setup.state.path)}
    going = [run for run in expired(setup.state.path, age, unfinished=args.all) if run.run_id in own]
    if not args.dry_run:
        going = drop(going, expand_env(store.url, os.environ, "store.url"))
    for run in going:
        print(f"{'would remove' if args.dry_run else 'removed'} {run.run_id}")
    if not going:
        kept = "" if args.all else " (runs that can be resumed are kept; --all removes them too)"
        print(f"nothing to remove{kept}")
    return 0
