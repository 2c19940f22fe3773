"""Servers that misbehave in their definitions and answers, and definitions that somebody puts into the store."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.gateway.fixture_program import FIXTURE
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, records, send, server, text_of, until

pytestmark = pytest.mark.anyio

REPEATS = """
import json, sys

def say(number, **given):
    print(json.dumps({"jsonrpc": "2.0", "id": number} | given), flush=True)

def text(words):
    return {"content": [{"type": "text", "text": words}]}

for line in sys.stdin:
    asked = json.loads(line)
    number, method = asked.get("id"), asked.get("method")
    if number is None:
        continue
    if method == "initialize":
        version = asked["params"]["protocolVersion"]
        about = {"capabilities": {"tools": {}}, "serverInfo": {"name": "repeats", "version": "1"}}
        say(number, result={"protocolVersion": version} | about)
    elif method == "tools/list":
        say(number, result={"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]})
    elif method == "tools/call":
        words = asked["params"]["arguments"]["text"]
        for following in range(number + 1, number + 20):
            say(following, result=text("before it was asked"))
        for _ in range(3):
            say(number, result=text(words))
        say(number, error={"code": -32603, "message": "after it was answered"})
    else:
        say(number, error={"code": -32601, "message": "no such method"})
"""


@pytest.mark.attack(
    "Servers", "every answer given three times, then as an error, and twenty before they were asked for"
)
async def test_of_repeated_answers_one_counts_and_none_for_another_call(tmp_path: Path) -> None:
    program = tmp_path / "repeats.py"
    program.write_text(REPEATS)
    part = f"[gateway.servers.a]\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps([str(program)])}\n"
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        answers = [text_of(await call(gateway, "a__echo", text=f"call {n}")) for n in range(10)]
        outcomes = [record["outcome"] for record in records(gateway) if record["phase"] == "ended"]

    assert answers == [f"call {n}" for n in range(10)]
    assert outcomes == ["ok"] * 10


@pytest.mark.attack("Pins", "an accepted definition rewritten in the store, and another server's row put in its place")
@pytest.mark.parametrize(
    "forged",
    [
        "UPDATE pins SET body = replace(body, 'old', 'new') WHERE server = 'a'",
        (
            "UPDATE pins SET (body, mac) = (SELECT b.body, b.mac FROM pins AS b"
            " WHERE b.server = 'b' AND b.tool = pins.tool) WHERE server = 'a'"
        ),
    ],
)
async def test_a_definition_that_was_accepted_without_the_keys_is_not_offered(tmp_path: Path, forged: str) -> None:
    before = (server("a", "--describe", "old"), server("b", "--describe", "new"))
    async with gateway_of(tmp_path, *before, ALLOW_ALL) as gateway:
        await gateway.store.write(lambda tx: tx.execute(forged))
    async with gateway_of(tmp_path, server("a", "--describe", "new"), ALLOW_ALL) as gateway:
        offered = [entry.name for entry in gateway.catalog.entries()]

    assert offered == []


@pytest.mark.attack("Servers", "floods: lists that are always others, lines that are no messages, questions, progress")
async def test_a_server_that_says_too_much_fills_neither_ledger_nor_log_nor_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    program = str(FIXTURE.with_name("flooding_server.py"))
    part = f"[gateway.servers.f]\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps([program])}\n"
    heard: list[float] = []

    async def progress(done: float, _total: float | None, _message: str | None) -> None:
        heard.append(done)

    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        assert text_of(await call(gateway, "f__noise")) == "1 lists"
        assert len([record for record in caplog.records if "not a message" in record.message]) <= 6
        asked = await call(gateway, "f__asks")
        assert len(asked.content) <= 3, "the answer and what the gateway has to say about it"
        await send(gateway, "f__progress", {}, progress=progress)
        assert 0 < len(heard) < 1_000
        before = len(records(gateway, notes=True))
        assert before < 10

        def offers(name: str) -> bool:
            return gateway.catalog.find(name) is not None

        for lists in (2, 3):
            await call(gateway, "f__lists")
            await until(partial(offers, f"f__new_{lists}_0"))
        assert len(records(gateway, notes=True)) - before < 20, "600 definitions were new or others, twice"


DRAFT = "https://json-schema.org/draft/2020-12/schema"
SLOW = {"type": "string", "pattern": "^(a+)+$"}
DOUBLED: dict[str, Any] = {
    "$ref": "#/$defs/d0",
    "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {"type": "object"}},
}
BRANCHING: dict[str, Any] = {
    "properties": {"x": {"$ref": "#/$defs/d0"}},
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 20} for n in range(20)}
    | {"d20": {"type": "string"}},
}
BOMBS: dict[str, dict[str, Any]] = {
    "a slow pattern": {"properties": {"x": SLOW}},
    "one behind a draft of its own": {"properties": {"x": {"$schema": DRAFT, **SLOW}}},
    "one for names": {"patternProperties": {"^(a+)+$": True}, "additionalProperties": True},
    "one for other names": {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": {"minProperties": 1}},
    "one for names left over": {"patternProperties": {"^(a+)+$": {}}, "unevaluatedProperties": {"minProperties": 1}},
    "references that double": DOUBLED,
    "alternatives of alternatives": BRANCHING,
    "all compared with all": {"properties": {"many": {"uniqueItems": True}}},
}
LONG = {"x": "a" * 40 + "!", "a" * 40 + "!": "x", "many": [{"n": n} for n in range(20_000)]}


@pytest.mark.attack("Schemas", "schemas of arguments and answers that take exponential or quadratic time to check")
async def test_a_schema_that_takes_for_ever_to_check_stops_nobody_else(tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    tools = {f"in_{n}": {"inputSchema": bomb} for n, bomb in enumerate(BOMBS.values())}
    tools |= {f"out_{n}": {"outputSchema": bomb} for n, bomb in enumerate(BOMBS.values())}
    plan.write_text(json.dumps({"tools": tools, "answer": LONG}))
    program = FIXTURE.with_name("schemas_server.py")
    part = (
        f"[gateway.servers.h]\ncommand = {json.dumps(sys.executable)}\nargs = {json.dumps([str(program), str(plan)])}\n"
    )
    answers: dict[str, str] = {}
    async with gateway_of(tmp_path, part, server("a"), ALLOW_ALL) as gateway:

        async def one(name: str) -> None:
            answers[name] = text_of(await call(gateway, f"h__{name}", **LONG))

        async with anyio.create_task_group() as calls:
            for name in tools:
                calls.start_soon(one, name)
            assert text_of(await call(gateway, "a__echo", text="meanwhile")) == "meanwhile"
        listed = [entry.listed.output_schema for entry in gateway.catalog.entries() if "h__out_" in entry.name]

    assert len(listed) == len(BOMBS)
    assert "(a+)+" not in json.dumps(listed), "clients would run it, with worse expressions"
    assert answers.keys() == tools.keys()
    doubled = list(BOMBS).index("references that double")
    assert answers.pop(f"in_{doubled}").startswith("too_large: checking the arguments against the tool's schema")
    assert answers.pop(f"out_{doubled}") == "answered", "its structured part is left out"
    patterned = {"in_0", "in_1"}
    assert {name for name, text in answers.items() if text != "answered"} == patterned
