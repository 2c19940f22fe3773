"""What each provider's own client sends and reads, asked as a run asks. The scripted server refuses what the provider
would refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from lg_orch.contracts.plans import Plan, Review
from lg_orch.contracts.repository import RepoContext
from lg_orch.llm.structured import bounded
from lg_orch.llm.tool_offer import offer
from lg_orch.testing import Cassette, Scripted, ScriptedModel, calls, text
from lg_orch.testing.server import WIRES
from lg_orch.tools.tool_info import tool_info
from tests.orchestrator.llm.wire.asking import KEYS, TASK, Asker, asking, full, schema_in, turn

if TYPE_CHECKING:
    from pathlib import Path

every = pytest.mark.parametrize("provider", WIRES)
READ = ("fs__read_file", {"path": "a.py"})
LONG = "Found it. " * 20


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_words_calls_and_results_of_a_conversation_arrive(asker: Asker, provider: str, streaming: bool) -> None:
    script = [calls(READ, ("fs__search_files", {"path": "b"}), content="I look."), text(LONG)]
    later = [*TASK, HumanMessage("The checks failed."), *turn(1, "a.py", "b.py", words="I look."), *turn(3, "c.py")]
    later.append(HumanMessage("The program ran the checks."))
    with ScriptedModel(script) as model:
        found = asker.ask(model, provider, TASK, later, streaming=streaming)
    assert (found.error, model.refused) == ("", [])
    first, second = found.replies
    assert first["text"] == "I look."
    assert first["calls"] == [{"tool": READ[0], "input": READ[1]}, {"tool": "fs__search_files", "input": {"path": "b"}}]
    assert second["text"].strip() == LONG.strip()
    assert (len(found.shown) > 1) is streaming
    assert found.tokens == sum(model.prompt_tokens) + sum(model.completion_tokens)
    assert not found.event("end")["estimated"]
    sent = json.dumps(model.requests[1])
    assert [sent.count(f"text of {name}") for name in ("a.py", "b.py", "c.py")] == [1, 1, 1]
    assert sent.index("You fix code.") >= 0


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_the_limit_of_a_reply_is_told_and_a_reply_that_reached_it_is_known_as_cut(
    asker: Asker, provider: str, streaming: bool
) -> None:
    with ScriptedModel([text("blah " * 1_000)]) as model:
        found = asker.ask(model, provider, max_reply_tokens=100, streaming=streaming)
    assert found.replies[0]["cut"] is True
    assert model.completion_tokens == [100]


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_that_the_provider_refuses_to_give_is_said_to_be_refused_and_nobody_else_is_asked(
    asker: Asker, provider: str, streaming: bool
) -> None:
    if provider == "ollama":
        return  # it refuses nothing by itself
    with ScriptedModel([Scripted(content="I can", end="refused")]) as model:
        found = asker.ask(model, provider, streaming=streaming, retries=1, fallbacks=[full(provider, "second")])
    assert "the provider refused to answer" in found.error
    assert len(model.requests) == 1
    assert found.tokens == model.prompt_tokens[0] + model.completion_tokens[0]


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_what_a_model_thinks_is_no_part_of_what_it_says_and_the_next_request_is_still_valid(
    asker: Asker, provider: str, streaming: bool
) -> None:
    thought = Scripted(thinking="They want a file. " * 5, calls=((READ[0], json.dumps(READ[1])),), content="I look.")
    with ScriptedModel([thought, text("Done.")]) as model:
        found = asker.ask(model, provider, TASK, [*TASK, *turn(1, "a.py", words="I look.")], streaming=streaming)
    assert (found.error, model.refused) == ("", [])
    assert found.replies[0]["text"] == "I look."
    assert len(found.replies[0]["calls"]) == 1
    assert found.tokens == sum(model.prompt_tokens) + sum(model.completion_tokens), "thinking is paid for"
    assert "They want" not in json.dumps(found.shown)


@every
def test_a_call_whose_arguments_are_torn_is_told_apart_from_one_that_can_be_made(asker: Asker, provider: str) -> None:
    torn = Scripted(calls=(("fs__read_file", '{"path": "calc'),))
    with ScriptedModel([torn]) as model:
        found = asker.ask(model, provider)
    assert found.error or found.replies[0]["broken"], found.replies
    assert not (found.replies and found.replies[0]["calls"])


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_a_server_that_reports_no_usage_is_counted_by_estimate(asker: Asker, provider: str, streaming: bool) -> None:
    with ScriptedModel([Scripted(content=LONG, usage=False)]) as model:
        found = asker.ask(model, provider, streaming=streaming)
    assert found.event("end")["estimated"] is True
    assert found.event("end")["prompt_tokens"] > 20
    assert found.event("end")["completion_tokens"] > 20


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_what_came_from_the_providers_cache_or_went_into_it_has_its_own_price(
    asker: Asker, provider: str, streaming: bool
) -> None:
    prices = {full(provider, "scripted"): {"input": 10, "output": 100, "cached_input": 1, "cache_write": 12.5}}
    reports = provider != "ollama"  # which has no cache that anybody pays for
    given = Scripted(content="Found.", tokens=(1_000, 10), cached=600, cache_written=300)
    with ScriptedModel([given]) as model:
        found = asker.ask(model, provider, streaming=streaming, more={"prices": prices})
    end = found.event("end")
    cached, written = (600 if reports else 0), (300 if provider == "anthropic" else 0)
    assert (end["prompt_tokens"], end["completion_tokens"]) == (1_000, 10)
    assert (end["cached_tokens"], end["cache_written_tokens"]) == (cached, written)
    dear = 1_000 - cached - written
    assert found.usd == pytest.approx((dear * 10 + cached * 1 + written * 12.5 + 10 * 100) / 1e6)


NASTY = {
    "type": "object", "additionalProperties": False, "oneOf": [{"required": ["a"]}], "$id": "x",
    "$defs": {"point": {"type": "object", "properties": {"x": {"type": "number", "exclusiveMinimum": 0}}}},
    "properties": {
        "a": {"anyOf": [{"type": "string", "minLength": 1}, {"type": "null"}], "default": None, "title": "A"},
        "b": {"type": ["integer", "null"], "minimum": 0, "multipleOf": 2},
        "c": {"$ref": "#/$defs/point"}, "d": {"const": "fixed"}, "e": {"enum": ["x", "y"], "type": "string"},
        "f": {"type": "array", "items": {"type": "string", "pattern": "^a", "format": "lg-path"}, "uniqueItems": True},
        "g": {"type": "object", "additionalProperties": {"type": "string"}}, "h": {},
        "i": {"type": "array"}, "j": {"type": "array", "prefixItems": [{"type": "string"}]},
        "k": {"allOf": [{"type": "string"}, {"minLength": 2}]}, "l": {"enum": [1, 2]},
    },
}  # fmt: skip


@every
def test_a_tool_of_any_server_is_offered_in_a_schema_that_the_provider_takes(asker: Asker, provider: str) -> None:
    name = "other__" + "long_name_" * 5
    offered = offer([tool_info(name, "Does much.", None, NASTY)], RepoContext(root_name="r"), 9, replan=True)
    with ScriptedModel([calls((name, {"a": "1"}))]) as model:
        found = asker.ask(model, provider, tools=offered)
    assert (found.error, model.refused) == ("", [])
    assert found.replies[0]["calls"][0]["input"] == {"a": "1"}


@every
@pytest.mark.parametrize("streaming", [True, False])
def test_an_answer_is_held_to_its_schema_where_the_settings_say_so_and_the_provider_can(
    asker: Asker, provider: str, streaming: bool
) -> None:
    with ScriptedModel([text("{}")] * 3) as model:
        for kind, wanted in ((Review, True), (Plan, True), (Plan, False)):
            schema = bounded(kind.model_json_schema())
            found = asker.ask(model, provider, tools=(), schema=schema, json_schema=wanted, streaming=streaming)
            assert (found.error, model.refused) == ("", [])
    review, plan, none = (schema_in(provider, request) for request in model.requests)
    assert set(review["properties"]) == {"ok", "problems"}
    assert none is None
    if provider == "anthropic":
        assert plan is None, "its schemas have no object that may hold anything, and a plan's calls are such"
    else:
        assert plan["$defs"]["ToolUse"]["properties"]["input"]["additionalProperties"] is True


@every
def test_a_conversation_that_is_asked_again_after_an_empty_answer_is_still_one_that_the_provider_takes(
    asker: Asker, provider: str
) -> None:
    again = [*TASK, AIMessage("(a tool call)"), HumanMessage("Unreadable call")]
    with ScriptedModel([text("fine")]) as model:
        found = asker.ask(model, provider, again)
    assert (found.error, model.refused) == ("", [])


@every
def test_traffic_is_recorded_and_replayed_and_the_key_is_not_in_it(asker: Asker, provider: str, tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    script = [calls(READ), text(f"The key is {KEYS[provider][1]}.")]
    later = [*TASK, *turn(1, "a.py")]
    with ScriptedModel(script) as model, Cassette(tape, upstream=model.url_for(provider)) as recording:
        found = asker.ask(recording, provider, TASK, later)
        assert KEYS[provider][1] in model.requests[0]["authorization"]
    with Cassette(tape) as replaying:
        again = asker.ask(replaying, provider, TASK, later)
    assert found.error == again.error == ""
    assert found.replies == again.replies
    assert KEYS[provider][1] not in tape.read_text()


@every
def test_a_reply_at_temperature_zero_is_used_again(asker: Asker, provider: str, tmp_path: Path) -> None:
    with ScriptedModel([calls(READ, content="I look.")]) as model:
        found = asker.ask(model, provider, TASK, TASK, temperature=0, cache=str(tmp_path))
    assert len(model.requests) == 1
    assert found.replies[0] == found.replies[1]
    assert KEYS[provider][1] not in "".join(path.read_text() for path in tmp_path.iterdir())


def marks(request: dict[str, Any]) -> list[str]:
    """Where a request is marked for the cache: the texts that end there."""
    blocks = list(request["system"])
    blocks += [block for message in request["messages"] if isinstance(message["content"], list)
               for block in message["content"]]  # fmt: skip
    return [block.get("text") or block["content"][0]["text"] for block in blocks if block.pop("cache_control", None)]


def test_anthropics_cache_is_told_what_stays_the_same_and_the_marks_move_on(asker: Asker) -> None:
    conversations = [list(TASK)]
    for number in range(1, 8, 2):
        conversations.append([*conversations[-1], *turn(number, f"{number}.py", f"{number + 1}.py")])
    with ScriptedModel([text("ok")] * 5) as model:
        found = asker.ask(model, "anthropic", *conversations)
    assert (found.error, model.refused) == ("", [])
    marked = [marks(request) for request in model.requests]
    assert marked[0] == ["You fix code.", "Fix the failing test."]
    assert marked[1] == ["You fix code.", "Fix the failing test.", "text of 2.py"]
    assert marked[4] == ["You fix code.", "Fix the failing test.", "text of 6.py", "text of 8.py"]
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert before["tools"] == after["tools"]
        assert before["messages"] == after["messages"][: len(before["messages"])], "without marks it stays as it was"


def test_marks_are_left_out_where_the_settings_say_so_and_where_nothing_follows(asker: Asker) -> None:
    with ScriptedModel([text("ok")] * 2) as model:
        asker.ask(model, "anthropic", cache_marks=False)
        asker.ask(model, "anthropic", tools=())
    assert "cache_control" not in json.dumps(model.requests)


def test_several_system_messages_are_sent_as_one(asker: Asker) -> None:
    with ScriptedModel([text("ok")]) as model:
        found = asker.ask(model, "anthropic", [SystemMessage("One."), SystemMessage("Two."), *TASK[1:]])
    assert (found.error, model.refused) == ("", [])


def test_openais_own_models_are_asked_over_the_wire_and_with_the_limits_that_they_want(asker: Asker) -> None:
    names = ("gpt-4-scripted", "gpt-5-scripted", "gpt-5-pro-scripted")
    with ScriptedModel([text("ok")] * 3) as model:
        environ = {"OPENAI_API_BASE": model.base_url}
        limit = "max_completion_tokens"
        for name in names:
            found = asker.ask(
                model, "openai", name=name, base_url=None, environ=environ, temperature=0.5, reply_limit_name=limit
            )
            assert found.error == ""
    assert [request["path"].rpartition("/v1/")[2] for request in model.requests] == [
        "chat/completions", "chat/completions", "responses"
    ]  # fmt: skip
    limits = [request.get("max_completion_tokens") or request.get("max_output_tokens") for request in model.requests]
    assert limits == [8_192] * 3
    assert ["temperature" in request for request in model.requests] == [True, False, False], "thinkers refuse it"


def test_a_server_that_is_not_openais_is_told_the_limit_of_a_reply_by_its_older_name(asker: Asker) -> None:
    with ScriptedModel([text("ok")] * 3) as model:
        asker.ask(model, "openai")
        asker.ask(model, "openai", base_url=None, environ={"OPENAI_API_BASE": model.base_url})
        asker.ask(model, "openai", reply_limit_name="max_completion_tokens")
    said = [(request.get("max_tokens"), request.get("max_completion_tokens")) for request in model.requests]
    assert said == [(8_192, None), (8_192, None), (None, 8_192)]


def test_ollama_is_told_to_hold_a_whole_request_always_with_the_same_number(asker: Asker) -> None:
    with ScriptedModel([text("ok")] * 2) as model:
        asker.ask(model, "ollama", context_tokens=5_000, max_reply_tokens=1_000)
        budgets = {"max_tokens": 2_000}
        asker.ask(model, "ollama", context_tokens=5_000, max_reply_tokens=1_000, budgets=budgets)
    told = [request["options"] for request in model.requests]
    assert [one["num_ctx"] for one in told] == [6_000, 6_000]
    assert told[1]["num_predict"] < told[0]["num_predict"] == 1_000


def test_servers_of_ones_own_are_asked_without_a_key(providers_python: str) -> None:
    with asking(providers_python, {}) as asker, ScriptedModel([text("ok")] * len(WIRES)) as model:
        for provider in ("openai", "anthropic", "google_genai", "ollama"):
            assert asker.ask(model, provider).error == ""
    sent = [request["authorization"].removeprefix("Bearer ") for request in model.requests]
    assert sent == ["none", "none", "none", ""]
