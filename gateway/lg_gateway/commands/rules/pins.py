"""`lg-gateway pins`: list the trusted definitions of foreign tools, show what changed, and accept it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from lg_gateway.catalog.lint import lint, lookalikes
from lg_gateway.catalog.pin_table import Pin
from lg_gateway.commands.terminal.output import LIST_WIDTH, complain, fail, print_json, say, word
from lg_gateway.serving.setup import locate, user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.canonical_json import digest
from lg_gateway.store.interface import StoreError
from lg_gateway.views.pin_diff import definition_diff
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, UsageError
from lg_policy.printing import visible


def run(args: argparse.Namespace) -> int:
    """`lg-gateway pins ACTION [SERVER [TOOL]]`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    try:
        access = StoreAccess(located)
        try:
            pins = access.read(lambda tx: access.pins.all(tx, args.server))
            chosen = [pin for pin in pins if args.tool in (None, pin.tool)]
            return _ACTIONS[args.action](access, chosen, args)
        finally:
            access.close()
    except StoreError as error:
        fail(error)
        return 1


def _list(_access: StoreAccess, pins: list[Pin], args: argparse.Namespace) -> int:
    if args.json:
        shown = [pin for pin in pins if pin.accepted is not None]
        rows = [{"server": pin.server, "tool": pin.tool, "digest": digest(pin.accepted)} for pin in shown]
        print_json({"pins": rows}, indent=1, sort_keys=True)
        return 0
    for pin in pins:
        state = "accepted" if pin.waiting is None else ("changed, held back" if pin.accepted else "new, held back")
        basis = f"  by {visible(pin.basis)}" if pin.basis else ""
        names = f"{word(pin.server, LIST_WIDTH)}  {word(pin.tool, LIST_WIDTH)}"
        say(f"{digest(pin.accepted or pin.waiting)[:16]}  {names}  {state}{basis}")
        _warn(pin)
    for first, second in lookalikes((f"{pin.server}__{pin.tool}", pin.server, pin.tool) for pin in pins):
        say(f"!! {word(first)} and {word(second)} look alike")
    return 0


def _diff(_access: StoreAccess, pins: list[Pin], _args: argparse.Namespace) -> int:
    """Exit status 1 when something waits, as `diff` does."""
    waiting = [pin for pin in pins if pin.waiting is not None]
    for pin in waiting:
        say(f"{word(pin.server)}: {word(pin.tool)}" + ("" if pin.accepted else " (new)"))
        for line in definition_diff(pin):
            say(f"  {visible(line)}")
        _warn(pin)
    return 1 if waiting else 0


def _accept(access: StoreAccess, pins: list[Pin], args: argparse.Namespace) -> int:
    if args.server is None:
        raise UsageError(
            "pins accept needs a server, or a server and a tool", hint="`lg-gateway pins diff` shows what waits"
        )
    waiting = [pin for pin in pins if pin.waiting is not None]
    for pin in waiting:
        try:
            access.write(partial(access.pins.accept, pin=pin, by=f"{user_name()} at a command line"))
        except ValueError as error:
            raise ConfigError(str(error)) from error
        say(f"accepted {word(pin.server)}: {word(pin.tool)}")
    if not waiting:
        complain("no definition waits there")
    return 0 if waiting else 1


def _warn(pin: Pin) -> None:
    """Say what is suspicious about the definition that waits, or else about the accepted one."""
    if pin.basis.startswith("version"):
        return
    for what in lint(pin.waiting or pin.accepted or {}):
        say(f"  !! {what}")


_ACTIONS: dict[str, Callable[[StoreAccess, list[Pin], argparse.Namespace], int]] = {
    "list": _list,
    "diff": _diff,
    "accept": _accept,
}
