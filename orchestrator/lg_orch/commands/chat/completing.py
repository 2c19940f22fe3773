"""Completes `/commands`, and `@paths` through the gateway's file tools: nothing here opens a file."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import anyio
from mcp import MCPError
from prompt_toolkit.completion import Completer, Completion

from lg_orch.tools.sending import NoAnswerError
from lg_policy.errors import LgError
from lg_policy.printing import visible

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.document import Document

    from lg_orch.tools.connection import Connection

MAX_ENTRIES = 500
"""Entries of a directory that are offered."""
LIST_TIMEOUT_S = 5.0
CLOSED = (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.EndOfStream)
_AT_PATH = re.compile(r"(?:^|\s)@(?P<path>[^\s@]*)$")


class ChatCompleter(Completer):
    """Completes the word before the cursor. `commands` are names with what they do."""

    def __init__(self, connection: Connection, commands: dict[str, str]) -> None:
        self._connection = connection
        self._commands = commands

    def get_completions(self, _document: Document, _event: CompleteEvent) -> Iterable[Completion]:
        """Offer nothing: paths are asked for, which takes a moment."""
        return ()

    async def get_completions_async(
        self, document: Document, _event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Offer what fits."""
        before = document.text_before_cursor
        if before.startswith("/") and not re.search(r"\s", before):
            for name, words in self._commands.items():
                if name.startswith(before):
                    yield Completion(name, start_position=-len(before), display_meta=words)
            return
        found = _AT_PATH.search(before)
        if found is None:
            return
        folder, _, begun = found["path"].rpartition("/")
        for name in await self._names(folder):
            if name.startswith(begun):
                yield Completion(name, start_position=-len(begun))

    async def _names(self, folder: str) -> list[str]:
        """The names in a folder, as the file server lists them; those that do not show as themselves are left out."""
        tool = next((tool for tool in self._connection.tools if tool.builtin and tool.original == "list_files"), None)
        if tool is None:
            return []
        arguments = {"path": folder, "limit": MAX_ENTRIES}
        try:
            answer = await self._connection.send(tool.name, arguments, {"lg/asks-nobody": True}, LIST_TIMEOUT_S, None)
        except (LgError, MCPError, NoAnswerError, RuntimeError, OSError, *CLOSED):
            return []  # what broke is told by the next request
        entries = _entries(answer)
        names = [f"{name}/" if kind == "dir" else name for name, kind in entries]
        return sorted(name for name in names if name == visible(name) and " " not in name)


def _entries(answer: Any) -> list[tuple[str, str]]:
    values = getattr(answer, "structured_content", None)
    if not isinstance(values, dict):
        return []
    rows = json.loads(json.dumps(values)).get("entries") or ()
    return [(str(row["path"]).rpartition("/")[2], str(row.get("type"))) for row in rows if isinstance(row, dict)]
