"""Recognises requests that are plain enough to need no model for routing and no plan of their own."""

from __future__ import annotations

import re

from lg_orch.analyst.analyst import LocalAnalyst
from lg_orch.analyst.understanding import orders_a_change
from lg_orch.contracts.plans import CHANGES, Route

MAX_CHARS = 600
MAX_SENTENCES = 4
_WIDE = re.compile(
    r"\b(every(where)?|all|across|throughout|whole|entire|each|migrate|migration|redesign|rewrite|re-?architect|port"
    r"|convert|refactor|restructure|split|framework|architecture|plan|phase|step by step)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"[.!?](\s|$)|\n")


def route_by_rules(request: str) -> Route | None:
    """Return the route of a plain request: a question the analyst knows, or an order of a small change."""
    known = LocalAnalyst().route(request)
    if not known.needs_model:
        return known
    if not orders_a_change(request) or known.intent not in CHANGES or not is_small(request):
        return None
    rationale = "A small change, asked for in a few words: it needs no plan of its own."
    return Route(intent=known.intent, lane="interactive", rationale=rationale)


def is_small(request: str) -> bool:
    """Tell whether one piece of work is asked for, in a few words, of no more than a few places."""
    text = request.strip()
    return len(text) <= MAX_CHARS and len(_SENTENCE.findall(text)) <= MAX_SENTENCES and not _WIDE.search(text)
