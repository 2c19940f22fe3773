"""`lg-gateway tools`: list the tools behind the gateway."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import anyio

from lg_gateway.commands.output import fail, print_json, say, word
from lg_gateway.serving.running import prepare_from, running_gateway
from lg_policy.printing import one_line

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway

DESCRIPTION_WIDTH = 100
"""Columns of a description in the list."""


def run(args: argparse.Namespace) -> int:
    """`lg-gateway tools`."""
    setup = prepare_from(args)

    async def tools() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            entries = gateway.pipeline.decisions.tools(setup.identity)
            if args.json:
                listed = [entry.listed.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in entries]
                print_json({"tools": listed}, indent=2)
            else:
                for entry in entries:
                    say(f"{word(entry.name):<40} {_first_line(entry.listed.description)}")
            return _report_down(gateway)

    return anyio.run(tools)


def _report_down(gateway: Gateway) -> int:
    from lg_gateway.upstreams.upstream import UpstreamState

    down = [upstream for upstream in gateway.upstreams.values() if upstream.state is not UpstreamState.UP]
    for upstream in down:
        fail(f"{word(upstream.name)} is {upstream.state}: {upstream.error}")
    return 1 if down else 0


def _first_line(text: str | None) -> str:
    return one_line((text or "").strip().partition("\n")[0], DESCRIPTION_WIDTH)
