"""`lg-orch`. Only light modules are imported here; commands import the rest."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.errors import EXTRA_MODULES
from lg_policy.config.flags import add_common_flags
from lg_policy.errors import ConfigError, LgError
from lg_policy.install_hints import extra_command
from lg_policy.printing import exit_text
from lg_policy.version import __version__
from lg_policy.wire.standard_streams import flush_output

if TYPE_CHECKING:
    from collections.abc import Sequence

STARTS_GATEWAY = frozenset({"run", "resume", "fork", "undo"})
"""Commands that start a gateway, which may fork for it: before they read any setting."""
RUN_ID_HELP = "a run's id, its beginning, or `last` for the newest run"
OPTIONAL_RUN_ID_HELP = f"{RUN_ID_HELP}, which is also the default"
DESCRIPTION = "Answer questions about a repository and change its files. Every tool comes through the gateway."
EXITS = (
    "exit status: 0 done, 1 finished but failed, 2 bad usage or configuration, 3 waiting for a human, "
    "4 done but nothing could check it, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    args = build_parser().parse_args(argv)
    if argv is None and args.command in STARTS_GATEWAY and not args.gateway:
        from lg_policy.prefork.start import clean_start

        clean_start("lg_orch")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks must not take away the report of a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return _run(args)
    except LgError as error:
        print(f"lg-orch: {exit_text(error)}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_MODULES:
            raise
        print(f"lg-orch: {args.command} needs {error.name}\n  {extra_command('orch')}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1  # the reader of standard output has left
    except KeyboardInterrupt:
        return 130
    finally:
        flush_output()


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(prog="lg-orch", description=DESCRIPTION, epilog=EXITS)
    parser.add_argument("--version", action="version", version=f"lg-orch {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="work on one request", epilog=EXITS)
    run.add_argument("request", nargs="+", metavar="REQUEST", help='for example "summarize repo"')
    _add_driving(run)
    _add_resume(commands.add_parser("resume", help="resume a waiting, interrupted or killed run", epilog=EXITS))
    approvals = commands.add_parser("approvals", help="list the runs that wait for you and what they ask")
    approvals.add_argument("--json", action="store_true", help="print one JSON object per line")
    _add_past(commands)
    commands.add_parser("export-graph", help="print the graph as Mermaid")
    doctor = commands.add_parser("doctor", help="check settings, models and gateway")
    _add_gateway(doctor)
    trust = commands.add_parser("trust", help="accept the repository's .lg.toml as it is now")
    trust.add_argument(
        "--guide", action="store_true", help="accept its AGENTS.md instead, so that language models see it"
    )
    trust.add_argument("--forget", action="store_true", help="stop trusting it")
    trust.add_argument("--show", action="store_true", help="only show whether it is trusted")
    for command in commands.choices.values():
        add_common_flags(
            command, root_flag="--repo-root", root_default="LG_REPO_ROOT, the git top level, the current directory"
        )
    return parser


def _add_resume(resume: argparse.ArgumentParser) -> None:
    resume.add_argument("run_id", nargs="?", metavar="RUN_ID", help=OPTIONAL_RUN_ID_HELP)
    answer = resume.add_mutually_exclusive_group()
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
    outcome = resume.add_mutually_exclusive_group()
    for flag, words in (
        ("--done", "the call whose outcome is unknown did happen"),
        ("--not-done", "it did not happen; make it again, as a new call"),
        ("--stop", "end the run"),
    ):
        value = flag[2:].replace("-", "_")
        outcome.add_argument(flag, dest="outcome", action="store_const", const=value, help=words)
    resume.add_argument(
        "--for-run", action="store_true", help="with --approve: approve this tool for the rest of the run"
    )
    resume.add_argument("--reason", metavar="TEXT", help="with --deny: tell the run why")
    resume.add_argument("--say", metavar="TEXT", help="add guidance for the run; denies a call that waits for approval")
    _add_driving(resume)


def _add_past(commands: Any) -> None:
    """What can be done with runs of the past."""
    runs = commands.add_parser("runs", help="list, show or remove past runs")
    runs.add_argument(
        "action", nargs="?", choices=("list", "show", "prune"), default="list", help="what to do (default: list)"
    )
    runs.add_argument("run_id", nargs="?", metavar="RUN_ID", help=f"for show: {OPTIONAL_RUN_ID_HELP}")
    runs.add_argument(
        "--limit", type=_positive, default=20, metavar="N", help="list: show the newest N runs (default: 20)"
    )
    runs.add_argument(
        "--all", action="store_true", help="list: runs of every repository; prune: also runs that can be resumed"
    )
    runs.add_argument("--diff", action="store_true", help="show: what the run changed, as a diff, instead of its steps")
    runs.add_argument(
        "--older-than",
        metavar="AGE",
        help="prune: remove runs older than AGE, such as 12h or 30d (default: store.runs_ttl)",
    )
    runs.add_argument("--dry-run", action="store_true", help="prune: only list what would be removed")
    runs.add_argument("--json", action="store_true", help="list: one JSON object per line; show: the trace as JSON")
    replay = commands.add_parser("replay", help="replay a run from its journal, without a model or tools", epilog=EXITS)
    replay.add_argument("run_id", nargs="?", metavar="RUN_ID", help=OPTIONAL_RUN_ID_HELP)
    replay.add_argument("--json", action="store_true", help="print what the run printed with --json")
    fork = commands.add_parser("fork", help="start a new run from a step of an earlier run", epilog=EXITS)
    fork.add_argument("run_id", metavar="RUN_ID", help=RUN_ID_HELP)
    fork.add_argument(
        "--at", type=int, required=True, metavar="STEP", help="number of the step, as `runs show` prints it"
    )
    fork.add_argument("--say", metavar="TEXT", help="add guidance for the new run")
    _add_driving(fork)
    undo = commands.add_parser("undo", help="revert what a run's patches changed", epilog=EXITS)
    undo.add_argument("run_id", nargs="?", metavar="RUN_ID", help=OPTIONAL_RUN_ID_HELP)
    undo.add_argument("--to", type=int, metavar="STEP", help="revert only what changed after that step")
    undo.add_argument("--yes", action="store_true", help="revert without asking")
    _add_gateway(undo)


def _positive(text: str) -> int:
    """A number from 1 on, for argparse."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _add_driving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", metavar="PROVIDER:NAME", help="use this language model for all roles (or set LG_MODEL)"
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
            "stop at X US dollars (instead of budgets.max_cost_usd); needs [models.prices]",
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
    parser.add_argument(
        "--json", action="store_true", help="print events as JSON lines to stderr and the result as JSON to stdout"
    )
    _add_gateway(parser)


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateway", metavar="URL", help="use a running gateway; set its token in LG_GATEWAY_TOKEN")


def _run(args: argparse.Namespace) -> int:
    from importlib import import_module

    module = import_module(f"lg_orch.commands.{args.command.replace('-', '_')}")
    status: int = module.command(args)
    return status
