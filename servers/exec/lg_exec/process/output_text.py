"""Turns what a program wrote into text that models and terminals can take."""

from __future__ import annotations

import re

# CSI, OSC (ended by BEL or ST), DCS/PM/APC strings, then two-character escapes; 8-bit C1 forms are dropped below.
_CSI = r"\[[0-?]*[ -/]*[@-~]"
_OSC = r"\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?"
_STRING = r"[PX^_][^\x1b]{0,4096}(?:\x1b\\)?"
_ESCAPES = re.compile(rf"\x1b(?:{_CSI}|{_OSC}|{_STRING}|[ -/]*[0-~])")
_OVERWRITTEN = re.compile(r"^[^\n]*\r(?=[^\n\r])", re.MULTILINE)  # anchored, or a long line would take for ever
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Drop colour codes and other control sequences. Of a line that carriage returns overwrite, keep the last state.

    Invisible and bidirectional characters stay, because a test may be about them.
    """
    if text.isascii() and text.isprintable():
        return text
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    return _CONTROLS.sub("", _OVERWRITTEN.sub("", text))
