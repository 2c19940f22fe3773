"""Narrow interfaces that a run gives to a model backend.

Use them only from the event loop's thread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lg_orch.llm.conversation.earlier import Earlier
    from lg_orch.llm.cost.spending import Used
    from lg_orch.llm.cost.token_bounds import TokenBound
    from lg_orch.tools.tool_info import ToolInfo


class TokenBudget(Protocol):
    """How many tokens and how much money the next request may use."""

    def bound(self, model: str) -> TokenBound:
        """Return what this run knows of a model's counting."""
        ...

    def reply_room(self, model: str, most_prompt: int, wanted: int) -> int:
        """Return the tokens, at most `wanted`, that the reply to a prompt of at most `most_prompt` may have.

        Raises `OutOfBudget` when the request may not be made: tokens, money or wall clock are used up.
        """
        ...

    def at_most(self, model: str, prompt: int, reply: int) -> float | None:
        """Return the US dollars that a request can cost at most; `None` when the model has no price."""
        ...


class WallClock(Protocol):
    """The run's wall clock."""

    @property
    def wall_left_s(self) -> float:
        """Seconds until the run's wall clock is used up."""
        ...

    def check_wall(self) -> None:
        """Raise `OutOfBudget` once the run's wall clock is used up."""
        ...


class RequestJournal(Protocol):
    """Where requests to models are recorded."""

    def record(self, name: str, phase: str, data: Mapping[str, Any]) -> None:
        """Journal a request."""
        ...

    def spend(self, name: str, phase: str, used: Used, data: Mapping[str, Any]) -> None:
        """Journal the end of a request and count what it used."""
        ...

    def progress(self, name: str, data: Mapping[str, Any]) -> None:
        """Show what comes in, without keeping it."""
        ...


@dataclass(frozen=True, kw_only=True)
class RunPorts:
    """Everything that a run gives to a backend, in one process."""

    tools: Sequence[ToolInfo]
    """The tools found at the gateway."""
    budget: TokenBudget
    clock: WallClock
    journal: RequestJournal
    mask: Callable[[str], str]
    """Hides known secrets in a text."""


@runtime_checkable
class AsksModels(Protocol):
    """A backend that asks language models and needs a run's ports for it."""

    def attach(self, ports: RunPorts, earlier: Earlier | None = None) -> None:
        """Take the run's interfaces, and the conversation before it. Called once, before any other method."""
        ...

    def conversation(self, request: str, words: str) -> Earlier | None:
        """Return the conversation with this run, for one that follows; `None` when no model worked on it here."""
        ...
