"""A server with one tool."""

from __future__ import annotations

from typing import Any

from mcp import types as t

from lg_policy.errors import NotFound
from lg_policy.wire.tool_server import CallContext, Reply, ToolDef, build_server


async def half(arguments: dict[str, Any], context: CallContext) -> Reply:
    await context.progress(1, 2, "halfway")
    if arguments["n"] == 0:
        raise NotFound("nothing is half of zero", hint="try 2")
    if arguments["n"] == 1:
        raise RuntimeError("internal detail")
    return Reply(
        text=f"half is {arguments['n'] // 2}", structured={"half": arguments["n"] // 2, "key": context.idempotency_key}
    )


def server() -> Any:
    tool = ToolDef(
        name="half",
        title="Half",
        description="Halve a number.",
        input_schema={
            "type": "object",
            "properties": {"n": {"type": "integer", "description": "a whole number"}},
            "required": ["n"],
            "additionalProperties": False,
        },
        output_schema={"type": "object", "properties": {"half": {"type": "integer"}, "key": {}}, "required": ["half"]},
        handler=half,
        annotations=t.ToolAnnotations(read_only_hint=True),
        meta={"lg/root": {"id": "1", "name": "x"}},
    )
    return build_server("test", [tool], instructions="halves")
