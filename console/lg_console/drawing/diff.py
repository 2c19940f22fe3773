"""Draws a diff: lines that are added and removed, file by file."""

from __future__ import annotations

from collections.abc import Sequence

from lg_console.markup.elements import Child, Markup, tag

LINES = 5_000
CHARACTERS = 1_000_000


def diff_picture(diff: str, characters: int = CHARACTERS) -> Markup:
    """Return a diff, cut after so many lines or characters, which it says."""
    lines = diff.split("\n")
    most = min(LINES, diff[:characters].count("\n") + 1)
    shown: list[Child] = []
    for line in lines[:most]:
        kind = _kind(line)
        shown += [tag("span", line, class_=kind) if kind else line, "\n"]
    rest = len(lines) - most
    return tag(
        "div",
        tag("p", f"{min(len(lines), most)} of {len(lines)} lines", class_="lines"),
        tag("pre", *shown[:-1], tabindex="0", class_="diff", role="region", aria_label="Diff"),
        tag("p", f"{rest} more lines: download changes.patch", class_="note") if rest > 0 else None,
    )


def question_lines(lines: Sequence[str]) -> list[Child]:
    """Return the lines of a question, with those that a diff adds and removes marked."""
    found: list[Child] = []
    for line in lines:
        kind = {"| +": "add", "| -": "del", "| @": "hunk"}.get(line[:3], "")
        kind = "secret" if line.startswith("|!") else kind
        found.append(tag("span", line, class_=kind) if kind else line)
        found.append("\n")
    return found[:-1]


def _kind(line: str) -> str:
    if line.startswith(("diff ", "--- ", "+++ ", "@@")):
        return "hunk"
    return {"+": "add", "-": "del"}.get(line[:1], "")
