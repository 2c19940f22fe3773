"""Turns what `go test -json` prints into the text that it stands for. Pure.

The JSON tells the outcome of each test by the runner itself. A test's own output is a field in it, so a test cannot
print an outcome; and a package whose process ends with 0 all the same shows its failures, which `ok` alone hides.
"""

from __future__ import annotations

import json
import re

MAX_LINE = 20_000
"""Characters of one JSON line; a longer one stays as it is."""
_OUTCOME = re.compile(r"^\s*--- (?:PASS|FAIL|SKIP|BENCH): ")
_PROGRESS = re.compile(r"^=== (?:RUN|PAUSE|CONT|NAME) ")


def go_text(text: str) -> str:
    """Return the output and, for each test, one line `--- PASS|FAIL|SKIP: NAME`; other text as it is."""
    if '"Action":' not in text:
        return text
    lines = (_line(line) if line.startswith("{") else line for line in text.split("\n"))
    return "\n".join(line for line in lines if line is not None)


def _line(line: str) -> str | None:
    try:
        event = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        return line
    if not isinstance(event, dict) or not isinstance(event.get("Action"), str):
        return line
    action = event["Action"]
    if action in ("pass", "fail", "skip") and event.get("Test"):
        return f"--- {action.upper()}: {event['Test']}"
    if action == "fail" and event.get("FailedBuild"):
        return f"FAIL\t{event.get('Package')} [build failed]"
    output = str(event.get("Output") or "").rstrip("\n")
    return None if not output or _OUTCOME.match(output) or _PROGRESS.match(output) else output
