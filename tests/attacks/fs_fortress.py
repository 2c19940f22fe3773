"""A root with secrets around it, and a client that fails as soon as a secret shows up in an answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.fs.helpers import FsClient, fs_client, read_tree, write_tree

TOKEN = "TOKEN_c0ffee_OUTSIDE"
CODES = {"policy_denied", "invalid_arguments", "not_found", "conflict", "too_large", "timeout"}


class Fortress:
    """`root` is served; everything beside it is out of bounds."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.root = base / "root"
        self.outside = base / "outside"
        write_tree(base, {"outside/secret.txt": f"{TOKEN}\n", "root-sibling/secret.txt": f"{TOKEN}\n"})
        write_tree(base, {"root-sibling/shared.txt": "shared\n"})
        write_tree(self.root, {"inside.txt": "inside\n", "src/a.py": "x = 1\n"})
        self._before = self.surroundings()

    def surroundings(self) -> dict[str, bytes]:
        """All files outside the root."""
        beside = [path for path in self.base.iterdir() if path != self.root]
        return {f"{path.name}/{name}": data for path in beside for name, data in read_tree(path).items()}

    @asynccontextmanager
    async def attacked(self, settings: Mapping[str, Any] | None = None) -> AsyncIterator[Attacker]:
        """Serve the root; afterwards the server must still work and nothing outside may have changed."""
        async with fs_client(self.root, settings=settings) as fs:
            yield Attacker(fs)
            assert (await fs.ok("read_file", path="inside.txt"))["files"][0]["text"] == "inside\n"
        assert self.surroundings() == self._before


class Attacker:
    """Calls tools; an answer with the token in it fails the test at once."""

    def __init__(self, fs: FsClient) -> None:
        self._fs = fs

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """Return the structured result, which may be an error."""
        result = await self._fs.call(tool, **arguments)
        answer = json.dumps(result.model_dump(mode="json"))
        assert TOKEN not in answer, f"{tool} {arguments} let the secret out"
        assert "Traceback" not in answer
        assert isinstance(result.structured_content, dict)
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> str:
        """The code of the refusal; an answer that is none fails the test."""
        answer = await self.call(tool, **arguments)
        assert "error" in answer, f"{tool} {arguments} was not refused: {answer}"
        assert answer["error"]["code"] in CODES
        return str(answer["error"]["code"])

    async def refused_everywhere(self, path: str) -> None:
        """Refused by every tool that takes a path."""
        await self.refused("read_file", path=path)
        await self.refused("list_files", path=path)
        await self.refused("list_files", path=path, totals=True)
        await self.refused("search_files", path=path, regex="TOKEN")
        for change in (
            {"op": "add", "path": path, "content": "x"},
            {"op": "update", "path": path, "content": "x"},
            {"op": "delete", "path": path},
            {"op": "move", "path": path, "to": "stolen"},
            {"op": "move", "path": "inside.txt", "to": path},
        ):
            await self.refused("apply_patch", changes=[change])
