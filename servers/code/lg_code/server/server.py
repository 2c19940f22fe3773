"""The MCP server: its tools, their descriptions, and who does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp_types import ToolAnnotations

from lg_code.answers.answer import Answer
from lg_code.answers.outline import outline
from lg_code.index.index import Index
from lg_code.server import schemas
from lg_code.server.service import Service
from lg_policy.jobs import Job
from lg_policy.wire.tool_server import CallContext, Handler, Lifespan, Reply, ToolDef, build_server

INSTRUCTIONS = """\
Knows the code below {where}. It only reads.
To see what a project is made of, use repo_map. To find a definition, use find_symbol; read_symbol returns it whole.
references tells who uses a name, outline what a file defines, tests_for which tests belong to it.
Every answer is checked against the files as they are now. It says what it does not know."""

_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
Work = Callable[[Index, dict[str, Any], Job], Answer]


def make_server(service: Service, *, lifespan: Lifespan | None = None) -> Server[Any]:
    """Return the low-level MCP server."""
    names = [place.name for place in service.workspace.places]
    where = "one root directory. Paths are relative to it"
    if len(names) > 1:
        where = f"several root directories. Paths begin with the name of one: {', '.join(names)}"
    return build_server("lg-code", tools(service), instructions=INSTRUCTIONS.format(where=where), lifespan=lifespan)


def _handler(service: Service, work: Work) -> Handler:
    async def handle(arguments: dict[str, Any], context: CallContext) -> Reply:
        answer = await service.workers.run(lambda job: work(service.index(), arguments, job), context.progress)
        return Reply(text=answer.text, structured=answer.structured)

    return handle


def tools(service: Service) -> list[ToolDef]:
    """Return the tools of the server."""
    limits = service.settings.code

    def tool(name: str, title: str, description: str, given: Any, answered: Any, work: Work) -> ToolDef:
        return ToolDef(
            name=name,
            title=title,
            description=description,
            input_schema=given,
            output_schema=answered,
            annotations=_READ_ONLY,
            meta=dict(service.meta),
            handler=_handler(service, work),
        )

    return [
        tool(
            "outline",
            "Outline of a file",
            "List what one file defines: classes, functions, methods, constants, with their lines.",
            schemas.outline_input(limits),
            schemas.OUTLINE_OUTPUT,
            outline,
        ),
    ]
