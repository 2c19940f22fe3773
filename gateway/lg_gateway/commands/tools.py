"""`lg-gateway tools`: the tools behind the gateway."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

import anyio

from lg_gateway.serving.running import prepare_from, running_gateway

if TYPE_CHECKING:
    from lg_gateway.serving.gateway import Gateway


def run(args: argparse.Namespace) -> int:
    """`lg-gateway tools`."""
    setup = prepare_from(args)

    async def tools() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            entries = gateway.pipeline.visible(setup.identity)
            if args.json:
                listed = [entry.listed.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in entries]
                print(json.dumps({"tools": listed}, indent=2))
            else:
                for entry in entries:
                    print(f"{entry.name:<40} {_first_line(entry.listed.description)}")
            return _report_down(gateway)

    return anyio.run(tools)


def _report_down(gateway: Gateway) -> int:
    from lg_gateway.upstreams.upstream import UpstreamState

    down = [upstream for upstream in gateway.upstreams.values() if upstream.state is not UpstreamState.UP]
    for upstream in down:
        print(f"lg-gateway: {upstream.name} is {upstream.state}: {upstream.error}", file=sys.stderr)
    return 1 if down else 0


def _first_line(text: str | None) -> str:
    line = (text or "").strip().splitlines()[0] if (text or "").strip() else ""
    return line if len(line) <= 100 else f"{line[:99]}…"
