"""`lg-gateway import FILE`: take over the servers of a client's file into the user's settings file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from lg_gateway.clients.import_plan import ImportPlan, import_plan
from lg_gateway.clients.installing.entries import ROWS
from lg_gateway.clients.reading import read_client_file
from lg_gateway.clients.recognition import CLIENTS
from lg_gateway.clients.settings_file import reserved_names
from lg_gateway.clients.values import Values
from lg_gateway.commands.clients.import_report import report
from lg_gateway.commands.terminal.output import complain, fail, say, word
from lg_gateway.confinement.proposals import with_proposed_sandbox
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError
from lg_policy.state import config_home


def run(args: argparse.Namespace) -> int:
    """`lg-gateway import FILE`."""
    root = args.root.absolute() if args.root is not None else None
    path = settings_path(args, os.environ)
    if (name := str(args.file)) in ROWS and not args.file.exists():
        hint = f"give the path of its file; `lg-gateway install {name} --move` finds the file itself"
        raise ConfigError(f"{name} is a client, not a file", hint=hint)
    found = read_client_file(args.file, client=args.source or "", root=root, reserved=reserved_names(path))
    values = Values(environ=os.environ, root=root)
    confine = with_proposed_sandbox if args.sandbox else lambda settings: settings
    plan = import_plan(found, path, values, replace=args.replace, confine=confine)
    title = CLIENTS[found.client].title if found.client in CLIENTS else "a client that is not known; see --from"
    say(f"{word(args.file)}: {title}")
    report(plan, sandbox_option=True)
    if not plan.entries:
        complain("nothing can be imported" if plan.left_out else "the file names no server")
        return 1 if plan.left_out else 0
    if not plan.edit.added:
        say(f"nothing to change in {word(plan.edit.path)}")
    elif args.dry_run:
        say(f"--dry-run: {word(plan.edit.path)} was not changed")
        return 0
    elif not args.yes and sys.stdin.isatty() and not agreed(f"Write this to {word(plan.edit.path)}?"):
        say("nothing was changed")
        return 1
    else:
        plan.edit.write()
        say(f"written to {word(plan.edit.path)}")
    return 0 if args.dry_run else ask_for(plan, values)


def settings_path(args: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    """Return the settings file that servers are written into: the one that is named, or else the user's own."""
    return common_flags(args).config or config_home(environ) / "config.toml"


def agreed(question: str) -> bool:
    """Ask for a yes on the terminal."""
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def ask_for(plan: ImportPlan, values: Values) -> int:
    """Ask a person at the terminal for the secrets that are missing; elsewhere name the command that takes them."""
    import getpass

    for name in plan.asked:
        described = plan.found.inputs.get(name, name)
        if not sys.stdin.isatty():
            complain(f"a server needs {word(described)}: run `lg-gateway secrets set {word(name)}`")
            continue
        value = getpass.getpass(f"{word(described)} (not shown; empty to give it later): ").strip()
        if not value:
            complain(f"give it later: `lg-gateway secrets set {word(name)}`")
            continue
        try:
            say(f"kept in {word(values.secrets.put(name, value, values.environ))}")
        except ConfigError as error:
            fail(error)
            return 1
    return 0
