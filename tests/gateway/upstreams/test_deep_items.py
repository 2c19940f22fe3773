"""Listed items that are nested too deeply cost themselves, not the list they are in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lg_gateway.upstreams.offers.offer_replies import read_items
from lg_gateway.upstreams.replies import Reply, read_tools
from lg_gateway.upstreams.wire_text import TOO_DEEP, Unreadable, read_values

GOOD = '{"name":"good","inputSchema":{"type":"object"}}'
DEEP = '{"a":' * 250 + "1" + "}" * 250
BOTTOMLESS = '{"a":' * 20_000 + "1" + "}" * 20_000


def listed(member: str, *items: str) -> Any:
    line = f'{{"jsonrpc":"2.0","result":{{"_meta":{{"x":[1]}},"{member}":[{",".join(items)}],"ttl":[[]]}},"id":7}}'
    (value,) = read_values(line.encode())
    assert value["id"] == 7
    assert value["result"]["ttl"] == [[]]
    return value["result"]


@pytest.mark.parametrize("deep", [DEEP, BOTTOMLESS])
@pytest.mark.parametrize("member", ["inputSchema", "outputSchema", "_meta", "icons", "annotations"])
def test_a_tool_that_is_nested_too_deeply_is_left_out_by_name_and_the_others_stay(member: str, deep: str) -> None:
    bad = f'{{"{member}":{deep},"x":{{"name":"other"}},"name":"\\u0062ad \\"{{","title":"[{{"}}'
    reply = Reply()
    read_tools(listed("tools", GOOD, bad, GOOD.replace("good", "fine"), bad.replace("ad", "adder")), reply)
    assert [tool.name for tool in reply.tools or ()] == ["good", "fine"]
    assert reply.left_out == {'bad "{': TOO_DEEP, 'badder "{': TOO_DEEP}


def test_a_resource_or_prompt_that_is_nested_too_deeply_is_left_out_and_the_others_stay() -> None:
    reply = Reply()
    read_items("prompts/list", listed("prompts", f'{{"name":"deep","_meta":{DEEP}}}', '{"name":"good"}'), reply)
    assert [item.name for item in reply.items or ()] == ["good"]
    assert list(reply.left_out.values()) == [TOO_DEEP]


@pytest.mark.parametrize(
    "line",
    [
        f'{{"jsonrpc":"2.0","id":1,"result":{{"structuredContent":{{"tools":[{DEEP}]}}}}}}',
        f'{{"jsonrpc":"2.0","id":1,"error":{{"tools":[{DEEP}]}}}}',
        f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{GOOD}],"_meta":{DEEP}}}}}',
        f'{{"jsonrpc":"2.0","id":1,"result":{{"tools":{{"x":{DEEP}}}}}}}',
    ],
)
def test_nothing_but_a_listed_item_is_left_out(line: str) -> None:
    with pytest.raises(Unreadable, match="200 levels"):
        read_values(line.encode())


def test_what_is_just_not_too_deep_stays_as_it_is() -> None:
    item = '{"a":' * 197 + "1" + "}" * 197
    assert listed("tools", item) == {"_meta": {"x": [1]}, "tools": [json.loads(item)], "ttl": [[]]}
