"""Finds the server and the holder that a command is about, and records what was done."""

from __future__ import annotations

import argparse

from lg_gateway.ledger.ledger import LedgerEntry
from lg_gateway.serving.setup import GatewaySetup
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.errors import ConfigError, UnknownName, UsageError

KINDS = ("local:", "token:", "oauth:")


def chosen(setup: GatewaySetup, args: argparse.Namespace) -> tuple[LoginSpec, str]:
    """Return how to log in at the server, and whose login it is. Raises `ConfigError`."""
    found = next((spec for spec in setup.specs if spec.name == args.server), None)
    if found is None:
        with_login = ", ".join(spec.name for spec in setup.specs if spec.login is not None)
        hint = f"servers with a url: {with_login}" if with_login else "the settings name no server with a url"
        raise UnknownName(f"there is no server {args.server}", hint=hint)
    spec = found.login
    if spec is None:
        why = "it is not reached over HTTP" if found.url is None else "its settings hold the whole login"
        if found.url is not None and found.url.startswith("http:") and not found.headers:
            why = "no token may travel to its url: use https"
        raise UsageError(f"nobody logs in at server {found.name}: {why}")
    if spec.grant != "authorization_code":
        raise UsageError(
            f"nobody logs in at server {found.name}: the gateway gets its tokens by itself ({spec.grant})",
            hint="`lg-gateway doctor` says whether that works",
        )
    if args.identity is None:
        return spec, spec.holder(setup.identity)
    if not spec.per_caller:
        raise UsageError(
            f"all callers share one login at server {found.name}",
            hint=f'leave out --identity, or set gateway.servers.{found.name}.login = "per_caller"',
        )
    if not args.identity.startswith(KINDS):
        raise UsageError(f"--identity {args.identity} is no identity: they begin with {', '.join(KINDS)}")
    return spec, str(args.identity)


def record(setup: GatewaySetup, what: str, detail: str, identity: str) -> None:
    """Write a note to the ledger. Raises `ConfigError` where that is not possible."""
    entry = LedgerEntry(phase="note", identity=identity, outcome=what, detail=detail)
    try:
        access = StoreAccess(setup)
        try:
            access.write(lambda tx: access.ledger.append(tx, entry))
        finally:
            access.close()
    except StoreError as error:
        raise ConfigError(f"the ledger cannot be written: {error}") from error
