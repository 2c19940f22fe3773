"""A server whose tools show what a request became: who called, what arrived, who still waits. `http` serves HTTP."""

from __future__ import annotations

import asyncio
import sys
import traceback
from pathlib import Path
from typing import Any

import anyio
from mcp import MCPError
from mcp import types as t

from lg_policy.config.flags import ServeFlags
from lg_policy.errors import NotFound
from lg_policy.wire.serving import serve
from lg_policy.wire.tool_server import CallContext, Reply, ToolDef, build_server

waiting = 0


async def echo(arguments: dict[str, Any], context: CallContext) -> Reply:
    own = {key: value for key, value in context.meta.items() if not key.startswith("io.")}
    return Reply(text=repr(arguments), structured={**arguments, "meta": own})


async def who(_arguments: dict[str, Any], context: CallContext) -> Reply:
    return Reply(text=context.client, structured={"client": context.client})


async def refuse(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    raise NotFound("there is none", hint="look elsewhere")


async def protocol_error(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    raise MCPError(-32050, "of its own", {"x": 1})


async def crash(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    raise RuntimeError("inner detail")


async def progress(_arguments: dict[str, Any], context: CallContext) -> Reply:
    await context.progress(1, 2, "half")
    await context.progress(2)
    return Reply(text="done", structured={})


async def wait(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    global waiting
    waiting += 1
    try:
        await anyio.sleep_forever()
    finally:
        waiting -= 1
    return Reply(text="", structured={})


async def way(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    task = asyncio.current_task()
    assert task is not None
    stack = {Path(frame.f_code.co_filename).stem for frame, _ in traceback.walk_stack(None)}
    return Reply(
        text="", structured={"task": task.get_name(), "stack": "DirectPosts" if "direct_posts" in stack else ""}
    )


async def count(_arguments: dict[str, Any], _context: CallContext) -> Reply:
    return Reply(text="", structured={"waiting": waiting})


HANDLERS = {
    "crash": crash,
    "echo": echo,
    "progress": progress,
    "protocol_error": protocol_error,
    "refuse": refuse,
    "wait": wait,
    "waiting": count,
    "way": way,
    "who": who,
}


def main() -> int:
    tools = [
        ToolDef(
            name=name,
            title=name,
            description=name,
            input_schema={"type": "object"},
            output_schema={"type": "object"},
            handler=handler,
            annotations=t.ToolAnnotations(),
        )
        for name, handler in HANDLERS.items()
    ]
    server = build_server("direct", tools, instructions="")
    if sys.argv[1:] == ["http"]:
        return serve(server, ServeFlags(transport="http", host="127.0.0.1", port=0))
    return serve(server, ServeFlags(transport="stdio", host="", port=0))


if __name__ == "__main__":
    sys.exit(main())
