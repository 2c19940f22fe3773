"""Answers that name no request, are none, or come in other clothes: no call hangs on one, and none is made twice."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import anyio
import mcp_types as t
import pytest

from lg_gateway.catalog.listed_schemas import listed_input, problems
from lg_gateway.upstreams.relay import Relay
from lg_gateway.upstreams.replies import Arrival, Reply, current_reply
from tests.gateway.misbehaving import misbehaving, misbehaving_over_http, said
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, text_of

pytestmark = pytest.mark.anyio

FINE = said("fine")
QUESTION = '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":'
ASKED = QUESTION + '{"message":"Which?","requestedSchema":{"type":"object","properties":{}}}}\n'
HEAD = '{"jsonrpc":"2.0","id":ID,'
DELIVERED = {
    "echoes the method": HEAD + '"method":"tools/call",' + FINE.removeprefix(HEAD),
    "a method that is null": HEAD + '"method":null,' + FINE.removeprefix(HEAD),
    "an error that is false": HEAD + '"error":false,' + FINE.removeprefix(HEAD),
    "an error that is empty": HEAD + '"error":{},' + FINE.removeprefix(HEAD),
    "an id with spaces": FINE.replace("ID", '" ID "'),
    "a batch in a batch": f"[[{FINE}]]",
    "a prompt before it": f"> {FINE}",
    "colours around it": f"\x1b[32m{FINE}\x1b[0m",
    "a log line that shows the request before it": (
        'DEBUG got {"jsonrpc":"2.0","id":ID,"method":"tools/call","params":{"na\n' + FINE
    ),
    "an unreadable notification before it": (
        '{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"C:\\x"}}\n' + FINE
    ),
    "an unreadable request of the same id before it": (
        '{"jsonrpc":"2.0","id":ID,"method":"elicitation/create","params":{"message":"\\x"}}\n' + FINE
    ),
    "a question before it that nobody can read": QUESTION + '{"message":1}}\n' + FINE,
    "a question before it that is withdrawn": (
        ASKED + '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1"}}\n' + FINE
    ),
}
FAILED = {
    "neither result nor error": '{"jsonrpc":"2.0","id":ID}',
    "an error that is null alone": '{"jsonrpc":"2.0","id":ID,"error":null}',
    "a misspelt result": FINE.replace('"result"', '"Result"'),
    "no id": FINE.replace('"id":ID,', ""),
    "an id in a list": FINE.replace("ID", "[ID]"),
    "a line end in a text, the id last": (
        '{"result":{"content":[{"type":"text","text":"one\ntwo"}]},"jsonrpc":"2.0","id":ID}'
    ),
    "single quotation marks": "{'jsonrpc': '2.0', 'id': ID, 'result': {'content': []}}",
}


@pytest.mark.attack("Servers", "answers in other clothes: a method beside the result, ids as text, noise before them")
@pytest.mark.parametrize("name", DELIVERED)
async def test_an_answer_is_delivered_whatever_stands_around_it(tmp_path: Path, name: str) -> None:
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={"odd": DELIVERED[name]}), ALLOW_ALL) as gateway:
        with anyio.fail_after(60):
            answer = await call(gateway, "odd__odd")

    assert (answer.is_error, text_of(answer)) == (False, "fine")


@pytest.mark.attack("Servers", "answers without an id, a result or an error, and lines that only look like one")
@pytest.mark.parametrize("name", FAILED)
async def test_an_answer_that_is_none_fails_its_call_at_once(tmp_path: Path, name: str) -> None:
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={"odd": FAILED[name]}), ALLOW_ALL) as gateway:
        with anyio.fail_after(60):
            answer = await call(gateway, "odd__odd")

    assert text_of(answer).startswith("internal: cannot read the answer of server odd: ")


@pytest.mark.attack("Servers", "an answer without an id while several calls wait")
async def test_an_answer_without_an_id_fails_no_call_that_it_may_not_belong_to() -> None:
    relay, replies = Relay("odd"), [Reply(), Reply()]
    for number, reply in enumerate(replies):
        token = current_reply.set(reply)
        relay.sent(t.JSONRPCRequest(jsonrpc="2.0", id=number, method="tools/call", params={}))
        current_reply.reset(token)
    await relay.received(b'{"jsonrpc":"2.0","result":{"content":[]}}')

    assert [reply.unreadable for reply in replies] == ["", ""]
    await relay.received(b'{"jsonrpc":"2.0","id":0,"result":{"content":[]}}')
    assert replies[0].result is not None
    assert replies[1].unreadable == "it names no request"


@pytest.mark.attack("Servers", "a question that nobody takes, before an answer")
@pytest.mark.parametrize("end", ["withdrawn", "refused", "the server ends"])
async def test_an_answer_behind_a_question_does_not_wait_when_the_question_is_over(end: str) -> None:
    relay, reply = Relay("odd"), Reply(ended=Arrival(asyncio.get_running_loop()))
    relay.sent_directly(1, "tools/call", reply)
    await relay.received(ASKED.encode())
    await relay.received(FINE.replace("ID", "1").encode())
    assert reply.ended is not None
    assert not reply.ended.done()
    if end == "withdrawn":
        await relay.received(b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"q1"}}')
    elif end == "refused":
        relay.sent(t.JSONRPCError(jsonrpc="2.0", id="q1", error=t.ErrorData(code=-32601, message="no")))
    else:
        relay.connection_ended()

    assert reply.ended.done()
    assert reply.ended.exception() is None


HTTP_ANSWERS = {
    "no_content": ("HTTP 204 ", "HTTP 204 of type 'text/html' holds no answer"),
    "page": ("HTTP 200 <h1>log in first</h1>", "HTTP 200 of type 'text/html' holds no answer: <h1>log in first</h1>"),
    "empty_list": ("[]", "cannot read the answer of server odd: it is an empty list"),
    "neither": ('{"jsonrpc":"2.0","id":ID}', "it has neither a result nor an error"),
}


@pytest.mark.attack("Servers", "a tool of a server over HTTP that speaks of a session of its own")
async def test_a_call_is_not_made_twice_because_its_error_speaks_of_a_session(tmp_path: Path) -> None:
    log = tmp_path / "journal"
    gone = '{"jsonrpc":"2.0","id":ID,"error":{"code":-32600,"message":"payment taken, but: Session not found"}}'
    with misbehaving_over_http(tmp_path, calls={"pay": gone}, journal=str(log)) as part:
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            answer = await call(gateway, "odd__pay")
            restarts = gateway.upstreams["odd"].restarts

    assert "payment taken" in text_of(answer)
    assert [entry["method"] for entry in journal(log)].count("tools/call") == 1
    assert restarts == 0


@pytest.mark.attack("Servers", "HTTP answers without a body, of another type, and that hold no answer")
async def test_an_http_answer_that_holds_none_fails_its_call_with_what_it_says(tmp_path: Path) -> None:
    calls = {name: line for name, (line, _) in HTTP_ANSWERS.items()} | {"plain": f"HTTP 200 {FINE}"}
    with misbehaving_over_http(tmp_path, calls=calls) as part:
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            with anyio.fail_after(60):
                answers = {name: text_of(await call(gateway, f"odd__{name}")) for name in calls}

    assert answers.pop("plain") == "fine", "an answer is one, whatever its type is called"
    for name, said_of_it in answers.items():
        assert said_of_it.startswith("internal: cannot read the answer of server odd: "), name
        assert HTTP_ANSWERS[name][1] in said_of_it


TOKEN = "ghp_" + "Zq7Xw3Lk9" * 4


@pytest.mark.attack("Secrets", "a secret where a server's error message or its data is cut")
@pytest.mark.parametrize("before", [430, 470, 490, 1970, 1990])
async def test_the_beginning_of_a_secret_does_not_survive_a_cut(tmp_path: Path, before: int) -> None:
    error: dict[str, Any] = {"code": -32000, "message": "x " * (before // 2) + TOKEN + " end"}
    within: dict[str, Any] = {"code": -32000, "message": "see", "data": {"why": error["message"]}}
    calls = {
        name: '{"jsonrpc":"2.0","id":ID,"error":' + json.dumps(kind) + "}"
        for name, kind in (("message", error), ("data", within))
    }
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls=calls), ALLOW_ALL) as gateway:
        shown = [(await call(gateway, f"odd__{name}")).model_dump_json() for name in calls]
        kept = json.dumps(records(gateway))

    for text in (*shown, kept):
        assert TOKEN[:8] not in text


NAMED = {"$anchor": "words", "type": "string"}
CLOSED = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
SCHEMAS: dict[str, tuple[dict[str, Any], Any]] = {
    "an anchor": ({"$ref": "#words"}, "hello"),
    "a name in percent signs": ({"$ref": "#/$defs/List%3Cstring%3E"}, "hello"),
    "a base of its own": ({"$id": "urn:x", "$defs": {"n": {"type": "string"}}, "$ref": "#/$defs/n"}, "hello"),
    "properties beside a reference": ({"$ref": "#/$defs/closed", "properties": {"b": {}}}, {"a": 1}),
    "properties beside one part": ({"properties": {"b": {}}, "allOf": [CLOSED]}, {"a": 1}),
    "a step of nothing": ({"type": "integer", "multipleOf": 0}, 3),
    "half a length": ({"type": "string", "minLength": 1.0, "maxLength": 2.5}, "ab"),
    "examples that are no list": ({"type": "string", "examples": "a"}, "a"),
    "choices twice": ({"enum": ["a", "a"]}, "a"),
    "a pattern with flags": ({"type": "string", "pattern": "(?i)^a"}, "A"),
    "a pattern with classes of its own": ({"type": "string", "pattern": "^[[:alpha:]]+$"}, "ab"),
    "a pattern with needless escapes": ({"type": "string", "pattern": r"^\@\w+$"}, "@a"),
}


@pytest.mark.attack("Schemas", "references, joined parts, odd keywords and patterns that clients read otherwise")
@pytest.mark.parametrize("name", SCHEMAS)
def test_a_listed_schema_is_valid_for_every_client_and_never_narrower(name: str) -> None:
    from jsonschema import Draft202012Validator

    part, fits = SCHEMAS[name]
    defs = {"words": NAMED, "closed": CLOSED, "n": {"type": "integer"}, "List<string>": {"type": "string"}}
    made = listed_input({"type": "object", "properties": {"x": part}, "$defs": defs}).schema

    assert problems(made) == []
    Draft202012Validator.check_schema(made)
    Draft202012Validator(made).validate({"x": fits})
    listed = made["properties"]["x"]
    assert "pattern" not in listed
    assert listed.get("enum") in (None, ["a"])
    assert ("type" in listed) is (name not in ("an anchor", "a base of its own"))
