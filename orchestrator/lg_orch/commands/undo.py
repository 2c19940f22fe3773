"""`lg-orch undo RUN_ID [--to STEP]`: reverts what the run's patches changed. The diff is shown first."""

from __future__ import annotations

import os
import sys
import time
from itertools import islice
from typing import TYPE_CHECKING

from lg_orch.commands.session import get_ready
from lg_orch.contracts.text import in_line, many, one_line, visible
from lg_orch.display.report_view import print_diff
from lg_policy.errors import Conflict, UnknownName
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.recording.event_bus import EventBus
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection
    from lg_orch.undo.plan import Undoing

WAITING = 3
LOOKED_THROUGH = 50
"""Newest runs that are searched for one with something to undo."""


def command(args: argparse.Namespace) -> int:
    """Show what would be reverted, ask, revert it.

    All of it is compared with the files as they are now first: where one was changed since, nothing is done and the
    place is named. Exit status 3 when no terminal is there to confirm.
    """
    get_ready(args)
    with quick_imports():
        from lg_orch.commands.resume import adopt, options_of
        from lg_orch.recording.journal import whole_journal
        from lg_orch.runs.run_directory import RunLock
        from lg_orch.runs.run_root import replaced_text, require_root
        from lg_orch.settings.find_run import find
        from lg_orch.settings.setup import prepare
        from lg_orch.undo.plan import plan_undo

    found = find(args.run_id, args)
    run, args.root, args.trace, args.model = found.run, found.working_root() or args.root, False, None
    lock = RunLock(run)
    try:
        events = whole_journal(run.journal)
        adopt(args, options_of(events))
        last = max((int(event.data["visit"]) for event in events if "visit" in event.data), default=0)
        if args.to is not None and not 0 <= args.to <= last:
            raise UnknownName(f"the run has no step {args.to}", hint=f"its steps are 1 to {last}; 0 reverts them all")
        undoing = plan_undo(events, after=args.to or 0)
        setup = prepare(args)
        require_root(run.run_id, found.record, setup.root)
        other = replaced_text(found.record, setup.root)
        print(f"lg-orch: undoing {run.run_id}: {_request(events)}", file=sys.stderr, flush=True)
        show_undoing(run, undoing)
        if other is not None:
            _require_person(args, other)
        if not undoing.patches:
            _nothing_to_undo(args, run)
            return 0
        return _undo(args, setup, run, events, undoing)
    finally:
        lock.release()


def _require_person(args: argparse.Namespace, other: str) -> None:
    """Warn that the root is another directory. Raises `Conflict` where nobody would confirm the diff."""
    from lg_orch.human.terminal import is_attended

    if args.yes or not is_attended():
        raise Conflict(f"{other}; nothing was undone", hint="leave out --yes, at a terminal, and confirm the diff")
    print(visible(f"lg-orch: {other}"), file=sys.stderr, flush=True)


def show_undoing(run: RunDir, undoing: Undoing) -> None:
    """Print what would be reverted, as a diff, and what cannot be."""
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.undo.diffs import diff_of, reversed_diff

    results = ResultStore(run.results)
    for patch in undoing.patches:
        print(f"# would revert change set {patch.change_id} of step {patch.step}")
        print_diff(reversed_diff(diff_of(patch, results)))
    for text in undoing.uncovered:
        print(f"not covered: {in_line(text)}")
    sys.stdout.flush()


def _request(events: Sequence[Event]) -> str:
    return one_line(next((str(event.data.get("request", "")) for event in events if event.name == "run"), ""), 80)


def _nothing_to_undo(args: argparse.Namespace, run: RunDir) -> None:
    """Say so, and name the newest run of the repository that does have something: `last` is often a question."""
    from lg_orch.recording.journal import read_journal
    from lg_orch.runs.timeline import patches_of, standing
    from lg_orch.settings.find_run import runs_of
    from lg_orch.settings.setup import locate
    from lg_policy.errors import NotFound

    print(f"nothing to undo: run {run.run_id} has no patch left to revert")
    root, state = locate(args)
    for found in islice(runs_of(root, state.path), LOOKED_THROUGH):
        try:
            events = read_journal(found.run.journal)
        except NotFound:
            continue
        if standing(patches_of(events)):
            print(f"the newest run here that changed files is {found.run.run_id}: {_request(events)}")
            print(f"  `lg-orch undo {found.run.run_id}` takes its changes back")
            return


def _undo(args: argparse.Namespace, setup: CommandSetup, run: RunDir, events: Sequence[Event], undoing: Undoing) -> int:
    import anyio

    with quick_imports():
        from lg_orch.human.terminal import is_attended
        from lg_orch.recording.event_bus import EventBus
        from lg_orch.recording.journal import Journal
        from lg_policy.secrets.masking import Masker
        from lg_policy.state import load_key

    if not args.yes and not is_attended():
        print("lg-orch: nothing was undone; pass --yes to undo this", file=sys.stderr)
        return WAITING
    os.chdir(setup.state.path)
    journal = Journal(run.journal)
    try:
        bus = EventBus(journal, Masker(load_key("mask"), []), after=events[-1].seq if events else 0)
        return anyio.run(_through_gateway, args, setup, run, bus, events, undoing)
    finally:
        journal.close()


async def _through_gateway(
    args: argparse.Namespace, setup: CommandSetup, run: RunDir, bus: EventBus, events: Sequence[Event], undoing: Undoing
) -> int:
    from contextlib import AsyncExitStack

    from lg_orch.engine.driver import import_heavy
    from lg_orch.settings.gateway_access import opened
    from lg_orch.tools.gateway import check_root

    import_heavy()
    async with AsyncExitStack() as stack:
        connection = await opened(stack, args.gateway, setup, os.environ, run.gateway_log)
        check_root(connection.tools, setup.root_id)
        return await revert(connection, setup, run, bus, events, undoing, asks=not args.yes)


async def revert(
    connection: Connection,
    setup: CommandSetup,
    run: RunDir,
    bus: EventBus,
    events: Sequence[Event],
    undoing: Undoing,
    *,
    asks: bool,
) -> int:
    """Revert change sets through a gateway, once the person at the terminal said yes. Raises `Conflict`."""
    from lg_orch.human.terminal import drop_typed_ahead, typed_line
    from lg_orch.recording.result_store import ResultStore
    from lg_orch.runs.history import next_epoch
    from lg_orch.tools.gateway_tools import GatewayTools
    from lg_orch.undo.apply import Assent, Undoer

    tools = GatewayTools(
        connection.tools,
        connection.send,
        bus=bus,
        run_id=run.run_id,
        epoch=next_epoch(events),
        approver=Assent(bus),
    )
    undoer = Undoer(tools, bus, ResultStore(run.results), run.run_id, setup.loaded.settings.budgets.tool_timeout_s)
    undoing, obstacles = await undoer.look(undoing)
    if not undoing.patches:
        print("nothing to undo: everything was already reverted")
        return 0
    if obstacles:
        raise Conflict(
            "nothing was undone, and no file was touched",
            details=obstacles,
            hint="take your own edits out of these files first, or undo by hand with the diff above; "
            "--to STEP undoes only what came after a step",
        )
    if asks:
        drop_typed_ahead()
        print(f"Revert {many(len(undoing.patches), 'change set')}? [y/N] ", end="", file=sys.stderr, flush=True)
        if (await typed_line()).strip().lower() not in ("y", "yes"):
            print("lg-orch: nothing was undone", file=sys.stderr)
            return 1
    begun = time.monotonic()
    for number, patch in enumerate(undoing.patches):
        try:
            await undoer.take_back(patch)
        except Conflict as error:
            rest = len(undoing.patches) - number
            raise Conflict(f"{error.message}; {number} change sets were reverted, {rest} were not") from error
    what = f"{many(len(undoing.patches), 'change set')} in {many(len(undoing.paths), 'file')}"
    print(f"reverted {what}, {time.monotonic() - begun:.1f} s")
    return 0
