"""`lg-orch tokens create|list|revoke`: who may use the run API, and as what."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from lg_orch.service.records.token_table import TokenRows

DAY_S = 86_400.0
_TOLD = """\
a token for {name} ({role}), valid for {days:g} days; it is not shown again
put it into LG_SERVER_TOKEN, or send it as `Authorization: Bearer …`"""


def command(args: argparse.Namespace) -> int:
    """Make, list or revoke tokens."""
    from lg_orch.service.assembly import assemble
    from lg_orch.settings.setup import prepare

    args.gateway = None
    parts = assemble(args, prepare(args))
    try:
        if args.action == "create":
            print(parts.tokens.create(args.name, args.role, args.days * DAY_S))
            print(_TOLD.format(name=args.name, role=args.role, days=args.days), file=sys.stderr)
        elif args.action == "revoke":
            for token in parts.tokens.revoke(args.name):
                print(f"revoked {token.id} ({token.name}, {token.role})")
        else:
            _list(parts.tokens, as_json=args.json)
    finally:
        parts.close()
    return 0


def _list(tokens: TokenRows, *, as_json: bool) -> None:
    found, now = tokens.all()
    for token in found:
        until = datetime.fromtimestamp(token.expires, UTC).date().isoformat()
        if as_json:
            row = {"id": token.id, "name": token.name, "role": token.role, "state": token.state(now), "expires": until}
            print(json.dumps(row))
        else:
            print(f"{token.id}  {token.name:<20}  {token.role:<8}  {token.state(now):<7}  until {until}")
    if not found and not as_json:
        print("no tokens yet; `lg-orch tokens create NAME --role viewer` makes one")
