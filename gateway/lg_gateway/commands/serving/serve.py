"""`lg-gateway serve`: serve clients on stdio or over HTTP."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import anyio

from lg_gateway.commands.terminal.output import complain, word
from lg_gateway.serving.running import prepare_from, running_gateway, settings_from
from lg_policy.config.flags import ServeFlags, serve_flags, tell_terminal
from lg_policy.errors import ConfigError

if TYPE_CHECKING:
    from lg_gateway.identity.authentication import Authentication
    from lg_gateway.serving.gateway import Gateway

MAX_WORKERS = 64


def run(args: argparse.Namespace) -> int:
    """`lg-gateway serve`."""
    from lg_gateway.serving.worker import WorkerPlace

    place = WorkerPlace.of_this_process()
    setup = prepare_from(args, workers=place.count if place is not None else 1)
    flags = serve_flags(args)
    tell_terminal("lg-gateway", flags, "`lg-gateway tools`, `lg-gateway doctor` or `lg-gateway --help`")
    login = setup.settings.gateway.http.login == "required" and not args.no_login
    if flags.transport == "http":
        from lg_gateway.serving.start_check import check_login

        check_login(setup, flags.host, login=login)
        if not login and place is None:
            complain(f"no login: every program on this machine can call tools as {word(setup.identity)}")
    if args.workers != 1 and place is None:
        return _with_workers(args.workers, flags, login=login)

    async def serve() -> None:
        async with running_gateway(setup) as gateway:
            from lg_gateway.serving.health import health_route
            from lg_gateway.serving.reload import Reloader
            from lg_gateway.serving.server import Frontend
            from lg_policy.wire.serving import serve_here

            gateway.start_soon(Reloader(gateway, lambda: settings_from(args)).run)
            front = _front(gateway, flags, login=login)
            frontend = Frontend(
                gateway,
                identify=front.identify,
                standing=front.standing,
                subject=front.subject,
                session=gateway.session if flags.transport == "stdio" else "",
            )
            await serve_here(
                frontend.build(),
                flags,
                routes=[health_route(gateway, front.verify)],
                on_exit=frontend.listen.close,
                authenticated=front.authenticated,
                middleware=front.middleware,
                sockets=place.sockets() if place is not None else (),
                outermost=place.routing if place is not None else None,
                listed_from=lambda: (gateway.catalog.entries(), gateway.policy),
                **front.app_options,
            )

    anyio.run(serve)
    return 0


def _with_workers(count: int, flags: ServeFlags, *, login: bool) -> int:
    from lg_gateway.serving.workers import Workers

    if flags.transport != "http" or not 1 <= count <= MAX_WORKERS or sys.platform == "win32":
        raise ConfigError(
            f"--workers {count} cannot be served",
            hint=f"1 to {MAX_WORKERS} workers, with --transport http, and not on Windows",
        )
    return anyio.run(Workers(flags, count, authenticated=login).run)


def _front(gateway: Gateway, flags: ServeFlags, *, login: bool) -> Authentication:
    """Choose how callers are told apart; `check_login` has looked whether that can be."""
    from lg_gateway.identity.authentication import Verifier, login_authentication, open_authentication

    if flags.transport == "stdio" or not login:
        return open_authentication(gateway.setup.identity)
    settings = gateway.policy.settings.gateway.http
    verifier = None
    if settings.oauth is not None:
        from lg_gateway.identity.jwt import JwtVerifier

        verifier = JwtVerifier(settings.oauth, settings.oauth.audience or str(settings.resource_url))
    return login_authentication(Verifier(gateway.store, gateway.tokens, verifier), settings)
