"""The MCP server: its tools, their descriptions, and who does the work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcp.server.lowlevel.server import Server
from mcp_types import ToolAnnotations

from lg_fs.changes.service import Changes
from lg_fs.server import schemas
from lg_fs.server.change_tools import Editing
from lg_fs.server.read_tools import Lookups
from lg_fs.server.resources import Resources
from lg_policy.config.settings import FsSettings
from lg_policy.jobs import Workers
from lg_policy.tree.workspace import Workspace
from lg_policy.wire.call_metadata import PREVIEW
from lg_policy.wire.tool_server import Lifespan, ToolDef, build_server

INSTRUCTIONS = """\
Files below {where}, and use "/". Nothing outside can be reached.
To look around, use list_files (totals=true sums up a whole tree) and search_files. To read, use read_file.
To change files, use apply_patch. It applies the whole patch or nothing, and revert_patch takes it back."""

_READ_ONLY = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What the tools work with."""

    workspace: Workspace
    changes: Changes
    workers: Workers
    settings: FsSettings
    meta: Mapping[str, Any]


def make_server(service: Service, *, lifespan: Lifespan | None = None) -> Server[Any]:
    """Return the low-level MCP server."""
    resources = Resources(service.workspace, service.workers, service.settings)
    names = [place.name for place in service.workspace.places]
    where = "one root directory. Paths are relative to it"
    if len(names) > 1:
        where = f"several root directories. Paths begin with the name of one: {', '.join(names)}"
    instructions = INSTRUCTIONS.format(where=where)
    return build_server("lg-fs", tools(service), instructions=instructions, lifespan=lifespan, **resources.handlers())


_CHANGING = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


def tools(service: Service) -> list[ToolDef]:
    """Return the tools of the server."""
    return [*_reading_tools(service), *_changing_tools(service)]


def _reading_tools(service: Service) -> list[ToolDef]:
    lookups = Lookups(service.workspace, service.workers, service.settings)
    settings, meta = service.settings, dict(service.meta)
    return [
        ToolDef(
            name="read_file",
            title="Read files",
            description="Read one text file or several: text, encoding, sha256, number of lines. Long files are cut: "
            "read on with start_line. Binary files are refused.",
            input_schema=schemas.read_input(settings),
            output_schema=schemas.READ_OUTPUT,
            annotations=_READ_ONLY,
            meta=meta,
            handler=lookups.read_file,
        ),
        ToolDef(
            name="list_files",
            title="List files",
            description="List a directory or a whole tree, sorted, with type, size and time. .gitignore is honoured. "
            "totals=true returns files, bytes and lines per directory and extension instead.",
            input_schema=schemas.list_input(settings),
            output_schema=schemas.LIST_OUTPUT,
            annotations=_READ_ONLY,
            meta=meta,
            handler=lookups.list_files,
        ),
        ToolDef(
            name="search_files",
            title="Search in files",
            description="Search file contents with a regular expression (RE2: no look-around, no back-references). "
            "Returns matches by file with line, column and context, or only files, counts or distinct values.",
            input_schema=schemas.search_input(settings),
            output_schema=schemas.SEARCH_OUTPUT,
            annotations=_READ_ONLY,
            meta=meta,
            handler=lookups.search_files,
        ),
    ]


def _changing_tools(service: Service) -> list[ToolDef]:
    editing = Editing(service.changes, service.workers, service.settings)
    settings, meta = service.settings, dict(service.meta)
    return [
        ToolDef(
            name="apply_patch",
            title="Apply a patch",
            description="Add, update, delete and move files in one step: the whole patch is applied, or nothing is. "
            "Encoding, line breaks and permissions are kept. dry_run only shows the diff. Give the change_id of the "
            "result to revert_patch to take the patch back.",
            input_schema=schemas.patch_input(settings),
            output_schema=schemas.CHANGE_OUTPUT,
            annotations=_CHANGING,
            meta={**meta, PREVIEW: {"arguments": {"dry_run": True}}},
            handler=editing.apply_patch,
        ),
        ToolDef(
            name="revert_patch",
            title="Revert a patch",
            description="Put back exactly what one apply_patch (or revert_patch) changed. If a file has changed since, "
            "the answer names it and nothing is changed. dry_run only shows the diff.",
            input_schema=schemas.revert_input(),
            output_schema=schemas.CHANGE_OUTPUT,
            annotations=_CHANGING,
            meta={**meta, PREVIEW: {"arguments": {"dry_run": True}}},
            handler=editing.revert_patch,
        ),
        ToolDef(
            name="list_changes",
            title="List changes",
            description="List the change sets that apply_patch and revert_patch made, newest first.",
            input_schema=schemas.changes_input(),
            output_schema=schemas.CHANGES_OUTPUT,
            annotations=_READ_ONLY,
            meta=meta,
            handler=editing.list_changes,
        ),
    ]
