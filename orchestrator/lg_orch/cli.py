"""`lg-orch`. Only light modules are imported here; commands import the rest."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

from lg_orch.commands.flags import COMMANDS as DECLARED
from lg_orch.commands.flags import EXITS
from lg_orch.contracts.errors import EXTRA_MODULES
from lg_policy.command_line.commands import CommandSet
from lg_policy.command_line.completion import completion_command
from lg_policy.command_line.reading import read_command_line, tell_actions
from lg_policy.config.flags import add_common_flags
from lg_policy.errors import ConfigError, LgError
from lg_policy.install_hints import extra_command
from lg_policy.printing import exit_text, system_error_text
from lg_policy.version import __version__
from lg_policy.wire.standard_streams import fill_closed_streams, flush_output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

DESCRIPTION = "Answer questions about a repository and change its files. Every tool comes through the gateway."


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    command = ""
    fill_closed_streams()
    try:
        typed = sys.argv[1:] if argv is None else argv
        # On a terminal the program alone opens a conversation; anywhere else it says what can be typed.
        args = arguments(typed or (["chat"] if _attended() else []))
        command = args.command
        return _run(args, forking=argv is None)
    except LgError as error:
        print(f"lg-orch: {exit_text(error)}", file=sys.stderr)
        return 2 if isinstance(error, ConfigError) else 1
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in EXTRA_MODULES:
            raise
        print(f"lg-orch: {command} needs {error.name}\n  {extra_command('orch')}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 1  # the reader of standard output has left
    except OSError as error:
        print(f"lg-orch: {system_error_text(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        flush_output()


def _attended() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Return what was typed after the program's name, parsed. Raises `UsageError`."""
    return read_command_line(COMMANDS, argv)


def _shared(parser: argparse._ActionsContainer) -> None:
    add_common_flags(
        parser, root_flag="--repo-root", root_default="LG_REPO_ROOT, the git top level, the current directory"
    )


COMMANDS = CommandSet(
    program="lg-orch",
    version=__version__,
    description=DESCRIPTION,
    epilog=f"`lg-orch COMMAND --help` shows the options of a command and an example.\n\n{EXITS}",
    commands=(*DECLARED, completion_command()),
    shared=_shared,
    unknown='`lg-orch run "REQUEST"` works on a request, `lg-orch --help` lists the commands',
)


def _run(args: argparse.Namespace, *, forking: bool) -> int:
    if getattr(args, "server", None):
        from lg_orch.commands.remote import command

        return command(args)
    if forking and args.chosen.starts_servers and not args.gateway:
        from lg_policy.prefork.start import clean_start

        clean_start("lg_orch")
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A character that the terminal's encoding lacks must not take away the report of a run.
        sys.stdout.reconfigure(errors="backslashreplace")
    status: int = args.chosen.code()(args)
    tell_actions(COMMANDS, args)
    return status
