"""One request to a language model: who is asked, what it may cost, and who is asked instead when that fails."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from lg_orch.errors import Interrupted, ThinkingFailed
from lg_orch.meter import CHARS_PER_TOKEN
from lg_orch.minds import LOCAL
from lg_orch.providers import PROVIDERS
from lg_orch.thinker.messages import size_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, BaseMessage

    from lg_orch.seams import Desk
    from lg_policy.config import ModelSettings, ModelsSettings

REQUEST_TIMEOUT_S = 300.0
MAX_ERROR_CHARS = 500
RETRIES = 2
"""Repetitions by the provider's own client, with its own pauses, when nobody else can be asked."""
_TRANSIENT = (408, 409, 425, 429)
_TRANSIENT_NAMES = (
    "Timeout", "Connect", "RateLimit", "Overloaded", "InternalServer", "ServiceUnavailable", "ReadError",
    "ProtocolError",
)  # fmt: skip
_CHATTY = ("openai", "anthropic", "httpx", "httpcore", "google_genai", "ollama")


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A model that may be asked."""

    provider: str
    model: str
    base_url: str | None

    @property
    def name(self) -> str:
        """`provider:model`."""
        return f"{self.provider}:{self.model}"


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool call as the model made it; nothing of it is checked yet."""

    tool: str
    input: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model answered."""

    text: str
    calls: tuple[Call, ...]
    broken: tuple[str, ...]
    """Why tool calls could not be read."""


class Models:
    """The models of the settings, asked by role. Keys come from the environment and are kept by the clients alone."""

    def __init__(self, settings: ModelsSettings, environ: Mapping[str, str] = os.environ) -> None:
        self._settings = settings
        self._environ = environ

    def candidates(self, role: str) -> list[Candidate]:
        """Who is asked for that role, in this order. A role that is left to the analyst asks the planner's model."""
        return candidates(self._settings, role)

    def ask(
        self, desk: Desk, role: str, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]] = ()
    ) -> Reply:
        """Ask; called in a worker thread of the event loop.

        Raises `ThinkingFailed` when nobody answers, `LimitExceeded` when the request does not fit into the budget,
        `Interrupted` when the run was cancelled meanwhile.
        """
        masked = [_masked(desk, message) for message in messages]
        reply = anyio.from_thread.run(self._until_cancelled, desk, role, masked, tools)
        if reply is None:
            raise Interrupted("the run was asked to stop")
        return reply

    async def _until_cancelled(
        self, desk: Desk, role: str, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]
    ) -> Reply | None:
        """Ask; `None` when the run is cancelled: asyncio would report the cancellation of this task as an error."""
        try:
            return await self._ask(desk, role, messages, tools)
        except anyio.get_cancelled_exc_class():
            return None

    async def _ask(
        self, desk: Desk, role: str, messages: Sequence[BaseMessage], tools: Sequence[dict[str, Any]]
    ) -> Reply:
        chain = self.candidates(role)
        failed: list[str] = []
        for place, candidate in enumerate(chain, start=1):
            self._require_key(candidate)
            room = desk.reply_room(size_of(messages, tools))
            desk.record(candidate.name, "begin", {
                "role": role, "messages": len(messages), "prompt": _digest(messages), "max_reply_tokens": room,
            })  # fmt: skip
            begun = time.monotonic()
            answer = await self._attempt(desk, candidate, room, messages, tools, last=place == len(chain))
            elapsed = round((time.monotonic() - begun) * 1000)
            if not isinstance(answer, Failure):
                return _finish(desk, candidate, role, answer, elapsed, size_of(messages, tools))
            text = desk.mask(answer.text)
            desk.record(candidate.name, "failed", {
                "role": role, "error": text, "latency_ms": elapsed,
                "falls_back": answer.transient and place < len(chain),
            })  # fmt: skip
            failed.append(f"{candidate.name}: {text}")
            if not answer.transient:
                break
        raise ThinkingFailed(f"the language model could not be asked: {'; '.join(failed)}")

    async def _attempt(
        self,
        desk: Desk,
        candidate: Candidate,
        room: int,
        messages: Sequence[BaseMessage],
        tools: Sequence[dict[str, Any]],
        *,
        last: bool,
    ) -> AIMessage | Failure:
        limit = min(REQUEST_TIMEOUT_S, desk.wall_left_s)
        try:
            with anyio.fail_after(limit):
                model = await anyio.to_thread.run_sync(self._build, candidate, room, RETRIES if last else 0)
                return await (model.bind_tools(list(tools)) if tools else model).ainvoke(list(messages))
        except TimeoutError:
            return Failure(text=f"no answer within {limit:.0f} s", transient=True)
        except Exception as error:  # noqa: BLE001  # providers share no base class; not logged, a key may be in its text
            return failure_of(error, candidate)

    def _require_key(self, candidate: Candidate) -> None:
        known = PROVIDERS.get(candidate.provider)
        if known is None or not known.key_names or candidate.base_url:
            return
        if not any(self._environ.get(name) for name in known.key_names):
            raise ThinkingFailed(
                f"there is no API key for {candidate.name}", hint=f"set {' or '.join(known.key_names)}"
            )

    def _build(self, candidate: Candidate, room: int, retries: int) -> BaseChatModel:
        from langchain.chat_models import init_chat_model

        for name in _CHATTY:
            # At debug these would write requests, and what is sent with them, to our log.
            logging.getLogger(name).setLevel(logging.WARNING)
        # It warns, at each request, of every keyword of a schema that it leaves out.
        logging.getLogger("langchain_google_genai").setLevel(logging.ERROR)
        options: dict[str, Any] = {}
        if candidate.provider in ("openai", "anthropic", "google_genai"):
            options = {"max_tokens": room, "max_retries": retries, "timeout": REQUEST_TIMEOUT_S}
        elif candidate.provider == "ollama":
            options = {"num_predict": room}
        if candidate.base_url:
            options["base_url"] = candidate.base_url
            if candidate.provider == "openai":
                options["use_responses_api"] = False
                if not self._environ.get("OPENAI_API_KEY"):
                    # Servers of one's own often want no key, but the client wants one.
                    options["api_key"] = "none"
        model: BaseChatModel = init_chat_model(candidate.model, model_provider=candidate.provider, **options)
        return model


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request brought nothing."""

    text: str
    transient: bool
    """Whether another model may do better."""


def candidates(settings: ModelsSettings, role: str) -> list[Candidate]:
    """The role's model and its fallbacks, which share its address when they are of the same provider."""
    chosen: ModelSettings = settings.role(role)
    if chosen.provider == LOCAL:
        chosen = settings.role("planner")
    found = [Candidate(provider=chosen.provider, model=chosen.model, base_url=chosen.base_url)]
    for name in chosen.fallbacks:
        provider, _, model = name.partition(":")
        base_url = chosen.base_url if provider == chosen.provider else None
        found.append(Candidate(provider=provider, model=model, base_url=base_url))
    return found


def failure_of(error: Exception, candidate: Candidate) -> Failure:
    """What a provider's client raised, in words. Being too busy, gone or broken is a reason to ask somebody else."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    status = status if isinstance(status, int) else None
    if isinstance(error, ImportError):
        return Failure(text=f"its package is not installed: {error}"[:MAX_ERROR_CHARS], transient=False)
    named = any(part in type(error).__name__ for part in _TRANSIENT_NAMES) or isinstance(error, OSError)
    transient = status in _TRANSIENT or status >= 500 if status is not None else named
    text = " ".join((str(error) or type(error).__name__).split())[:MAX_ERROR_CHARS]
    if status is None and named:
        text = f"{text} ({candidate.base_url or 'the address of the provider'} cannot be reached)"
    known = PROVIDERS.get(candidate.provider)
    if status in (401, 403) and known is not None and known.key_names:
        text = f"{text} (is {known.key_names[0]} right?)"
    return Failure(text=text, transient=transient)


def _finish(desk: Desk, candidate: Candidate, role: str, message: AIMessage, elapsed: int, size: int) -> Reply:
    text = str(message.text)
    used = message.usage_metadata
    calls = tuple(Call(tool=str(call["name"]), input=dict(call["args"] or {})) for call in message.tool_calls)
    if used is not None:
        prompt, completion, total = used["input_tokens"], used["output_tokens"], used["total_tokens"]
    else:
        prompt = size // CHARS_PER_TOKEN
        completion = (len(text) + sum(len(str(call.input)) for call in calls)) // CHARS_PER_TOKEN
        total = prompt + completion
    desk.record(candidate.name, "end", {
        "role": role, "latency_ms": elapsed, "prompt_tokens": prompt, "completion_tokens": completion,
        "total_tokens": total, "estimated": used is None, "calls": [call.tool for call in calls],
    }, tokens=total)  # fmt: skip
    broken = tuple(
        f"{call.get('name')}: {call.get('error') or 'its arguments are not a JSON object'}"
        for call in message.invalid_tool_calls
    )
    return Reply(text=text, calls=calls, broken=broken)


def _masked(desk: Desk, message: BaseMessage) -> BaseMessage:
    content = message.content
    return message.model_copy(update={"content": desk.mask(content)}) if isinstance(content, str) else message


def _digest(messages: Sequence[BaseMessage]) -> str:
    """Of the first message, which is the same in every request of its kind: says which prompt was used."""
    return hashlib.sha256(str(messages[0].content).encode()).hexdigest()[:16]
