"""Holds what one server offers, as it listed it, and the limits of such lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import mcp_types as t

TOOLS_PER_SERVER = 2000
RESOURCES_PER_SERVER = 2000
TEMPLATES_PER_SERVER = 500
PROMPTS_PER_SERVER = 500
INSTRUCTIONS_CHARACTERS = 4_000
"""Of a server's `instructions`; the rest is cut."""


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A server's lists. `has_resources` and `has_prompts`: whether it has any at all, listed or not."""

    tools: Sequence[t.Tool] = ()
    resources: Sequence[t.Resource] = ()
    templates: Sequence[t.ResourceTemplate] = ()
    prompts: Sequence[t.Prompt] = ()
    instructions: str = ""
    has_resources: bool = False
    has_prompts: bool = False
    subscribes: bool = False
    """Whether it tells when a resource has changed."""
    completes: bool = False
    """Whether it completes arguments."""
    has_tasks: bool = False
    """Whether a call of a tool may go on after its answer."""
