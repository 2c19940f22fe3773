"""Sends one request to a model: checks the budget, retries transient failures, then tries the fallbacks."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import time
from contextlib import aclosing
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio
import anyio.from_thread
import anyio.to_thread

from lg_orch.contracts.errors import ContextExceeded, Interrupted, ModelGone, OutOfBudget
from lg_orch.llm.candidates import candidates
from lg_orch.llm.conversation.message_memo import MessageMemo
from lg_orch.llm.conversation.request_log import RequestAttempt, record_begin, record_end
from lg_orch.llm.cost.token_bounds import parts_of
from lg_orch.llm.cost.tokens import REMEMBERED, token_counter
from lg_orch.llm.model_request import ModelRequest
from lg_orch.llm.provider_errors import Failure, TooLong, failure_of
from lg_orch.llm.providers import PROVIDERS
from lg_orch.llm.replies import Reply, Stream, finish_reason, read_reply
from lg_orch.llm.retry import FailedAttempt, ask_with_retries
from lg_orch.llm.wire.cache_marks import marked_for_cache
from lg_orch.llm.wire.clients import Clients
from lg_orch.llm.wire.dialects import schema_for, tools_for
from lg_orch.llm.wire.reply_cache import ReplyCache, cache_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable

    from lg_orch.llm.candidates import Candidate
    from lg_orch.llm.cost.tokens import Calibrated
    from lg_orch.llm.ports import RunPorts
    from lg_policy.config.settings import ModelsSettings

SHORTER = (2, 4, 8, 16)
"""How many times as short a request is made where the run's budgets leave no room for a longer one."""

REPLY_SHARE = 4
"""Of a model that takes few tokens, the reply gets at most this part of them."""
USEFUL_REPLY = 1_000
"""Tokens that a reply should have room for: a request is made shorter for that, but not given up."""


class Models:
    """The models of the settings, asked by role."""

    def __init__(
        self, settings: ModelsSettings, environ: Mapping[str, str] = os.environ, *, cache_dir: Path | None = None
    ) -> None:
        self._settings = settings
        self._clients = Clients(environ)
        self._counters: dict[str, Calibrated] = {}
        self._masks: MessageMemo[BaseMessage, BaseMessage] | None = None
        self._said: MessageMemo[BaseMessage, str] = MessageMemo(_text)
        keep = settings.cache and cache_dir is not None
        self._narrowed: dict[str, int] = {}
        """Tokens that a request to a model may have, where its provider said that the settings allow too many."""
        self._cache = ReplyCache(cache_dir, settings.cache_max_mb * 1_000_000) if keep and cache_dir else None

    def counter(self, role: str) -> Calibrated:
        """Return the token counter of the role's first model."""
        return self._counter(candidates(self._settings, role)[0])

    def context_tokens(self, role: str) -> int:
        """Return the tokens that a request for that role may have."""
        first = candidates(self._settings, role)[0]
        return min(first.settings.context_tokens, self._narrowed.get(first.name, first.settings.context_tokens))

    def notes(self, role: str) -> tuple[str, ...]:
        """Return what a report should say of the role's model: the setting that fits it better."""
        first = candidates(self._settings, role)[0]
        limit = self._narrowed.get(first.name)
        if limit is None or limit >= first.settings.context_tokens:
            return ()
        told = f"`{first.name}` takes fewer tokens than `context_tokens` = {first.settings.context_tokens:,} allows"
        return (f"{told}, so requests were cut to {limit:,}; set `context_tokens` to that in `[models.*]`",)

    def ask_fitting(self, ports: RunPorts, build: Callable[[int], ModelRequest]) -> tuple[ModelRequest, Reply]:
        """Ask the request that `fitting` returns. If the provider calls it too long, ask a shorter one, once."""
        asked = self.fitting(ports, build)
        try:
            return asked, self.ask(ports, asked)
        except ContextExceeded:
            asked = self.fitting(ports, build)
            return asked, self.ask(ports, asked)

    def fitting(self, ports: RunPorts, build: Callable[[int], ModelRequest]) -> ModelRequest:
        """Return the longest request that `build` makes and the budgets allow.

        That is `build(1)`. Where the budgets leave little for its reply, it is the first shorter one that leaves
        enough, else the one that leaves most.
        """
        best, most = build(1), -sys.maxsize
        asked = best
        for shorter in (*SHORTER, None):
            room, enough = self._room(ports, asked)
            if room > most:
                best, most = asked, room
            if enough or shorter is None:
                break
            asked = build(shorter)
        return best

    def _room(self, ports: RunPorts, ask: ModelRequest) -> tuple[int, bool]:
        """Tokens for the reply of the role's first model to a request, and whether that is enough."""
        first = candidates(self._settings, ask.role)[0]
        texts = self._texts(self._masked(ports, ask), first)
        parts = parts_of(texts, tools=bool(ask.tools))
        size, limit = self._counter(first).count(*texts), self._narrowed.get(first.name)
        if limit is not None and size > limit:
            return -size, False
        wanted = self._reply_tokens(first)
        try:
            room = ports.budget.reply_room(first.name, ports.budget.bound(first.name).most(parts), wanted)
        except OutOfBudget:
            return 0, False
        return room, room >= min(wanted, USEFUL_REPLY)

    def ask(self, ports: RunPorts, ask: ModelRequest) -> Reply:
        """Ask the role's models; call this in a worker thread of the event loop.

        Raises `ModelGone` when no model answers, `OutOfBudget` when the request does not fit into the budgets,
        `Interrupted` when the run was cancelled meanwhile.
        """
        reply = anyio.from_thread.run(self._until_cancelled, ports, self._masked(ports, ask))
        if reply is None:
            raise Interrupted("the run was asked to stop")
        return reply

    def _masked(self, ports: RunPorts, ask: ModelRequest) -> ModelRequest:
        if self._masks is None:
            # Rules and task are made anew for each request, of the same text.
            mask = lru_cache(maxsize=REMEMBERED)(ports.mask)
            self._masks = MessageMemo(lambda message: _masked(mask, message))
        return dataclasses.replace(ask, messages=self._masks(ask.messages))

    def _texts(self, ask: ModelRequest, candidate: Candidate) -> list[str]:
        """All of a request that costs tokens: a text for each message, tool and schema."""
        texts = [*self._said(ask.messages), *(json.dumps(tool) for tool in ask.tools)]
        sent = ask.schema is not None and candidate.settings.json_schema
        return [*texts, json.dumps(ask.schema)] if sent else texts

    async def _until_cancelled(self, ports: RunPorts, ask: ModelRequest) -> Reply | None:
        """Ask; `None` when the run is cancelled: asyncio would report the cancellation of this task as an error."""
        try:
            return await self._ask(ports, ask)
        except anyio.get_cancelled_exc_class():
            return None

    async def _ask(self, ports: RunPorts, ask: ModelRequest) -> Reply:
        chain = candidates(self._settings, ask.role)
        why: list[str] = []
        for place, candidate in enumerate(chain, start=1):
            ports.clock.check_wall()
            self._clients.require_key(candidate)
            answer = await self._ask_one(ports, ask, candidate, falls_back=place < len(chain))
            if isinstance(answer, Reply):
                return answer
            why.append(f"{candidate.name}: {answer.text}")
            if answer.too_long is not None:
                raise self._narrow(candidate, ask, answer)
            if not answer.transient:
                break
        ports.clock.check_wall()
        raise ModelGone(f"the language model could not be asked: {'; '.join(why)}")

    def _narrow(self, candidate: Candidate, ask: ModelRequest, failure: Failure) -> ContextExceeded:
        """Note how long a request to that model may be; the error to raise."""
        told = failure.too_long or TooLong()
        size = self._counter(candidate).count(*self._texts(ask, candidate))
        reply, share = self._reply_tokens(candidate), told.limit // REPLY_SHARE
        room = told.limit - min(reply, share)
        # The provider counts otherwise than we estimate.
        limit = int(room * min(1.0, size / told.sent if told.sent else 1.0) * 0.9)
        # A request that seems short enough was too long together with its reply, or is longer than it seems.
        helps = limit < size or reply > share
        self._narrowed[candidate.name] = limit if limit > 0 and helps else size // 2
        named = f" It takes {told.limit:,} tokens." if told.limit else ""
        return ContextExceeded(
            f"the request is too long for {candidate.name}: {failure.text.rstrip('.')}.{named}",
            hint="set a smaller context_tokens in [models.default] or in the table of the role",
        )

    def _reply_tokens(self, candidate: Candidate) -> int:
        """Tokens that a reply may have: of a model that takes little, no more than a share."""
        limit, wanted = self._narrowed.get(candidate.name), candidate.settings.max_reply_tokens
        return wanted if limit is None else min(wanted, max(1, limit // (REPLY_SHARE - 1)))

    async def _ask_one(
        self, ports: RunPorts, ask: ModelRequest, candidate: Candidate, *, falls_back: bool
    ) -> Reply | Failure:
        """Ask one model, with retries; each attempt is checked against the budgets before it is made."""
        texts = self._texts(ask, candidate)
        size, parts = self._counter(candidate).count(*texts), parts_of(texts, tools=bool(ask.tools))

        async def attempt() -> Reply | Failure | FailedAttempt:
            most = ports.budget.bound(candidate.name).most(parts)
            room = ports.budget.reply_room(candidate.name, most, self._reply_tokens(candidate))
            asked = RequestAttempt(
                candidate=candidate.name, ask=ask, room=room, prompt_tokens=size, most=most, parts=parts
            )
            return await self._ask_once(ports, candidate, asked)

        return await ask_with_retries(ports, candidate.settings, attempt, falls_back=falls_back)

    async def _ask_once(
        self, ports: RunPorts, candidate: Candidate, asked: RequestAttempt
    ) -> Reply | Failure | FailedAttempt:
        """Make one attempt, or answer it from the cache, and record it."""
        key = self._key(candidate, asked.ask, asked.room)
        kept = self._cache.get(key) if self._cache is not None and key else None
        record_begin(ports, asked)
        begun = time.monotonic()
        answer = kept or await self._attempt(ports, asked.ask, candidate, asked.room)
        elapsed = round((time.monotonic() - begun) * 1000)
        if isinstance(answer, Failure):
            return FailedAttempt(asked=asked, failure=answer, elapsed=elapsed)
        reply = read_reply(answer, ports.mask)
        record_end(ports, asked, answer, reply, elapsed, self._counter(candidate), kept=kept is not None)
        if reply.refused:
            # No fallback is asked either: what one provider refuses is not carried to the next.
            return Failure(text=f"the provider refused to answer ({reply.refused})", transient=False)
        if key and kept is None:
            self._keep(ports, key, answer, reply)
        wanted = self._reply_tokens(candidate)
        if reply.cut and asked.room < wanted:
            # Raises where the budgets cut the reply: it would be taken for all that the model had to say.
            ports.budget.reply_room(candidate.name, asked.most, wanted)
        return reply

    async def _attempt(
        self, ports: RunPorts, ask: ModelRequest, candidate: Candidate, room: int
    ) -> AIMessage | Failure:
        """One request within its time.

        It is made in a task of its own: clients answer a cancellation with one that does not say whose it was, which
        would be taken for the user's wish to stop.
        """
        answers: list[AIMessage | Failure] = []
        stream = Stream(ports, candidate.name, ask.role, room, self._counter(candidate).count_once)
        try:
            # Importing a provider's package takes its time, which is none of the provider's.
            model = await anyio.to_thread.run_sync(self._bound, ask, candidate, room)
        except Exception as error:  # noqa: BLE001  # as below: a client that cannot be made has its own reasons, too
            return failure_of(error, candidate)

        async def request() -> None:
            answers.append(await _request(model, ask, candidate, stream))

        limit = min(candidate.settings.timeout_s, ports.clock.wall_left_s)
        with anyio.move_on_after(limit):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(request)
        if answers:
            return answers[0]
        return Failure(text=f"no answer within {limit:.0f} s", transient=True, taken=True)

    def _bound(self, ask: ModelRequest, candidate: Candidate, room: int) -> Runnable[Any, Any]:
        """The client with tools and the form of the answer, as that provider takes them."""
        client = self._clients.get(candidate, room)
        model: Runnable[Any, Any] = client
        if ask.tools:
            model = client.bind_tools(tools_for(candidate.provider, ask.tools))
        if ask.schema is not None and candidate.settings.json_schema:
            form = schema_for(candidate.provider, ask.schema)
            model = model.bind(response_format=form) if form is not None else model
        return model

    def _key(self, candidate: Candidate, ask: ModelRequest, room: int) -> str | None:
        if self._cache is None or candidate.settings.temperature != 0:
            return None
        schema = ask.schema if candidate.settings.json_schema else None
        return cache_key(candidate, room, ask.messages, ask.tools, schema)

    def _keep(self, ports: RunPorts, key: str, answer: AIMessage, reply: Reply) -> None:
        """Keep a whole reply without secrets in it for the next time."""
        plain = answer.model_dump_json()
        if self._cache is not None and not reply.cut and not reply.broken and ports.mask(plain) == plain:
            self._cache.put(key, answer)

    def _counter(self, candidate: Candidate) -> Calibrated:
        return self._counters.setdefault(candidate.name, token_counter())


async def _request(
    model: Runnable[Any, Any], ask: ModelRequest, candidate: Candidate, stream: Stream
) -> AIMessage | Failure:
    """What comes back from a client that was told everything but the messages."""
    messages = list(ask.messages)
    known = PROVIDERS.get(candidate.provider)
    if known is not None and known.marked_cache and candidate.settings.cache_marks and ask.tools:
        messages = marked_for_cache(messages)
    try:
        if not candidate.settings.streaming:
            whole: AIMessage = await model.ainvoke(messages)
            return whole
        # Left early, it closes the connection, so that the provider can stop.
        reading: Any = model.astream(messages)
        async with aclosing(reading):
            async for chunk in reading:
                stream.take(chunk)
                if stream.too_long:
                    break
        message = stream.message()
    except Exception as error:  # noqa: BLE001  # providers share no base class; not logged, a key may be in its text
        failure = failure_of(error, candidate, asked=True)
        return dataclasses.replace(failure, taken=failure.taken or stream.begun)
    if known is not None and not finish_reason(message) and not _is_whole_json(ask, message):
        return Failure(text="the stream broke off before the end of the reply", transient=True, taken=True)
    return message


def _is_whole_json(ask: ModelRequest, message: AIMessage) -> bool:
    """Whether an answer that must be a JSON object is one: then it did not break off, whatever its end says."""
    if ask.schema is None:
        return False
    try:
        return isinstance(json.loads(str(message.text)), dict)
    except ValueError:
        return False


def _text(message: BaseMessage) -> str:
    """All of a message that costs tokens."""
    calls = getattr(message, "tool_calls", None)
    return f"{message.content}{json.dumps(calls)}" if calls else str(message.content)


def _masked(mask: Callable[[str], str], message: BaseMessage) -> BaseMessage:
    content = message.content
    if not isinstance(content, str):
        return message
    hidden = mask(content)
    return message if hidden == content else message.model_copy(update={"content": hidden})
