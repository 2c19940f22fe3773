"""`lg-orch`. Only light modules are imported here; commands import the rest."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from lg_orch.errors import EXTRA_MODULES, INSTALL_HINT
from lg_policy.errors import ConfigError, LgError
from lg_policy.flags import add_common_flags
from lg_policy.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION = "Answer questions about a repository and work on it; every tool comes through the gateway."
EXITS = (
    "exit status: 0 done, 1 finished but failed, 2 bad usage or configuration, 3 waiting for a human, 130 interrupted"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    args = build_parser().parse_args(argv)
    try:
        return _run(args)
    except ConfigError as error:
        print(f"lg-orch: {error.message}" + (f"\n  {error.hint}" if error.hint else ""), file=sys.stderr)
        return 2
    except LgError as error:
        print(f"lg-orch: {error.text()}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_MODULES:
            raise
        print(f"lg-orch: {args.command} needs {error.name}\n  {INSTALL_HINT}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        # The reader of stdout has gone; writing its last buffer at exit would only fail again.
        sys.stdout = None
        return 1
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of every command."""
    parser = argparse.ArgumentParser(prog="lg-orch", description=DESCRIPTION, epilog=EXITS)
    parser.add_argument("--version", action="version", version=f"lg-orch {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    run = commands.add_parser("run", help="work on one request", epilog=EXITS)
    run.add_argument("request", nargs="+", metavar="REQUEST", help='for example "summarize repo"')
    _add_driving(run)
    resume = commands.add_parser("resume", help="go on with a run that waits, was interrupted or killed", epilog=EXITS)
    resume.add_argument("run_id", metavar="RUN_ID")
    answer = resume.add_mutually_exclusive_group()
    answer.add_argument("--approve", action="store_true", help="approve the call that the run waits for")
    answer.add_argument("--deny", action="store_true", help="deny it; the run goes on without it")
    resume.add_argument("--for-run", action="store_true", help="with --approve: this tool for the rest of the run")
    resume.add_argument("--reason", metavar="TEXT", help="with --deny: for the run to read")
    _add_driving(resume)
    commands.add_parser("export-graph", help="print the graph as Mermaid")
    doctor = commands.add_parser("doctor", help="say what works and what does not")
    _add_gateway(doctor)
    trust = commands.add_parser("trust", help="let the repository's .lg.toml count in full, as it is now")
    trust.add_argument("--forget", action="store_true", help="withdraw the trust")
    trust.add_argument("--show", action="store_true", help="only say whether it is trusted")
    runs = commands.add_parser("runs", help="show past runs of this repository")
    runs.add_argument("action", choices=("list", "show"))
    runs.add_argument("run_id", nargs="?", metavar="RUN_ID", help="for show")
    runs.add_argument("--limit", type=int, default=20, metavar="N", help="newest runs to list (default: 20)")
    runs.add_argument("--json", action="store_true", help="list: one object a line; show: the whole trace")
    for command in commands.choices.values():
        add_common_flags(command, root_flag="--repo-root")
    return parser


def _add_driving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="PROVIDER:NAME", help="language model for all roles. Also LG_MODEL")
    parser.add_argument("--trace", action="store_true", help="write artifacts/runs/run-<id>.json below the root")
    answers = parser.add_mutually_exclusive_group()
    answers.add_argument("--yes", action="store_true", help="approve calls of the built-in tools; not in profile prod")
    answers.add_argument("--deny-all", action="store_true", help="deny every call that needs approval")
    parser.add_argument(
        "--json", action="store_true", help="events as JSON lines on stderr, the result as JSON on stdout"
    )
    _add_gateway(parser)


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--gateway", metavar="URL", help="use a running gateway; its token comes from LG_GATEWAY_TOKEN")


def _run(args: argparse.Namespace) -> int:
    from importlib import import_module

    module = import_module(f"lg_orch.commands.{args.command.replace('-', '_')}")
    status: int = module.command(args)
    return status
