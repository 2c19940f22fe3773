"""Files as MCP resources, which clients can attach, and completion of their paths."""

from __future__ import annotations

import base64
import mimetypes
import os
from typing import Any

import mcp_types as t
from mcp.shared.exceptions import MCPError

from lg_fs.reading.encoding import SNIFF, is_binary
from lg_fs.reading.read import Window, read_text
from lg_policy.config.settings import FsSettings
from lg_policy.errors import InvalidArguments, LgError, TooLarge
from lg_policy.jobs import Job, Workers
from lg_policy.paths.root import Opened
from lg_policy.paths.spellings import without_scheme
from lg_policy.tree.names import shown
from lg_policy.tree.workspace import WalkArgs, Workspace, walking

TEMPLATE = "file:///{+path}"
_MAX_COMPLETIONS = 100


class Resources:
    """Handlers of `resources/*` and `completion/complete`. Rules and limits are those of `read_file`."""

    def __init__(self, workspace: Workspace, workers: Workers, settings: FsSettings) -> None:
        self._workspace = workspace
        self._workers = workers
        self._settings = settings

    def handlers(self) -> dict[str, Any]:
        """Return the arguments of `mcp.server.Server` that register these handlers."""
        return {
            "on_list_resources": self.list_resources,
            "on_list_resource_templates": self.list_templates,
            "on_read_resource": self.read_resource,
            "on_completion": self.complete,
        }

    async def list_resources(self, _context: Any, _params: Any) -> t.ListResourcesResult:
        """Return an empty list: every file is reached through the template."""
        return t.ListResourcesResult(resources=[])

    async def list_templates(self, _context: Any, _params: Any) -> t.ListResourceTemplatesResult:
        """Return the one template that stands for all files."""
        template = t.ResourceTemplate(
            name="file",
            title="File below the root",
            uri_template=TEMPLATE,
            description="A text file, or another file such as an image. The path is relative to the root or absolute",
        )
        return t.ListResourceTemplatesResult(resource_templates=[template])

    async def read_resource(self, _context: Any, params: t.ReadResourceRequestParams) -> t.ReadResourceResult:
        """Read a whole file. Raises `MCPError` with the refusal's text: a resource has no error result."""
        uri = str(params.uri)
        try:
            contents = await self._workers.run(lambda job: self._read(uri, job))
        except LgError as error:
            raise MCPError(t.INVALID_PARAMS, error.text(), {"uri": uri, "error": error.payload()}) from error
        return t.ReadResourceResult(contents=[contents])

    async def complete(self, _context: Any, params: t.CompleteRequestParams) -> t.CompleteResult:
        """Complete a path by the names in its directory. A path that cannot be read has no completions."""
        reference = params.ref
        if not isinstance(reference, t.ResourceTemplateReference) or reference.uri != TEMPLATE:
            raise MCPError(t.INVALID_PARAMS, "only the file resource template has completions")
        prefix = params.argument.value
        try:
            found = await self._workers.run(lambda job: self._candidates(prefix, job))
        except LgError:
            found = []
        values = found[:_MAX_COMPLETIONS]
        return t.CompleteResult(
            completion=t.Completion(values=values, total=len(found), has_more=len(found) > len(values))
        )

    def _read(self, uri: str, job: Job) -> t.TextResourceContents | t.BlobResourceContents:
        file, place = self._workspace.open_file(self._path(uri))
        limit = self._settings.read_max_bytes
        window = Window(max_lines=self._settings.read_max_lines, max_bytes=limit)
        with file:
            if is_binary(os.pread(file.fd, SNIFF, 0)):
                return _blob(uri, file, limit, job)
            read = read_text(file, window, job, prefix=place.prefix)
        if read.truncated:
            raise _too_large(read.path, read.size)
        return t.TextResourceContents(uri=uri, mime_type="text/plain; charset=utf-8", text=read.text)

    @staticmethod
    def _path(uri: str) -> str:
        """Return the address as a path that calls may use. Raises `InvalidArguments` for any other address."""
        if not uri.lower().startswith("file:") or without_scheme(uri) is None:
            raise InvalidArguments(f"{uri[:200]!r} is not a file URI of this server", hint=f"use {TEMPLATE}")
        return uri

    def _candidates(self, prefix: str, job: Job) -> list[str]:
        directory, slash, name = prefix.rpartition("/")
        found: list[str] = []
        for located in self._workspace.everywhere(directory):
            if not located.rel and located.place.prefix and not directory:
                found.append(located.place.prefix)
                continue
            args = WalkArgs(recursive=False)
            with walking(located, args, self._settings, job) as walk:
                for folder in walk:
                    found += [
                        f"{directory}{slash}{entry.name}" + ("/" if entry.kind == "dir" else "")
                        for entry in folder.entries
                        if entry.name.startswith(name)
                    ]
        return [path for path in map(shown, found) if path.startswith(prefix)]


def _blob(uri: str, file: Opened, limit: int, job: Job) -> t.BlobResourceContents:
    """Return a whole file that is not text, such as an image. Raises `TooLarge`."""
    parts: list[bytes] = []
    room = limit + 1
    while room and (chunk := os.read(file.fd, room)):
        job.check_time()
        parts.append(chunk)
        room -= len(chunk)
    if not room:
        raise _too_large(file.rel, file.stat.st_size)
    kind = mimetypes.guess_type(file.rel)[0] or "application/octet-stream"
    return t.BlobResourceContents(uri=uri, mime_type=kind, blob=base64.b64encode(b"".join(parts)).decode())


def _too_large(path: str, size: int) -> TooLarge:
    return TooLarge(f"{path!r} has {size} bytes, too many for an attachment", hint="read text in parts with read_file")
