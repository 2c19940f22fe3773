"""Answers that break the protocol: what can be read is delivered, and what cannot fails its call at once, with why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from lg_gateway.upstreams.message_lines import HELD_LINES, MessageLines, TooLong
from tests.gateway.misbehaving import misbehaving, misbehaving_over_http, named, result, said
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, records, text_of, until

pytestmark = pytest.mark.anyio

REPAIRED = {
    "half_a_pair": (said("an ant \\ud83d here"), "an ant \ufffd here"),
    "latin_1": (said("caf\xe9"), "caf\ufffd"),
    "long_number": (
        '{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":{"n":' + "7" * 5000 + "}}}",
        "",
    ),
    "not_a_number": ('{"jsonrpc":"2.0","id":ID,"result":{"content":[],"structuredContent":{"n":NaN}}}', ""),
    "batch": ("[" + said("in a batch") + "]", "in a batch"),
    "raw_tab": (said("a\tb"), "a\tb"),
    "id_as_text": (said("x").replace("ID", '"ID"'), "x"),
    "error_null": (said("fine")[:-1] + ',"error":null}', "fine"),
    "no_version": (said("old").replace('"jsonrpc":"2.0",', ""), "old"),
    "two_on_a_line": (said("first") + "printed by mistake", "first"),
    "pretty": (
        json.dumps(json.loads(said("over\\nlines [{").replace("ID", '"ID"')), indent=2).replace('"ID"', "ID"),
        "over\nlines [{",
    ),
    "pretty_batch": ("[\n  " + said("in a list") + "\n]", "in a list"),
    "pretty_in_a_list": ("[\n  {\n" + said("one by one")[1:-1] + "\n  },\n  {\n  }\n]", "one by one"),
    "after_an_open_list": ("[\n" + said("not held up"), "not held up"),
    "after_a_bracket": ("{\n" + said("after noise"), "after noise"),
    "utf_16_le": ("UTF-16-LE " + said("wide"), "wide"),
    "utf_16_be": ("UTF-16-BE " + said("wide"), "wide"),
    "utf_16_bom": ("UTF-16 " + said("wide"), "wide"),
    "json_in_json": (json.dumps(said("twice")), "twice"),
    "no_line_break": ("LAST " + said("the last word"), "the last word"),
    "plain_text": ('{"jsonrpc":"2.0","id":ID,"result":"just words"}', '"just words"'),
}


@pytest.mark.parametrize("name", REPAIRED)
async def test_an_answer_that_json_or_the_protocol_forbids_is_repaired_and_delivered(tmp_path: Path, name: str) -> None:
    line, wanted = REPAIRED[name]
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={name: line}), ALLOW_ALL) as gateway:
        with anyio.fail_after(60):
            answer = await call(gateway, f"odd__{name}")

    assert not answer.is_error
    assert (text_of(answer) if answer.content else "") == wanted
    if name == "long_number":
        assert answer.structured_content == {"n": "7" * 5000}


BROKEN = {
    "cut_off": ('{"jsonrpc":"2.0","id":ID,"result":{"content":[', "it is not JSON"),
    "bad_escape": ('{"jsonrpc":"2.0","id":ID,"result":{"content":[{"type":"text","text":"\\x"}]}}', "it is not JSON"),
    "too_deep": ('{"jsonrpc":"2.0","id":ID,"result":' + '{"a":' * 5000 + "1" + "}" * 5001, "more than 200 levels deep"),
    "empty_batch": ("[]", "it is an empty list"),
    "text": (json.dumps('{"jsonrpc": broken'), "it is a text"),
    "without_id": ('{"jsonrpc":"2.0","result":{"content":[', "it is not JSON"),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_cannot_be_read_fails_its_call_at_once_with_the_reason(tmp_path: Path, name: str) -> None:
    line, why = BROKEN[name]
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={name: line}), ALLOW_ALL) as gateway:
        with anyio.fail_after(60):
            answer = await call(gateway, f"odd__{name}")
            after = await call(gateway, f"odd__{name}")

    assert text_of(answer).startswith("internal: cannot read the answer of server odd: ")
    assert why in text_of(answer)
    assert text_of(after) == text_of(answer), "the server is still there"


async def test_an_error_without_an_id_belongs_to_the_only_call_it_can_belong_to(tmp_path: Path) -> None:
    nobody = '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"could not read that"}}'
    plan = misbehaving(tmp_path, calls={"nobody": nobody}, tools=named("hang", "late"))
    answers: dict[str, Any] = {}
    async with gateway_of(tmp_path, plan, ALLOW_ALL) as gateway:

        async def make(name: str) -> None:
            answers[name] = await call(gateway, f"odd__{name}")

        with anyio.fail_after(60):
            await make("nobody")
            alone = text_of(answers.pop("nobody"))
            async with anyio.create_task_group() as calls:
                calls.start_soon(make, "hang")
                await anyio.wait_all_tasks_blocked()
                calls.start_soon(make, "nobody")
                await anyio.wait_all_tasks_blocked()
                await make("late")  # answers the hanging call, so that one call is left

    assert "could not read that (-32700)" in alone
    assert text_of(answers["hang"]) == "too late"
    assert "could not read that (-32700)" in text_of(answers["nobody"])


@pytest.mark.parametrize("code", [-32000, -32001, -32002, -32603, -1])
async def test_a_living_servers_own_error_is_passed_on_whatever_its_code(tmp_path: Path, code: int) -> None:
    error = {"code": code, "message": "quota exceeded", "data": {"retry": "tomorrow"}}
    line = '{"jsonrpc":"2.0","id":ID,"error":' + json.dumps(error) + "}"
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={"work": line}), ALLOW_ALL) as gateway:
        answer = await call(gateway, "odd__work")
        record = records(gateway)[-1]
        restarts = gateway.upstreams["odd"].restarts

    assert text_of(answer).startswith(f"internal: server odd refused the call: quota exceeded ({code})")
    assert answer.meta["lg/server-error"] == {"server": "odd", "code": code, "message": "quota exceeded"} | {
        "data": {"retry": "tomorrow"}
    }
    assert (record["outcome"], record["error_code"], restarts) == ("error", "internal", 0)


NULLS: dict[str, dict[str, Any]] = {
    "is_error": {"isError": None},
    "structured": {"structuredContent": None},
    "meta": {"_meta": None},
    "all": {"isError": None, "structuredContent": None, "_meta": None, "resultType": None},
    "block": {"content": [{"type": "text", "text": "kept", "annotations": None, "_meta": None}]},
}


@pytest.mark.parametrize("name", NULLS)
async def test_a_field_that_is_null_counts_as_left_out(tmp_path: Path, name: str) -> None:
    line = result(**({"content": [{"type": "text", "text": "kept"}]} | NULLS[name]))
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls={name: line}), ALLOW_ALL) as gateway:
        answer = await call(gateway, f"odd__{name}")

    assert (text_of(answer), answer.is_error, answer.structured_content) == ("kept", False, None)


async def test_a_relay_passes_on_what_it_need_not_judge(tmp_path: Path) -> None:
    hologram = {"type": "hologram", "data": "AAAA"}
    calls = {
        "empty": result(),
        "newer": result(content=[{"type": "text", "text": "known"}, hologram]),
        "array": result(content=[], structuredContent=[1, {"a": 2}]),
        "bare": result(content={"type": "text", "text": "no list"}),
        "words": result(content="words"),
    }
    async with gateway_of(tmp_path, misbehaving(tmp_path, calls=calls), ALLOW_ALL) as gateway:
        answers = {name: await call(gateway, f"odd__{name}") for name in calls}

    assert not any(answer.is_error for answer in answers.values())
    assert answers["empty"].content == []
    assert [block.text for block in answers["newer"].content] == ["known", json.dumps(hologram)]
    assert answers["array"].structured_content == [1, {"a": 2}]
    assert (text_of(answers["bare"]), text_of(answers["words"])) == ("no list", "words")


MISFITS: dict[str, dict[str, Any]] = {
    "text_only": {"content": [{"type": "text", "text": "what was done"}]},
    "wrong_type": {"content": [{"type": "text", "text": "what was done"}], "structuredContent": {"x": "one"}},
}


@pytest.mark.parametrize("name", MISFITS)
@pytest.mark.parametrize("strict", [False, True])
async def test_the_text_of_an_answer_that_does_not_fit_its_schema_is_passed_on(
    tmp_path: Path, name: str, strict: bool, caplog: pytest.LogCaptureFixture
) -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    tools = [{"name": name, "inputSchema": {"type": "object"}, "outputSchema": schema}]
    setting = "strict_results = true" if strict else ""
    part = misbehaving(tmp_path, settings=setting, tools=tools, calls={name: result(**MISFITS[name])})
    async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
        answer = await call(gateway, f"odd__{name}")
        ended = records(gateway)[-1]

    assert "does not fit the tool's own schema" in caplog.text
    if strict:
        assert text_of(answer).startswith("internal: server odd sent an answer that does not fit the tool's own schema")
        return
    assert (answer.is_error, answer.structured_content) == (False, {})
    assert text_of(answer) == "what was done"
    assert "[the gateway: the structured part does not fit the tool's schema" in answer.content[1].text
    assert ended["outcome"] == "ok"
    assert "does not fit" in ended["detail"]


OVER_HTTP = ("half_a_pair", "latin_1", "long_number", "batch", "id_as_text", "error_null", "plain_text")
REFUSED = {
    "cut_off": (BROKEN["cut_off"][0], "internal: cannot read the answer of server odd: it is not JSON"),
    "null_id": ('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"quota"}}', "quota (-32000)"),
    "busy": ("HTTP 503 <h1>too\nmuch</h1>", "HTTP 503 Service Unavailable: <h1>too much</h1> (-32603)"),
    "proxy": ("HTTP 504 late", "outcome_unknown: server odd was not reached, or its answer was lost: HTTP 504"),
}


@pytest.mark.parametrize("events", [False, True])
async def test_over_http_answers_are_repaired_or_fail_with_the_reason_just_the_same(
    tmp_path: Path, events: bool
) -> None:
    calls = {name: REPAIRED[name][0] for name in OVER_HTTP} | {name: line for name, (line, _) in REFUSED.items()}
    with misbehaving_over_http(tmp_path, calls=calls, events=events) as part:
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            with anyio.fail_after(60):
                answers = {name: await call(gateway, f"odd__{name}") for name in calls}
            restarts = gateway.upstreams["odd"].restarts

    for name in OVER_HTTP:
        assert (text_of(answers[name]) if answers[name].content else "") == REPAIRED[name][1], name
    for name, (_, words) in REFUSED.items():
        assert words in text_of(answers[name]), name
    assert answers["long_number"].structured_content == {"n": "7" * 5000}
    assert restarts == 0


@pytest.mark.parametrize("events", [False, True])
async def test_an_http_answer_that_breaks_off_costs_its_call_and_not_the_others(tmp_path: Path, events: bool) -> None:
    calls = {"short": said("SHORT"), "slow": said("here")}
    with misbehaving_over_http(tmp_path, calls=calls, events=events) as part:
        async with gateway_of(tmp_path, part, ALLOW_ALL) as gateway:
            with anyio.fail_after(60):
                answers = [await call(gateway, f"odd__{name}") for name in ("short", "slow", "short", "slow")]
            restarts = gateway.upstreams["odd"].restarts

    assert [answer.is_error for answer in answers] == [not events, False] * 2
    assert restarts == 0
    if not events:  # an event that is whole has been delivered, whatever comes after it
        assert text_of(answers[0]).startswith(
            "outcome_unknown: server odd was not reached, or its answer was lost: its "
        )


def test_lines_are_cut_in_linear_time_and_held_ones_end() -> None:
    lines = MessageLines(10_000_000)
    assert lines.feed(b"{\n" * 50_000) == []
    assert lines.feed(b'{"jsonrpc": "2.0"}\n')[-1] == b'{"jsonrpc": "2.0"}'
    assert lines.feed(b"[1]\n{\n}\nplain\n[\n") == [b"[1]", b"{\n}", b"plain", b"["]
    lines.feed(b"{\n")
    assert lines.end() == [b"{"]
    assert len(b"".join(lines.feed(b"{\n" * (HELD_LINES + 1)))) > HELD_LINES
    with pytest.raises(TooLong):
        for _ in range(1_001):
            lines.feed(b"x" * 10_000)


async def test_a_server_that_introduces_itself_oddly_is_used_and_one_that_cannot_be_is_named_with_why(
    tmp_path: Path,
) -> None:
    odd = {
        "silent": {"serverInfo": None},
        "without": {"capabilities": None},
        "numbers": {"serverInfo": {"name": 7, "version": 1.0, "title": None}},
        "text": {"serverInfo": "my server", "capabilities": []},
    }
    servers = [
        misbehaving(tmp_path, name, handshake=said_, calls={"good": said("fine")}) for name, said_ in odd.items()
    ]
    future = misbehaving(tmp_path, "future", handshake={"protocolVersion": "2099-01-01"}, calls={"good": ""})
    async with gateway_of(tmp_path, *servers, future, ALLOW_ALL) as gateway:
        answers = {name: text_of(await call(gateway, f"{name}__good")) for name in odd}
        await until(lambda: bool(gateway.upstreams["future"].last_error))
        why = gateway.upstreams["future"].last_error

    assert answers == dict.fromkeys(odd, "fine")
    assert "2099-01-01" in why
    assert "exited" not in why
