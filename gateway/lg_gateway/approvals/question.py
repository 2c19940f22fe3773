r"""What a human is shown, and what their answer means. Pure.

The gateway's own frame comes first and is the only text at the left margin; everything a caller or a server wrote is
quoted after `|`, field by field, with control, bidi and invisible characters as `\u{…}`, so that no argument can redraw
the question. The default answer is no.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHOWN_LINES = 200
LINE_LENGTH = 500
# Blank but visible-width characters that fonts draw as nothing.
_BLANKS = {0x115F, 0x1160, 0x3164, 0xFFA0, 0x2800, 0x034F, 0x00AD}

ONCE, RUN, DENY = "once", "run", "deny"
_CHOICES = {ONCE: "Approve once", RUN: "Approve for this run", DENY: "Deny"}


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What the gateway itself says about the call."""

    server: str
    builtin: bool
    tool: str
    effect: str
    identity: str
    client: str
    run_id: str | None
    approver: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The question's text, how many of its lines had to be left out, and the text with those ("" if none)."""

    text: str
    hidden_lines: int
    full: str


@dataclass(frozen=True, kw_only=True)
class HumanAnswer:
    """A human's answer."""

    approved: bool
    for_run: bool
    reason: str


def compose(frame: Frame, arguments: Mapping[str, Any], preview: str | None) -> Shown:
    """Return the text of a question."""
    lines = [
        "A tool call needs your approval.",
        f"server: {visible(frame.server)} ({'built in' if frame.builtin else 'third party'})",
        f"tool: {visible(frame.tool)}",
        f"why asked: {visible(frame.effect)}",
        f"caller: {visible(frame.identity)}" + (f" with {visible(frame.client)}" if frame.client else ""),
    ]
    if frame.run_id:
        lines.append(f"run: {visible(frame.run_id)}")
    if frame.approver == "operator":
        lines.append("only an operator may approve this")
    body: list[str] = []
    for name, value in arguments.items():
        if preview is not None and name in ("patch", "changes"):
            continue  # the preview below says what it does, from the server that would do it
        body += _field(str(name), value)
    if body or preview is None:
        lines.append("arguments:" if body else "no arguments")
    head = "\n".join(lines)
    if preview is not None:
        body += ["what it would do, as the server says:", *quoted(preview.rstrip("\n"))]
    full = "\n".join([head, *body])
    hidden = max(0, len(body) - SHOWN_LINES)
    if not hidden:
        return Shown(text=full, hidden_lines=0, full="")
    note = f"… {hidden} more lines are hidden here; approve it where all are shown"
    return Shown(text="\n".join([head, *body[:SHOWN_LINES], note]), hidden_lines=hidden, full=full)


def form(*, in_run: bool) -> dict[str, Any]:
    """Return the schema of the answer."""
    choices = [ONCE, RUN, DENY] if in_run else [ONCE, DENY]
    words = "once: this call only. " + ("run: this tool for the rest of this run, 8 hours at most. " if in_run else "")
    names = [_CHOICES[choice] for choice in choices]
    decision = {
        "type": "string",
        "title": "Decision",
        "description": words + "deny: no.",
        "enum": choices,
        "enumNames": names,
        "default": DENY,
    }
    reason = {"type": "string", "title": "Reason", "description": "optional; the caller is told", "maxLength": 500}
    return {"type": "object", "properties": {"decision": decision, "reason": reason}, "required": ["decision"]}


def read_answer(action: str, content: Mapping[str, Any] | None) -> HumanAnswer:
    """Return what an answer means. Anything but a clear yes is a no."""
    said = dict(content or {})
    reason = said.get("reason")
    decision = said.get("decision")
    approved = action == "accept" and decision in (ONCE, RUN)
    words = reason.strip()[:500] if isinstance(reason, str) else ""
    default = "" if approved else {"cancel": "the question was closed without an answer"}.get(action, "a human said no")
    return HumanAnswer(approved=approved, for_run=approved and decision == RUN, reason=words or default)


def visible(text: str) -> str:
    r"""Return `text` on one line with everything that does not show as itself written as `\u{…}`."""
    return "".join(character if _shows(character) else f"\\u{{{ord(character):x}}}" for character in text)


def quoted(text: str) -> list[str]:
    """Return somebody else's text as lines behind the quotation mark."""
    return [f"| {line}" for line in _lines(text)]


def _field(name: str, value: Any) -> list[str]:
    label = visible(name)[:LINE_LENGTH]
    if isinstance(value, str) and "\n" in value:
        return [f"| {label}:", *(f"|   {line}" for line in _lines(value))]
    if isinstance(value, str):
        shown = visible('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"')
    else:
        shown = visible(json.dumps(value, ensure_ascii=False))
    if len(shown) <= LINE_LENGTH:
        return [f"| {label}: {shown}"]
    return [f"| {label}:", *(f"|   {line}" for line in _lines(shown))]


def _lines(text: str) -> list[str]:
    """Split at real line ends only, and break what is too long, so that a line cannot run out of sight."""
    found: list[str] = []
    for line in text.split("\n"):
        shown = visible(line.removesuffix("\r").replace("\t", "    "))
        found += [shown[at : at + LINE_LENGTH] for at in range(0, len(shown), LINE_LENGTH)] or [""]
    return found


def _shows(character: str) -> bool:
    if character == " ":
        return True
    code = ord(character)
    if code in _BLANKS or 0xFE00 <= code <= 0xFE0F or 0xE0000 <= code <= 0xE0FFF:
        return False
    return unicodedata.category(character)[0] not in ("C", "Z")
