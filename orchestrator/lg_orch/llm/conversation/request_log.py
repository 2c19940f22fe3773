"""Journals requests to models: model, size, duration, cost and reply."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_orch.llm.cost.spending import Used
from lg_orch.llm.cost.token_bounds import most_tokens

if TYPE_CHECKING:
    from langchain_core.messages import AIMessage

    from lg_orch.llm.cost.token_bounds import Part
    from lg_orch.llm.cost.tokens import Calibrated
    from lg_orch.llm.model_request import ModelRequest
    from lg_orch.llm.ports import RunPorts
    from lg_orch.llm.provider_errors import Failure
    from lg_orch.llm.replies import Reply

MAX_TEXT = 4_000
MAX_COUNT = 1_000_000_000
"""Tokens that one request is believed to have used."""
# LangChain gives either the sum or its parts by how long they are kept.
_WRITTEN = ("cache_creation", "ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")


@dataclass(frozen=True, kw_only=True)
class RequestAttempt:
    """One try of one request."""

    candidate: str
    ask: ModelRequest
    room: int
    prompt_tokens: int
    """As estimated before it was sent."""
    most: int
    """Tokens that the prompt can have at most, as far as anybody can know (`lg_orch.llm.cost.token_bounds`)."""
    parts: tuple[Part, ...] = ()


def record_begin(ports: RunPorts, asked: RequestAttempt) -> None:
    """Record that a request is about to be made."""
    messages = asked.ask.messages
    ports.journal.record(asked.candidate, "begin", {
        "role": asked.ask.role, "messages": len(messages), "prompt": _digest(str(messages[0].content)),
        "request": _digest("\0".join(str(message.content) for message in messages)), "tools": len(asked.ask.tools),
        "results": asked.ask.results,
        "prompt_tokens_estimate": asked.prompt_tokens, "prompt_tokens_most": asked.most,
        "max_reply_tokens": asked.room,
        "cost_usd_most": ports.budget.at_most(asked.candidate, asked.most, asked.room),
    })  # fmt: skip


def record_end(
    ports: RunPorts,
    asked: RequestAttempt,
    message: AIMessage,
    reply: Reply,
    elapsed: int,
    counter: Calibrated,
    *,
    kept: bool,
) -> None:
    """Record an answer, from the model or, if `kept`, from the cache, which costs nothing."""
    used = Used(prompt=0, completion=0) if kept else _used(asked, message, reply, counter)
    if not kept and not used.estimated:
        counter.observe(asked.prompt_tokens, used.prompt)
    learnt = {} if kept else _learn(ports, asked, used)
    ports.journal.spend(asked.candidate, "end", used, {
        "role": asked.ask.role, "latency_ms": elapsed, "prompt_tokens": used.prompt,
        "completion_tokens": used.completion, "cached_tokens": used.cached, "cache_written_tokens": used.written,
        "estimated": used.estimated,
        "from_cache": kept, "calls": [call.tool for call in reply.calls], "cut": reply.cut,
        "text": reply.text[:MAX_TEXT], **learnt,
    })  # fmt: skip


def _learn(ports: RunPorts, asked: RequestAttempt, used: Used) -> dict[str, Any]:
    """Correct what is known of the model's counting by the figures; returns what was learnt, for the journal.

    That is the size of what was new in this one, and by how much the provider
    counted more than it could be told of; every later request is expected to be that much larger.
    """
    bound = ports.budget.bound(asked.candidate)
    counted = bound.learn(asked.parts, used.prompt)
    learnt: dict[str, Any] = {"counted": {"parts": counted.keys, "tokens": counted.tokens}}
    above = {"prompt": max(0, used.prompt - asked.most), "reply": max(0, used.completion - asked.room)}
    if used.estimated or not any(above.values()):
        return learnt
    # What came on top of the texts; they themselves are fewer tokens than their bound.
    hidden = max(above["prompt"], used.prompt - asked.prompt_tokens) if above["prompt"] else 0
    bound.exceeded(hidden, above["reply"])
    return learnt | {"above_limit": above | {"expected": hidden}}


def record_failed(ports: RunPorts, asked: RequestAttempt, failure: Failure, elapsed: int, *, falls_back: bool) -> None:
    """Record that no answer came and this model is not asked again; what a time-out may have cost is counted."""
    ports.journal.spend(asked.candidate, "failed", _lost(asked, failure), {
        "role": asked.ask.role, "error": ports.mask(failure.text), "latency_ms": elapsed, "falls_back": falls_back,
    })  # fmt: skip


def record_retry(ports: RunPorts, asked: RequestAttempt, failure: Failure, elapsed: int, pause: float) -> None:
    """Record that no answer came and the same model is asked again."""
    ports.journal.spend(asked.candidate, "retry", _lost(asked, failure), {
        "role": asked.ask.role, "error": ports.mask(failure.text), "latency_ms": elapsed, "pause_s": round(pause, 3),
    })  # fmt: skip


def _lost(asked: RequestAttempt, failure: Failure) -> Used:
    """The most that a request can have cost which brought nothing."""
    if not failure.taken:
        return Used(prompt=0, completion=0, estimated=True)
    return Used(prompt=asked.most, completion=asked.room, written=asked.most, estimated=True)


def _used(asked: RequestAttempt, message: AIMessage, reply: Reply, counter: Calibrated) -> Used:
    reported: Any = message.usage_metadata or {}
    prompt, completion = _count(reported.get("input_tokens")), _count(reported.get("output_tokens"))
    estimated = prompt == 0 or (completion == 0 and bool(reply.text or reply.calls))
    if estimated:
        # Some servers report one half only. Nobody will ever tell of the other: rather too many than too few, and no
        # more than there can be.
        said = reply.text + "".join(f"{call.tool}{json.dumps(call.input)}" for call in reply.calls)
        prompt = prompt or min(asked.most, max(asked.prompt_tokens, asked.most // 2))
        completion = completion or max(counter.count_once(said), min(asked.room, most_tokens(said) // 2))
    details = reported.get("input_token_details") or {}
    cached = min(_count(details.get("cache_read")), prompt)
    written = sum(_count(details.get(name)) for name in _WRITTEN)
    return Used(
        prompt=prompt, completion=completion, cached=cached, written=min(written, prompt - cached), estimated=estimated
    )


def _count(told: Any) -> int:
    """Tokens as a server reports them; fewer than none, which would give budget back, are none."""
    return min(max(0, int(told or 0)), MAX_COUNT)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
