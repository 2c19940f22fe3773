"""`lg-gateway pins`: what is trusted of foreign tools, what has changed, and the yes to it."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

from lg_gateway.desk import Desk
from lg_gateway.pins import Pin
from lg_gateway.question import visible
from lg_gateway.setup import locate, user_name
from lg_gateway.store import StoreError
from lg_policy.errors import ConfigError
from lg_policy.flags import common_flags


def run_pins(args: argparse.Namespace) -> int:
    """`lg-gateway pins ACTION [SERVER [TOOL]]`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    try:
        desk = Desk(located)
        try:
            pins = desk.read(lambda tx: desk.pins.all(tx, args.server))
            chosen = [pin for pin in pins if args.tool in (None, pin.tool)]
            return _ACTIONS[args.action](desk, chosen, args)
        finally:
            desk.close()
    except StoreError as error:
        print(f"lg-gateway: {error}", file=sys.stderr)
        return 1


def _list(_desk: Desk, pins: list[Pin], _args: argparse.Namespace) -> int:
    for pin in pins:
        state = "accepted" if pin.waiting is None else ("changed, held back" if pin.accepted else "new, held back")
        print(f"{visible(pin.server)}  {visible(pin.tool)}  {state}")
    return 0


def _diff(_desk: Desk, pins: list[Pin], _args: argparse.Namespace) -> int:
    """Exit status 1 when something waits, as `diff` does."""
    waiting = [pin for pin in pins if pin.waiting is not None]
    for pin in waiting:
        print(f"{visible(pin.server)}: {visible(pin.tool)}")
        for line in difflib.unified_diff(_text(pin.accepted), _text(pin.waiting), "accepted", "now", lineterm=""):
            print(f"  {visible(line)}")
    return 1 if waiting else 0


def _accept(desk: Desk, pins: list[Pin], args: argparse.Namespace) -> int:
    if args.server is None:
        raise ConfigError("pins accept needs a server, or a server and a tool", hint="see `lg-gateway pins diff`")
    waiting = [pin for pin in pins if pin.waiting is not None]
    for pin in waiting:
        desk.write(partial(desk.pins.accept, pin=pin, by=f"{user_name()} at a command line"))
        print(f"accepted {visible(pin.server)}: {visible(pin.tool)}")
    if not waiting:
        print("nothing waits there", file=sys.stderr)
    return 0 if waiting else 1


def _text(definition: dict[str, Any] | None) -> list[str]:
    """Lines of a definition for comparing: long texts line by line, so that a changed sentence shows alone."""
    if definition is None:
        return []
    shown = json.dumps(definition, indent=2, sort_keys=True, ensure_ascii=False)
    return [part for line in shown.split("\n") for part in line.split("\\n")]


_ACTIONS: dict[str, Callable[[Desk, list[Pin], argparse.Namespace], int]] = {
    "list": _list,
    "diff": _diff,
    "accept": _accept,
}
