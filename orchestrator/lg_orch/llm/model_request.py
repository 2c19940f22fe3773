"""A request to whichever model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage


@dataclass(frozen=True, kw_only=True)
class ModelRequest:
    """What is asked of whichever model answers."""

    role: str
    messages: Sequence[BaseMessage]
    tools: Sequence[dict[str, Any]] = ()
    results: int = 0
    """Results of the run that the messages are about."""
    schema: dict[str, Any] | None = None
    """JSON Schema of the answer, for models whose server takes one."""
