"""Caches replies at temperature 0 in the state directory, for exactly the same request.

The key is a digest over model, address, messages, tools, schema and limits of the reply: one character more is another
request. Files are private to the user; keys and headers are no part of a reply.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, messages_to_dict
from pydantic import ValidationError

from lg_policy.state import make_private, replace_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.messages import BaseMessage

    from lg_orch.llm.candidates import Candidate

PRUNE_EVERY = 50
"""Writes of one process between two looks at the size."""


class ReplyCache:
    """Kept replies below one directory, the least recently used removed when they are more than `max_bytes`."""

    def __init__(self, directory: Path, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._writes = 0

    def get(self, key: str) -> AIMessage | None:
        """Return the kept reply; a file that cannot be read as one counts as none."""
        path = self._directory / f"{key}.json"
        try:
            message = AIMessage.model_validate_json(path.read_bytes())
            os.utime(path)
        except (OSError, ValidationError):
            return None
        return message

    def put(self, key: str, message: AIMessage) -> None:
        """Keep a reply. Raises `OSError` when the state directory cannot be written."""
        make_private(self._directory)
        plain = AIMessage(
            content=message.content,
            tool_calls=message.tool_calls,
            invalid_tool_calls=message.invalid_tool_calls,
        )
        replace_file(self._directory / f"{key}.json", plain.model_dump_json().encode())
        self._writes += 1
        if self._writes % PRUNE_EVERY == 1:
            self._prune()

    def _prune(self) -> None:
        # Another process may prune at the same time: what is gone is gone.
        entries = []
        for entry in os.scandir(self._directory):
            try:
                entries.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
            except FileNotFoundError:
                continue
        total = sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if total <= self._max_bytes:
                return
            try:
                os.unlink(path)
            except FileNotFoundError:
                continue
            finally:
                total -= size


def cache_key(
    candidate: Candidate,
    room: int,
    messages: Sequence[BaseMessage],
    tools: Sequence[dict[str, Any]],
    schema: dict[str, Any] | None,
) -> str:
    """Return the SHA-256 over everything that decides a reply."""
    sent = ((message["type"], message["data"]) for message in messages_to_dict(messages))
    plain = [(kind, data["content"], data.get("tool_calls"), data.get("tool_call_id")) for kind, data in sent]
    decides = [candidate.name, candidate.base_url, candidate.settings.temperature, room, plain, list(tools), schema]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
