"""The client of the probes, and what it answers to the fixture's questions."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as t
from mcp.client import Client
from mcp.client.session import ClientRequestContext

Verdict = tuple[str, str]
MARKS = ("fx_", "test_", "json_schema")
"""How the fixture's names begin; a gateway may put something before them."""
PATIENCE_S = 8
SAMPLED = "SAMPLED"
ROOT = "file:///probe/root"


@dataclass
class Seen:
    """What the client was asked and told."""

    logs: list[t.LoggingMessageNotificationParams] = field(default_factory=list)
    forms: list[t.ElicitRequestFormParams] = field(default_factory=list)
    pages: list[t.ElicitRequestURLParams] = field(default_factory=list)
    prompts: list[t.CreateMessageRequestParams] = field(default_factory=list)
    roots: int = 0
    notices: list[Any] = field(default_factory=list)

    async def on_elicit(self, context: ClientRequestContext, params: t.ElicitRequestParams) -> t.ElicitResult:
        """Fill a form with defaults, or agree to open a page."""
        if isinstance(params, t.ElicitRequestURLParams):
            self.pages.append(params)
            return t.ElicitResult(action="accept")
        self.forms.append(params)
        fields = params.requested_schema.get("properties", {})
        return t.ElicitResult(action="accept", content={name: _filled(asked) for name, asked in fields.items()})

    async def on_sample(
        self, context: ClientRequestContext, params: t.CreateMessageRequestParams
    ) -> t.CreateMessageResult:
        """Answer as a model."""
        self.prompts.append(params)
        return t.CreateMessageResult(
            role="assistant", content=t.TextContent(type="text", text=SAMPLED), model="m", stop_reason="endTurn"
        )

    async def on_roots(self, context: ClientRequestContext) -> t.ListRootsResult:
        """Name one root."""
        self.roots += 1
        return t.ListRootsResult(roots=[t.Root.model_validate({"uri": ROOT, "name": "root"})])

    async def on_log(self, params: t.LoggingMessageNotificationParams) -> None:
        """Keep a log message."""
        self.logs.append(params)

    async def on_message(self, message: Any) -> None:
        """Keep any notification."""
        self.notices.append(message)


def _filled(asked: dict[str, Any]) -> Any:
    if "enum" in asked:
        return asked["enum"][0]
    plain: dict[str, Any] = {"boolean": True, "integer": 1, "number": 1.0, "array": []}
    return asked.get("default", plain.get(asked.get("type", ""), "blue"))


class Prober:
    """A connected client. `names` maps the fixture's names to those that are listed."""

    def __init__(self, client: Client, seen: Seen, *, modern: bool, modern_server: bool) -> None:
        self.client = client
        self.seen = seen
        self.modern = modern
        self.modern_server = modern_server
        self.names: dict[str, str] = {}

    async def learn_names(self) -> None:
        """Find the fixture's tools among those that are listed."""
        for tool in await self.tools():
            for mark in MARKS:
                if mark in tool.name:
                    self.names[tool.name[tool.name.index(mark) :]] = tool.name
                    break

    async def tools(self) -> list[t.Tool]:
        """Return the tools of all pages."""
        found: list[t.Tool] = []
        cursor: str | None = None
        while True:
            page = await self.client.list_tools(cursor=cursor, cache_mode="refresh")
            found += page.tools
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def tool(self, name: str) -> t.Tool:
        """Return the definition of one of the fixture's tools."""
        return next(tool for tool in await self.tools() if tool.name.endswith(name))

    async def call(self, name: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
        """Call one of the fixture's tools."""
        return await self.client.call_tool(self.names.get(name, name), arguments or {}, **more)

    async def said(self, name: str, **arguments: Any) -> str:
        """Return the text that a tool answers."""
        return words(await self.call(name, arguments))

    async def reached(self, count: str, wanted: int) -> bool:
        """Wait until a count of the fixture is that high; return whether it is."""

        async def there() -> bool:
            return bool((await self.status())[count] >= wanted)

        return await eventually(there)

    async def status(self) -> dict[str, Any]:
        """Return what has happened at the fixture."""
        found: dict[str, Any] = json.loads((await self.said("fx_status")).split("\n")[0])
        return found


async def eventually(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Wait until something outside this process has happened; return whether it has."""
    with anyio.move_on_after(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110  another process has no event
            await anyio.sleep(0.02)
        return True
    return False


def words(result: Any) -> str:
    """Return the texts of a result."""
    return "\n".join(block.text for block in result.content if isinstance(block, t.TextContent))


def grade(checks: dict[str, bool], note: str = "") -> Verdict:
    """Return `yes` when all checks hold, `no` when none does."""
    bad = [name for name, good in checks.items() if not good]
    verdict = "yes" if not bad else "no" if len(bad) == len(checks) else "partial"
    text = "missing: " + ", ".join(bad) if bad else "all of " + ", ".join(checks)
    return verdict, f"{text}; {note}" if note else text


def whether(condition: bool, seen: object) -> Verdict:
    """Return `yes` or `no`."""
    return "yes" if condition else "no", str(seen)[:260]


NOT_IN_2026: Verdict = ("n/a", "not part of 2026-07-28")
NOT_IN_2025: Verdict = ("n/a", "2026-07-28 only")
Probe = Callable[[Prober], Awaitable[Verdict]]
