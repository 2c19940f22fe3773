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
_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_QUESTION = re.compile(
    r"(?:please |now |so |and |then )?(?:why|what|whats|how|who|whose|where|which|when|is|are|does|do|did|was|were|has"
    r"|have|should|explain|describe|review|compare|suggest|recommend|tell me|show me|give me)\b",
    re.IGNORECASE,
)
"""How a request begins that wants to know something."""
_FAULT = re.compile(
    r"\b(?:instead of|should(?:n't| not)? (?:be|have|not|return|raise|give|print|show|accept|reject|work|keep|ignore)"
    r"|(?:does|do|did)(?:n't| not) work|fails?|failing|crash(?:es|ed)?|hangs?|is (?:broken|wrong|lost|missing|ignored)"
    r"|(?:wrong|unexpected) (?:result|value|output|answer|order|error)|expected .{1,200}? (?:but|got)"
    r"|raises? \w*(?:Error|Exception)|traceback|regression)\b",
    re.IGNORECASE,
)
"""How a fault is reported."""
MAX_READ = 4_000
"""Characters in which the rules look: the rest of a long report is output."""


def route_by_rules(request: str) -> Route | None:
    """Return the route of a plain request: a question, a report of a fault, or an order of a small change."""
    known = LocalAnalyst().route(request)
    if not known.needs_model:
        return known
    told = request.strip()[:MAX_READ]
    if any(orders_a_change(sentence) for sentence in (told, *_SENTENCES.split(told))):
        if not is_small(request):
            return None
        rationale = "A small change, asked for in a few words: it needs no plan of its own."
        intent = known.intent if known.intent in CHANGES else "code_change"
        return Route(intent=intent, lane="interactive", rationale=rationale)
    if _QUESTION.match(told) is not None:
        return Route(intent="question", lane="interactive", rationale="It begins as a question does.")
    reports, asks = _FAULT.search(told) is not None, "?" in told
    if reports == asks:
        return None  # it says neither, or both
    if asks:
        return Route(intent="question", lane="interactive", rationale="It is a question.")
    return Route(intent="debug", lane="interactive", rationale="It reports a fault, which is to be repaired.")


def is_small(request: str) -> bool:
    """Tell whether one piece of work is asked for, in a few words, of no more than a few places."""
    text = request.strip()
    return len(text) <= MAX_CHARS and len(_SENTENCE.findall(text)) <= MAX_SENTENCES and not _WIDE.search(text)
