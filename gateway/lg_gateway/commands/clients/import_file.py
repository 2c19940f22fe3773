"""`lg-gateway import FILE`: take over the servers of a client's file into the user's settings file."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
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
from lg_gateway.processes.entry_check import check_entry
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
    check = partial(check_entry, root=root, environ=os.environ)

    def planned(*, keep_secrets: bool) -> ImportPlan:
        return import_plan(
            found, path, values, replace=args.replace, keep_secrets=keep_secrets, confine=confine, check=check
        )

    plan = planned(keep_secrets=False)
    title = CLIENTS[found.client].title if found.client in CLIENTS else "a client that is not known; see --from"
    say(f"{word(args.file)}: {title}")
    report(plan, with_sandbox="import it with --sandbox")
    if not plan.entries:
        complain("nothing can be imported" if plan.left_out else "the file names no server")
        return 1 if plan.left_out else 0
    return carry_out(args, plan, lambda: planned(keep_secrets=True), values)


def carry_out(args: argparse.Namespace, plan: ImportPlan, kept_apart: Callable[[], ImportPlan], values: Values) -> int:
    """Write what was shown, after a yes where a person can be asked; return the exit status.

    `kept_apart` returns the same plan with its secrets taken out of the settings.
    """
    if not plan.edit.added and not plan.plain:
        say(f"nothing to change in {word(plan.edit.path)}")
    elif args.dry_run:
        say(f"--dry-run: {word(plan.edit.path)} was not changed")
        return 0
    elif not args.yes and sys.stdin.isatty() and not agreed(f"Write this to {word(plan.edit.path)}?"):
        say("nothing was changed")
        return 1
    else:
        plan = kept_apart() if keeps_secrets(args, [plan]) else plan
        kept = plan.write(values)
        say(f"written to {word(plan.edit.path)}")
        say_kept(plan, kept)
    return 0 if args.dry_run else ask_for(plan, values)


def keeps_secrets(args: argparse.Namespace, plans: Sequence[ImportPlan]) -> bool:
    """Return whether what stands in plain text goes into the secret store. Asks a person at the terminal."""
    count = sum(len(secrets) for plan in plans for secrets in plan.plain.values())
    if args.plain_secrets or not count:
        return False
    if args.yes or not sys.stdin.isatty():
        return True
    what = "1 secret stands" if count == 1 else f"{count} secrets stand"
    say(f"{what} in plain text. The keyring can hold what is secret, or an encrypted file where there is no keyring.")
    return agreed("Keep it there, and only its name in the settings?", default=True)


def say_kept(plan: ImportPlan, where: str) -> None:
    """Say where secrets are now, or that they stand in the settings."""
    if where:
        names = ", ".join(word(secret.name) for secret in plan.kept)
        say(f"kept in {word(where)}: {names} (`lg-gateway secrets list`)")
    elif plan.plain:
        hint = "`lg-gateway secrets set NAME` keeps one; write ${secret:NAME} in its place"
        say(f"secrets stand in plain text in {word(plan.edit.path)}; {hint}")


def settings_path(args: argparse.Namespace, environ: Mapping[str, str]) -> Path:
    """Return the settings file that servers are written into: the one that is named, or else the user's own."""
    return common_flags(args).config or config_home(environ) / "config.toml"


def agreed(question: str, *, default: bool = False) -> bool:
    """Ask for a yes on the terminal. `default` is what Enter alone means."""
    try:
        said = input(f"{question} {'[Y/n]' if default else '[y/N]'} ").strip().lower()
        return said in ("y", "yes") or (default and not said)
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
