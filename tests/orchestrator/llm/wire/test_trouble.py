"""How each provider's own client fails, and what is made of it: asked again, asked elsewhere, or said."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import Scripted, ScriptedModel, broken, calls, silent, text
from lg_orch.testing.server import WIRES
from tests.orchestrator.llm.wire.asking import KEYS, Asker, full

if TYPE_CHECKING:
    from typing import Any

every = pytest.mark.parametrize("provider", WIRES)
both = pytest.mark.parametrize("streaming", [True, False])


@every
@both
def test_a_busy_or_broken_server_is_asked_again_by_us_and_never_by_the_client(
    asker: Asker, provider: str, streaming: bool
) -> None:
    trouble = [broken(status, f"slow down {status}", retry_after=0.02) for status in (429, 500, 503, 529)]
    with ScriptedModel([*trouble, text("Found.")]) as model:
        found = asker.ask(model, provider, streaming=streaming, retries=4, retry_pause_s=0)
    assert found.error == ""
    assert found.phases() == ["begin", "retry"] * 4 + ["begin", "end"]
    assert len(model.requests) == 5
    told = [event for event in found.events if event["phase"] == "retry"]
    assert ["slow down" in event["error"] for event in told] == [True] * 4
    asked = 0 if provider == "ollama" else 0.02  # Ollama has no way to ask for a pause
    assert [event["pause_s"] >= asked for event in told] == [True] * 4


@every
@both
def test_a_request_that_is_wrong_is_neither_repeated_nor_asked_elsewhere(
    asker: Asker, provider: str, streaming: bool
) -> None:
    key = KEYS[provider][1]
    for status in (400, 401, 403, 404):
        with ScriptedModel([broken(status, f"that is wrong, {key}")] * 3) as model:
            found = asker.ask(model, provider, streaming=streaming, retries=1, fallbacks=[full(provider, "second")])
        assert len(model.requests) == 1
        assert "that is wrong" in found.error
        assert key not in found.error + str(found.events)
        assert (f"is {KEYS[provider][0]} right?" in found.error) is (status in (401, 403))


@every
def test_silence_ends_with_the_time_of_a_request_and_a_fallback_of_the_same_wire_is_asked(
    asker: Asker, provider: str
) -> None:
    def answer(request: dict[str, Any]) -> Scripted:
        return silent() if "scripted" in request["model"] else text("Found.")

    with ScriptedModel(answer) as model:
        fallbacks = [full(provider, "second")]
        # The fallback has as many tries: a busy machine may need more than one to answer in that time.
        found = asker.ask(model, provider, timeout_s=1, retries=2, retry_pause_s=0, fallbacks=fallbacks)
    assert found.error == ""
    assert found.phases()[:6] == ["begin", "retry"] * 2 + ["begin", "failed"]
    assert found.event("failed")["falls_back"] is True
    assert found.event("failed")["total_tokens"] > 0, "a request that was taken may be billed"
    assert (found.events[-1]["phase"], found.events[-1]["name"]) == ("end", full(provider, "second"))


@every
@both
def test_a_time_out_at_any_moment_of_a_request_is_one_and_never_taken_for_a_wish_to_stop(
    asker: Asker, provider: str, streaming: bool
) -> None:
    with ScriptedModel(lambda _request: silent()) as model:
        for timeout_s in (0.001, 0.004, 0.016, 0.064):
            found = asker.ask(model, provider, timeout_s=timeout_s, streaming=streaming, retries=4, retry_pause_s=0)
            assert "the language model could not be asked" in found.error
            assert found.phases() == ["begin", "retry"] * 4 + ["begin", "failed"]


@every
@both
def test_an_address_where_nobody_listens_is_said_and_a_fallback_is_asked(
    asker: Asker, provider: str, streaming: bool
) -> None:
    with socket.socket() as taken, ScriptedModel([text("Found.")]) as model:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: whoever connects is refused
        address = f"http://name:word@127.0.0.1:{taken.getsockname()[1]}"
        base_url = WIRES[provider].base_url(address)
        found = asker.ask(model, provider, streaming=streaming, base_url=base_url)
    assert "cannot be reached" in found.error
    if provider != "openai_responses":
        assert address.replace("name:word@", "") in found.error
    assert "name:word" not in found.error
    assert found.tokens == 0, "nobody took it"


@every
@pytest.mark.parametrize(
    "torn",
    [
        Scripted(content="I shall look at it now and then, and then again.", breaks_off=True),
        Scripted(calls=(("fs__read_file", '{"path": "a rather long path/of/a/file.py"}'),), breaks_off=True),
        Scripted(content="I shall look.", fails_midway=True, error="the engine is overloaded"),
    ],
)
def test_a_stream_that_breaks_off_is_asked_again_and_counted(asker: Asker, provider: str, torn: Scripted) -> None:
    with ScriptedModel([torn, calls(("fs__read_file", {"path": "a"}))]) as model:
        found = asker.ask(model, provider, retries=1)
    assert found.error == ""
    assert found.phases() == ["begin", "retry", "begin", "end"]
    assert len(found.replies[0]["calls"]) == 1
    assert found.event("retry")["total_tokens"] > 0, "a request that was taken may be billed"
