"""The MCP server: its tools, their descriptions, and who does the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp_types import ToolAnnotations

from lg_code.answers.answer import Answer
from lg_code.answers.outline import outline
from lg_code.answers.references import references
from lg_code.answers.repo_map import repo_map
from lg_code.answers.symbols import find_symbol, read_symbol
from lg_code.answers.tests_for import tests_for
from lg_code.index.index import Index
from lg_code.search import schema as search_schema
from lg_code.search.tool import SearchAnswer, search_code
from lg_code.server import schemas
from lg_code.server.service import Service
from lg_policy.jobs import Job
from lg_policy.wire.tool_server import CallContext, Handler, Lifespan, Reply, ToolDef, build_server

INSTRUCTIONS = """\
Knows the code below {where}. It only reads.
To see what a project is made of, use repo_map. To find code by words, use search_code. To find a definition, use
find_symbol; read_symbol returns it whole.
references tells who uses a name, outline what a file defines, tests_for which tests belong to it.
Every answer is checked against the files as they are now. It says what it does not know."""

_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
Work = Callable[[Index, dict[str, Any], Job], Answer | SearchAnswer]


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


class _Maker:
    """Makes the definitions of the tools: all of them only read."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def __call__(
        self, name: str, title: str, description: str, schemas_of: tuple[dict[str, Any], dict[str, Any]], work: Work
    ) -> ToolDef:
        given, answered = schemas_of
        return ToolDef(
            name=name,
            title=title,
            description=description,
            input_schema=given,
            output_schema=answered,
            annotations=_READ_ONLY,
            meta=dict(self._service.meta),
            handler=_handler(self._service, work),
        )


def tools(service: Service) -> list[ToolDef]:
    """Return the tools of the server."""
    return [*_symbol_tools(service), *_use_tools(service)]


def _symbol_tools(service: Service) -> list[ToolDef]:
    limits, tool = service.settings.code, _Maker(service)
    return [
        tool(
            "find_symbol",
            "Find a definition",
            "Find where a class, function or other name is defined. Takes Name, Class.method or a part of a name.",
            (schemas.find_input(limits), schemas.FIND_OUTPUT),
            find_symbol,
        ),
        tool(
            "read_symbol",
            "Read a definition",
            "Return the whole text of a definition with its lines and the comment above it. No line range is needed.",
            (schemas.read_input(), schemas.READ_OUTPUT),
            read_symbol,
        ),
        tool(
            "outline",
            "Outline of a file",
            "List what one file defines: classes, functions, methods, constants, with their lines.",
            (schemas.outline_input(limits), schemas.OUTLINE_OUTPUT),
            outline,
        ),
    ]


def _use_tools(service: Service) -> list[ToolDef]:
    limits, tool = service.settings.code, _Maker(service)
    return [
        tool(
            "repo_map",
            "Map of the code",
            "Show the files and definitions that matter most, ranked by who uses them, within budget_tokens. "
            "focus moves the rank to what is near the files or names that you work on.",
            (schemas.map_input(limits), schemas.MAP_OUTPUT),
            lambda index, arguments, job: repo_map(index, service.ranks, arguments, job),
        ),
        tool(
            "references",
            "Uses of a name",
            "List who uses a name, in code, templates and other text: definitions, calls, imports and mentions told "
            "apart, each with its line and the definition that it stands in.",
            (schemas.references_input(limits), schemas.REFERENCES_OUTPUT),
            references,
        ),
        tool(
            "tests_for",
            "Tests of a file or a name",
            "List the tests that belong to a file or to a symbol, with the reason for each.",
            (schemas.tests_input(limits), schemas.TESTS_OUTPUT),
            tests_for,
        ),
        tool(
            "search_code",
            search_schema.TITLE,
            search_schema.DESCRIPTION,
            (search_schema.input_schema(schemas.KINDS), search_schema.OUTPUT),
            search_code,
        ),
    ]
