"""The commands that need upstream servers: each starts the children first, then imports the MCP SDK, then works."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio

from lg_gateway.children import Reaper
from lg_gateway.logs import mask_logs, start_logging
from lg_gateway.setup import Setup, prepare, start_children
from lg_gateway.store import StoreError
from lg_policy.config.flags import ServeFlags, common_flags, serve_flags
from lg_policy.errors import ConfigError
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    from lg_gateway.front import Front
    from lg_gateway.gateway import Gateway

CALLER = "cli"


@asynccontextmanager
async def running_gateway(setup: Setup) -> AsyncIterator[Gateway]:
    """A gateway with its upstreams, for the length of the block."""
    reaper = Reaper()
    reaper.start()
    started = await start_children(setup, reaper)
    try:
        with quick_imports():
            from lg_gateway.gateway import Gateway

        gateway = Gateway(setup, reaper=reaper, started=started)
    except StoreError as error:
        reaper.close()
        raise ConfigError(str(error)) from error
    except BaseException:
        reaper.close()
        raise
    mask_logs(gateway.masker)
    async with gateway.running():
        yield gateway


def run_serve(args: argparse.Namespace) -> int:
    """`lg-gateway serve`."""
    setup = _prepare(args)
    flags = serve_flags(args)
    login = setup.settings.gateway.http.login == "required" and not args.no_login
    if flags.transport == "http":
        from lg_gateway.login import check_login

        check_login(setup, flags.host, login=login)
        if not login:
            print(f"no login: every program on this machine can call as {setup.identity}", file=sys.stderr)

    async def serve() -> None:
        async with running_gateway(setup) as gateway:
            from lg_gateway.health import health_route
            from lg_gateway.reload import Reloader
            from lg_gateway.server import Frontend
            from lg_policy.wire.serving import serve_here

            gateway.start_soon(Reloader(gateway, lambda: _prepared(args)).run)
            front = _front(gateway, flags, login=login)
            frontend = Frontend(gateway, identify=front.identify, standing=front.standing)
            await serve_here(
                frontend.build(),
                flags,
                routes=[health_route(gateway)],
                on_exit=frontend.listen.close,
                authenticated=front.authenticated,
                middleware=front.middleware,
                **front.app_options,
            )

    anyio.run(serve)
    return 0


def _front(gateway: Gateway, flags: ServeFlags, *, login: bool) -> Front:
    """Choose how callers are told apart; `check_login` has looked whether that can be."""
    from lg_gateway.front import Verifier, login_front, open_front

    if flags.transport == "stdio" or not login:
        return open_front(gateway.setup.identity)
    settings = gateway.policy.settings.gateway.http
    verifier = None
    if settings.oauth is not None:
        from lg_gateway.jwt_login import JwtVerifier

        verifier = JwtVerifier(settings.oauth, settings.oauth.audience or str(settings.resource_url))
    return login_front(Verifier(gateway.store, gateway.tokens, verifier), settings)


def run_tools(args: argparse.Namespace) -> int:
    """`lg-gateway tools`."""
    setup = _prepare(args)

    async def tools() -> int:
        async with running_gateway(setup) as gateway:
            await gateway.settled()
            entries = gateway.pipeline.visible(setup.identity)
            if args.json:
                listed = [entry.listed.model_dump(mode="json", by_alias=True, exclude_none=True) for entry in entries]
                print(json.dumps({"tools": listed}, indent=2))
            else:
                for entry in entries:
                    print(f"{entry.name:<40} {_first_line(entry.listed.description)}")
            return _report_down(gateway)

    return anyio.run(tools)


def run_call(args: argparse.Namespace) -> int:
    """`lg-gateway call TOOL [JSON]`."""
    arguments = _arguments(args.arguments)
    setup = _prepare(args)

    async def call() -> int:
        async with running_gateway(setup) as gateway:
            from mcp.shared.exceptions import MCPError

            from lg_gateway.call import Call
            from lg_gateway.prompt import ask_here

            name = args.tool
            server = gateway.upstreams.get(name.partition("__")[0])
            await (server.settled.wait() if server is not None else gateway.settled())
            human = sys.stdin.isatty() and sys.stderr.isatty()
            request = Call(
                identity=setup.identity,
                client=CALLER,
                name=name,
                arguments=arguments,
                asking="live" if human else "none",
                ask=ask_here if human else None,
                hold_s=0,
            )
            try:
                answer = await gateway.pipeline.run(request)
            except MCPError as error:
                print(f"lg-gateway: {error.message}", file=sys.stderr)
                return 2
            return _print_answer(answer, as_json=args.json)

    return anyio.run(call)


def _prepare(args: argparse.Namespace) -> Setup:
    start_logging(args.log_level)
    return _prepared(args)


def _prepared(args: argparse.Namespace) -> Setup:
    return prepare(common_flags(args), mcp_json=args.mcp_json)


def _arguments(text: str) -> dict[str, Any]:
    if text == "-":
        text = sys.stdin.read()
    try:
        arguments = json.loads(text)
    except ValueError as error:
        raise ConfigError(
            f"the arguments are not JSON: {error}", hint="""for instance '{"path": "README.md"}'"""
        ) from error
    if not isinstance(arguments, dict):
        raise ConfigError("the arguments must be a JSON object")
    return arguments


def _print_answer(answer: Any, *, as_json: bool) -> int:
    if as_json:
        print(answer.model_dump_json(by_alias=True, exclude_none=True, indent=2))
    else:
        for block in getattr(answer, "content", []):
            print(getattr(block, "text", f"[{block.type}]"))
    return 1 if getattr(answer, "is_error", True) else 0


def _report_down(gateway: Gateway) -> int:
    from lg_gateway.upstream import State

    down = [upstream for upstream in gateway.upstreams.values() if upstream.state is not State.UP]
    for upstream in down:
        print(f"lg-gateway: {upstream.name} is {upstream.state}: {upstream.error}", file=sys.stderr)
    return 1 if down else 0


def _first_line(text: str | None) -> str:
    line = (text or "").strip().splitlines()[0] if (text or "").strip() else ""
    return line if len(line) <= 100 else f"{line[:99]}…"
