"""`lg-gateway config show|check|path`: the settings in force, what is wrong with them, and where they are read from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from lg_gateway.commands.terminal.output import complain, print_json, say, word
from lg_gateway.serving.setup import GatewaySetup, prepare
from lg_policy.config.flags import common_flags
from lg_policy.config.shown import ShownSetting, shown_settings
from lg_policy.errors import UsageError
from lg_policy.printing import visible

VALUE_WIDTH = 100
"""Columns of a value in a line; `--json` has the whole."""


def run(args: argparse.Namespace) -> int:
    """`lg-gateway config ACTION`."""
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)
    return _ACTIONS[args.action](setup, args)


def _show(setup: GatewaySetup, args: argparse.Namespace) -> int:
    found = [each for each in shown_settings(setup.loaded) if _asked_for(each, args.table)]
    if not found:
        raise UsageError(f"there is no setting {word(args.table)}", hint="`lg-gateway config show` prints all of them")
    found = [each for each in found if each.changed or not args.changed]
    if args.json:
        print_json({each.name: {"value": each.value, "origin": each.origin} for each in found}, indent=2)
        return 0
    for setting in found:
        value = json.dumps(setting.value)
        cut = value if len(value) <= VALUE_WIDTH else value[:VALUE_WIDTH] + " …"
        say(f"{visible(setting.name)} = {visible(cut)}  # {visible(setting.origin)}")
    return 0


def _asked_for(setting: ShownSetting, table: str | None) -> bool:
    return table is None or setting.name == table or setting.name.startswith(f"{table}.")


def _check(setup: GatewaySetup, _args: argparse.Namespace) -> int:
    for name, missing in setup.missing.items():
        complain(f"server {word(name)} is left out: {visible(missing.text())}")
    if setup.missing:
        return 1
    say(f"the settings are in order: {', '.join(map(word, setup.loaded.sources))}")
    rules = len(setup.settings.gateway.rules)
    say(f"{len(setup.specs)} servers and {rules} rules (`lg-gateway doctor` starts the servers and asks them)")
    return 0


def _path(setup: GatewaySetup, args: argparse.Namespace) -> int:
    files = [(str(path), stamp is not None) for path, stamp in setup.watched.items()]
    places: Sequence[tuple[str, str]] = (("state", str(setup.state.path)), ("store", setup.store_place.shown))
    if args.json:
        print_json({"files": [{"path": path, "exists": there} for path, there in files], **dict(places)}, indent=2)
        return 0
    for path, there in files:
        say(f"{word(path)}{'' if there else '  (not there)'}")
    for what, place in places:
        say(f"{what}: {word(place)}")
    return 0


_ACTIONS = {"show": _show, "check": _check, "path": _path}
