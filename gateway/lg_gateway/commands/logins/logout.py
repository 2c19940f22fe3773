"""`lg-gateway logout`: forget a login at a server."""

from __future__ import annotations

import argparse

import anyio

from lg_gateway.commands.logins.chosen import chosen, record
from lg_gateway.commands.terminal.output import complain, fail, say, word
from lg_gateway.serving.logs import start_logging
from lg_gateway.serving.setup import prepare, user_name
from lg_policy.config.flags import common_flags


def run(args: argparse.Namespace) -> int:
    """`lg-gateway logout SERVER`."""
    from lg_gateway.upstream_login.login_errors import LoginFailed
    from lg_gateway.upstream_login.login_store import LoginStore, login_id
    from lg_gateway.upstream_login.revocation import log_out

    start_logging(args.log_level)
    setup = prepare(common_flags(args), mcp_json=args.mcp_json)
    spec, holder = chosen(setup, args)
    whose = f"login of {word(holder)}" if holder else "shared login"
    try:
        login, told = anyio.run(log_out, spec, holder, LoginStore(setup.environ))
    except LoginFailed as error:
        fail(error)
        return 1
    if login is None:
        complain(f"there is no {whose} at {word(spec.server)}")
        return 1
    say(f"the {whose} at {word(spec.server)} is forgotten")
    complain(told)
    detail = f"{spec.server}: {holder or 'shared'}, {login_id(spec.url, holder)[:8]}"
    record(setup, "logged out at a server", detail, f"local:{user_name()}")
    return 0
