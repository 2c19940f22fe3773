"""`lg-gateway tools`, `resources` and `prompts`: list what is behind the gateway."""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING, Any

import anyio

from lg_gateway.commands.terminal.output import fail, print_json, say, word
from lg_gateway.serving.running import prepare_from, running_gateway
from lg_policy.printing import display_width, one_line
from lg_policy.rules.decisions import Kind
from lg_policy.wire.call_metadata import EFFECT

if TYPE_CHECKING:
    import mcp_types as t

    from lg_gateway.serving.gateway import Gateway

DECIDED, DECIDED_WIDTH = {"allow": "allowed", "approve": "asks"}, 8
"""What a call of a tool becomes: allowed, a question, or `depends` on its arguments. Denied tools are hidden."""
NAME_WIDTH, DESCRIPTION_WIDTH, LEAST_WIDTH = 40, 100, 80
"""Columns of a name, of a description where no terminal says how wide it is, and of a whole line at least."""


def run(args: argparse.Namespace) -> int:
    """`lg-gateway tools`, `lg-gateway resources [ADDRESS]` and `lg-gateway prompts [PROMPT [JSON]]`."""
    if getattr(args, "name", None) is not None:
        from lg_gateway.commands.calls.call import make_other

        return make_other(args, Kind.RESOURCE if args.command == "resources" else Kind.PROMPT)
    setup = prepare_from(args)

    async def tools() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            lists = _lists(gateway, args.command, setup.identity)
            if args.json:
                dumped = {
                    what: [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in items]
                    for what, items in lists.items()
                }
                print_json(dumped, indent=2)
            else:
                room = shutil.get_terminal_size((DESCRIPTION_WIDTH + NAME_WIDTH + 1, 0)).columns
                for item in [item for items in lists.values() for item in items]:
                    say(_row(args.command, item, max(LEAST_WIDTH, room)))
            return _report_down(gateway)

    return anyio.run(tools)


def _report_down(gateway: Gateway) -> int:
    from lg_gateway.upstreams.upstream import UpstreamState

    down = [upstream for upstream in gateway.upstreams.values() if upstream.state is not UpstreamState.UP]
    for upstream in down:
        fail(f"{word(upstream.name)} is {upstream.state}: {upstream.error}")
    return 1 if down else 0


def _lists(gateway: Gateway, command: str, identity: str) -> dict[str, list[Any]]:
    """Return what a command lists, by the names that the protocol has for it."""
    decisions, offers = gateway.pipeline.decisions, gateway.catalog.offers
    if command == "resources":
        resources, templates = offers.resources(), offers.templates()
        return {
            "resources": decisions.offered(identity, resources),
            "resourceTemplates": decisions.offered(identity, templates),
        }
    if command == "prompts":
        return {"prompts": decisions.offered(identity, offers.prompts())}
    return {"tools": _listed(gateway, identity)}


def _row(command: str, item: Any, room: int) -> str:
    """Return an item with what becomes of a call of it, and the beginning of its description."""
    text = item.description or (item.title if _address(item) != item.name else "") or ""
    name = word(_address(item))
    head = f"{name}{' ' * (NAME_WIDTH - display_width(name))} {_decided(command, item)}"
    return f"{head}{_first_line(text, room - display_width(head))}"


def _decided(command: str, item: Any) -> str:
    """Return the column that says what becomes of a call of a tool; empty for what is no tool."""
    if command != "tools":
        return ""
    effect = str((item.meta or {}).get(EFFECT, "allow"))  # nothing is decided about the gateway's own
    return f"{DECIDED.get(effect, effect):<{DECIDED_WIDTH}}"


def _address(item: Any) -> str:
    """Return what a client calls an item by."""
    return str(getattr(item, "uri", None) or getattr(item, "uri_template", None) or item.name)


def _listed(gateway: Gateway, identity: str) -> list[t.Tool]:
    """Return what a client can call: every tool that it may see, and the gateway's own.

    With `gateway.expose = "search"` a client is shown the gateway's own tools alone, and finds the others with them.
    """
    from lg_gateway.serving.meta_tools import RESULT, TOOLS

    search = gateway.policy.settings.gateway.expose == "search"
    own = [tool for tool in TOOLS if search or tool.name == RESULT]
    offered = [entry.listed for entry in gateway.pipeline.decisions.tools(identity)]
    return sorted([*offered, *own], key=lambda tool: tool.name)


def _first_line(text: str | None, width: int) -> str:
    return one_line((text or "").strip().partition("\n")[0], width)
