"""JSON Schemas of the tools' arguments and results."""

from __future__ import annotations

from typing import Any

from lg_fs.patch.levels import MATCHES
from lg_policy.config.settings import FsSettings

Schema = dict[str, Any]


def _object(properties: dict[str, Schema], required: list[str] | None = None) -> Schema:
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        schema["required"] = required
    return schema


def _nullable(kind: str) -> Schema:
    return {"type": [kind, "null"]}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


MAX_LINE = 2**53
MAX_EXPECTED = 2_000
TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
HIDDEN: Schema = {"type": "integer", "description": "Entries that the settings hide from every tool"}
FLAG: Schema = {"type": "boolean"}
OP: Schema = {"type": "string", "enum": ["add", "update", "delete", "move"]}
ERROR = _object({"code": TEXT, "message": TEXT, "hint": TEXT}, ["code", "message", "hint"])


def result(properties: dict[str, Schema]) -> Schema:
    """Return the schema of a tool's output: all of these properties, or only `error` when the call failed.

    That either stands there is not part of the schema: many clients refuse one with alternatives at the top.
    """
    return {
        "type": "object",
        "properties": {**properties, "error": {"type": "object", "description": "code, message, hint"}},
    }


def many(item: Schema) -> Schema:
    """Return the schema of a long array. Its items are described in words.

    Clients check results against this schema, and checking each of a thousand entries takes them longer than the
    call itself.
    """
    words = ", ".join(f"{name} ({_kind(kind)})" for name, kind in item["properties"].items())
    return {"type": "array", "items": {"type": "object"}, "description": f"each: {words}"}


def _kind(schema: Schema) -> str:
    if "enum" in schema:
        return "|".join("null" if value is None else value for value in schema["enum"])
    kind = schema["type"]
    return kind if isinstance(kind, str) else "|".join(kind)


def path(description: str) -> Schema:
    """Return the schema of a path argument; the format tells the gateway to normalise it before it applies rules."""
    return {"type": "string", "format": "lg-path", "maxLength": 4096, "description": description}


def globs() -> Schema:
    """Return the schema of the `glob` argument."""
    return {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "maxItems": 100}],
        "description": 'One pattern or a list, gitignore-style: "*.py", "src/**/*.{ts,tsx}". A leading "!" excludes',
    }


def cursor() -> Schema:
    """Return the schema of the `cursor` argument."""
    return {"type": "string", "maxLength": 8192, "description": "next_cursor of the previous answer"}


def limit(maximum: int, what: str) -> Schema:
    """Return the schema of the `limit` argument."""
    return {
        "type": "integer",
        "minimum": 1,
        "maximum": maximum,
        "description": f"{what} per answer (default {maximum})",
    }


def line(description: str) -> Schema:
    """Return the schema of a number of lines, or the number of one."""
    return {"type": "integer", "minimum": 1, "maximum": MAX_LINE, "description": description}


def include_ignored() -> Schema:
    """Return the schema of the `include_ignored` argument."""
    return {
        "type": "boolean",
        "description": "Include what .gitignore and .ignore hide, .git, node_modules, virtual environments and "
        "caches (default false)",
    }


def read_input(settings: FsSettings) -> Schema:
    """Return the schema of arguments of `read_file`."""
    return _object(
        {
            "path": path("File to read, relative to the root"),
            "paths": {
                "type": "array",
                "items": path("File to read"),
                "maxItems": settings.read_max_files,
                "description": "Several files, instead of path. A file that fails does not stop the others",
            },
            "start_line": line("First line, from 1 (default 1)"),
            "line_count": line("Number of lines (default: to the end)"),
            "line_numbers": {"type": "boolean", "description": "Put line numbers before the lines (default false)"},
        }
    )


READ_FILE = _object(
    {
        "path": TEXT,
        "text": TEXT,
        "encoding": TEXT,
        "sha256": TEXT,
        "size": WHOLE,
        "total_lines": WHOLE,
        "start_line": WHOLE,
        "line_count": WHOLE,
        "truncated": FLAG,
        "next_start_line": _nullable("integer"),
        "error": {**ERROR, "type": ["object", "null"]},
    },
    ["path", "error"],
)
READ_OUTPUT = result({"files": many(READ_FILE)})


def list_input(settings: FsSettings) -> Schema:
    """Return the schema of arguments of `list_files`."""
    return _object(
        {
            "path": path("Directory, relative to the root (default: the root)"),
            "recursive": {"type": "boolean", "description": "Include everything below it (default false)"},
            "glob": globs(),
            "limit": limit(settings.list_max_entries, "entries"),
            "cursor": cursor(),
            "include_ignored": include_ignored(),
            "totals": {
                "type": "boolean",
                "description": "Return files, bytes and lines per directory and extension instead, recursively",
            },
        }
    )


_COUNTS: dict[str, Schema] = {"files": WHOLE, "bytes": WHOLE, "lines": WHOLE}
TOTALS_ROW = _object({"directory": TEXT, "extension": TEXT, **_COUNTS}, ["extension", *_COUNTS])
_TOTALS = _object(
    {
        **_COUNTS,
        "directories": WHOLE,
        "binary_files": WHOLE,
        "hidden": HIDDEN,
        "skipped": {
            "type": "integer",
            "description": "Links, special files, and files that could not be read or named: not counted",
        },
        "extensions": many(TOTALS_ROW),
        "rows": many(TOTALS_ROW),
        "depth": {"type": ["integer", "null"], "description": "Deeper directories are counted at this level"},
        "partial": _nullable("string"),
        "digest": {
            "type": ["string", "null"],
            "description": "SHA-256 over the names and contents of all counted files",
        },
        "digest_missing": _nullable("string"),
    },
    [*_COUNTS, "directories", "binary_files", "skipped", "hidden", "extensions", "rows", "depth", "partial"],
)
LIST_ENTRY = _object(
    {
        "path": TEXT,
        "type": {"type": "string", "enum": ["file", "dir", "symlink", "other"]},
        "size": WHOLE,
        "mtime": _nullable("string"),
    },
    ["path", "type", "size", "mtime"],
)
LIST_OUTPUT = result(
    {
        "entries": many(LIST_ENTRY),
        "hidden": HIDDEN,
        "truncated": FLAG,
        "next_cursor": _nullable("string"),
        "totals": {**_TOTALS, "type": ["object", "null"]},
        "partial": _nullable("string"),
    }
)


def search_input(settings: FsSettings) -> Schema:
    """Return the schema of arguments of `search_files`."""
    return _object(
        {
            "regex": {"type": "string", "minLength": 1, "description": "RE2 syntax; ^ and $ match at each line"},
            "path": path("File or directory to search (default: the root)"),
            "glob": globs(),
            "context_lines": {
                "type": "integer",
                "minimum": 0,
                "maximum": 20,
                "description": "Lines before and after each match, each line once (default 0)",
            },
            "case_sensitive": {"type": "boolean", "description": "Default true"},
            "multiline": {
                "type": "boolean",
                "description": "A match may span lines, and . matches \\n (default false)",
            },
            "output": {
                "type": "string",
                "enum": ["matches", "files", "counts", "values"],
                "description": "matches: lines (default); files: names; counts: matching lines per file; "
                "values: distinct texts of group 1 (or of the match), most frequent first",
            },
            "limit": limit(settings.search_max_matches, "matches, files or values"),
            "cursor": cursor(),
            "include_ignored": include_ignored(),
        },
        ["regex"],
    )


SEARCH_FILE = _object({"path": TEXT, "count": WHOLE, "matches": {"type": "array"}}, ["path", "count", "matches"])
SEARCH_MATCH = _object(
    {"line": WHOLE, "column": WHOLE, "text": TEXT, "before": _list(TEXT), "after": _list(TEXT)},
    ["line", "column", "text", "before", "after"],
)
SEARCH_VALUE = _object(
    {"value": TEXT, "count": WHOLE, "files": WHOLE, "path": TEXT, "line": WHOLE},
    ["value", "count", "files", "path", "line"],
)
_FILES = many(SEARCH_FILE)
SEARCH_OUTPUT = result(
    {
        "output": TEXT,
        "files": {**_FILES, "description": f"{_FILES['description']}; {many(SEARCH_MATCH)['description']} of matches"},
        "values": many(SEARCH_VALUE),
        "total_matches": WHOLE,
        "files_matched": WHOLE,
        "files_searched": WHOLE,
        "truncated": FLAG,
        "next_cursor": _nullable("string"),
        "skipped": _object(
            {"binary": WHOLE, "too_large": WHOLE, "unreadable": WHOLE}, ["binary", "too_large", "unreadable"]
        ),
        "hidden": HIDDEN,
        "partial": _nullable("string"),
    }
)


EXPECTED: Schema = {
    "type": "object",
    "propertyNames": {"format": "lg-path"},
    "maxProperties": MAX_EXPECTED,
    "additionalProperties": {"type": ["string", "null"], "pattern": "^[0-9a-fA-F]{64}$"},
    "description": "Path to the sha256 that read_file returned, or null for no file. Refused if one differs",
}

EXPECTED_PATHS: Schema = {
    "type": "array",
    "items": {"type": "string", "format": "lg-path", "maxLength": 4096},
    "maxItems": MAX_EXPECTED,
    "description": "Paths as a dry run returns them in files. Refused if another file would be touched",
}


def patch_input(settings: FsSettings) -> Schema:
    """Return the schema of arguments of `apply_patch`."""
    change = _object(
        {
            "path": path("File, relative to the root"),
            "op": OP,
            "content": {"type": "string", "description": "The whole new text (for add and update; optional for move)"},
            "to": path("New path (for move)"),
        },
        ["path", "op"],
    )
    return _object(
        {
            "patch": {
                "type": "string",
                "minLength": 1,
                "description": "One of three formats: '*** Begin Patch' envelope, unified diff, or PATH with "
                "'<<<<<<< SEARCH' / '=======' / '>>>>>>> REPLACE' blocks. The lines around a change decide where it "
                "goes, not line numbers",
            },
            "changes": {
                "type": "array",
                "items": change,
                "maxItems": settings.patch_max_files,
                "description": "Whole files, instead of patch",
            },
            "dry_run": {"type": "boolean", "description": "Only show the diff (default false)"},
            "expected_sha256": EXPECTED,
            "expected_paths": EXPECTED_PATHS,
        }
    )


def revert_input() -> Schema:
    """Return the schema of arguments of `revert_patch`."""
    return _object(
        {
            "change_id": {
                "type": "string",
                "pattern": "^[0-9a-f]{16}$",
                "description": "The change_id that apply_patch returned",
            },
            "force": {
                "type": "boolean",
                "description": "Overwrite files that changed since, if the settings allow it (default false)",
            },
            "dry_run": {"type": "boolean", "description": "Only show the diff (default false)"},
            "expected_sha256": EXPECTED,
            "expected_paths": EXPECTED_PATHS,
        },
        ["change_id"],
    )


CHANGED_FILE = _object(
    {
        "path": TEXT,
        "op": OP,
        "to": _nullable("string"),
        "before_sha256": _nullable("string"),
        "after_sha256": _nullable("string"),
        "added": WHOLE,
        "removed": WHOLE,
        "match": {
            "type": ["string", "null"],
            "enum": [*MATCHES, None],
        },
    },
    ["path", "op", "to", "before_sha256", "after_sha256", "added", "removed", "match"],
)
CHANGE_OUTPUT = result(
    {
        "change_id": _nullable("string"),
        "dry_run": FLAG,
        "replayed": {"type": "boolean", "description": "The same call was made before; this is its result"},
        "diff": TEXT,
        "files": many(CHANGED_FILE),
        "added": WHOLE,
        "removed": WHOLE,
    }
)


def changes_input() -> Schema:
    """Return the schema of arguments of `list_changes`."""
    return _object(
        {"limit": {"type": "integer", "minimum": 1, "maximum": 500, "description": "Newest first (default 20)"}}
    )


CHANGE_SET = _object(
    {
        "change_id": TEXT,
        "time": TEXT,
        "kind": {"type": "string", "enum": ["patch", "revert"]},
        "reverts": _nullable("string"),
        "reverted_by": _nullable("string"),
        "files": _list(_object({"path": TEXT, "op": TEXT, "to": _nullable("string")}, ["path", "op", "to"])),
        "added": WHOLE,
        "removed": WHOLE,
    },
    ["change_id", "time", "kind", "reverts", "reverted_by", "files", "added", "removed"],
)
CHANGES_OUTPUT = result({"changes": many(CHANGE_SET)})
