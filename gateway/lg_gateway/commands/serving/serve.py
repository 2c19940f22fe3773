"""`lg-gateway serve`: serve clients on stdio or over HTTP."""

from __future__ import annotations

import argparse
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from lg_gateway.commands.serving.ending import ending_in_order
from lg_gateway.commands.terminal.output import complain, word
from lg_gateway.serving.logs import tell_start
from lg_gateway.serving.running import prepare_from, running_gateway, settings_from
from lg_policy.config.flags import ServeFlags, serve_flags, tell_terminal
from lg_policy.errors import ConfigError
from lg_policy.wire.standard_streams import check_standard_streams

if TYPE_CHECKING:
    import socket

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from lg_gateway.identity.authentication import Authentication
    from lg_gateway.serving.gateway import Gateway
    from lg_gateway.serving.setup import GatewaySetup
    from lg_gateway.serving.worker import WorkerPlace
    from lg_policy.config.observing import LogSettings

MAX_WORKERS = 64


def run(args: argparse.Namespace) -> int:
    """`lg-gateway serve`."""
    from lg_gateway.serving.worker import WorkerPlace

    if serve_flags(args).transport == "stdio":
        check_standard_streams()
    place = WorkerPlace.of_this_process()
    setup = prepare_from(args, workers=place.count if place is not None else 1)
    flags = serve_flags(args)
    tell_terminal("lg-gateway", flags, "`lg-gateway tools`, `lg-gateway doctor` or `lg-gateway --help`")
    login = setup.settings.gateway.http.login == "required" and not args.no_login
    if flags.transport == "http":
        from lg_gateway.serving.start_check import check_login

        check_login(setup, flags.host, login=login)
        if not login and place is None:
            told = f"no login: every program on this machine can call tools as {word(setup.identity)}"
            tell_start(told, setup.settings.log)
    if args.console and (flags.transport != "http" or args.workers != 1 or place is not None):
        raise ConfigError(
            "--console needs --transport http, and one worker", hint="add --transport http, and leave --workers out"
        )
    if args.workers != 1 and place is None:
        return _with_workers(args.workers, flags, setup.settings.log, login=login)

    with ending_in_order(setup.settings.gateway.tracing.otlp_endpoint is not None):
        anyio.run(_serve, args, setup, flags, place, login)
    return 0


async def _serve(
    args: argparse.Namespace, setup: GatewaySetup, flags: ServeFlags, place: WorkerPlace | None, login: bool
) -> None:
    """Serve until the client, or a signal, ends it."""
    async with running_gateway(setup) as gateway:
        from lg_gateway.commands.serving.watching import Watching
        from lg_gateway.serving.health import health_routes
        from lg_gateway.serving.reload import Reloader
        from lg_gateway.serving.server import Frontend
        from lg_policy.wire.serving import serve_here

        reloader = Reloader(gateway, lambda: settings_from(args))
        gateway.start_soon(reloader.run)
        await reloader.listens.wait()
        watching = Watching(gateway, flags, place, args.config)
        gateway.start_soon(watching.run)
        front = _front(gateway, flags, login=login)
        frontend = Frontend(
            gateway,
            identify=front.identify,
            standing=front.standing,
            subject=front.subject,
            session=gateway.session if flags.transport == "stdio" else "",
        )
        sockets = place.sockets() if place is not None else []
        if not sockets and not args.console and flags.transport == "http":
            sockets = [_listening(gateway, flags, authenticated=front.authenticated)[0]]

        def close() -> None:
            console.close()
            frontend.listen.close()

        async with _console(gateway, flags, wanted=args.console, authenticated=front.authenticated) as console:
            await serve_here(
                frontend.build(),
                flags,
                routes=[*health_routes(gateway), *watching.routes(), *console.routes],
                on_exit=close,
                authenticated=front.authenticated,
                middleware=front.middleware,
                sockets=[*sockets, *console.sockets],
                outermost=lambda app: _before_login(app, gateway, place),
                listed_from=lambda: (gateway.catalog.entries(), gateway.policy),
                **front.app_options,
            )


@dataclass(frozen=True, kw_only=True)
class _ServedBeside:
    """What is served beside `/mcp`, on which sockets, and what ends it; nothing where the console is off."""

    routes: Sequence[BaseRoute] = ()
    sockets: Sequence[socket.socket] = ()
    close: Callable[[], None] = lambda: None


@asynccontextmanager
async def _console(
    gateway: Gateway, flags: ServeFlags, *, wanted: bool, authenticated: bool
) -> AsyncIterator[_ServedBeside]:
    """Open the console for as long as the block lasts, and show the link that logs in, at a terminal only."""
    if not wanted:
        yield _ServedBeside()
        return
    from lg_gateway.console.address import address_known
    from lg_gateway.console.mounting import mounted

    listener, address = _listening(gateway, flags, authenticated=authenticated)
    found = mounted(gateway)
    with address_known(gateway.setup.state.path, address):
        if sys.stderr.isatty():
            complain(f"console, open within a minute: {await found.console.link(address)}")
        else:
            complain(f"console: {address}/ (`lg-gateway console` shows a link that logs you in)")
        yield _ServedBeside(routes=found.routes, sockets=[listener], close=found.console.streams.close)


def _listening(gateway: Gateway, flags: ServeFlags, *, authenticated: bool) -> tuple[socket.socket, str]:
    """Listen, and tell the address, which is returned beside the socket."""
    from lg_policy.wire.serving import listen, shown_address

    listener = listen(flags, authenticated=authenticated)
    address = shown_address(flags.host, listener)
    tell_start(f"listening on {address}/mcp", gateway.setup.settings.log)
    return listener, address


def _before_login(app: ASGIApp, gateway: Gateway, place: WorkerPlace | None) -> ASGIApp:
    """Return what gets each request over HTTP first."""
    from lg_gateway.observability.store_gate import StoreGate

    gate = StoreGate(app, gateway.store_health, gateway.counts)
    return place.routing(gate) if place is not None else gate


def _with_workers(count: int, flags: ServeFlags, log: LogSettings, *, login: bool) -> int:
    from lg_gateway.serving.workers import Workers

    if flags.transport != "http" or not 1 <= count <= MAX_WORKERS or sys.platform == "win32":
        raise ConfigError(
            f"--workers {count} cannot be served",
            hint=f"1 to {MAX_WORKERS} workers, with --transport http, and not on Windows",
        )
    return anyio.run(Workers(flags, count, log, authenticated=login).run)


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
