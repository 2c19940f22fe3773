"""The command-line flags that all programs share. Standard library only: `--help` must stay instant."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lg_policy.version import __version__

PROFILES = ("dev", "stage", "prod")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, kw_only=True)
class CommonFlags:
    """Where to work and which configuration to use. `None` means "not given on the command line"."""

    root: Path | None
    config: Path | None
    profile: str | None
    state_dir: Path | None
    effective_config: Path | None
    allow_broad_root: bool
    log_level: str
    tools: str | None = None
    """The profile of tools for every caller, of a gateway."""


@dataclass(frozen=True, kw_only=True)
class ServeFlags:
    """How clients reach a server. With `port` 0 the system chooses a port, which is printed to stderr."""

    transport: str
    host: str
    port: int


def add_common_flags(
    parser: argparse._ActionsContainer, *, root_flag: str | None = "--root", root_default: str = "the current directory"
) -> None:
    """Add `--root --config --profile --state-dir --allow-broad-root --log-level --version`.

    Without a `root_flag` the program has its own option for roots, and `CommonFlags.root` stays `None`.
    """
    if root_flag is None:
        parser.set_defaults(root=None)
    else:
        parser.add_argument(
            *dict.fromkeys(("--root", root_flag)),  # --root means the same in every program of ours
            dest="root",
            type=Path,
            metavar="DIR",
            help=f"work only below this directory (default: {root_default})",
        )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings file (TOML); overrides your own settings file. Also LG_CONFIG",
    )
    parser.add_argument("--profile", choices=PROFILES, help="settings profile (default: dev). Also LG_PROFILE")
    parser.add_argument(
        "--state-dir", type=Path, metavar="DIR", help="directory for ledger, journals and logs. Also LG_STATE_DIR"
    )
    parser.add_argument("--allow-broad-root", action="store_true", help="allow / or a home directory as root")
    parser.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default="warning",
        help="lowest level of messages on stderr (default: warning)",
    )
    parser.add_argument("--effective-config", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")


def add_serve_flags(parser: argparse._ActionsContainer) -> None:
    """Add `--transport --host --port`."""
    parser.add_argument(
        "--transport", choices=("stdio", "http"), default="stdio", help="how clients connect (default: stdio)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on with --transport http (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--port",
        type=int,
        default=0,
        metavar="N",
        help="port to listen on with --transport http (default: the system chooses one)",
    )


def common_flags(args: argparse.Namespace) -> CommonFlags:
    """Read the flags of `add_common_flags`. `LG_CONFIG`, `LG_PROFILE` and `LG_STATE_DIR` are the fallbacks.

    A profile from the environment is checked later, with the settings.
    """
    return CommonFlags(
        root=args.root,
        config=args.config or _path_from("LG_CONFIG"),
        profile=args.profile or os.environ.get("LG_PROFILE") or None,
        state_dir=args.state_dir or _path_from("LG_STATE_DIR"),
        effective_config=args.effective_config,
        allow_broad_root=args.allow_broad_root,
        log_level=args.log_level,
        tools=getattr(args, "tools", None),
    )


def serve_flags(args: argparse.Namespace) -> ServeFlags:
    """Read the flags of `add_serve_flags`."""
    return ServeFlags(transport=args.transport, host=args.host, port=args.port)


def typed_alone(argv: Sequence[str] | None) -> bool:
    """Tell whether a person typed a program's bare name at a terminal, where no client can speak to it."""
    given = sys.argv[1:] if argv is None else argv
    return not given and sys.stdin is not None and sys.stdin.isatty()


def tell_terminal(program: str, flags: ServeFlags, instead: str) -> None:
    """Say on stderr what a program waits for, when a person typed its name: on a terminal no client can speak to it.

    `instead`: what to type for a look at it.
    """
    if flags.transport == "stdio" and sys.stdin is not None and sys.stdin.isatty():
        print(
            f"{program}: serving MCP on standard input and output, and waiting for a client.\n"
            f"  An MCP client starts this program itself: name it in the client's settings (docs/clients.md).\n"
            f"  Here, at a terminal, type {instead}. Ctrl-C ends this.",
            file=sys.stderr,
            flush=True,
        )


def _path_from(name: str) -> Path | None:
    value = os.environ.get(name)
    return Path(value) if value else None
