"""`lg-gateway init`: find the clients of this machine, put the gateway between them and their servers, and try a call.

Shows everything before it changes anything. Without a terminal and without `--yes` nothing is changed. Each change can
be taken back with `lg-gateway install CLIENT --remove`.
"""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import anyio

from lg_gateway.clients.installing.entries import ROWS, InstallRow, Launch
from lg_gateway.clients.installing.installer import Installer, InstallPlan, InstallTarget
from lg_gateway.clients.installing.places import USER, Machine
from lg_gateway.clients.values import Values
from lg_gateway.commands.clients.import_file import agreed, ask_for, keeps_secrets, say_kept, settings_path
from lg_gateway.commands.clients.import_report import described, report
from lg_gateway.commands.clients.install import find_targets, launches_of
from lg_gateway.commands.terminal.output import complain, fail, say, word
from lg_gateway.processes.entry_check import check_entry
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, UsageError
from lg_policy.printing import exit_text

NOT_MOVED = frozenset(("continue",))
"""Clients that keep each server in a file of its own: what they have stays with them."""
TRIED = "fs__list_files"
LINE_WIDTH = 78
NO_CLIENT = """
  lg-gateway install CLIENT            make the file of this client
  lg-gateway install CLIENT --print    show what to paste into it yourself"""
STEPS = """Next:
  restart {clients}; ask there for the files of your project
  lg-gateway approvals watch    in a terminal beside it: answer what it asks
  lg-gateway rules suggest      in a week: rules for what you always approved
  lg-gateway doctor             what runs, with which rights; what to do next
To take it back: {back}"""


@dataclass(frozen=True, kw_only=True)
class FoundClient:
    """A client that has a file on this machine, and how it would start the gateway."""

    name: str
    row: InstallRow
    targets: tuple[InstallTarget, ...]
    launches: tuple[Launch, ...]


def run(args: argparse.Namespace) -> int:
    """`lg-gateway init`."""
    args = argparse.Namespace(**{**vars(args), "project": False, "servers": "gateway"})
    check = partial(check_entry, root=args.root, environ=os.environ)
    installer = Installer(os.environ, settings_path(args, os.environ), check)
    found = list(_clients(args))
    if not found:
        looked = textwrap.fill(f"Looked for those of {', '.join(sorted(USER))}.", LINE_WIDTH, break_on_hyphens=False)
        complain(f"No client's file was found.\n{looked}\n{NO_CLIENT}")
        return 1
    planned = [(client, plan) for client in found for plan in _planned(installer, client)]
    if not planned:
        return 1
    for client, plan in planned:
        _show(client, plan)
    status = 0
    if not any(plan.changes for _client, plan in planned):
        say("\nnothing to change: every client that was found has the gateway")
        if args.dry_run:
            return 0
    elif args.dry_run or not (args.yes or sys.stdin.isatty()):
        why = "--dry-run" if args.dry_run else "no terminal to ask at, and no --yes"
        say(f"\n{why}: nothing was changed")
        return 0
    elif not args.yes and not agreed("\nDo this, and let the gateway start these servers?"):
        say("nothing was changed")
        return 1
    else:
        moved = [plan.moved for _client, plan in planned if plan.moved is not None]
        status = _install(installer, planned, keep_secrets=keeps_secrets(args, moved))
    status = _try(args) or status
    found = [client for client in found if any(client is other for other, _plan in planned)]
    titles = [client.row.title for client in found]
    clients = " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
    back = "; ".join(f"lg-gateway install {client.name} --remove" for client in found)
    say("\n" + STEPS.format(clients=clients, back=back))
    return status


def _clients(args: argparse.Namespace) -> Iterator[FoundClient]:
    """Return the clients that have a file here, or those that were named."""
    named = [name.strip() for name in args.clients.split(",") if name.strip()] if args.clients else []
    if unknown := [name for name in named if name not in ROWS]:
        raise UsageError(f"no client is called {word(unknown[0])}", hint=f"choose among {', '.join(sorted(ROWS))}")
    machine = Machine(platform=sys.platform, environ=os.environ, home=str(Path.home()))
    for name in named or sorted(USER):
        row = ROWS[name]
        targets = find_targets(argparse.Namespace(**{**vars(args), "client": name}), row)
        there = tuple(target for target in targets if target.path.exists())
        if there or named:
            launches = tuple(launches_of(args, row))
            yield FoundClient(name=name, row=row, targets=there or tuple(targets), launches=launches)
        elif os.path.isdir(os.path.dirname(USER[name](machine).first)) and args.log_level == "debug":
            complain(f"{row.title}: it has a folder here, and no file yet")


def _planned(installer: Installer, client: FoundClient) -> Iterator[InstallPlan]:
    """Yield what would be done with each file of a client, and say why a file is left out."""
    for target in client.targets:
        try:
            yield _plan(installer, client, target)
        except ConfigError as error:
            complain(f"{client.row.title} is left out: {exit_text(error)}")


def _plan(
    installer: Installer, client: FoundClient, target: InstallTarget, *, keep_secrets: bool = False
) -> InstallPlan:
    moves = client.name not in NOT_MOVED
    return installer.plan(target, client.launches, move=moves, keep_secrets=keep_secrets)


def _show(client: FoundClient, plan: InstallPlan) -> None:
    """Show what would be done with one file."""
    say(f"\n{client.row.title}: {word(plan.target.path)}")
    if not plan.changes:
        say("  has the gateway already")
        return
    for launch in client.launches:
        say(f"  + {launch.name:<20} {described(launch.plain())}")
    if plan.moved is not None and plan.moved.entries:
        say("These move behind the gateway, into your settings; --remove puts them back:")
        report(plan.moved)


def _install(installer: Installer, planned: Sequence[tuple[FoundClient, InstallPlan]], *, keep_secrets: bool) -> int:
    """Do what was shown, one file after the other; return the exit status.

    What one file brings into the settings the next finds there. A file that is no longer what it was when it was shown
    stays as it is.
    """
    status = 0
    for client, shown in planned:
        if not shown.changes:
            continue
        try:
            plan = _plan(installer, client, shown.target, keep_secrets=keep_secrets)
            if plan.current != shown.current:
                why = f"{shown.target.path} has changed since it was shown"
                raise ConfigError(why, hint="run `lg-gateway init` again")
            kept = installer.install(plan)
        except ConfigError as error:
            complain(f"{client.row.title} is left out: {exit_text(error)}")
            status = 1
            continue
        say(f"{client.row.title}: done; the file as it was: {word(_backup(installer, plan))}")
        if plan.moved is not None:
            say_kept(plan.moved, kept)
            ask_for(plan.moved, Values(environ=os.environ))
    return status


def _backup(installer: Installer, plan: InstallPlan) -> str:
    if plan.base is None:
        return "there was none"
    return str(installer.records.backup(plan.target.client, plan.target.path))


def _try(args: argparse.Namespace) -> int:
    """Start the gateway as the clients will, and make one call that changes nothing."""
    from lg_gateway.serving.logs import start_logging
    from lg_gateway.serving.running import running_gateway
    from lg_gateway.serving.setup import prepare

    start_logging(args.log_level, typed=True, tells_servers=True)
    flags = common_flags(args)
    setup = prepare(replace(flags, root=flags.root or Path.cwd()), mcp_json=None)

    async def call() -> int:
        async with running_gateway(setup) as gateway:
            from lg_gateway.calls.call import Call
            from lg_gateway.upstreams.upstream import UpstreamState

            await gateway.settled()
            tools = gateway.pipeline.decisions.tools(setup.identity)
            down = [up for up in gateway.upstreams.values() if up.state is not UpstreamState.UP]
            answered = f"{len(gateway.upstreams) - len(down)} of {len(gateway.upstreams)} servers answer"
            say(f"\nTried: {answered}, and the gateway offers {len(tools)} tools.")
            for upstream in down:
                fail(f"{word(upstream.name)} does not answer: {upstream.error or upstream.state}")
            if gateway.catalog.find(TRIED) is None:
                return 1 if down else 0
            answer = await gateway.pipeline.run(
                Call(identity=setup.identity, client="init", name=TRIED, arguments={"path": "."}, hold_s=0)
            )
            failed = bool(getattr(answer, "is_error", True))
            say(f"Tried: {TRIED} {'failed' if failed else 'was answered'}, and is in the ledger.")
            return 1 if down or failed else 0

    try:
        return anyio.run(call)
    except ConfigError as error:
        fail(error)
        return 1
