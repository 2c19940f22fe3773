"""`lg-gateway status`: ask the gateways that run how they stand. Needs neither the MCP SDK nor a store."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lg_gateway.commands.terminal.output import LIST_WIDTH, complain, print_json, say, word
from lg_gateway.observability.status_socket import FOLDER, SUFFIX, ask, forget_ended
from lg_gateway.serving.setup import locate
from lg_policy.config.flags import common_flags
from lg_policy.printing import display_width, visible
from lg_policy.state import find_states, state_home

KEYS = {"pid", "transport", "started", "identity", "version", "store", "halted", "servers"}
SERVER_KEYS = {
    "name", "state", "protocol", "tools", "held_back", "restarts", "calls", "p50_ms", "p95_ms", "error", "last_error",
    "last_failed_call",
}  # fmt: skip
HEADINGS = ("SERVER", "STATE", "PROTOCOL", "TOOLS", "RESTARTS", "OK", "ERROR", "REFUSED", "P50", "P95")


def run(args: argparse.Namespace) -> int:
    """`lg-gateway status`."""
    found = [status for folder in _folders(args) for status in _asked(folder)]
    if args.json:
        print_json({"gateways": found}, indent=2)
    for status in () if args.json else found:
        _show(status)
    if not found:
        complain("no gateway runs here: a client starts one; `lg-gateway serve --transport http` starts one over HTTP")
        return 1
    return 0 if all(map(_is_well, found)) else 1


def _folders(args: argparse.Namespace) -> list[Path]:
    flags = common_flags(args)
    if args.root is not None or args.config is not None or args.mcp_json is not None or flags.state_dir is not None:
        return [locate(flags, mcp_json=args.mcp_json).state.path / FOLDER]
    home = state_home(os.environ)
    return [home / state_id / FOLDER for state_id in find_states(os.environ)]


def _asked(folder: Path) -> Iterator[dict[str, Any]]:
    forget_ended(folder)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        status = _status(ask(path))
        if status is not None:
            yield status
        else:
            complain(f"{word(path)} does not answer")


def _status(text: bytes | None) -> dict[str, Any] | None:
    """Return what a gateway answered; `None` where that is no status, such as of another version."""
    try:
        status: Any = json.loads(text or b"null")
        known = status.keys() >= KEYS and {"kind", "ok", "error"} <= status["store"].keys()
        return status if known and all(server.keys() >= SERVER_KEYS for server in status["servers"]) else None
    except (ValueError, RecursionError, TypeError, AttributeError):
        return None


def _is_well(status: dict[str, Any]) -> bool:
    servers = status["servers"]
    return bool(status["store"]["ok"]) and not status["halted"] and all(each["state"] == "up" for each in servers)


def _show(status: dict[str, Any]) -> None:
    worker = f", worker {status['worker']}" if status.get("worker") is not None else ""
    where = status.get("root") or status.get("config") or ""
    say(f"gateway {status['pid']} on {status['transport']}{worker}, since {status['started']}, for {word(where)}")
    say(f"  caller {word(status['identity'])}, version {word(status['version'])}")
    store = status["store"]
    say(f"  store  {word(store['kind'])}: {'ok' if store['ok'] else 'cannot be used: ' + visible(str(store['error']))}")
    if status["halted"]:
        say("  halted: no call is made (`lg-gateway continue` lets calls begin again)")
    rows = [HEADINGS, *(_row(server) for server in status["servers"])]
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        cells = (f"{cell}{' ' * (width - display_width(cell))}" for cell, width in zip(row, widths, strict=True))
        say(f"  {'  '.join(cells)}".rstrip())
    for server in status["servers"]:
        for line in _remarks(server):
            say(f"  {word(server['name'], LIST_WIDTH)}: {line}")
    say("")


def _row(server: dict[str, Any]) -> tuple[str, ...]:
    calls = server["calls"]
    failed = sum(count for outcome, count in calls.items() if outcome not in ("ok", "refused", "asked", "preview"))
    tools = f"{server['tools']}" + (f" (+{server['held_back']} held)" if server["held_back"] else "")
    return (
        word(server["name"], LIST_WIDTH),
        word(server["state"], LIST_WIDTH),
        word(server["protocol"] or "-"),
        tools,
        str(server["restarts"]),
        str(calls.get("ok", 0)),
        str(failed),
        str(calls.get("refused", 0)),
        _milliseconds(server["p50_ms"]),
        _milliseconds(server["p95_ms"]),
    )


def _remarks(server: dict[str, Any]) -> Iterator[str]:
    if server["error"]:
        yield visible(str(server["error"]))
    elif server["last_error"]:
        yield f"was down at {server['last_error_at']}: {visible(str(server['last_error']))}"
    failed = server["last_failed_call"]
    if failed is not None:
        yield f"newest failed call at {failed['at']}: {word(failed['tool'])}, {word(failed['code'])}"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
