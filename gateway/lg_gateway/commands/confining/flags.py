"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

CONFINE = (
    "Start a client in a sandbox. It sees the root read-only and its own login, reaches the hosts that you name, and"
    " calls tools through the gateway, which runs outside. What it may see is printed first."
)


def _confine(parser: Parser) -> None:
    parser.add_argument("--network", nargs="+", action="extend", default=[], metavar="HOST", help="hosts to reach")
    parser.add_argument("--read", nargs="+", action="extend", default=[], metavar="PATH", help="more paths to see")
    parser.add_argument("--env", nargs="+", action="extend", default=[], metavar="NAME", help="variables to pass on")
    parser.add_argument("--write", action="store_true", help="let it change the root itself, but no protected name")
    parser.add_argument("--overlay", action="store_true", help="let it change a copy of the root that is thrown away")
    parser.add_argument(
        "--tools", metavar="PROFILE", help="show it only the tools of this profile, [gateway.profiles.PROFILE]"
    )
    parser.add_argument("--check", action="store_true", help="try the boundary in place of starting the client")
    parser.add_argument(
        "command_line", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the client, as you start it"
    )


def _connect(parser: Parser) -> None:
    parser.add_argument("--socket", default="/run/lg/gateway.sock", metavar="PATH", help="where the gateway listens")


COMMANDS = (
    Command(
        name="confine",
        help="start a client in a sandbox, with the gateway as its way to effects",
        description=CONFINE,
        run="lg_gateway.commands.confining.confine:run",
        flags=_confine,
        example="confine --root . --network api.example.com -- claude",
    ),
    Command(
        name="connect",
        help="inside a confined client: carry MCP between stdio and the gateway outside",
        run="lg_gateway.commands.confining.connect:run",
        flags=_connect,
        example="connect",
    ),
)
