"""`lg-gateway connect`: carries MCP between standard streams and a gateway that listens on a socket."""

from __future__ import annotations

import argparse

from lg_gateway.commands.terminal.output import fail, word
from lg_gateway.confinement.bridge import bridge


def run(args: argparse.Namespace) -> int:
    """`lg-gateway connect`."""
    try:
        return bridge(args.socket)
    except OSError as error:
        fail(
            f"cannot reach a gateway at {word(args.socket)}: {error.strerror}"
            " (`lg-gateway confine -- COMMAND` starts a client that can)"
        )
        return 1
