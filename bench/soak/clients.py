"""The clients of the soak: each makes calls one after the other, and keeps what became of each."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import anyio
import httpx2
import mcp_types as t
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

Era = Literal["legacy", "2026-07-28"]
ERAS: tuple[Era, ...] = ("legacy", "2026-07-28")
SERVERS = ("plain", "old", "remote")
ANSWER_S = 120.0
"""An answer that takes longer is lost."""
REPEATS = 40
"""Most repeats of one call under its key, until its outcome is known."""
PAUSE_S = 0.5
NOT_SENT = "upstream_unavailable"
UNKNOWN = "outcome_unknown"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One call of a client, with all of its repeats, and its outcome: `ok` or the code of the last error."""

    name: str
    effect: bool
    keyed: bool
    outcome: str


@dataclass
class Seen:
    """What all clients saw."""

    made: list[Made] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    """Calls without any answer, and why."""
    codes: Counter[str] = field(default_factory=Counter)
    """Answers by outcome, those of repeats too."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """One client. `url` is that of a gateway over HTTP; else `command` starts one for this client alone."""

    number: int
    era: Era
    url: str | None
    command: StdioServerParameters | None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Client]:
        """Connect the client."""
        if self.url is not None:
            async with httpx2.AsyncClient(timeout=ANSWER_S) as http:
                transport = streamable_http_client(self.url, http_client=http)
                async with Client(transport, mode=self.era, cache=None) as client:
                    yield client
        elif self.command is not None:
            async with Client(self.command, mode=self.era, cache=None) as client:
                yield client

    async def work(self, seen: Seen, chance: random.Random, until: anyio.Event) -> None:
        """Make calls until told to stop, then end what was begun."""
        async with self.connected() as client:
            await _all_listed(client)
            count = 0
            while not until.is_set():
                count += 1
                tool = chance.choice(("echo", "peek"))
                call = f"{self.number}-{count}"
                keyed = tool == "echo" and chance.random() < 0.7
                server = chance.choice(SERVERS)
                make = partial(self._answered, client, f"{server}__{tool}", call, seen, keyed=keyed)
                outcome = await self._to_its_end(make, keyed=keyed)
                if outcome is not None:
                    seen.made.append(Made(name=call, effect=tool == "echo", keyed=keyed, outcome=outcome))

    @staticmethod
    async def _to_its_end(make: Any, *, keyed: bool) -> str | None:
        """Make a call; repeat one under a key until it has an outcome that no repeat will change."""
        for _ in range(REPEATS):
            outcome: str | None = await make()
            if not keyed or outcome in (None, "ok", UNKNOWN):
                return outcome
            await anyio.sleep(PAUSE_S)
        return outcome

    async def _answered(self, client: Client, tool: str, call: str, seen: Seen, *, keyed: bool) -> str | None:
        meta: Any = {"lg/idempotency-key": f"soak-{call}"} if keyed else None
        try:
            with anyio.fail_after(ANSWER_S):
                result = await client.call_tool(tool, {"text": call}, meta=meta)
        except (MCPError, TimeoutError) as error:
            seen.lost.append(f"{call} ({tool}, {self.era}): {error!r}")
            return None
        outcome = "ok" if not result.is_error else code_of(result)
        seen.codes[outcome] += 1
        if outcome == "ok" and text_of(result) != call:
            seen.lost.append(f"{call}: got the answer of another call: {text_of(result)!r}")
        return outcome


async def _all_listed(client: Client) -> None:
    """Wait until every server has been up once: a gateway that begins while one is down does not know its tools."""
    with anyio.fail_after(ANSWER_S):
        while True:
            names = {tool.name for tool in (await client.list_tools()).tools}
            if {f"{server}__echo" for server in SERVERS} <= names:
                return
            await anyio.sleep(PAUSE_S)


def code_of(result: t.CallToolResult) -> str:
    """Return the code of a failed call."""
    structured = result.structured_content
    error = structured.get("error") if isinstance(structured, dict) else None
    return str(error.get("code")) if isinstance(error, dict) else f"no code: {text_of(result)[:200]}"


def text_of(result: t.CallToolResult) -> str:
    """Return the text of a result."""
    return "".join(block.text for block in result.content if isinstance(block, t.TextContent))
