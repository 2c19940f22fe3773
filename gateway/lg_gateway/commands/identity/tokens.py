"""`lg-gateway tokens`: make, list and revoke the tokens of callers over HTTP. Starts no server."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import UTC, datetime

from lg_gateway.commands.terminal.output import complain, fail, print_json, say, say_whole, word
from lg_gateway.identity.tokens import Token
from lg_gateway.serving.setup import locate, user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, LgError, UsageError

DAY_S = 86400.0
MAX_DAYS = 3660


def run(args: argparse.Namespace) -> int:
    """`lg-gateway tokens ACTION`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json, existing=args.action != "create")
    try:
        access = StoreAccess(located)
        try:
            status = _ACTIONS[args.action](access, args)
            if args.action == "create":
                complain(f"it is valid for gateways whose state is in {word(located.state.path)}")
            return status
        finally:
            access.close()
    except ConfigError:
        raise
    except (StoreError, LgError) as error:
        fail(error)
        return 1


def _create(access: StoreAccess, args: argparse.Namespace) -> int:
    name = _named(args, "the caller's name, for instance ci")
    if not 0 < args.days <= MAX_DAYS:
        raise UsageError(f"--days {args.days:g} must be more than 0 and at most {MAX_DAYS}")
    now = time.time()
    token, text = access.write(
        lambda tx: access.tokens.create(
            tx,
            name,
            role=args.role,
            scopes=tuple(dict.fromkeys(args.scope)),
            lifetime_s=args.days * DAY_S,
            now=now,
            by=f"local:{user_name()}",
        )
    )
    say_whole(text)
    complain(f"{token.id}: a token for {token.identity} until {_day(token.expires)}; it is not shown again")
    if args.role == "client":
        complain("put it into LG_GATEWAY_TOKEN, or send it as `Authorization: Bearer …`")
    else:
        complain("put it into LG_OPERATOR_TOKEN where an operator runs `lg-gateway approvals`, never into a client")
    return 0


def _list(access: StoreAccess, args: argparse.Namespace) -> int:
    now = time.time()
    found = [token for token in access.read(access.tokens.all) if args.all or token.state(now) == "active"]
    for token in found:
        if args.json:
            print_json(_shown(token, now), sort_keys=True)
        else:
            scopes = f"  scopes {' '.join(token.scopes)}" if token.scopes else ""
            say(f"{token.id}  {token.state(now):<8} {token.identity:<30} until {_day(token.expires)}{scopes}")
    if not found and not args.json:
        complain("no token; make one with `lg-gateway tokens create NAME`")
    return 0


def _revoke(access: StoreAccess, args: argparse.Namespace) -> int:
    named = _named(args, "a token's id, or the name of its caller")
    now, by = time.time(), f"local:{user_name()}"
    for token in access.write(lambda tx: access.tokens.revoke(tx, named, now=now, by=by)):
        complain(f"{token.id} for {token.identity} revoked")
    return 0


def _named(args: argparse.Namespace, what: str) -> str:
    if not args.name:
        raise UsageError(f"tokens {args.action} needs {what}")
    return str(args.name)


def _shown(token: Token, now: float) -> dict[str, object]:
    return {
        "id": token.id,
        "identity": token.identity,
        "role": token.role,
        "scopes": list(token.scopes),
        "created": _day(token.created),
        "expires": _day(token.expires),
        "state": token.state(now),
    }


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_ACTIONS: dict[str, Callable[[StoreAccess, argparse.Namespace], int]] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
}
