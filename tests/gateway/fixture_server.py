"""A small MCP server run as a process by the tests: it does what its arguments and its tools' arguments say.

`--era legacy` serves with the handshake only; `--http` listens on a port it prints; `--journal FILE` appends one line
for each call that really arrived.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lg_policy.quick_imports import quick_imports

with quick_imports():
    import anyio
    import mcp_types as t
    from mcp.server import NotificationOptions, Server
    from mcp.server.runner import serve_loop
    from mcp.server.stdio import stdio_server
    from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ToolsListChanged
    from mcp.shared.exceptions import MCPError
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

READ_ONLY = t.ToolAnnotations(read_only_hint=True)
OBJECT: dict[str, Any] = {"type": "object", "properties": {}}
ECHO = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
    "required": ["text"],
    "additionalProperties": False,
}


class Fixture:
    """Its tools and what they do."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.bus = InMemorySubscriptionBus()
        self.extra = False
        self.lists = 0
        self.sessions: dict[int, Any] = {}

    def tools(self) -> list[t.Tool]:
        names = [
            "nap",
            "echo",
            "peek",
            "meta",
            "slow",
            "die",
            "grow",
            "fail",
            "crash",
            "big",
            "lie",
            "progress",
            "leave_child",
            "ask",
            "refuse",
            "attach",
        ]
        made = [
            t.Tool(
                name=name,
                description=f"{self.args.describe} {name}",
                input_schema=ECHO if name in ("echo", "peek") else OBJECT,
                annotations=self.annotations(name),
                output_schema={"type": "object", "required": ["value"]} if name == "lie" else None,
            )
            for name in [*names, "slow_read"]
        ]
        if self.extra:
            made.append(t.Tool(name="grown", input_schema=OBJECT))
        return made + [t.Tool(name=f"filler_{n}", input_schema=OBJECT) for n in range(self.args.filler)]

    def annotations(self, name: str) -> t.ToolAnnotations | None:
        if name == self.args.idempotent:
            return t.ToolAnnotations(idempotent_hint=True)
        return READ_ONLY if name in ("peek", "meta", "slow_read", "nap") else None

    async def list_tools(self, _ctx: Any, params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        self.lists += 1
        tools = self.tools()
        start = int(params.cursor) if params and params.cursor else 0
        end = start + self.args.page
        return t.ListToolsResult(tools=tools[start:end], next_cursor=str(end) if end < len(tools) else None)

    async def call_tool(self, ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
        arguments = params.arguments or {}
        if self.args.journal:
            with Path(self.args.journal).open("a") as file:
                file.write(json.dumps({"tool": params.name, "arguments": arguments}) + "\n")
        if params.name == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if params.name in ("slow", "slow_read"):
            try:
                await anyio.sleep(60)
            finally:
                if self.args.journal:
                    with Path(self.args.journal).open("a") as file:
                        file.write(json.dumps({"cancelled": params.name}) + "\n")
        if params.name == "nap":
            await anyio.sleep(self.args.nap)
        fail_if_told(params.name, arguments)
        if params.name == "grow":
            for _ in range(arguments.get("times", 1)):
                await self.grow()
        if params.name == "progress":
            for step in range(3):
                await ctx.session.report_progress(step + 1, 3, f"step {step + 1}")
        return await self.ask(ctx, params) if params.name == "ask" else self.answer(params.name, arguments, ctx)

    async def ask(self, ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult | t.InputRequiredResult:
        """Ask for one field, `rounds` times, in the way of the era, and tell what came back."""
        arguments = params.arguments or {}
        field, rounds = arguments.get("field", "colour"), arguments.get("rounds", 1)
        schema: dict[str, Any] = arguments.get("schema") or {
            "type": "object", "properties": {field: {"type": "string"}}
        }  # fmt: skip
        message = arguments.get("message", "Which one?")
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            told = json.loads(params.request_state or "[]")
            told += [self.told(field, answer) for answer in (params.input_responses or {}).values()]
            if len(told) < rounds:
                request = t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))
                return t.InputRequiredResult(input_requests={f"q{len(told)}": request}, request_state=json.dumps(told))
        else:
            told = []
            for _ in range(rounds):
                answer = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
                told.append(self.told(field, answer))
        return t.CallToolResult(content=[t.TextContent(type="text", text="; ".join(told))])

    def told(self, field: str, answer: Any) -> str:
        if self.args.journal:
            with Path(self.args.journal).open("a") as file:
                file.write(json.dumps({"answer": answer.action}) + "\n")
        return f"{answer.action} {(answer.content or {}).get(field, '')}".strip()

    def answer(self, name: str, arguments: dict[str, Any], ctx: Any) -> t.CallToolResult:
        structured: Any = None
        text = str(arguments.get("text", name))
        if name == "meta":
            structured = {"meta": dict(ctx.meta or {}), "pid": os.getpid(), "lists": self.lists}
            structured["environment"] = dict(os.environ)
        elif name == "big":
            text = "x" * int(arguments.get("size", 300_000))
        elif name == "attach":
            return attached(text)
        elif name == "lie":
            structured = {"other": 1}
        elif name == "leave_child":
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
            structured = {"pid": child.pid}
        return t.CallToolResult(
            content=[t.TextContent(type="text", text=text)], structured_content=structured, is_error=name == "fail"
        )

    async def grow(self) -> None:
        self.extra = True
        await self.bus.publish(ToolsListChanged())
        for connection in self.sessions.values():
            await connection.send_tool_list_changed()

    async def remember(self, ctx: Any, call_next: Any) -> Any:
        if ctx.method == "notifications/initialized":
            self.sessions[id(ctx.session)] = ctx.session._connection
        return await call_next(ctx)


def fail_if_told(name: str, arguments: dict[str, Any]) -> None:
    if name == "refuse":
        raise MCPError(-32050, str(arguments.get("text")))
    if name == "crash":
        raise RuntimeError("inner secret detail")


def attached(text: str) -> t.CallToolResult:
    """Text in every place that a result has for it."""
    resource = t.TextResourceContents(uri="file:///x", text=text)
    link = t.ResourceLink(type="resource_link", name="x", uri="file:///y", description=text)
    meta: dict[str, Any] = {"said": text}
    return t.CallToolResult(
        content=[t.EmbeddedResource(type="resource", resource=resource), link],
        structured_content={"a": text},
        _meta=meta,
    )


class Announcing(Server[Any]):
    def create_initialization_options(self, notification_options: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(tools_changed=True), *args, **kwargs)


def build(args: argparse.Namespace) -> Announcing:
    fixture = Fixture(args)
    server = Announcing(
        "fixture",
        version="7",
        on_list_tools=fixture.list_tools,
        on_call_tool=fixture.call_tool,
        on_subscriptions_listen=ListenHandler(fixture.bus),
    )
    server.middleware.append(fixture.remember)
    return server


async def over_stdio(server: Announcing, era: str) -> None:
    async with stdio_server() as (read, write):
        if era == "legacy":
            await serve_loop(server, read, write, lifespan_state={})
        else:
            await server.run(read, write, server.create_initialization_options())


class RecordedHeaders:
    """An ASGI application that writes the headers of every request to a file and passes it on."""

    def __init__(self, app: Any, path: str) -> None:
        self.app = app
        self.path = Path(path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(name.decode(), value.decode()) for name, value in scope["headers"]]
            with self.path.open("a") as file:
                file.write(json.dumps({"path": scope["path"], "headers": headers}) + "\n")
        await self.app(scope, receive, send)


def sse_app(server: Announcing) -> Any:
    """Serve the transport from before Streamable HTTP: a stream of events at /sse, and POSTs at /messages/."""
    from mcp.server.sse import SseServerTransport
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Mount, Route

    transport = SseServerTransport("/messages/")

    async def connect(request: Request) -> Response:
        async with transport.connect_sse(request.scope, request.receive, request._send) as (read, write):
            await server.run(read, write, server.create_initialization_options())
        return Response()

    return Starlette(routes=[Route("/sse", connect), Mount("/messages/", app=transport.handle_post_message)])


def over_http(server: Announcing, port: int, headers: str | None, sse: bool) -> None:
    import socket

    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    app: Any = sse_app(server) if sse else server.streamable_http_app()
    if headers is not None:
        app = RecordedHeaders(app, headers)
    config = uvicorn.Config(app, log_level="error", http="h11", timeout_graceful_shutdown=1)
    anyio.run(lambda: uvicorn.Server(config).serve(sockets=[listener]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", default="both")
    parser.add_argument("--http", type=int)
    parser.add_argument("--sse", action="store_true", help="over HTTP: only the older transport, at /sse")
    parser.add_argument("--journal")
    parser.add_argument("--idempotent", help="the tool that says of itself that it is")
    parser.add_argument("--headers", help="over HTTP: record every request's headers in this file")
    parser.add_argument("--filler", type=int, default=0)
    parser.add_argument("--page", type=int, default=1000)
    parser.add_argument("--exit", type=int)
    parser.add_argument("--describe", default="the tool")
    parser.add_argument("--nap", type=float, default=0)
    parser.add_argument("--hang", action="store_true")
    parser.add_argument("--ignore-eof", action="store_true")
    parser.add_argument("--say", default="")
    parser.add_argument("--noise", type=int, default=0)
    args = parser.parse_args()
    if args.say:
        print(args.say, file=sys.stderr, flush=True)
    if args.noise:
        print("n" * args.noise, file=sys.stderr, flush=True)
        print("this is not a message", flush=True)
    if args.exit is not None:
        print("the fixture gives up", file=sys.stderr)
        sys.exit(args.exit)
    if args.hang:
        time.sleep(600)
    if args.http is not None:
        over_http(build(args), args.http, args.headers, args.sse)
    else:
        anyio.run(over_stdio, build(args), args.era)
    if args.ignore_eof:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)


if __name__ == "__main__":
    main()
