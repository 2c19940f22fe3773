"""The commands that set `lg-orch` up and try how well it works."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser


def evaluation_flags(parser: Parser) -> None:
    """Add the flags of an evaluation; `python -m eval.work_run` in a clone takes the same."""
    parser.add_argument("--task", action="append", default=[], metavar="ID", help="only this task; repeatable")
    parser.add_argument(
        "--model", metavar="PROVIDER:NAME", help="ask this model (default: a script that says the reference solutions)"
    )
    parser.add_argument("--base-url", metavar="URL", help="the address of the model's server; --record needs it")
    traffic = parser.add_mutually_exclusive_group()
    traffic.add_argument(
        "--record", type=Path, metavar="DIR", help="keep the model's traffic there, one file for each task"
    )
    traffic.add_argument(
        "--replay", type=Path, metavar="DIR", help="answer from recorded traffic, without network and key"
    )
    parser.add_argument("--store", metavar="NAME", help="keep the results, to be shown beside those of later versions")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    parser.add_argument("--verify", action="store_true", help="only try the hidden checks on known solutions")


def _eval(parser: Parser) -> None:
    parser.add_argument(
        "--tasks", type=Path, metavar="DIR", help="the folder `eval` of a clone (default: of the one that is installed)"
    )
    evaluation_flags(parser)


def _init(parser: Parser) -> None:
    parser.add_argument("--yes", action="store_true", help="take the defaults without asking")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="the language model")
    parser.add_argument("--base-url", metavar="URL", help="the address of your own server that speaks OpenAI's API")


SETUP_COMMANDS = (
    Command(
        name="init",
        help="write a settings file by asking, and check it",
        run="lg_orch.commands.init:command",
        flags=_init,
        example="init",
    ),
    Command(
        name="eval",
        help="run the evaluation tasks of a clone, and compare with earlier versions",
        run="lg_orch.commands.evaluation:command",
        flags=_eval,
        example="eval --task feature",
    ),
)
