r"""Writes the question that a human reads about a call, and reads the answer. Pure.

The gateway's own frame comes first and is the only text at the left margin. Names in it are quoted and cut. Everything
that a caller or a server wrote stands behind `|`, field by field, whole and unmasked: what a human approves is what
happens. A line that holds what looks like a secret is marked `|!` and shown as it is. Characters that move, hide or
turn text are written as `\u{…}`, so that no argument can redraw the question. The default answer is no.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lg_gateway.approvals.layout import NAME_WIDTH, word
from lg_policy.printing import quote, visible
from lg_policy.rules.rule_set import Kind
from lg_policy.terminal_rows import foreign, laid_out

SHOWN_LINES = 200
"""Rows of foreign text in a question that a client shows; a longer one is answered where all of it is shown."""
DEPTH = 6
"""Levels of nested arguments that are taken apart; what lies deeper is shown as JSON."""

ONCE, RUN, SESSION, DENY = "once", "run", "session", "deny"
TOOL, EXACT, PATTERN, READS = "tool", "exact", "pattern", "reads"
ALWAYS = (TOOL, EXACT, PATTERN, READS)
"""Answers that become a rule."""
TYPED = {
    "o": ONCE, "once": ONCE, "y": ONCE, "yes": ONCE, "r": RUN, "run": RUN, "w": SESSION, "session": SESSION,
    "t": TOOL, "tool": TOOL, "x": EXACT, "exact": EXACT, "p": PATTERN, "pattern": PATTERN,
    "l": READS, "all": READS, "reads": READS,
    "d": DENY, "deny": DENY, "n": DENY, "no": DENY, "": DENY,
}  # fmt: skip
"""What a human may type at every terminal of ours. A plain yes is the smallest one; Enter alone is a no."""
_CHOICES = {
    ONCE: "Approve once", RUN: "Approve for this run", SESSION: "Approve for this session", DENY: "Deny",
    TOOL: "Always allow this {kind}", EXACT: "Always allow exactly these arguments",
}  # fmt: skip
_MEANS = {
    ONCE: "this call only", RUN: "this {kind} for the rest of this run, for 8 hours at most",
    SESSION: "this {kind} until this client ends, for 8 hours at most", DENY: "nothing is done",
}  # fmt: skip
CONFIRMED_LATER = "An answer for always counts for now, and for good once you confirm it at a terminal."

_NEEDS = {
    Kind.TOOL: "A tool call needs your approval.",
    Kind.RESOURCE: "Reading a resource needs your approval.",
    Kind.PROMPT: "Getting a prompt needs your approval.",
}

Secrets = Callable[[str], Mapping[int, frozenset[str]]]
"""Which lines of a text, counted from 0, hold what looks like a secret, and of what kinds."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What the gateway itself says about the call."""

    server: str
    builtin: bool
    tool: str
    """The name of what is called, or the URI of a resource."""
    effect: str
    identity: str
    client: str
    run_id: str | None
    approver: str
    kind: Kind = Kind.TOOL


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The question's text, how many of its rows had to be left out, and the text with those ("" if none)."""

    text: str
    hidden_lines: int
    full: str


@dataclass(frozen=True, kw_only=True)
class HumanAnswer:
    """A human's answer."""

    approved: bool
    for_run: bool
    reason: str
    keep: str = ""
    """What of it is kept beyond this call: `session`, or the kind of a rule."""


def no_secrets(_text: str) -> Mapping[int, frozenset[str]]:
    """Mark nothing."""
    return {}


def compose(frame: Frame, arguments: Mapping[str, Any], preview: str | None, secrets: Secrets = no_secrets) -> Shown:
    """Return the text of a question."""
    marker = _Marker(secrets)
    body = [
        line
        for name, value in arguments.items()
        # The preview below says what these do, from the server that would do it.
        if preview is None or name not in ("patch", "changes")
        for line in marker.field(_label(str(name)), value)
    ]
    body = ["arguments:", *body] if body else ["no arguments"] if preview is None else []
    if preview is not None:
        body += [f"what it would do, according to server {word(frame.server)}:"]
        body += marker.lines(preview.rstrip("\n"))
    head, rows = laid_out([*_head(frame), *marker.note()]), laid_out(body)
    full = "\n".join([*head, *rows])
    hidden = max(0, len(rows) - SHOWN_LINES)
    if not hidden:
        return Shown(text=full, hidden_lines=0, full="")
    note = f"… {hidden} more lines are not shown here: see `lg-gateway approvals watch`"
    return Shown(text="\n".join([*head, *rows[:SHOWN_LINES], note]), hidden_lines=hidden, full=full)


class ApprovalForm(dict[str, Any]):
    """The schema of the answer, and the choices in it: what our own terminals need not read out of the schema."""

    choices: tuple[str, ...] = ()
    rules: Mapping[str, str] = {}
    """The text of each rule that can be chosen, and where it would be written: shown before that is done."""


def form(
    *,
    in_run: bool,
    in_session: bool = False,
    always: Mapping[str, str] | None = None,
    note: str = "",
    kind: Kind = Kind.TOOL,
) -> ApprovalForm:
    """Return the schema of the answer. `always` says what each rule would allow that the human may choose."""
    rules = {kind: words for kind, words in (always or {}).items() if kind in ALWAYS}
    choices = [ONCE, *([RUN] if in_run else []), *([SESSION] if in_session else []), *rules, DENY]
    means = {choice: words.format(kind=kind) for choice, words in _MEANS.items()}
    means |= {choice: f"{words}, from now on" for choice, words in rules.items()}
    titles = {choice: words.format(kind=kind) for choice, words in _CHOICES.items()}
    names = [titles.get(choice) or f"Always allow: {rules[choice]}" for choice in choices]
    decision = {
        "type": "string",
        "title": "Decision",
        "description": " ".join([f"{choice}: {means[choice]}." for choice in choices] + ([note] if note else [])),
        "enum": choices,
        "enumNames": names,
        "default": DENY,
    }
    # Some clients send null for an optional field without a default, which no text field may be.
    reason = {"type": "string", "title": "Reason", "description": "optional; the caller reads it", "maxLength": 500}
    reason |= {"default": ""}
    made = ApprovalForm(
        {"type": "object", "properties": {"decision": decision, "reason": reason}, "required": ["decision"]}
    )
    made.choices = tuple(choices)
    return made


def read_answer(
    action: str, content: Mapping[str, Any] | None, choices: Collection[str] = (ONCE, RUN, DENY)
) -> HumanAnswer:
    """Return what an answer means. Anything but a clear yes that was offered is a no."""
    said = dict(content or {})
    reason = said.get("reason")
    decision = said.get("decision")
    approved = action == "accept" and isinstance(decision, str) and decision in choices and decision != DENY
    words = reason.strip()[:500] if isinstance(reason, str) else ""
    default = "" if approved else {"cancel": "the question was closed without an answer"}.get(action, "a human said no")
    keep = decision if approved and decision in (SESSION, *ALWAYS) else ""
    return HumanAnswer(approved=approved, for_run=approved and decision == RUN, reason=words or default, keep=keep)


def quoted(text: str) -> list[str]:
    """Return somebody else's text as rows behind the margin."""
    return laid_out(map(foreign, text_lines(text)))


def text_lines(text: str) -> Iterator[str]:
    """Return the lines of a text, each visible. A carriage return is only left out where every line ends in one."""
    lines = text.split("\n")
    if len(lines) > 1 and all(line.endswith("\r") for line in lines[:-1]) and not lines[-1].endswith("\r"):
        lines = [line.removesuffix("\r") for line in lines]
    return (visible(line, keep="\t") for line in lines)


def _head(frame: Frame) -> Iterator[str]:
    yield _NEEDS[frame.kind]
    kind = "built in" if frame.builtin else "third party"
    yield f"server: {word(frame.server)} ({kind})"
    yield f"{frame.kind}: {word(frame.tool)}"
    yield f"asked by: {word(frame.identity)}"
    if frame.client:
        yield f"client: {quote(frame.client, limit=NAME_WIDTH)}"
    if frame.run_id:
        yield f"run: {quote(frame.run_id, limit=NAME_WIDTH)}"
    yield f"why you are asked: {visible(frame.effect)}"
    if frame.approver == "operator":
        yield "Only an operator may approve this call."


@dataclass
class _Marker:
    """Turns values into logical lines and takes note of those that hold what looks like a secret."""

    secrets: Secrets
    marked: int = 0
    kinds: frozenset[str] = frozenset()

    def note(self) -> Iterator[str]:
        if self.marked:
            lines = "1 line holds" if self.marked == 1 else f"{self.marked} lines hold"
            kinds = ", ".join(sorted(self.kinds))
            yield f"secrets: {lines} what looks like one, marked |! ({kinds})"

    def field(self, label: str, value: Any, depth: int = 0) -> Iterator[str]:
        """Return an argument: on one line, or with its own lines below its name."""
        if isinstance(value, str) and "\n" in value:
            ends = " (lines end in CR LF)" if "\r\n" in value else ""
            yield foreign(f"{label}:{ends}")
            yield from self.lines(value, "  ")
        elif isinstance(value, dict | list) and depth < DEPTH and _has_lines(value, DEPTH - depth):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            for key, item in items:
                inner = f".{_label(str(key))}" if isinstance(value, dict) else f"[{key}]"
                yield from self.field(f"{label}{inner}", item, depth + 1)
        elif isinstance(value, str):
            yield from self.lines('"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"', f"{label}: ")
        else:
            yield from self.lines(json.dumps(value, ensure_ascii=False), f"{label}: ")

    def lines(self, text: str, before: str = "") -> Iterator[str]:
        """Return a text line by line, `before` in front of each."""
        found = self.secrets(text)
        self.marked += len(found)
        self.kinds |= frozenset().union(*found.values())
        for number, line in enumerate(text_lines(text)):
            yield foreign(f"{before}{line}", secret=number in found)


def _label(name: str) -> str:
    """Return an argument's name, quoted where it could be taken for something else."""
    return name if name.isascii() and name.replace("_", "").replace("-", "").isalnum() else quote(name)


def _has_lines(value: Any, depth: int) -> bool:
    """Whether a text of several lines lies in a value."""
    if isinstance(value, str):
        return "\n" in value
    if depth == 0 or not isinstance(value, dict | list):
        return False
    return any(_has_lines(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))
