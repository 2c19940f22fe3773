"""The commands of `lg-orch` and what may be typed after them."""

from __future__ import annotations

from argparse import ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING

from lg_orch.commands.schedules.flags import SCHEDULES
from lg_orch.commands.setup_commands import SETUP_COMMANDS
from lg_policy.command_line.commands import Command

if TYPE_CHECKING:
    from argparse import _ActionsContainer as Parser

EXITS = (
    "exit status: 0 done, 1 finished but failed, 2 bad usage or configuration, 3 waiting for a human, "
    "4 done but nothing could check it, 130 interrupted"
)
RUN_ID_HELP = "a run's id, its beginning, or `last` for the newest run"
OPTIONAL_RUN_ID_HELP = f"{RUN_ID_HELP}, which is also the default"


def _run(parser: Parser) -> None:
    _add_server(parser)
    parser.add_argument("request", nargs="+", metavar="REQUEST", help='for example "summarize repo"')
    parser.add_argument(
        "--plan-only", action="store_true", help="show a plan and stop before anything is done; `resume` carries it out"
    )
    _add_driving(parser)


def _chat(parser: Parser) -> None:
    parser.add_argument(
        "--continue", dest="follows", nargs="?", const="last", metavar="RUN_ID", help=f"go on from {RUN_ID_HELP}"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="keep a line for each step")
    _add_conditions(parser)
    parser.set_defaults(json=False, quiet=False, plan_only=False)


def _resume(parser: Parser) -> None:
    _add_server(parser)
    _optional_run(parser)
    answer = parser.add_mutually_exclusive_group()
    answer.add_argument("--approve", action="store_true", help="approve the call that the run waits for")
    answer.add_argument("--deny", action="store_true", help="deny the call; the run continues without it")
    answer.add_argument(
        "--edit",
        type=Path,
        metavar="FILE",
        help="deny the call, and make it with the arguments in FILE (a JSON object)",
    )
    answer.add_argument("--answer", metavar="JSON", help="answer a server's question with a JSON object of its fields")
    # Each goes alone or with --answer, which `commands.resume` sees to.
    outcome = parser.add_mutually_exclusive_group()
    for flag, words in (
        ("--done", "the call whose outcome is unknown did happen"),
        ("--not-done", "it did not happen; make it again, as a new call"),
        ("--stop", "end the run"),
    ):
        value = flag[2:].replace("-", "_")
        outcome.add_argument(flag, dest="outcome", action="store_const", const=value, help=words)
    parser.add_argument(
        "--for-run", action="store_true", help="with --approve: approve this tool for the rest of the run"
    )
    parser.add_argument("--reason", metavar="TEXT", help="with --deny: tell the run why")
    parser.add_argument("--say", metavar="TEXT", help="add guidance for the run; denies a call that waits for approval")
    parser.add_argument(
        "--plan", type=Path, metavar="FILE", help="carry out these steps, one a line, in the place of the plan"
    )
    parser.set_defaults(plan_only=False)
    _add_driving(parser)


def _json_lines(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")


def _runs_list(parser: Parser) -> None:
    _add_server(parser)
    parser.add_argument("--limit", type=positive, default=20, metavar="N", help="show the newest N runs (default: 20)")
    parser.add_argument("--all", action="store_true", help="runs of every repository")
    _json_lines(parser)


def _runs_show(parser: Parser) -> None:
    _add_server(parser)
    _optional_run(parser)
    parser.add_argument("--diff", action="store_true", help="what the run changed, as a diff, instead of its steps")
    parser.add_argument("--json", action="store_true", help="print the trace as JSON")
    parser.add_argument(
        "--html", action="store_true", help="print graph, timeline, changes, checks and thoughts as one HTML file"
    )


def _runs_prune(parser: Parser) -> None:
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        help="remove runs older than AGE, such as 12h or 30d (default: store.runs_ttl)",
    )
    parser.add_argument("--all", action="store_true", help="also runs that can be resumed")
    parser.add_argument("--dry-run", action="store_true", help="only list what would be removed")


def _replay(parser: Parser) -> None:
    _optional_run(parser)
    parser.add_argument("--json", action="store_true", help="print what the run printed with --json")


def _fork(parser: Parser) -> None:
    parser.add_argument("run_id", metavar="RUN_ID", help=RUN_ID_HELP)
    parser.add_argument(
        "--at", type=int, required=True, metavar="STEP", help="number of the step, as `runs show` prints it"
    )
    parser.add_argument("--say", metavar="TEXT", help="add guidance for the new run")
    parser.set_defaults(plan_only=False)
    _add_driving(parser)


def _undo(parser: Parser) -> None:
    _add_server(parser)
    _optional_run(parser)
    parser.add_argument("--to", type=int, metavar="STEP", help="revert only what changed after that step")
    parser.add_argument("--yes", action="store_true", help="revert without asking")
    _add_gateway(parser)


def _trust(parser: Parser) -> None:
    parser.add_argument(
        "--guide", action="store_true", help="accept its AGENTS.md instead, so that language models see it"
    )
    parser.add_argument("--forget", action="store_true", help="stop trusting it")
    parser.add_argument("--show", action="store_true", help="only show whether it is trusted")


def positive(text: str) -> int:
    """A number from 1 on, for argparse."""
    number = int(text)
    if number < 1:
        raise ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _optional_run(parser: Parser) -> None:
    parser.add_argument("run_id", nargs="?", metavar="RUN_ID", help=OPTIONAL_RUN_ID_HELP)


def _add_driving(parser: Parser) -> None:
    _add_conditions(parser)
    shown = parser.add_mutually_exclusive_group()
    shown.add_argument(
        "--json", action="store_true", help="print events as JSON lines to stderr and the result as JSON to stdout"
    )
    shown.add_argument("-q", "--quiet", action="store_true", help="show no progress, only the report")
    shown.add_argument("-v", "--verbose", action="store_true", help="keep a line for each step on a terminal, too")


def _add_conditions(parser: Parser) -> None:
    parser.add_argument(
        "--model", metavar="PROVIDER:NAME", help="use this language model for all roles (or set LG_MODEL)"
    )
    parser.add_argument(
        "--base-url", metavar="URL", help="ask the model at this address (instead of base_url in [models.default])"
    )
    parser.add_argument(
        "--trace", action="store_true", help="write the trace to artifacts/runs/run-<id>.json under the root"
    )
    for flag, kind, metavar, words in (
        ("--max-tokens", int, "N", "stop at N tokens of model traffic (instead of budgets.max_tokens)"),
        (
            "--max-cost-usd",
            float,
            "X",
            "stop at X US dollars (instead of budgets.max_cost_usd)",
        ),
        ("--max-wall-s", float, "S", "stop after S seconds (instead of budgets.max_wall_s)"),
    ):
        parser.add_argument(flag, type=kind, metavar=metavar, help=words)
    answers = parser.add_mutually_exclusive_group()
    answers.add_argument(
        "--yes",
        action="store_true",
        help="approve calls of the built-in tools, except changes of AGENTS.md and its like; not in profile prod",
    )
    answers.add_argument("--deny-all", action="store_true", help="deny every call that needs approval")
    _add_gateway(parser)


def _add_server(parser: Parser) -> None:
    parser.add_argument(
        "--server", metavar="URL", help="have a run service do it (`lg-orch serve`); set its token in LG_SERVER_TOKEN"
    )


def _cancel(parser: Parser) -> None:
    _optional_run(parser)
    parser.add_argument(
        "--server", metavar="URL", required=True, help="the run service; set its token in LG_SERVER_TOKEN"
    )


def _serve(parser: Parser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help="port to listen on (default: the system chooses one)"
    )
    parser.add_argument("--no-worker", action="store_true", help="only serve the API; `lg-orch worker` drives the runs")
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="the language model of runs that name none")
    _add_gateway(parser)


def _worker(parser: Parser) -> None:
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="the language model of runs that name none")
    _add_gateway(parser)


def _tokens_create(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="who it is for; runs and journals show it")
    parser.add_argument(
        "--role", choices=("viewer", "approver", "operator"), default="viewer", help="what it may do (default: viewer)"
    )
    parser.add_argument("--days", type=positive, default=90, metavar="N", help="days that it is valid (default: 90)")


def _tokens_revoke(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", help="a token's id, or a name for all tokens of it")


def _add_gateway(parser: Parser) -> None:
    parser.add_argument("--gateway", metavar="URL", help="use a running gateway; set its token in LG_GATEWAY_TOKEN")


COMMANDS = (
    Command(
        name="chat",
        help="work in a conversation, at a terminal; `lg-orch` alone does the same",
        run="lg_orch.commands.chat.command:command",
        flags=_chat,
        example="chat --continue",
        starts_servers=True,
    ),
    Command(
        name="run",
        help="work on one request",
        run="lg_orch.commands.run:command",
        flags=_run,
        example='run "summarize repo"',
        epilog=EXITS,
        starts_servers=True,
    ),
    Command(
        name="resume",
        help="resume a waiting, interrupted or killed run",
        run="lg_orch.commands.resume:command",
        flags=_resume,
        example="resume --approve",
        epilog=EXITS,
        starts_servers=True,
    ),
    Command(
        name="approvals",
        help="list the runs that wait for you and what they ask",
        run="lg_orch.commands.approvals:command",
        flags=_json_lines,
        example="approvals",
    ),
    Command(
        name="runs",
        help="list, show or remove past runs",
        default="list",
        actions=(
            Command(
                name="list",
                help="list the newest runs of this repository",
                run="lg_orch.commands.runs:command",
                flags=_runs_list,
                example="runs list --limit 5",
            ),
            Command(
                name="show",
                help="show the steps and the report of a run, or its diff",
                run="lg_orch.commands.runs:command",
                flags=_runs_show,
                example="runs show last --diff",
            ),
            Command(
                name="prune",
                help="remove old runs",
                run="lg_orch.commands.runs:command",
                flags=_runs_prune,
                example="runs prune --older-than 30d --dry-run",
            ),
        ),
    ),
    Command(
        name="replay",
        help="replay a run from its journal, without a model or tools",
        run="lg_orch.commands.replay:command",
        flags=_replay,
        example="replay last",
        epilog=EXITS,
    ),
    Command(
        name="fork",
        help="start a new run from a step of an earlier run",
        run="lg_orch.commands.fork:command",
        flags=_fork,
        example='fork last --at 6 --say "use a dict"',
        epilog=EXITS,
        starts_servers=True,
    ),
    Command(
        name="undo",
        help="revert what a run's patches changed",
        run="lg_orch.commands.undo:command",
        flags=_undo,
        example="undo last",
        epilog=EXITS,
        starts_servers=True,
    ),
    Command(
        name="export-graph",
        help="print the graph as Mermaid",
        run="lg_orch.commands.export_graph:command",
        example="export-graph > graph.mmd",
    ),
    Command(
        name="doctor",
        help="check settings, models and gateway",
        run="lg_orch.commands.doctor:command",
        flags=_add_gateway,
        example="doctor",
    ),
    *SETUP_COMMANDS,
    Command(
        name="cancel",
        help="end a run of a run service",
        run="lg_orch.commands.remote:command",
        flags=_cancel,
        example="cancel last --server http://127.0.0.1:8750",
    ),
    Command(
        name="serve",
        help="serve runs over HTTP, and drive them",
        run="lg_orch.commands.serve:command",
        flags=_serve,
        example="serve --port 8750",
        starts_servers=True,
    ),
    Command(
        name="worker",
        help="drive runs of `serve`, on this machine or another one",
        run="lg_orch.commands.worker:command",
        flags=_worker,
        example="worker --config team.toml",
        starts_servers=True,
    ),
    Command(
        name="tokens",
        help="make, list and revoke tokens of the run API",
        default="list",
        actions=(
            Command(
                name="create",
                help="make a token and print it once",
                run="lg_orch.commands.tokens:command",
                flags=_tokens_create,
                example="tokens create ann --role approver",
            ),
            Command(
                name="list",
                help="list the tokens",
                run="lg_orch.commands.tokens:command",
                flags=_json_lines,
                example="tokens list",
            ),
            Command(
                name="revoke",
                help="end a token",
                run="lg_orch.commands.tokens:command",
                flags=_tokens_revoke,
                example="tokens revoke ann",
            ),
        ),
    ),
    SCHEDULES,
    Command(
        name="trust",
        help="accept the repository's .lg.toml as it is now",
        run="lg_orch.commands.trust:command",
        flags=_trust,
        example="trust --show",
    ),
)
