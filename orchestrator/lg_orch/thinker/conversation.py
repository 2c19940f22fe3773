"""The conversation of one task, rebuilt from what the run keeps: the same results give the same bytes.

Results stand where they came, one turn's calls together, checks that we ran between them; so each request begins with
the one before it, which is what providers' caches want. When the tokens of the results pass the budget, the oldest
turn into digests until half of the budget is free again: seldom, and then many at once, for the same reason. What
stands before them (rules, request, plan) is never dropped.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from lg_orch.observations import middle_out, whole_text
from lg_orch.thinker.messages import MAX_RESULT_CHARS, marked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lg_orch.models_io import ToolEnvelope

BASELINE_ID, CHECK_ID = "base.", "check."
MAX_ARGUMENT = 160
"""Characters of an argument that stay of a call whose result is a digest."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """One result with its number in the run, from 1, by which it can be fetched again."""

    number: int
    result: ToolEnvelope

    @property
    def id(self) -> str:
        """Name for `mcp_result`."""
        return f"r{self.number}"


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """Messages after the task, and whether anything in them was cut or left out."""

    messages: list[BaseMessage]
    shortened: bool


def conversation(
    results: Sequence[ToolEnvelope], count: Callable[..., int], room: int, notes: dict[int, str]
) -> Conversation:
    """The calls so far and their results, as a provider's tool calling writes them.

    `room` is the tokens they may have. `notes` has texts of ours to stand before the result of that number.
    """
    items = [Item(number=number, result=result) for number, result in enumerate(results, start=1)]
    shown = [item for item in items if not item.result.artifacts.call_id.startswith(BASELINE_ID)]
    digested = _digested(shown, count, room)
    messages: list[BaseMessage] = []
    for turn, group in groupby(shown, key=_turn):
        members = list(group)
        messages += [HumanMessage(text) for number, text in notes.items() if _before(number, members)]
        messages += _checks(members) if turn == CHECK_ID else _calls(members, digested)
    last = shown[-1].number if shown else 0
    messages += [HumanMessage(text) for number, text in notes.items() if number > last]
    long = any(len(whole_text(item.result)) > MAX_RESULT_CHARS for item in shown)
    return Conversation(messages=messages, shortened=bool(digested) or long)


def transcript(results: Sequence[ToolEnvelope], count: Callable[..., int], room: int) -> str:
    """The same as one text, for requests that offer no tools."""
    items = [Item(number=number, result=result) for number, result in enumerate(results, start=1)]
    digested = _digested(items, count, room)
    parts = [
        f"Call: {item.result.tool} {json.dumps(_arguments(item, digested), ensure_ascii=False)[:2_000]}\n"
        f"{marked(_text(item, digested))}"
        for item in items
    ]
    return "\n\n".join(parts) or "No calls were made."


def _before(number: int, members: Sequence[Item]) -> bool:
    return members[0].number <= number <= members[-1].number


def _turn(item: Item) -> str:
    """The calls of one turn share what stands before the last dot of their ids."""
    identity = item.result.artifacts.call_id
    return CHECK_ID if identity.startswith(CHECK_ID) else identity.rpartition(".")[0]


def _digested(items: Sequence[Item], count: Callable[..., int], room: int) -> set[int]:
    """Numbers of the results that gave way, found by letting them come in one by one."""
    sizes: list[int] = []
    first, total = 0, 0
    for item in items:
        size = count(_text(item, ()), json.dumps(item.result.artifacts.input))
        sizes.append(size)
        total += size
        if total > room:
            # The newest stays whole whatever it costs: the model is about to read it.
            while first < len(sizes) - 1 and total > room // 2:
                total -= sizes[first]
                first += 1
    return {item.number for item in items[:first]}


def _calls(members: Sequence[Item], digested: set[int]) -> Iterator[BaseMessage]:
    calls: list[Any] = [
        # Our own ids hold characters that some providers refuse.
        {"name": item.result.tool, "args": _arguments(item, digested), "id": f"call_{item.number}", "type": "tool_call"}
        for item in members
    ]
    first = members[0].result.artifacts
    words = first.why if first.call_id.startswith("m") else ""
    yield AIMessage(content=words, tool_calls=calls)
    for item in members:
        yield ToolMessage(content=marked(_text(item, digested)), tool_call_id=f"call_{item.number}")


def _checks(members: Sequence[Item]) -> Iterator[BaseMessage]:
    parts = [
        f"{json.dumps(item.result.artifacts.input, ensure_ascii=False)}\n{marked(_text(item, ()))}" for item in members
    ]
    yield HumanMessage("The program ran the checks:\n" + "\n".join(parts))


def _text(item: Item, digested: set[int] | tuple[()]) -> str:
    text = whole_text(item.result)
    if item.number not in digested:
        return middle_out(text, MAX_RESULT_CHARS, f'; mcp_result with result_id "{item.id}" reads all')
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    status = f", exit code {item.result.exit_code}" if item.result.exit_code is not None else ""
    return (
        f"[{len(text)} characters, {text.count(chr(10)) + 1} lines{status}, left out to save room; mcp_result with "
        f'result_id "{item.id}" shows it; it begins: {first[:100]}]'
    )


def _arguments(item: Item, digested: set[int]) -> dict[str, Any]:
    arguments = item.result.artifacts.input
    if item.number not in digested:
        return arguments
    return {
        name: f"{value[:MAX_ARGUMENT]} [{len(value)} characters]"
        if isinstance(value, str) and len(value) > MAX_ARGUMENT
        else value
        for name, value in arguments.items()
    }
