"""Run a low-level MCP server over stdio or Streamable HTTP, and end it cleanly."""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.lowlevel.server import Server

from lg_policy.config.flags import ServeFlags
from lg_policy.config.http import is_loopback
from lg_policy.errors import ConfigError
from lg_policy.wire.direct_requests import DirectRequests
from lg_policy.wire.plain_calls import ListedFrom
from lg_policy.wire.standard_streams import check_standard_streams
from lg_policy.wire.stdio import stdio_streams

if TYPE_CHECKING:
    from types import FrameType

    from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend
    from starlette.middleware import Middleware
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

SHUTDOWN_S = 5
"""Seconds that calls in flight get to finish after SIGTERM."""


def start_logging(level: str) -> None:
    """Send log records of `level` and above to stderr; stdout belongs to the protocol."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )


def serve(
    server: Server[Any],
    flags: ServeFlags,
    *,
    routes: Sequence[BaseRoute] = (),
    on_exit: Callable[[], None] | None = None,
    authenticated: bool = False,
    **app_options: Any,
) -> int:
    """Serve until the client leaves (stdio) or a signal arrives (HTTP); return the exit status.

    `routes` are served beside `/mcp`; `on_exit` is called as soon as a signal arrives, before connections are drained;
    `app_options` go to `streamable_http_app`. Without `authenticated` only loopback addresses are served: raises
    `ConfigError` for others, and for an address that is taken.
    """
    anyio.run(
        partial(
            serve_here,
            server,
            flags,
            routes=routes,
            on_exit=on_exit,
            authenticated=authenticated,
            listed_from=tuple,  # our own servers' tools stay the same
            **app_options,
        )
    )
    return 0


async def serve_here(
    server: Server[Any],
    flags: ServeFlags,
    *,
    routes: Sequence[BaseRoute] = (),
    on_exit: Callable[[], None] | None = None,
    authenticated: bool = False,
    middleware: Sequence[Middleware] = (),
    listed_from: ListedFrom | None = None,
    sockets: Sequence[socket.socket] = (),
    outermost: Callable[[ASGIApp], ASGIApp] | None = None,
    **app_options: Any,
) -> None:
    """Do what `serve` does in a running event loop, for a program that does more than serve.

    `listed_from`: see `ListPages`. `sockets` listen already: whoever opened them checked and showed the address.
    `outermost` gets each request over HTTP before anything else does.
    """
    if flags.transport == "stdio":
        check_standard_streams()
        await _serve_stdio(server, listed_from)
        return
    if not sockets:
        listener = listen(flags, authenticated=authenticated)
        print(f"listening on {shown_address(flags.host, listener)}/mcp", file=sys.stderr, flush=True)
        sockets = [listener]
    await _serve_http(server, sockets, flags.host, routes, on_exit, app_options, middleware, outermost, listed_from)


def shown_address(host: str, listener: socket.socket) -> str:
    """Return the address that a socket listens on, as a browser takes it."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"


async def _serve_stdio(server: Server[Any], listed_from: ListedFrom | None) -> None:
    async with anyio.create_task_group() as group:
        if sys.platform != "win32":  # its event loop takes no signals; the end of input ends the server
            group.start_soon(_cancel_on_signal, group.cancel_scope)
        async with stdio_streams(DirectRequests(server, listed_from)) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        group.cancel_scope.cancel()


async def _cancel_on_signal(scope: anyio.CancelScope) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            scope.cancel()
            return


def listen(flags: ServeFlags, *, authenticated: bool, shared: bool = False) -> socket.socket:
    """Return a listening socket. `shared`: others of this user may listen there too, each for a part of the clients.

    Raises `ConfigError` for an address that may not be served, or is taken.
    """
    if not authenticated and not is_loopback(flags.host):
        raise ConfigError(
            f"--host {flags.host} is reachable from other machines", hint="use 127.0.0.1; callers do not log in here"
        )
    family = socket.AF_INET6 if ":" in flags.host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it sees TCP; otherwise an answer in
    # two writes waits 40 ms for the client's acknowledgement of the first.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if sys.platform == "win32":  # "reuse" would let another program take the port over there
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((flags.host, flags.port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {flags.host} port {flags.port}: {error}", hint="choose another --port"
        ) from error
    return listener


async def _serve_http(
    server: Server[Any],
    sockets: Sequence[socket.socket],
    host: str,
    routes: Sequence[BaseRoute],
    on_exit: Callable[[], None] | None,
    app_options: dict[str, Any],
    middleware: Sequence[Middleware],
    outermost: Callable[[ASGIApp], ASGIApp] | None,
    listed_from: ListedFrom | None,
) -> None:
    import uvicorn
    from mcp.server.transport_security import TransportSecuritySettings
    from starlette.applications import Starlette
    from starlette.middleware.cors import CORSMiddleware
    from starlette.routing import Mount

    from lg_policy.wire.http_front import LOOPBACK_HOSTS, LOOPBACK_ORIGINS, front
    from lg_policy.wire.http_limits import limited_protocol, quiet_logs

    given = app_options.pop("transport_security", None)
    hosts, origins = (given.allowed_hosts, given.allowed_origins) if given else (LOOPBACK_HOSTS, LOOPBACK_ORIGINS)
    # The SDK compares both by prefix; the front compares them whole, and for the routes beside /mcp too.
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    mcp_app = server.streamable_http_app(host=host, transport_security=security, **app_options)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with server.session_manager.run():
            yield

    stack = [*front(hosts, origins, browsers=given is None), *middleware]
    login, scopes = _login(app_options)
    app: ASGIApp = Starlette(routes=[*routes, Mount("/", mcp_app)], lifespan=lifespan, middleware=stack)
    layers: set[object] = {entry.cls for entry in stack}
    try:
        from lg_policy.wire.direct_posts import DirectPosts
    except ImportError as error:  # another version of the SDK, which has other names
        logging.getLogger(__name__).warning("requests are handled the slower way: %s", error)
    else:
        more = [(b"vary", b"Origin")] if CORSMiddleware in layers else []
        app = DirectPosts(app, server, hosts=hosts, login=login, scopes=scopes, more=more, listed_from=listed_from)

    class HttpServer(uvicorn.Server):
        def handle_exit(self, sig: int, frame: FrameType | None) -> None:
            if on_exit is not None:
                on_exit()
            super().handle_exit(sig, frame)

    # h11: with httptools the SDK's header checks miss one conformance case (white space around a header value).
    config = uvicorn.Config(
        app if outermost is None else outermost(app),
        http=limited_protocol(),
        ws="none",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=SHUTDOWN_S,
    )
    quiet_logs()
    await HttpServer(config).serve(sockets=list(sockets))


def _login(options: dict[str, Any]) -> tuple[BearerAuthBackend | None, Sequence[str]]:
    """Return how the SDK's application finds out who sends a request, and the scopes that it asks for."""
    verifier, auth = options.get("token_verifier"), options.get("auth")
    if verifier is None:
        return None, ()
    from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend

    resource = auth.resource_server_url if auth is not None and auth.validate_token_resource else None
    return BearerAuthBackend(verifier, resource_server_url=resource), (auth and auth.required_scopes) or ()
