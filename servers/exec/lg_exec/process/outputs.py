"""The two outputs of a command while it runs. Head and tail of each are kept, and you can ask for what is new."""

from __future__ import annotations

import asyncio
import codecs

from lg_exec.process.output_text import clean
from lg_policy.limits import HeadTail

CHUNK = 65_536
_PROGRESS_BYTES = 4_000
_CLEANED_BYTES = 4 * _PROGRESS_BYTES


class Outputs:
    """Takes what a command writes. `ended` is set when nothing more can come."""

    def __init__(self, limit_bytes: int) -> None:
        self.stdout = HeadTail(limit_bytes)
        self.stderr = HeadTail(limit_bytes)
        self.ended = asyncio.Event()
        self._fresh = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, data: bytes, kept: HeadTail) -> None:
        """Keep what was read from one of the outputs."""
        kept.feed(data)
        self._fresh += data
        if len(self._fresh) > 4 * CHUNK:
            del self._fresh[:-CHUNK]

    def fresh_text(self) -> str:
        """Return the output since the last call. Of long output, return the end."""
        data = bytes(self._fresh[-_CLEANED_BYTES:])
        if len(data) < len(self._fresh):
            self._decoder.reset()
        self._fresh.clear()
        text = clean(self._decoder.decode(data))
        return text if len(text) <= _PROGRESS_BYTES else f"… {text[-_PROGRESS_BYTES:]}"
