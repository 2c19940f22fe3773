"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command
from lg_policy.config.flags import add_serve_flags

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser


def _serve(parser: Parser) -> None:
    add_serve_flags(parser)
    parser.add_argument(
        "--no-login",
        action="store_true",
        help="over HTTP, let every program on this machine call as you, without a token",
    )
    parser.add_argument(
        "--tools",
        metavar="PROFILE",
        help="show every caller only the tools of this profile of yours, [gateway.profiles.PROFILE]",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        metavar="N",
        help="with --transport http: serve with N processes, so that more than one core is used (default: 1)",
    )
    parser.add_argument(
        "--console",
        action="store_true",
        help="with --transport http: also serve the console, where a person sees calls and answers questions",
    )


def _doctor(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument(
        "--boundary", action="store_true", help="also try what a client in `lg-gateway confine` must not reach"
    )


COMMANDS = (
    Command(
        name="serve",
        help="serve clients over stdio or HTTP (the default)",
        run="lg_gateway.commands.serving.serve:run",
        flags=_serve,
        example="serve --transport http --port 8765 --root .",
        starts_servers=True,
    ),
    Command(
        name="console",
        help="show a link that logs you in to a running console",
        description="Show a link that logs you in to the console of this directory: of `lg-gateway serve --console` or"
        " of `lg-orch serve`. It works once, and for a minute. Only a terminal shows it.",
        run="lg_gateway.commands.serving.console:run",
        example="console --root .",
    ),
    Command(
        name="doctor",
        help="check settings, servers, rules, logins and the ledger",
        run="lg_gateway.commands.serving.doctor:run",
        flags=_doctor,
        example="doctor --root .",
        starts_servers=True,
    ),
)
