"""What servers that imitate OpenAI send, over the wire: taken where it is certain, else an error says what came."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import pytest
from langchain_core.messages import HumanMessage

from lg_orch.contracts.errors import ModelGone
from lg_orch.llm.cost.spending import Spending
from lg_orch.llm.cost.token_bounds import TokenBound, TokenBounds
from lg_orch.llm.model_request import ModelRequest
from lg_orch.llm.ports import RunPorts
from lg_orch.llm.replies import ReplyCall
from lg_orch.llm.requests import Models
from lg_orch.llm.tool_names import tool_meant
from lg_orch.llm.wire.call_arguments import arguments_object, whole_characters
from lg_orch.llm.wire.openai_stream import MAX_EVENT, StreamRepair
from lg_orch.testing import Scripted, ScriptedModel, calls, text
from lg_orch.tools.tool_info import tool_info
from lg_policy.config.settings import Settings
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, patch, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lg_orch.llm.cost.spending import Used
    from lg_orch.llm.replies import Reply

pytestmark = pytest.mark.anyio
ARGUMENTS = '{"path": "calc.py"}'
EMPTY: dict[str, Any] = {"role": "assistant", "content": None}
WANTED = (ReplyCall(tool="fs__read_file", input={"path": "calc.py"}),)
OTHER = ReplyCall(tool="fs__read_file", input={"path": "b"})


@dataclass(kw_only=True)
class Lent:
    """What a run lends to whoever asks."""

    meter: Spending
    wall_left_s: float = 600.0
    bounds: TokenBounds = field(default_factory=TokenBounds)

    def check_wall(self) -> None:
        return None

    def bound(self, model: str) -> TokenBound:
        return self.bounds.of(model)

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        return self.meter.reply_room(model, most_prompt, wanted, beyond=self.bound(model).reply_surplus)

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        return self.meter.at_most(model, prompt, reply)

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        return None

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        return None

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        return None


async def asked(raw: tuple[bytes, ...], *, streaming: bool) -> Reply | str:
    """The reply to a request that a server answers so, or why there is none."""
    with ScriptedModel([Scripted(raw=raw)]) as model:
        default = {"provider": "openai", "model": "m", "base_url": model.base_url, "retries": 0, "streaming": streaming}
        settings = Settings.model_validate({"models": {"default": default}})
        lent = Lent(meter=Spending(settings.budgets, settings.models.prices))
        ports = RunPorts(tools=(), budget=lent, clock=lent, journal=lent, mask=lambda said: said)
        request = ModelRequest(role="coder", messages=[HumanMessage("hi")])
        models = Models(settings.models, {"OPENAI_API_KEY": ""})
        try:
            return await anyio.to_thread.run_sync(models.ask, ports, request)
        except ModelGone as error:
            return error.message


def sse(*said: Any, done: bool = True) -> tuple[bytes, ...]:
    events = [f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n".encode() for one in said]
    return (*events, b"data: [DONE]\n\n") if done else tuple(events)


def chunk(delta: Any = None, reason: str | None = None, **also: Any) -> dict[str, Any]:
    base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    return base | {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]} | also


def answer(message: Any, reason: str | None = "tool_calls", **also: Any) -> tuple[bytes, ...]:
    base = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
    whole = base | {"choices": [{"index": 0, "message": message, "finish_reason": reason}]} | also
    return (json.dumps(whole).encode(),)


def call(arguments: Any = ARGUMENTS, name: str = "fs__read_file", **also: Any) -> dict[str, Any]:
    made = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}} | also
    return {key: value for key, value in made.items() if value != "left out"}


def more(arguments: str, **also: Any) -> dict[str, Any]:
    return {"tool_calls": [{"function": {"arguments": arguments}} | also]}


END = chunk({}, "tool_calls")


def told(*made: dict[str, Any]) -> dict[str, Any]:
    return chunk(EMPTY | {"tool_calls": list(made)})


STREAMS: dict[str, tuple[bytes, ...]] = {
    "no choices in a chunk": sse({"id": "x", "object": "chat.completion.chunk"}, told(call()), END),
    "empty and null choices": sse(chunk(choices=[]), chunk(choices=None), told(call()), END),
    "null delta": sse(told(call()), chunk(None, "tool_calls")),
    "message in place of delta": sse({"id": "x", "choices": [
        {"index": 0, "message": EMPTY | {"tool_calls": [call()]}, "finish_reason": "tool_calls"}]}),
    "no id": sse(told(call(id="left out")), END), "no index": sse(told(call(index="left out")), END),
    "null index": sse(told(call(index=None)), END), "index as text": sse(told(call(index="0")), END),
    "no type": sse(told(call(type="left out")), END), "role is empty": sse(told(call()) | {}, END),
    "pieces without index": sse(told(call("", index="left out")), chunk(more(ARGUMENTS[:8])),
                                chunk(more(ARGUMENTS[8:])), END),
    "pieces that repeat the name": sse(told(call(ARGUMENTS[:8])), told(call(ARGUMENTS[8:])), END),
    "repeated whole at the end": sse(told(call("")), chunk(more(ARGUMENTS, index=0)), told(call()), END),
    "arguments encoded twice": sse(told(call(json.dumps(ARGUMENTS))), END),
    "arguments in a fence": sse(told(call(f"```json\n{ARGUMENTS}\n```")), END),
    "arguments in a list": sse(told(call(f"[{ARGUMENTS}]")), END),
    "arguments as an object": sse(told(call(json.loads(ARGUMENTS))), END),
    "function_call": sse(chunk(EMPTY | {"function_call": {"name": "fs__read_file", "arguments": ARGUMENTS[:8]}}),
                         chunk({"function_call": {"arguments": ARGUMENTS[8:]}}), chunk({}, "function_call")),
    "one call, no list": sse(chunk(EMPTY | {"tool_calls": call()}), END),
    "a flat call": sse(told({"index": 0, "id": "c1", "name": "fs__read_file", "arguments": ARGUMENTS}), END),
    "reasoning fields": sse(chunk({"role": "assistant", "reasoning_content": "hm"}), chunk({"reasoning": "hm"}),
                            told(call()), END),
    "stop with calls": sse(told(call()), chunk({}, "stop")),
    "usage null": sse(told(call()) | {"usage": None}, END | {"usage": None}),
    "usage of nulls": sse(told(call()), END, chunk(choices=[], usage={"prompt_tokens": None, "total_tokens": None})),
    "usage as text": sse(told(call()), END, chunk(choices=[], usage={"prompt_tokens": "5", "total_tokens": "6"})),
    "comments": (b": keep-alive\n\n", b":\n", *sse(told(call()), END)),
    "signs of life": (b"event: ping\ndata: {}\n\n", b"data: \n\n", b'data: {"type": "ping"}\n\n',
                      *sse(told(call()), END)),
    "carriage returns": tuple(part.replace(b"\n", b"\r\n") for part in sse(told(call()), END)),
    "no space after data": tuple(part.replace(b"data: ", b"data:") for part in sse(told(call()), END)),
    "a mark at the beginning": (b"\xef\xbb\xbf", *sse(told(call()), END)),
    "cut anywhere": tuple(bytes([byte]) for byte in b"".join(sse(told(call()), END))),
    "no [DONE]": sse(told(call()), END, done=False),
    "a whole answer": answer(EMPTY | {"tool_calls": [call()]}),
    "tool calls of null": sse(told(call()), chunk({"tool_calls": None}), END),
}  # fmt: skip
ANSWERS: dict[str, tuple[bytes, ...]] = {
    "no id": answer(EMPTY | {"tool_calls": [call(id="left out")]}),
    "null id": answer(EMPTY | {"tool_calls": [call(id=None)]}),
    "no content": answer({"role": "assistant", "tool_calls": [call()]}),
    "no role": answer({"content": None, "tool_calls": [call()]}),
    "no type": answer(EMPTY | {"tool_calls": [call(type="left out")]}),
    "arguments encoded twice": answer(EMPTY | {"tool_calls": [call(json.dumps(ARGUMENTS))]}),
    "arguments as an object": answer(EMPTY | {"tool_calls": [call(json.loads(ARGUMENTS))]}),
    "function_call": answer(EMPTY | {"function_call": {"name": "fs__read_file", "arguments": ARGUMENTS}}),
    "one call, no list": answer(EMPTY | {"tool_calls": call()}),
    "a flat call": answer(EMPTY | {"tool_calls": [{"name": "fs__read_file", "arguments": ARGUMENTS}]}),
    "stop with calls": answer(EMPTY | {"tool_calls": [call()]}, "stop"),
    "no reason": answer(EMPTY | {"tool_calls": [call()]}, None),
    "reasoning": answer(EMPTY | {"reasoning_content": "hm", "tool_calls": [call()]}),
    "usage null": answer(EMPTY | {"tool_calls": [call()]}, usage=None),
    "usage of nulls": answer(EMPTY | {"tool_calls": [call()]}, usage={"prompt_tokens": None, "total_tokens": None}),
    "null among the calls": answer(EMPTY | {"tool_calls": [None, call()]}),
}


@pytest.mark.parametrize(("variants", "streaming"), [(STREAMS, True), (ANSWERS, False)])
async def test_a_call_whose_meaning_is_certain_is_taken_however_it_is_sent(
    variants: dict[str, tuple[bytes, ...]], streaming: bool
) -> None:
    wrong = {}
    for name, raw in variants.items():
        reply = await asked(raw, streaming=streaming)
        if isinstance(reply, str) or reply.calls != WANTED or reply.broken:
            wrong[name] = reply
    assert not wrong


@pytest.mark.parametrize(
    "raw",
    [
        sse(told(call(), call('{"path": "b"}', index=1, id="c2")), END),
        sse(told(call(index="left out")), told(call('{"path": "b"}', index="left out", id="c2")), END),
        sse(told(call()), told(call('{"path": "b"}', id="c2")), END),
        sse(told(call(id="left out")), told(call('{"path": "b"}', id="left out")), END),
        sse(told(call("", index="left out")), chunk(more(ARGUMENTS)), told(call("", index="left out", id="c2")),
            chunk(more('{"path": "b"}')), END),
    ],
)  # fmt: skip
async def test_two_calls_stay_two_however_they_are_numbered(raw: tuple[bytes, ...]) -> None:
    reply = await asked(raw, streaming=True)
    assert not isinstance(reply, str), reply
    assert reply.calls == (*WANTED, OTHER)


@pytest.mark.parametrize(
    ("raw", "streaming", "why"),
    [
        (sse({"error": {"message": "model crashed", "code": 500}}), True, "model crashed"),
        (sse({"error": "model crashed"}), True, "model crashed"),
        (sse(chunk({"content": "he"}), {"error": {"message": "model crashed"}}), True, "model crashed"),
        ((b'event: error\ndata: {"message": "model crashed"}\n\n',), True, "model crashed"),
        (sse(chunk({"content": ""}, "error") | {"choices": [{"index": 0, "error": {"message": "model crashed"}}]}),
         True, "model crashed"),
        (sse({"detail": "not loaded"}), True, "not loaded"),
        (sse({"object": "error", "message": "too busy"}), True, "too busy"),
        ((b'{"error": {"message": "model crashed"}}',), True, "model crashed"),
        (sse(chunk(choices=[])), True, "its `choices` were empty"),
        ((b"<html>log in</html>",), True, "no event stream: <html>log in"),
        ((b"data: {not json\n\n",), True, "no JSON: {not json"),
        (sse([1]), True, "no completion: [1]"), (sse(told(call()), done=False), True, "broke off"),
        (answer(EMPTY, choices=[]), False, "has no `choices`"), (answer(EMPTY, choices=None), False, "no `choices`"),
        (answer(None), False, "has no message"), ((b"null",), False, "no completion: null"),
        ((b"[]",), False, "no completion: []"), ((b'"overloaded"',), False, "no completion: overloaded"),
        ((b'{"error": "model crashed"}',), False, "model crashed"), ((b'{"detail": "no"}',), False, "error: no"),
        ((b"<html>log in</html>",), False, "it begins with: <html>log in"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_an_error_that_says_what_came(
    raw: tuple[bytes, ...], streaming: bool, why: str
) -> None:
    reply = await asked(raw, streaming=streaming)
    assert isinstance(reply, str), reply
    assert why in reply


async def test_words_arrive_whole_whatever_bytes_they_are_cut_into() -> None:
    split = tuple(bytes([byte]) for byte in 'data: {"choices":[{"delta":{"content":"café 😀"}}]}\n\n'.encode())
    reply = await asked((*split, *sse(chunk({}, "stop"))), streaming=True)
    assert not isinstance(reply, str), reply
    assert reply.text == "café 😀"
    halves = (b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\n\n',
              b'data: {"choices":[{"delta":{"content":"\\ude00 \\ud83d \xe9"}}]}\n\n')  # fmt: skip
    reply = await asked((*halves, *sse(chunk({}, "stop"))), streaming=True)
    assert not isinstance(reply, str), reply
    assert reply.text == "😀 \ufffd \ufffd"


async def test_a_reply_without_a_name_or_with_other_arguments_than_an_object_says_so() -> None:
    reply = await asked(answer(EMPTY | {"tool_calls": [{"id": "a", "type": "function", "function": None}]}),
                        streaming=False)  # fmt: skip
    assert not isinstance(reply, str), reply
    assert reply.broken == ("a call does not name its tool by a usable name, or its arguments are nested too deeply",)
    reply = await asked(sse(told(call('"calc.py"')), END), streaming=True)
    assert not isinstance(reply, str), reply
    assert reply.broken == ('fs__read_file: not an object but str: "calc.py"',)


@pytest.mark.parametrize("arguments", ["", "null", '""', "  ", '"null"'])
def test_nothing_is_no_arguments(arguments: str) -> None:
    assert arguments_object(arguments) == {}


@pytest.mark.parametrize("arguments", ["3", "[1, 2]", '"a"', "[]", "{", '[{"a": 1}, {"b": 2}]'])
def test_what_may_mean_anything_is_not_taken_for_arguments(arguments: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        arguments_object(arguments)


@pytest.mark.parametrize("levels", [150, 300, 900, 100_000])
def test_arguments_that_are_nested_too_deeply_to_be_stored_are_refused(levels: int) -> None:
    with pytest.raises(ValueError, match="deep"):
        arguments_object('{"a":' * levels + "1" + "}" * levels)
    assert arguments_object('{"a":' * 90 + "1" + "}" * 90)


async def test_a_run_goes_on_after_a_call_that_is_nested_too_deeply(tmp_path: Path) -> None:
    nested = '{"path": "calc.py", "x": ' + '{"a":' * 300 + "1" + "}" * 301
    ran = await run(tmp_path, [Scripted(calls=(("fs__read_file", nested),)), READ, patch(), text(DONE)])
    assert ran.final.status == "done", ran.final.text
    assert "deep" in str(ran.model.requests[1]["messages"][-1])


def test_half_characters_are_joined_and_lonely_ones_replaced() -> None:
    assert whole_characters("a\ud83d\ude00b\ud83d") == "a😀b\ufffd"
    assert whole_characters("plain") == "plain"


@pytest.mark.parametrize("part", [b"data: " + b"x" * 1_000_000, b"data: x\n" * 200_000, b"x\n" * 600_000])
def test_a_stream_without_end_of_an_event_is_ended(part: bytes) -> None:
    repair = StreamRepair()
    said = [event for _ in range(MAX_EVENT // 400_000) for event in repair.take(part)]
    assert repair.ended
    assert len(said) == 1
    assert b"is longer than" in said[0]


TOOLS = tuple(
    tool_info(f"{server}__{name}", "", {"mcp": {"tool": {"_meta": {"lg/server": server, "lg/tool": name}}}})
    for server, name in (("fs", "read_file"), ("exec", "exec"), ("git", "log"), ("web", "log"))
)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("fs__read_file", "fs__read_file"), ("functions.fs__read_file", "fs__read_file"),
        ("functions.fs__read_file:0", "fs__read_file"), ("mcp__fs__read_file", "fs__read_file"),
        ("default_api.fs__read_file", "fs__read_file"), ("default_api:read_file", "fs__read_file"),
        ("fs.read_file", "fs__read_file"), ("fs/read_file", "fs__read_file"), ("fs_read_file", "fs__read_file"),
        ("Fs__Read_File", "fs__read_file"), ("read_file", "fs__read_file"), ("read-file", "fs__read_file"),
        ("fs__read_file<|channel|>commentary", "fs__read_file"), (" fs__read_file ", "fs__read_file"),
        ("functions.replan", "replan"), ("log", "log"), ("write_file", "write_file"), ("functions.", "functions."),
        ("x" * 500, "x" * 500),
    ],
)  # fmt: skip
def test_a_tool_is_found_by_a_name_that_is_nearly_right_and_can_mean_no_other(name: str, meant: str) -> None:
    assert tool_meant(name, TOOLS, ("replan",)) == meant


async def test_a_run_works_with_a_model_that_puts_its_prefix_before_every_name(tmp_path: Path) -> None:
    def prefixed(made: Scripted) -> Scripted:
        return Scripted(calls=tuple((f"functions.{name}", arguments) for name, arguments in made.calls))

    ran = await run(tmp_path, [prefixed(READ), prefixed(patch()), text(DONE)])
    assert ran.final.status == "done", ran.final.text
    assert RIGHT in ran.made.source()
    assert calls(("fs__read_file", {"path": "calc.py"})).calls == READ.calls
