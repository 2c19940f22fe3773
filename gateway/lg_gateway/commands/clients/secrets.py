"""`lg-gateway secrets`: what servers need and no file should hold, kept in the system's keyring."""

from __future__ import annotations

import argparse
import os
import sys

from lg_gateway.clients.secret_store import VALUE_CHARACTERS, SecretStore
from lg_gateway.commands.terminal.output import complain, say, word
from lg_policy.errors import ConfigError


def run(args: argparse.Namespace) -> int:
    """`lg-gateway secrets ACTION`."""
    store = SecretStore()
    if args.action == "list":
        names = store.names(os.environ)
        for name in names:
            say(word(name))
        if not names:
            complain("no secret is kept; `lg-gateway secrets set NAME` keeps one")
        return 0
    if not args.name:
        raise ConfigError(f"secrets {args.action} needs a name", hint="`lg-gateway secrets list` shows them")
    if args.action == "set":
        say(f"kept in {word(store.put(args.name, _value(args.name), os.environ))}")
        return 0
    if not store.remove(args.name, os.environ):
        complain(f"there is no secret {word(args.name)}")
        return 1
    return 0


def _value(name: str) -> str:
    """Return what a person types, unseen, or what another program writes."""
    if sys.stdin.isatty():
        import getpass

        return getpass.getpass(f"{word(name)} (not shown): ").strip()
    return sys.stdin.read(VALUE_CHARACTERS + 2).strip()
