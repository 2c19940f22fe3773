"""Models that are made past pydantic are those that pydantic would make."""

from __future__ import annotations

from typing import Any

import mcp_types as t
import pytest

from lg_gateway.upstreams.replies import RelayedResult, read_call_result
from lg_policy.wire.quick_models import changed

BLOCK = {"type": "text", "text": "hello"}
ANSWERS: list[dict[str, Any]] = [
    {"content": [BLOCK]},
    {"content": [BLOCK], "isError": True, "structuredContent": {"a": [1]}, "_meta": {"b": None}},
    {"content": [], "structuredContent": None, "_meta": None},
]


def said(model: t.CallToolResult) -> tuple[object, ...]:
    """Everything that two equal results have in common, the order of their fields too."""
    return (
        model,
        list(model.__dict__),
        model.model_fields_set,
        model.model_dump_json(by_alias=True, exclude_none=True),
        model.model_dump_json(by_alias=True, exclude_unset=True),
        model.__pydantic_private__,
    )


@pytest.mark.parametrize("raw", ANSWERS)
def test_a_result_that_is_read_is_the_one_that_pydantic_makes(raw: dict[str, Any]) -> None:
    read = read_call_result(raw)
    given: dict[str, Any] = {"content": raw["content"], "is_error": raw.get("isError") is True}
    given |= {"structured_content": raw["structuredContent"]} if raw.get("structuredContent") is not None else {}
    assert said(read) == said(RelayedResult(**given, _meta=raw.get("_meta")))


@pytest.mark.parametrize("raw", ANSWERS)
def test_a_changed_copy_is_the_one_that_pydantic_makes_and_the_first_stays(raw: dict[str, Any]) -> None:
    first = read_call_result(raw).with_unsent(misfit="why")
    before = said(first.model_copy())
    fields: dict[str, Any] = {"meta": {"lg/request": "x"}, "structured_content": {}}
    made = changed(first, **fields)
    assert said(made) == said(first.model_copy(update=fields))
    assert isinstance(made, RelayedResult)
    assert made.misfit == "why"

    made._unsent = None
    assert said(first) == before
