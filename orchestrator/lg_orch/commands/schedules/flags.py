"""What may be typed after `lg-orch schedules`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")


def _add(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a name for the schedule")
    parser.add_argument("request", nargs="+", metavar="REQUEST", help='for example "update the changelog"')
    parser.add_argument(
        "--cron", required=True, metavar="EXPRESSION", help='minute, hour, day, month, weekday, such as "0 3 * * 1-5"'
    )
    parser.add_argument("--zone", default="UTC", metavar="ZONE", help="time zone of the expression (default: UTC)")
    parser.add_argument("--repository", metavar="REPOSITORY", help="a path or address that the service allows")
    parser.add_argument("--ref", metavar="REF", help="with an address: the branch or tag to begin from")


def _remove(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="the schedule's name")


SCHEDULES = Command(
    name="schedules",
    help="have the run service make requests again and again",
    default="list",
    actions=(
        Command(
            name="add",
            help="make a request at the times of a cron expression",
            run="lg_orch.commands.schedules.command:command",
            flags=_add,
            example='schedules add nightly --cron "0 3 * * 1-5" "update the changelog"',
        ),
        Command(
            name="list",
            help="list the schedules",
            run="lg_orch.commands.schedules.command:command",
            flags=_json,
            example="schedules list",
        ),
        Command(
            name="remove",
            help="remove a schedule; its runs stay",
            run="lg_orch.commands.schedules.command:command",
            flags=_remove,
            example="schedules remove nightly",
        ),
    ),
)
