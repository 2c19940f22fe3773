"""What the listed tools may contain, so that the strictest clients take them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from lg_exec.server.server import make_server
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from tests.exec.helpers import unconfined

pytestmark = pytest.mark.anyio

COMBINATORS = {"oneOf", "anyOf", "allOf", "not", "if", "then", "else"}


def inner(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
        for value in schema.values():
            yield from inner(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from inner(value)


async def test_no_schema_has_a_combinator_at_its_top_or_a_reference_anywhere(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    with unconfined(tmp_path / "root", tmp_path / "s") as executor, Root(tmp_path / "root") as opened:
        async with Client(make_server(opened, Settings(), executor)) as client:
            tools = (await client.list_tools()).tools
    assert {tool.name for tool in tools} == {"exec", "list_commands"}
    for tool in tools:
        for schema in (tool.input_schema, tool.output_schema):
            assert schema is not None
            assert schema["type"] == "object"
            assert not COMBINATORS & set(schema)
            for part in inner(schema):
                assert not {"$ref", "$defs", "$dynamicRef", "definitions"} & set(part), part
