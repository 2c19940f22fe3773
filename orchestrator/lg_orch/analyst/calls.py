"""Builds the analyst's calls: only tools that read, only by the gateway's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.contracts.plans import PlannedCall, ToolUse

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIST = "fs__list_files"
SEARCH = "fs__search_files"
READ = "fs__read_file"
EXEC = "exec__exec"
COMMANDS = "exec__list_commands"
SEARCH_CODE = "code__search_code"
REFERENCES = "code__references"
TESTS_FOR = "code__tests_for"

PAGE = 1_000
"""Entries of one listing page: what the file server gives at most by default."""
MATCHES = 500
"""Matches or values of one search page, likewise."""
READ_FILES = 60
"""Files of one reading call, a little under the server's limit."""
READ_BYTES = 800_000
"""Bytes of one reading call, likewise."""


def totals() -> ToolUse:
    """Return the files, bytes and lines by directory and extension."""
    return ToolUse(tool=LIST, input={"totals": True})


def listing(globs: Iterable[str], *, cursor: str | None = None, limit: int = PAGE) -> ToolUse:
    """Return every file below the root that matches one of the globs."""
    arguments: dict[str, Any] = {"recursive": True, "glob": list(globs), "limit": limit}
    return ToolUse(tool=LIST, input=arguments | ({"cursor": cursor} if cursor else {}))


def search(
    regex: str,
    *,
    globs: Sequence[str] = (),
    output: str = "matches",
    limit: int = MATCHES,
    ignore_case: bool = False,
    path: str = "",
) -> ToolUse:
    """Return a search over the files that match one of the globs; without globs over all."""
    arguments: dict[str, Any] = {"regex": regex, "output": output, "limit": limit}
    if globs:
        arguments["glob"] = list(globs)
    if ignore_case:
        arguments["case_sensitive"] = False
    if path:
        arguments["path"] = path
    return ToolUse(tool=SEARCH, input=arguments)


def read(paths: Sequence[str], *, line_count: int | None = None) -> ToolUse:
    """Return the texts of these files; with `line_count` their beginnings, which also tells how many lines each has."""
    arguments: dict[str, Any] = {"paths": list(paths)}
    return ToolUse(tool=READ, input=arguments | ({"line_count": line_count} if line_count else {}))


def search_code(query: str, *, limit: int) -> ToolUse:
    """Return the definitions that fit words best."""
    return ToolUse(tool=SEARCH_CODE, input={"query": query, "limit": limit})


def references(name: str, *, limit: int) -> ToolUse:
    """Return the uses of a name: calls, imports and mentions told apart by the grammar."""
    return ToolUse(tool=REFERENCES, input={"name": name, "limit": limit})


def tests_for(*, path: str = "", symbol: str = "") -> ToolUse:
    """Return the tests of a file, or of a name."""
    return ToolUse(tool=TESTS_FOR, input={"path": path} if path else {"symbol": symbol})


def planned(call_id: str, use: ToolUse, why: str) -> PlannedCall:
    """Return the use as a call of the run."""
    return PlannedCall(id=call_id, tool=use.tool, input=use.input, why=why)


def batches(files: Sequence[tuple[str, int | None]]) -> list[list[str]]:
    """Return the paths in groups that each fit one reading call.

    A file larger than a call stands alone and will be cut.
    """
    groups: list[list[str]] = []
    used = 0
    for path, size in files:
        weight = size or 0
        if not groups or len(groups[-1]) >= READ_FILES or used + weight > READ_BYTES:
            groups.append([])
            used = 0
        groups[-1].append(path)
        used += weight
    return groups
