"""What tests of servers' questions share: a human with one answer, and questions made by hand."""

from __future__ import annotations

from typing import Any

import mcp_types as t
import pytest
from mcp.client import Client

from lg_gateway.catalog.catalog import Catalog, CatalogEntry
from lg_gateway.elicitation.client_abilities import FORM, URL, ClientAbilities
from lg_gateway.elicitation.server_question import Asking
from lg_gateway.processes.server_specs import ServerSpec

CLIENTS = pytest.mark.parametrize("mode", ["2026-07-28", "legacy"])
SERVERS = pytest.mark.parametrize("era", ["both", "legacy"])


def blue(message: str) -> dict[str, Any]:
    """A human who approves calls and likes blue."""
    return {"decision": "once"} if message.startswith("A tool call") else {"colour": "blue"}


def answer(question: t.InputRequiredResult, content: dict[str, Any], action: Any = "accept") -> dict[str, Any]:
    (key,) = question.input_requests or {}
    return {key: t.ElicitResult(action=action, content=content)}


async def ask(client: Client, arguments: dict[str, Any] | None = None, **options: Any) -> Any:
    return await client.session.call_tool("a__ask", arguments or {}, allow_input_required=True, **options)


def entry(name: str = "ask") -> CatalogEntry:
    catalog = Catalog()
    spec = ServerSpec(
        name="a", builtin=None, trusted=False, mode="auto", launch=None, url="http://x", headers={},
        connect_timeout_s=1, call_timeout_s=1,
    )  # fmt: skip
    catalog.update(spec, [t.Tool(name=name, input_schema={"type": "object"})])
    return catalog.entries()[0]


def asking(name: str = "ask", binding: str = "binding") -> Asking:
    abilities = ClientAbilities(kinds=frozenset((FORM, URL)))
    return Asking(entry=entry(name), binding=binding, abilities=abilities)


def form_of(message: str = "?", **properties: Any) -> t.ElicitRequest:
    schema = {"type": "object", "properties": properties}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))
