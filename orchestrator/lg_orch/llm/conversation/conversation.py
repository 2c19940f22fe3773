"""Rebuilds the conversation of a task from what the run stores: the same results give the same bytes.

Results stand where they came, one turn's calls together, checks that we ran between them; so each request begins with
the one before it, which is what providers' caches want. When the tokens of the results pass the budget, the oldest
turn into digests until half of the budget is free again: seldom, and then many at once, for the same reason. What
stands before them (rules, request, plan) is never dropped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from lg_orch.llm.conversation.messages import marked
from lg_orch.tools.result_text import MAX_RESULT_CHARS, middle_out, whole_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.llm.conversation.notes import Note

BASELINE_ID, CHECK_ID, AGAIN_ID, NEAR_ID = "base.", "check.", "again.", "near."
_RAN = {
    CHECK_ID: "The program ran the checks:",
    BASELINE_ID: "The program ran the checks as they were before any change. These failed:",
    NEAR_ID: "The program ran the tests nearest to the change; all others follow once these pass:",
}
MAX_ARGUMENTS = 120
"""Characters of a call's arguments in its digest."""
_MEASURE = "some words " * 1_000
MAX_DIGESTS = 40
"""Digests that a request shows."""


@dataclass(frozen=True, kw_only=True)
class NumberedResult:
    """One result with its number in the run, from 1, by which it can be fetched again."""

    number: int
    result: ToolEnvelope

    @property
    def id(self) -> str:
        """Name for `mcp_result`."""
        return f"r{self.number}"


@dataclass(kw_only=True)
class _Window:
    """Which turns gave way: the first `first` of those that came in; `total` is what the others take."""

    sizes: list[float]
    first: int = 0
    total: float = 0.0

    def let_in(self, size: float, room: float) -> None:
        """Let in one more turn. The newest stays whole whatever it costs: the model is about to read it."""
        self.sizes.append(size)
        self.total += size
        if self.total > room:
            while self.first < len(self.sizes) - 1 and self.total > room / 2:
                self.total -= self.sizes[self.first]
                self.first += 1

    def with_last(self, size: float, room: float) -> int:
        """Return how many would have given way after one more, which may still grow."""
        seen = _Window(sizes=self.sizes, first=self.first, total=self.total)
        seen.let_in(size, room)
        self.sizes.pop()
        return seen.first


class Rendered:
    """What was made of results already: each request repeats the ones before it. For one run in one process.

    Results are only ever added to a run, so what was found of the turns before the newest is not looked for again.
    """

    def __init__(self, before: int = 0) -> None:
        """`before` is how many calls earlier runs of the conversation made: numbers go on from there."""
        self.before = before
        self.messages: dict[tuple[str, ...], list[BaseMessage]] = {}
        self.turns: list[list[NumberedResult]] = []
        self.window = _Window(sizes=[])
        self._taken = 0

    def _left_out(self, result: ToolEnvelope) -> bool:
        """Whether the conversation does not show a result: of checks before a change only those that failed.

        Those that ran before the first request are told with the task. So it is with tests that only ran first.
        """
        identity = result.artifacts.call_id
        if identity.startswith(NEAR_ID):
            return result.exit_code in (None, 0)
        if identity.startswith(BASELINE_ID):
            return not self.turns or result.exit_code in (None, 0)
        return identity.startswith(AGAIN_ID)

    def take_in(
        self, results: Sequence[ToolEnvelope], count: Callable[..., int], room: int, limit: int = MAX_RESULT_CHARS
    ) -> int:
        """Add what is new among all of a run's results; returns how many turns gave way, from the first.

        Sizes are kept as multiples of a text of ours: `count` corrects itself by what providers report.
        """
        unit = count(_MEASURE)
        for number, result in enumerate(results[self._taken :], start=self.before + self._taken + 1):
            if self._left_out(result):
                continue
            item = NumberedResult(number=number, result=result)
            if self.turns and _turn(self.turns[-1][0]) == _turn(item):
                self.turns[-1].append(item)
                continue
            if self.turns:
                self.window.let_in(_size(self.turns[-1], count) / unit, room / unit)
            self.turns.append([item])
        self._taken = len(results)
        return self.window.with_last(_size(self.turns[-1], count, limit) / unit, room / unit) if self.turns else 0


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Messages after the task, and whether anything in them was cut or left out."""

    messages: list[BaseMessage]
    shortened: bool


def conversation(
    results: Sequence[ToolEnvelope],
    count: Callable[..., int],
    room: int,
    notes: Sequence[Note],
    rendered: Rendered | None = None,
    *,
    shorter: int = 1,
) -> Conversation:
    """Return the calls so far and their results, as a provider's tool calling writes them.

    `room` is the tokens they may have. `notes` are texts of ours, by place. All is made `shorter` times as short where
    the run's budgets leave no room for more.
    """
    known, limit = rendered or Rendered(), MAX_RESULT_CHARS // shorter
    old = known.take_in(results, count, room // shorter, limit)
    turns = known.turns
    messages: list[BaseMessage] = [HumanMessage(_digests(turns[:old], shorter))] if old else []
    reached = turns[old - 1][-1].number if old else 0
    messages += [HumanMessage(text) for number, text in notes if number <= reached]
    for members in turns[old:]:
        messages += [HumanMessage(text) for number, text in notes if reached < number <= members[-1].number]
        reached = members[-1].number
        key = (str(limit), *(item.id for item in members))
        if key not in known.messages:
            made = _checks(members, limit) if _turn(members[0]) in _RAN else _calls(members, limit)
            known.messages[key] = list(made)
        messages += known.messages[key]
    messages += [HumanMessage(text) for number, text in notes if number > reached]
    left = (item for members in turns[old:] for item in members)
    long = any(len(item.result.stdout) + len(item.result.stderr) > limit for item in left)
    return Conversation(messages=messages, shortened=bool(old) or long)


def transcript(results: Sequence[ToolEnvelope], count: Callable[..., int], room: int, *, shorter: int = 1) -> str:
    """Return the conversation as one text, for requests that offer no tools."""
    limit = MAX_RESULT_CHARS // shorter
    turns = [[NumberedResult(number=number, result=result)] for number, result in enumerate(results, start=1)]
    window = _Window(sizes=[])
    for turn in turns:
        window.let_in(_size(turn, count, limit), room // shorter)
    old = window.first
    parts = [_digests(turns[:old], shorter)] if old else []
    parts += [
        f"Call: {item.result.tool} {json.dumps(item.result.artifacts.input, ensure_ascii=False)[:2_000]}\n"
        f"{marked(_text(item, limit))}"
        for members in turns[old:]
        for item in members
    ]
    return "\n\n".join(parts) or "No calls were made."


def _turn(item: NumberedResult) -> str:
    """The calls of one turn share what stands before the last dot of their ids."""
    identity = item.result.artifacts.call_id
    by_us = next((kind for kind in _RAN if identity.startswith(kind)), None)
    return by_us or identity.rpartition(".")[0]


def _size(turn: Sequence[NumberedResult], count: Callable[..., int], limit: int = MAX_RESULT_CHARS) -> int:
    return sum(count(f"{_text(item, limit)}\n{json.dumps(item.result.artifacts.input)}") for item in turn)


def _digests(turns: Sequence[Sequence[NumberedResult]], shorter: int) -> str:
    """One line for each of the newest results that gave way; the older ones are only counted."""
    shown = max(1, MAX_DIGESTS // shorter)
    items = [item for turn in turns[-shown - 1 :] for item in turn]
    lines = [_digest(item) for item in items[-shown:]]
    if len(items) > shown:
        lines.insert(0, f"{turns[0][0].id} to {items[-shown - 1].id}: earlier calls")
    return "Results left out to save room; mcp_result shows each by its id:\n" + marked("\n".join(lines))


def _digest(item: NumberedResult) -> str:
    result, text = item.result, whole_text(item.result)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    arguments = json.dumps(result.artifacts.input, ensure_ascii=False)[:MAX_ARGUMENTS]
    status = f", exit code {result.exit_code}" if result.exit_code is not None else "" if result.ok else ", failed"
    return f"{item.id}: {result.tool} {arguments}: {len(text)} characters{status}, begins: {first[:80]}"


def _calls(members: Sequence[NumberedResult], limit: int) -> Iterator[BaseMessage]:
    calls: list[Any] = [
        # Our own ids hold characters that some providers refuse.
        {
            "name": item.result.tool,
            "args": item.result.artifacts.input,
            "id": f"call_{item.number}",
            "type": "tool_call",
        }
        for item in members
    ]
    first = members[0].result.artifacts
    words = first.why if first.call_id.startswith("m") else ""
    yield AIMessage(content=words, tool_calls=calls)
    for item in members:
        yield ToolMessage(content=marked(_text(item, limit)), tool_call_id=f"call_{item.number}")


def _checks(members: Sequence[NumberedResult], limit: int) -> Iterator[BaseMessage]:
    parts = [
        f"{json.dumps(item.result.artifacts.input, ensure_ascii=False)}\n{marked(_text(item, limit))}"
        for item in members
    ]
    yield HumanMessage("\n".join((_RAN[_turn(members[0])], *parts)))


def _text(item: NumberedResult, limit: int) -> str:
    hint = f'; mcp_result with result_id "{item.id}" reads all'
    return middle_out(whole_text(item.result), limit, hint)
