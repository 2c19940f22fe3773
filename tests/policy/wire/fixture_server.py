"""A real program around `serve`, for the process tests: one tool, either transport."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from mcp import types as t

from lg_policy.config.flags import add_serve_flags, serve_flags
from lg_policy.wire.serving import serve
from lg_policy.wire.tool_server import CallContext, Reply, ToolDef, build_server


async def echo(arguments: dict[str, Any], context: CallContext) -> Reply:
    print("a stray line that must not reach the protocol")
    return Reply(text=arguments["text"], structured={"text": arguments["text"], "stdin": os.read(0, 10).decode()})


def main() -> int:
    parser = argparse.ArgumentParser()
    add_serve_flags(parser)
    tool = ToolDef(
        name="echo",
        title="Echo",
        description="Echo.",
        input_schema={"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
        output_schema={"type": "object"},
        handler=echo,
        annotations=t.ToolAnnotations(),
    )
    return serve(build_server("echo", [tool], instructions=""), serve_flags(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
