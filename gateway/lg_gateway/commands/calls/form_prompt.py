"""Lets you fill in a form at the terminal where you typed the command."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Mapping
from typing import Any

import anyio.from_thread
import anyio.to_thread

from lg_gateway.approvals.question import DENY, EXACT, ONCE, PATTERN, READS, RUN, SESSION, TOOL, TYPED, ApprovalForm
from lg_gateway.commands.terminal.output import complain
from lg_policy.printing import one_line
from lg_policy.terminal_rows import WIDTH, columns_of, fitting, relaid

TITLE_WIDTH, PROMPT_WIDTH, TYPED_WIDTH = 60, 300, 40
"""Columns of a field's title and of a whole prompt, which a server may have written, and of what was typed."""
LOOK_S = 0.2
"""How often a command that waits for a line looks whether it was told to end."""
_WATCHES = os.name == "posix"
"""Whether the keyboard can be watched; elsewhere a line that was begun has to be finished."""
Ask = Callable[[str], str | None]
_WORDS = {
    ONCE: "[o]nce", RUN: "for this [r]un", SESSION: "for this session [w]", TOOL: "always: this [t]ool",
    EXACT: "e[x]act arguments", PATTERN: "this [p]attern", READS: "a[l]l its reading tools", DENY: "[d]eny",
}  # fmt: skip


async def ask_here(message: str, schema: dict[str, Any]) -> tuple[str, dict[str, Any] | None]:
    """Show a question and read its fields, a line each; the end of input, or none for a needed field, closes it."""

    def fill() -> tuple[str, dict[str, Any] | None]:
        complain(f"\n{relaid(message, columns_of(sys.stderr) or WIDTH)}\n")
        return fill_in(schema, _read)

    return await anyio.to_thread.run_sync(fill, abandon_on_cancel=not _WATCHES)


def fill_in(schema: Mapping[str, Any], ask: Ask) -> tuple[str, dict[str, Any] | None]:
    """Return action and content. `ask` shows a prompt and returns a line, `None` at the end of input."""
    if isinstance(schema, ApprovalForm):
        return _decide(ask, schema)
    content: dict[str, Any] = {}
    for name, field in schema.get("properties", {}).items():
        needed = name in schema.get("required", ())
        value = _value(name, field, ask, needed=needed)
        if value is None and needed:
            return "cancel", None
        if value is not None:
            content[name] = value
    return "accept", content


def _decide(ask: Ask, schema: ApprovalForm) -> tuple[str, dict[str, Any] | None]:
    """Ask for the gateway's own decision, in the words of every terminal of ours; Enter alone is a no, and said so.

    A rule is shown, with the file that it goes into, before it is chosen.
    """
    *most, last = (_WORDS[choice] for choice in schema.choices)
    words = f"{', '.join(most)}{',' if len(most) > 1 else ''} or {last}"
    prompt = f"{words} (Enter denies)? "
    while (line := ask(prompt)) is not None:
        decision = TYPED.get(line.lower())
        if decision not in schema.choices:
            prompt = f"{one_line(line, TYPED_WIDTH)!r} is not one of the choices. {words} (Enter denies)? "
            continue
        if decision in schema.rules:
            complain(f"\nThis would be added to your settings:\n\n{schema.rules[decision]}\n")
            if (ask("Write it? [y]es; Enter goes back: ") or "").lower() not in ("y", "yes"):
                prompt = f"{words} (Enter denies)? "
                continue
        reason = ask("Denied. Reason (the caller reads it; Enter for none): ") if decision == DENY else ""
        return "accept", {"decision": decision} | ({"reason": reason} if reason else {})
    return "cancel", None


def _value(name: str, field: Mapping[str, Any], ask: Ask, *, needed: bool) -> Any:
    """Ask until an answer fits; nothing typed is the default, or no value."""
    choices = _choices(field)
    words = one_line(str(field.get("title") or name), TITLE_WIDTH)
    hint = "/".join(choices) if choices else {"boolean": "yes/no"}.get(str(field.get("type")), "")
    optional = "" if needed else "Enter for none"
    wrong = ""
    while True:
        shown = "; ".join(part for part in (", ".join(filter(None, (hint, optional))), wrong) if part)
        line = ask(f"| {words}{f' ({shown})' if shown else ''}: ")
        if line is None:
            return None
        if not line:
            return field.get("default")
        try:
            return _read_as(field, choices, line)
        except ValueError:
            wrong = f"{one_line(line, TYPED_WIDTH)!r} does not fit"


def _choices(field: Mapping[str, Any]) -> list[str]:
    options = field.get("oneOf") or field.get("anyOf")
    if isinstance(options, list):
        return [str(option["const"]) for option in options if isinstance(option, Mapping) and "const" in option]
    return [str(value) for value in field.get("enum", ())]


def _read_as(field: Mapping[str, Any], choices: list[str], line: str) -> Any:
    kind = field.get("type")
    if choices:
        return choices[[choice.lower() for choice in choices].index(line.lower())]
    if kind == "boolean":
        return ("no", "n", "false", "yes", "y", "true").index(line.lower()) > 2
    if kind == "array":
        return [part.strip() for part in line.split(",")]
    return {"integer": int, "number": float}.get(str(kind), str)(line)


def _read(prompt: str) -> str | None:
    shown = one_line(prompt, PROMPT_WIDTH)
    print(fitting(shown if shown.startswith("|") else f"  {shown}", sys.stderr), end=" ", file=sys.stderr, flush=True)
    while _WATCHES and not select.select([sys.stdin], [], [], LOOK_S)[0]:
        anyio.from_thread.check_cancelled()
    line = sys.stdin.readline()
    return line.strip() if line else None
