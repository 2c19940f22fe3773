"""What providers other than OpenAI say of pauses, ends, lengths and tokens, and answers their packages stumble over."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import UsageMetadata

from lg_orch.llm.candidates import Candidate
from lg_orch.llm.conversation.request_log import RequestAttempt, record_end
from lg_orch.llm.cost.spending import Spending
from lg_orch.llm.cost.tokens import token_counter
from lg_orch.llm.model_request import ModelRequest
from lg_orch.llm.provider_errors import TooLong, failure_of, too_long_of
from lg_orch.llm.replies import Stream, finish_reason, read_reply
from lg_policy.config.settings import BudgetSettings
from lg_policy.secrets.masking import Masker
from tests.orchestrator.llm.wire.asker import Lent

CANDIDATE = Candidate(provider="anthropic", model="m", base_url=None)


class BusyError(Exception):
    def __init__(self, retry_after: str, status: int = 429) -> None:
        super().__init__("busy")
        self.status_code, self.response = status, SimpleNamespace(headers={"retry-after": retry_after})


def lent() -> Lent:
    return Lent(meter=Spending(BudgetSettings(), {}), masker=Masker(b"key", []))


@pytest.mark.parametrize(
    ("told", "pause"),
    [
        ("7", 7.0),
        ("2.5", 2.5),
        ("\u00b2", None),
        ("\u0663", None),
        ("9" * 400, None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2029 00:00:00 +99999999999999", None),
        ("Mon, 01 Jan 2029 00:00:00", None),
    ],
)
def test_a_pause_that_no_clock_knows_is_an_ordinary_failure(told: str, pause: float | None) -> None:
    found = failure_of(BusyError(told), CANDIDATE)
    assert (found.transient, found.retry_after_s) == (True, pause)


@pytest.mark.parametrize(
    ("name", "told", "cut", "refused"),
    [
        ("finish_reason", ("STOP", "STOP"), False, ""),
        ("finish_reason", ("STOP", "MAX_TOKENS"), True, ""),
        ("finish_reason", ("SAFETY", "SAFETY"), False, "SAFETY"),
        ("finish_reason", ("SAFETY", "STOP"), False, "SAFETY"),
        ("stop_reason", ("max_tokens", "max_tokens"), True, ""),
        ("stop_reason", ("refusal", "refusal"), False, "refusal"),
        ("done_reason", ("length", "length"), True, ""),
    ],
)
def test_an_end_that_is_told_in_several_pieces_counts_as_it_was_told(
    name: str, told: tuple[str, ...], cut: bool, refused: str
) -> None:
    stream = Stream(lent().ports(), "m", "coder", 1_000, len)
    for reason in told:
        stream.take(AIMessageChunk(content="Half of ", response_metadata={name: reason}))
    reply = read_reply(stream.message(), str)
    assert (reply.text, reply.cut, reply.refused) == ("Half of Half of ", cut, refused)


def test_a_refusal_among_the_parts_of_an_answer_is_one() -> None:
    message = AIMessage(content=[{"type": "refusal", "refusal": "No."}], response_metadata={"status": "completed"})
    assert read_reply(message, str).refused == "No."


def test_a_server_that_says_only_that_it_is_done_has_ended_its_reply() -> None:
    assert finish_reason(AIMessage("hello", response_metadata={"done": True})) == "stop"
    assert not finish_reason(AIMessage("hello", response_metadata={"done": False}))


@pytest.mark.parametrize(
    "said",
    [
        "input length exceeds maximum context length (status code: 400)",
        "prompt too long; exceeded max context length by 34 tokens (status code: 400)",
    ],
)
def test_a_status_or_a_difference_is_no_number_of_tokens_that_a_model_takes(said: str) -> None:
    assert too_long_of(said) == TooLong()


def test_a_stream_that_ends_with_the_words_for_too_long_is_too_long() -> None:
    error = ValueError("context_length_exceeded: Your input exceeds the context window of this model.")
    assert failure_of(error, CANDIDATE).too_long == TooLong()


@pytest.mark.parametrize("error", [TypeError("'NoneType' object is not iterable"), KeyError("choices")])
def test_an_answer_that_a_client_stumbles_over_may_be_billed_and_another_model_may_be_asked(error: Exception) -> None:
    found = failure_of(error, CANDIDATE, asked=True)
    assert (found.transient, found.taken) == (True, True)
    assert found.text.startswith("the answer cannot be read")
    assert not failure_of(error, CANDIDATE).transient, "a client that cannot be made is no answer"


@pytest.mark.parametrize("usage", [(-100_000, -5_000), (10, -5_000), (-7, 3)])
def test_figures_below_zero_give_no_budget_back(usage: tuple[int, int]) -> None:
    told = UsageMetadata(
        input_tokens=usage[0], output_tokens=usage[1], total_tokens=sum(usage), input_token_details={"cache_read": -9}
    )
    message, given = AIMessage("hello", usage_metadata=told), lent()
    asked = RequestAttempt(
        candidate="m", ask=ModelRequest(role="coder", messages=[]), room=100, prompt_tokens=50, most=90, parts=()
    )
    record_end(given.ports(), asked, message, read_reply(message, str), 1, token_counter(), kept=False)
    assert given.meter.tokens > 0
    assert all(value >= 0 for value in given.events[0].values() if isinstance(value, int))
