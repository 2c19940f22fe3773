"""Detects a run that goes in circles: the same failing call or the same error, three times in a row.

Only what failed counts, and a run that reads the same file again may be right to; three times in a row it is not.
Texts are compared without times, addresses and other numbers that differ by chance.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING

from lg_orch.contracts.text import code_span
from lg_orch.tools.go_json import go_text
from lg_orch.tools.junit import split_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope

MAX_SAME = 3
_BY_CHANCE = re.compile(r"0x[0-9a-fA-F]+|(?<!\d)\d{1,20}\.\d{1,20}\s?m?s\b|\b\d{1,20}\.\d{1,20}\b|\b\d\d:\d\d:\d\d\b")
"""Each part begins at the start of a number and has a bound, so that a text of digits takes no square of its length."""
SHOWN = 120


def circle(results: Sequence[ToolEnvelope]) -> str | None:
    """Return why the run should stop, or `None`. `results` are whole or brief, in order."""
    if not results:
        return None
    last = results[-1]
    same = [
        result for result in results[-MAX_SAME:] if _call(result) == _call(last) and _outcome(result) == _outcome(last)
    ]
    if len(same) == MAX_SAME:
        return f"the same call came back {MAX_SAME} times with the same result ({last.tool})"
    if failed(last):
        twins = [
            result
            for result in results
            if failed(result) and _call(result) == _call(last) and _outcome(result) == _outcome(last)
        ]
        if len(twins) >= MAX_SAME:
            return f"the same call failed {MAX_SAME} times in the same way ({last.tool}: {_shown(last)})"
    return _same_error(results)


def failed(result: ToolEnvelope) -> bool:
    """Tell whether a call failed, or its command did."""
    return not result.ok or result.exit_code not in (None, 0)


def _same_error(results: Sequence[ToolEnvelope]) -> str | None:
    error = results[-1].artifacts.error
    if error is None:
        return None
    count = Counter(
        (result.tool, result.artifacts.error.code, settled(result.artifacts.error.message))
        for result in results
        if result.artifacts.error is not None
    )
    if count[results[-1].tool, error.code, settled(error.message)] < MAX_SAME:
        return None
    told = f"{results[-1].tool}: {error.code}: {code_span(error.message, SHOWN)}"
    return f"the same error occurred {MAX_SAME} times ({told})"


def _call(result: ToolEnvelope) -> str:
    return f"{result.tool} {json.dumps(result.artifacts.input, sort_keys=True)}"


def _outcome(result: ToolEnvelope) -> tuple[bool, int | None, str, str]:
    return result.ok, result.exit_code, settled(go_text(result.stdout)), settled(split_report(result.stderr)[0])


def settled(text: str) -> str:
    """Return a text without what differs by chance between two runs: times, decimals, addresses."""
    return _BY_CHANCE.sub("#", text)


def _shown(result: ToolEnvelope) -> str:
    text = split_report(result.stderr)[0].strip() or result.stdout.strip() or f"exit code {result.exit_code}"
    return code_span(text[: SHOWN * 10], SHOWN)
