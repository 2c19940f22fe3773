"""Asks models as a run does, with the packages of all providers: run by the interpreter that has them.

One question a line on standard input, one answer a line on standard output; both are JSON.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
from langchain_core.messages import messages_from_dict

from lg_orch.contracts.errors import ModelGone, OutOfBudget, ThinkingFailed
from lg_orch.llm.cost.spending import Spending
from lg_orch.llm.cost.token_bounds import TokenBounds
from lg_orch.llm.model_request import ModelRequest
from lg_orch.llm.ports import RunPorts
from lg_orch.llm.providers import api_keys
from lg_orch.llm.requests import Models
from lg_policy.config.settings import Settings
from lg_policy.secrets.masking import Masker
from tests.processes import ready
from tests.stacks import arm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.llm.cost.spending import Used
    from lg_orch.llm.cost.token_bounds import TokenBound
    from lg_orch.tools.tool_info import ToolInfo

WALL_S = 600.0


@dataclass(kw_only=True)
class Lent:
    """What a run lends to whoever asks, for one question."""

    meter: Spending
    masker: Masker
    tools: Sequence[ToolInfo] = ()
    wall_left_s: float = WALL_S
    events: list[dict[str, Any]] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    bounds: TokenBounds = field(default_factory=TokenBounds)

    def check_wall(self) -> None:
        if self.wall_left_s <= 0:
            raise OutOfBudget("the wall clock is used up", limit="max_wall_s")

    def bound(self, model: str) -> TokenBound:
        return self.bounds.of(model)

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        return self.meter.reply_room(model, most_prompt, wanted, beyond=self.bound(model).reply_surplus)

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        return self.meter.at_most(model, prompt, reply)

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        self.events.append({**data, "name": name, "phase": phase})

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        self.record(
            name,
            phase,
            {**data, "total_tokens": used.total, "cost_usd": self.meter.add(name, used) if used.total else 0.0},
        )

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        self.shown.append(str(data["text"]))

    def ports(self) -> RunPorts:
        return RunPorts(tools=self.tools, budget=self, clock=self, journal=self, mask=self.mask)

    def mask(self, text: str) -> str:
        return self.masker.mask(text)


async def answer(question: dict[str, Any]) -> dict[str, Any]:
    os.environ.pop("OPENAI_API_BASE", None)
    os.environ.update(question["environ"])
    settings = Settings.model_validate(question["settings"])
    lent = Lent(
        meter=Spending(settings.budgets, settings.models.prices), masker=Masker(b"key", [*api_keys(os.environ)])
    )
    cache = Path(question["cache"]) if question.get("cache") else None
    models = Models(settings.models, cache_dir=cache)
    found: dict[str, Any] = {"events": lent.events, "shown": lent.shown, "replies": []}
    for asked in question["asks"]:
        ask = ModelRequest(
            role="coder", messages=messages_from_dict(asked["messages"]), tools=asked.get("tools") or (),
            schema=asked.get("schema"),
        )  # fmt: skip
        try:
            reply = await anyio.to_thread.run_sync(models.ask, lent.ports(), ask)
        except (ThinkingFailed, ModelGone, OutOfBudget) as error:
            found["error"] = f"{error}; {error.hint}" if error.hint else str(error)
            break
        made = [{"tool": call.tool, "input": call.input} for call in reply.calls]
        found["replies"].append({"text": reply.text, "calls": made, "broken": reply.broken, "cut": reply.cut})
    return found | {"tokens": lent.meter.tokens, "usd": lent.meter.usd}


def main() -> None:
    """Answer each question in an event loop of its own, as each run has.

    Clients that nobody uses any more are collected with their connections, in whatever thread that happens. In a loop
    that lived on, the number of a closed connection would still be waited for when a new one gets it.
    """
    print(ready(), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(anyio.run(answer, question) | {"number": question["number"]}), flush=True)


if __name__ == "__main__":
    arm()
    main()
