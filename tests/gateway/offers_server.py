"""An MCP server run as a process by the tests: it has resources, prompts and completions, as its arguments say.

`--era legacy` serves with the handshake only; `--http` listens on a port it prints; `--journal FILE` appends one line
for each request that really arrived. The tool `change` changes what is offered; `touch` says that a resource changed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from lg_policy.quick_imports import quick_imports

with quick_imports():
    import anyio
    import mcp_types as t
    from mcp.server import NotificationOptions, Server
    from mcp.server.apps import client_supports_apps
    from mcp.server.runner import serve_loop
    from mcp.server.stdio import stdio_server
    from mcp.server.subscriptions import (
        InMemorySubscriptionBus,
        ListenHandler,
        PromptsListChanged,
        ResourcesListChanged,
        ResourceUpdated,
    )
    from mcp.shared.exceptions import MCPError
    from mcp_types.version import MODERN_PROTOCOL_VERSIONS

OBJECT: dict[str, Any] = {"type": "object", "properties": {}}
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
ICON = t.Icon(src="data:image/png;base64," + PNG, mime_type="image/png", sizes=["1x1"])
TEXTS = {"test://static": "the static text", "test://watched": "watched", "test://secret/a": "a secret text"}
FORM = {"type": "object", "properties": {"colour": {"type": "string"}}}


def said(text: str) -> t.TextContent:
    return t.TextContent(type="text", text=text)


class Offering:
    """What the server offers and does."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.bus = InMemorySubscriptionBus()
        self.changed = False
        self.page = ""
        self.pages = 0
        self.sessions: dict[int, Any] = {}
        self.subscribed: list[str] = []

    def journal(self, **what: Any) -> None:
        if self.args.journal:
            with Path(self.args.journal).open("a") as file:
                file.write(json.dumps(what) + "\n")

    async def list_tools(self, ctx: Any, _params: Any) -> t.ListToolsResult:
        ui: dict[str, Any] = {"ui": {"resourceUri": "ui://app/view"}, "ui/resourceUri": "ui://app/view"}
        names = ("change", "touch", "link", "subscribed")
        tools = [t.Tool(name=name, description=name, input_schema=OBJECT) for name in names]
        if self.args.visibility:
            ui["ui"]["visibility"] = [self.args.visibility]
        if client_supports_apps(ctx):  # a page calls it, no model
            tools.append(t.Tool(name="poll", input_schema=OBJECT, _meta={"ui": {"visibility": ["app"]}}))
        return t.ListToolsResult(tools=[*tools, t.Tool(name="app", input_schema=OBJECT, _meta=ui)])

    async def call_tool(self, ctx: Any, params: t.CallToolRequestParams) -> t.CallToolResult:
        arguments = params.arguments or {}
        if params.name == "change" and "page" in arguments:
            self.page = str(arguments["page"])
        elif params.name == "change":
            await self.change()
        elif params.name == "touch":
            await self.touch(str(arguments.get("uri", "test://watched")))
        elif params.name == "app":
            return t.CallToolResult(content=[said("a page" if client_supports_apps(ctx) else "a text")])
        elif params.name == "subscribed":
            return t.CallToolResult(content=[said(json.dumps(self.subscribed))])
        elif params.name == "link":
            uri = str(arguments.get("uri", "test://unlisted/7"))
            inner = t.TextResourceContents(uri=uri, text=f"see {uri}")
            ui: dict[str, Any] = {"ui": {"resourceUri": "ui://app/view"}}
            return t.CallToolResult(
                content=[
                    t.ResourceLink(type="resource_link", name="l", uri=uri, icons=[ICON]),
                    t.EmbeddedResource(type="resource", resource=inner),
                    said(uri),
                ],
                structured_content={"uri": uri},
                _meta=ui,
            )
        return t.CallToolResult(content=[said(params.name)])

    async def change(self) -> None:
        self.changed = True
        await self.bus.publish(PromptsListChanged())
        await self.bus.publish(ResourcesListChanged())
        for connection in self.sessions.values():
            await connection.send_prompt_list_changed()
            await connection.send_resource_list_changed()

    async def touch(self, uri: str) -> None:
        await self.bus.publish(ResourceUpdated(uri=uri))
        for connection in self.sessions.values():
            await connection.send_resource_updated(uri)

    def resources(self) -> list[t.Resource]:
        description = "another description" if self.changed else "a text"
        made = [
            t.Resource(
                uri="test://static",
                name="static",
                title="Static",
                description=description,
                mime_type="text/plain",
                size=15,
                icons=[ICON],
                annotations=t.Annotations(audience=["assistant"], priority=1.0),
                _meta={"com.example/r": 1, "lg/server": "fs"},
            ),
            t.Resource(uri="test://watched", name="watched"),
            t.Resource(uri="ui://app/view", name="view", mime_type="text/html;profile=mcp-app"),
        ]
        made += [t.Resource(uri=f"test://filler/{n}", name=f"filler {n}") for n in range(self.args.filler)]
        made += [t.Resource(uri=uri, name="odd") for uri in self.args.uri]
        return [*made, t.Resource(uri="test://new", name="new")] if self.changed else made

    async def list_resources(self, _ctx: Any, params: Any) -> t.ListResourcesResult:
        every = self.resources()
        start = int(params.cursor) if params and params.cursor else 0
        end = start + self.args.page
        return t.ListResourcesResult(
            resources=every[start:end], next_cursor=str(end) if end < len(every) else None, ttl_ms=9_000
        )

    async def list_templates(self, _ctx: Any, _params: Any) -> t.ListResourceTemplatesResult:
        template = t.ResourceTemplate(uri_template="test://item/{id}", name="item", title="Item", icons=[ICON])
        return t.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(
        self, ctx: Any, params: t.ReadResourceRequestParams
    ) -> t.ReadResourceResult | t.InputRequiredResult:
        uri = str(params.uri)
        if uri != "ui://app/view":  # a gateway reads the page of an app whenever it lists the tools
            self.journal(read=uri)
        if uri == "test://asks":
            return self.contents(uri, answer) if isinstance(answer := await self.ask(ctx, params), str) else answer
        if uri == "test://big":
            return self.contents(uri, "x" * 2_000_000)
        if uri == "test://lies":
            return self.contents(self.args.lie, "a lie")
        if uri == "test://image":
            return t.ReadResourceResult(contents=[t.BlobResourceContents(uri=uri, blob=PNG, mime_type="image/png")])
        if uri == "test://empty":
            return t.ReadResourceResult(contents=[])
        if uri == "ui://app/view" and self.page:
            self.pages += 1
            return self.contents(uri, self.page.format(self.pages))
        if uri in TEXTS or uri.startswith(("test://item/", "test://unlisted/", "ui://", *self.args.uri)):
            return self.contents(uri, TEXTS.get(uri, f"text of {uri}"))
        modern = ctx.protocol_version in MODERN_PROTOCOL_VERSIONS
        raise MCPError(t.INVALID_PARAMS if modern else -32002, f"no {uri} here", {"uri": uri, "why": "gone"})

    def contents(self, uri: str, text: str) -> t.ReadResourceResult:
        inner = t.TextResourceContents(uri=uri, mime_type="text/plain", text=text, _meta={"com.example/c": 1})
        return t.ReadResourceResult(contents=[inner], ttl_ms=7_000, cache_scope="public")

    async def ask(self, ctx: Any, params: Any) -> str | t.InputRequiredResult:
        """Ask for a colour, in the way of the era; return what was answered."""
        if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
            answer = (params.input_responses or {}).get("q")
            if answer is None:
                request = t.ElicitRequest(params=t.ElicitRequestFormParams(message="Which?", requested_schema=FORM))
                return t.InputRequiredResult(input_requests={"q": request}, request_state="asked")
        else:
            answer = await ctx.session.elicit_form("Which?", FORM, related_request_id=ctx.request_id)
        return f"{answer.action} {(answer.content or {}).get('colour', '')}".strip()

    async def list_prompts(self, _ctx: Any, _params: Any) -> t.ListPromptsResult:
        arguments = [t.PromptArgument(name="topic", description="what about", required=True)]
        first = t.Prompt(
            name="greet",
            title="Greet",
            description="greets" if not self.changed else "greets otherwise",
            arguments=arguments,
            icons=[ICON],
            _meta={"com.example/p": 1},
        )
        names = ["plain", "asks", "big", *(["new"] if self.changed else [])]
        return t.ListPromptsResult(prompts=[first, *(t.Prompt(name=name) for name in names)])

    async def get_prompt(self, ctx: Any, params: t.GetPromptRequestParams) -> t.GetPromptResult | t.InputRequiredResult:
        self.journal(got=params.name, arguments=params.arguments)
        if params.name == "asks":
            return self.messages(said(answer)) if isinstance(answer := await self.ask(ctx, params), str) else answer
        if params.name == "greet":
            inner = t.TextResourceContents(uri="test://static", text="embedded")
            topic = (params.arguments or {}).get("topic", "")
            return self.messages(said(f"about {topic}"), t.EmbeddedResource(type="resource", resource=inner))
        if params.name == "big":
            return self.messages(said("y" * 2_000_000))
        if params.name in ("plain", "new"):
            return self.messages(said("plain"))
        raise MCPError(t.INVALID_PARAMS, f"no prompt {params.name}", {"name": params.name})

    def messages(self, *content: Any) -> t.GetPromptResult:
        roles: Any = ("user", "assistant")
        made = [t.PromptMessage(role=roles[n % 2], content=block) for n, block in enumerate(content)]
        return t.GetPromptResult(description="a prompt", messages=made, _meta={"com.example/g": 1})

    async def complete(self, _ctx: Any, params: t.CompleteRequestParams) -> t.CompleteResult:
        ref = params.ref.uri if isinstance(params.ref, t.ResourceTemplateReference) else params.ref.name
        context = params.context.arguments if params.context is not None else None
        self.journal(complete=ref, context=context)
        values = [word for word in ("paris", "park", "rome") if word.startswith(params.argument.value)]
        return t.CompleteResult(completion=t.Completion(values=values, total=len(values), has_more=False))

    async def subscribe(self, _ctx: Any, params: Any) -> t.EmptyResult:
        self.subscribed.append(str(params.uri))
        return t.EmptyResult()

    async def unsubscribe(self, _ctx: Any, params: Any) -> t.EmptyResult:
        self.subscribed.remove(str(params.uri))
        return t.EmptyResult()

    async def remember(self, ctx: Any, call_next: Any) -> Any:
        if ctx.method == "notifications/initialized":
            self.sessions[id(ctx.session)] = ctx.session._connection
        return await call_next(ctx)


class AnnouncingOffers(Server[Any]):
    def create_initialization_options(self, notification_options: Any = None, *args: Any, **kwargs: Any) -> Any:
        return super().create_initialization_options(NotificationOptions(True, True, True), *args, **kwargs)


def build(args: argparse.Namespace) -> AnnouncingOffers:
    offering = Offering(args)
    given: dict[str, Any] = {}
    if "resources" not in args.without:
        given |= {
            "on_list_resources": offering.list_resources,
            "on_list_resource_templates": offering.list_templates,
            "on_read_resource": offering.read_resource,
        }
    if "subscriptions" not in args.without:
        given |= {
            "on_subscribe_resource": offering.subscribe,
            "on_unsubscribe_resource": offering.unsubscribe,
            "on_subscriptions_listen": ListenHandler(offering.bus),
        }
    if "prompts" not in args.without:
        given |= {"on_list_prompts": offering.list_prompts, "on_get_prompt": offering.get_prompt}
    if "completions" not in args.without:
        given["on_completion"] = offering.complete
    server = AnnouncingOffers(
        "offers", version="3", instructions=args.instructions, on_list_tools=offering.list_tools,
        on_call_tool=offering.call_tool, **given,
    )  # fmt: skip
    server.middleware.append(offering.remember)
    return server


async def over_stdio(server: AnnouncingOffers, era: str) -> None:
    async with stdio_server() as (read, write):
        if era == "legacy":
            await serve_loop(server, read, write, lifespan_state={})
        else:
            await server.run(read, write, server.create_initialization_options())


def over_http(server: AnnouncingOffers, port: int) -> None:
    import socket

    import uvicorn

    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()  # who comes before the server is ready waits
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", http="h11", timeout_graceful_shutdown=1)
    anyio.run(lambda: uvicorn.Server(config).serve(sockets=[listener]))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--era", default="both")
    parser.add_argument("--http", type=int)
    parser.add_argument("--journal")
    parser.add_argument("--visibility")
    parser.add_argument("--filler", type=int, default=0)
    parser.add_argument("--page", type=int, default=1000)
    parser.add_argument("--uri", action="append", default=[], help="a resource that is listed too")
    parser.add_argument("--lie", default="fs+file:///etc/passwd", help="what contents of test://lies say they are")
    parser.add_argument("--without", action="append", default=[])
    parser.add_argument("--instructions")
    args = parser.parse_args()
    if args.http is not None:
        over_http(build(args), args.http)
    else:
        anyio.run(over_stdio, build(args), args.era)


if __name__ == "__main__":
    main()
