"""Ask the analyst about a directory: the real file server in memory answers its calls, within a run's budget."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
from mcp_types import CallToolResult, TextContent

from lg_orch.analyst.analyst import LocalAnalyst
from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from lg_orch.contracts.plans import Plan, PlannedCall, Route
from lg_orch.contracts.reports import Answer, VerifierReport
from lg_orch.contracts.repository import DirectoryEntry, RepoContext, RepoTotals
from tests.code.helpers import code_client
from tests.fs.helpers import fs_client

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mcp import Client

FS_TOOLS = ("fs__list_files", "fs__read_file", "fs__search_files")
CODE_TOOLS = (*FS_TOOLS, "code__references", "code__search_code", "code__tests_for")
ALL_TOOLS = (*FS_TOOLS, "exec__exec", "exec__list_commands")
BUDGET = 12


@dataclass(frozen=True, kw_only=True)
class Outcome:
    route: Route
    plan: Plan
    results: tuple[ToolEnvelope, ...]
    answer: Answer

    @property
    def text(self) -> str:
        return self.answer.text_markdown

    @property
    def calls(self) -> int:
        return len(self.results)

    def places(self) -> set[tuple[str, str | None, int | None]]:
        return {(statement.text, statement.file, statement.line) for statement in self.answer.statements}

    def says(self, *words: str, at: str | None = None) -> bool:
        """Whether one statement contains all the words and, if asked, stands at `file:line`."""
        return any(
            all(word in statement.text for word in words) and (at is None or at == f"{statement.file}:{statement.line}")
            for statement in self.answer.statements
        )


async def ask(
    root: Path,
    request: str,
    *,
    tools: Sequence[str] = FS_TOOLS,
    canned: Mapping[str, ToolEnvelope] | None = None,
    verification: VerifierReport | None = None,
    context: bool = True,
) -> Outcome:
    """Route, plan, call, follow up and answer. `canned` answers calls by id (commands, say); others go to a server."""
    backend = LocalAnalyst()
    async with AsyncExitStack() as stack:
        client = (await stack.enter_async_context(fs_client(root))).client
        clients = {"fs": client}
        if any(tool.startswith("code__") for tool in tools):
            clients["code"] = (await stack.enter_async_context(code_client(root))).client
        with anyio.fail_after(60):
            known = await _context(client, root.name) if context else RepoContext(root_name=root.name)
            route = backend.route(request)
            plan = backend.plan(request, route, known, tools)
            results: list[ToolEnvelope] = []
            pending = list(plan.calls())
            while pending:
                for call in pending:
                    result = (canned or {}).get(call.id) or await perform(clients[call.tool.partition("__")[0]], call)
                    results.append(result)
                answered = {result.artifacts.call_id for result in results}
                follow = backend.next_calls(request, plan, known, results)
                pending = [call for call in follow if call.id not in answered]
            answer = backend.answer(request, plan, known, results, verification)
    return Outcome(route=route, plan=plan, results=tuple(results), answer=answer)


async def perform(client: Client, call: PlannedCall) -> ToolEnvelope:
    """One call as the graph would report it."""
    tool = call.tool.partition("__")[2]
    result = await client.call_tool(tool, call.input)
    assert isinstance(result, CallToolResult)
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    structured: dict[str, Any] | None = result.structured_content
    error = None
    if result.is_error:
        raw = (structured or {}).get("error", {"code": "internal", "message": text, "hint": ""})
        error = Problem(code=raw["code"], message=raw["message"], hint=raw.get("hint", ""))
    return ToolEnvelope(
        tool=call.tool,
        ok=not result.is_error,
        exit_code=None,
        stdout="" if error else text,
        stderr=text if error else "",
        timing_ms=1,
        artifacts=Artifacts(call_id=call.id, input=call.input, structured=structured, error=error),
    )


def command_result(call_id: str, tool: str, structured: Mapping[str, Any]) -> ToolEnvelope:
    """What the command server would have answered."""
    return ToolEnvelope(
        tool=tool,
        ok=bool(structured.get("ok", True)),
        exit_code=structured.get("exit_code"),
        stdout=str(structured.get("stdout", "")),
        stderr=str(structured.get("stderr", "")),
        timing_ms=1,
        artifacts=Artifacts(call_id=call_id, structured=dict(structured)),
    )


async def _context(client: Client, name: str) -> RepoContext:
    totals = await client.call_tool("list_files", {"totals": True, "recursive": True})
    top = await client.call_tool("list_files", {"path": "", "limit": 200})
    assert isinstance(totals, CallToolResult)
    assert isinstance(top, CallToolResult)
    assert totals.structured_content is not None
    assert top.structured_content is not None
    return RepoContext(
        root_name=name,
        totals=RepoTotals.model_validate(totals.structured_content["totals"]),
        top_level=tuple(
            DirectoryEntry(path=entry["path"], type=entry["type"], size=entry["size"])
            for entry in top.structured_content["entries"]
        ),
    )
