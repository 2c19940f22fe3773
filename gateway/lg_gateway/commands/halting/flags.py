"""The commands of this folder and what may be typed after them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

_WHICH = " Without --root, --config, --mcp-json or --state-dir it does so for all gateways of this user."


def _halt(parser: Parser) -> None:
    parser.add_argument("--reason", default="", help="why; callers read it, and the ledger keeps it")
    parser.add_argument("--now", action="store_true", help="also cut off calls that are running")


def _continue(parser: Parser) -> None:
    parser.add_argument("--reason", default="", help="why; the ledger keeps it")


COMMANDS = (
    Command(
        name="halt",
        help="stop all calls at once, also of gateways that run",
        description="Refuse every new call with the code `halted` until you type `lg-gateway continue`." + _WHICH,
        run="lg_gateway.commands.halting.actions:halt",
        flags=_halt,
        example='halt --now --reason "it deletes the wrong files"',
    ),
    Command(
        name="continue",
        help="let calls begin again after `halt`",
        description="Let calls begin again. Only a person at a terminal can, or who holds an operator's token"
        " (LG_OPERATOR_TOKEN)." + _WHICH,
        run="lg_gateway.commands.halting.actions:let_continue",
        flags=_continue,
        example="continue",
    ),
)
