"""Reads why a call failed. Only the gateway and our own servers speak in our error codes.

A third-party server can put anything into `structuredContent.error`: a code that stops the run, or an "approval id"
that is a command line. So its error is a failed call with its text and nothing more. The gateway marks its own refusals
with `_meta["lg/gateway"] = true` and removes that mark from every server's answer. A gateway of an earlier version sets
no mark: then codes are read for tools of our own servers alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.envelopes import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

GATEWAY_MARK = "lg/gateway"
FOREIGN = "internal"
"""The code of an error that is not ours."""
MAX_PAUSE_S = 30.0
"""Longest pause before a call that still runs is asked for again."""
MAX_DIGITS = 9
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_CODE = re.compile(r"[a-z][a-z0-9_]{0,40}")


def problem_of(
    structured: Mapping[str, Any] | None, text: str, meta: Mapping[str, Any] | None, *, builtin: bool
) -> Problem:
    """Return why a call failed, in our terms where one of us says so, else in the text of the server."""
    error = (structured or {}).get("error")
    ours = builtin or (meta or {}).get(GATEWAY_MARK) is True
    if not ours or not isinstance(error, dict) or _CODE.fullmatch(str(error.get("code"))) is None:
        return Problem(code=FOREIGN, message=text or "the tool reported an error without a text")
    return Problem(
        code=str(error["code"]),
        message=str(error.get("message", text)),
        hint=str(error.get("hint") or ""),
        approval_id=checked_id(error.get("approval_id")),
        retry_after_s=_seconds(error.get("retry_after_s")),
        begun_before=error.get("begun_before") == "true",
        questions_waiting=_count(error.get("questions_waiting")),
    )


def checked_id(value: object) -> str:
    """Return an id that may stand in a command line; empty for anything else."""
    text = str(value or "")
    return text if _ID.fullmatch(text) else ""


def _count(value: object) -> int:
    text = str(value or "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < MAX_DIGITS else 0


def _seconds(value: object) -> float:
    """A pause that a gateway names; none where it names nothing sensible."""
    text = str(value or "")
    sensible = len(text) < MAX_DIGITS and text.isascii() and text.replace(".", "", 1).isdigit()
    return min(float(text), MAX_PAUSE_S) if sensible else 0.0
