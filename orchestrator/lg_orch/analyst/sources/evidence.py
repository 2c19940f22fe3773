"""What the calls of a run returned, read back by call id. Nothing here is trusted to have the shape it should have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.repository import ExtensionTotal, RepoTotals

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.repository import RepoContext


@dataclass(frozen=True, kw_only=True)
class FileText:
    """The text of a file as far as it was read."""

    path: str
    text: str
    start_line: int
    total_lines: int | None
    truncated: bool

    def lines(self) -> list[str]:
        """Return the lines that were read; the first has number `start_line`."""
        return split_lines(self.text)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """One match of a search."""

    path: str
    line: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Value:
    """One distinct text a search found, how often, in how many files, and where first."""

    value: str
    count: int
    files: int
    path: str
    line: int


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search, put together from its pages."""

    hits: tuple[Hit, ...] = ()
    values: tuple[Value, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()
    total: int = 0
    files_matched: int = 0
    truncated: bool = False
    partial: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Files of one listing: path and size in bytes (None when the server did not say)."""

    files: tuple[tuple[str, int | None], ...] = ()
    next_cursor: str | None = None
    truncated: bool = False


def page_id(prefix: str, number: int = 1) -> str:
    """Return the id of a call that asks for one page, from 1: `files.2`."""
    return f"{prefix}.{number}"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """All results of a run so far, in order."""

    results: Sequence[ToolEnvelope]
    context: RepoContext
    _by_id: dict[str, ToolEnvelope] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for result in self.results:
            self._by_id.setdefault(result.artifacts.call_id, result)

    def answered(self, call_id: str) -> bool:
        """Tell whether the call came back, with whatever outcome."""
        return call_id in self._by_id

    def result(self, call_id: str) -> ToolEnvelope | None:
        """Return the result of a call, or None when it was not made."""
        return self._by_id.get(call_id)

    def structured(self, call_id: str) -> dict[str, Any]:
        """Return the structured content of a call that succeeded, else an empty dict."""
        result = self._by_id.get(call_id)
        return (result.artifacts.structured or {}) if result is not None and result.ok else {}

    def totals(self) -> RepoTotals | None:
        """Return files and lines per directory and extension, from the context or from the call `totals.1`."""
        if self.context.totals is not None:
            return self.context.totals
        raw = self.structured(page_id("totals")).get("totals")
        if not isinstance(raw, dict):
            return None
        numbers: dict[str, Any] = {
            key: _number(raw.get(key)) for key in ("files", "bytes", "lines", "directories", "binary_files", "skipped")
        }
        return RepoTotals(
            **numbers,
            extensions=tuple(_extension_total(row) for row in _dicts(raw.get("extensions"))),
            rows=tuple(_extension_total(row) for row in _dicts(raw.get("rows"))),
            depth=raw.get("depth") if isinstance(raw.get("depth"), int) else None,
            partial=_text_or_none(raw.get("partial")),
        )

    def listing(self, prefix: str) -> Listing:
        """Return the files of the listing whose pages are the calls `<prefix>.1`, `<prefix>.2`, …"""
        files: list[tuple[str, int | None]] = []
        cursor, truncated = None, False
        for raw in self._pages(prefix):
            for entry in _dicts(raw.get("entries")):
                if entry.get("type") == "file" and isinstance(entry.get("path"), str):
                    size = entry.get("size")
                    files.append((entry["path"], size if isinstance(size, int) else None))
            cursor, truncated = _text_or_none(raw.get("next_cursor")), bool(raw.get("truncated"))
        return Listing(files=tuple(files), next_cursor=cursor, truncated=truncated)

    def search(self, prefix: str) -> Search:
        """Return the search whose pages are the calls `<prefix>.1`, `<prefix>.2`, …"""
        hits: list[Hit] = []
        values: list[Value] = []
        counts: list[tuple[str, int]] = []
        total = matched = 0
        truncated, partial = False, None
        for raw in self._pages(prefix):
            for found in _dicts(raw.get("files")):
                path = str(found.get("path", ""))
                counts.append((path, _number(found.get("count"))))
                hits += [
                    Hit(path=path, line=_number(match.get("line")) or 1, text=str(match.get("text", "")))
                    for match in _dicts(found.get("matches"))
                ]
            values += [_value(item) for item in _dicts(raw.get("values"))]
            total = max(total, _number(raw.get("total_matches")))
            matched = max(matched, _number(raw.get("files_matched")))
            truncated, partial = bool(raw.get("truncated")), _text_or_none(raw.get("partial")) or partial
        return Search(
            hits=tuple(hits), values=tuple(values), counts=tuple(counts), total=total, files_matched=matched,
            truncated=truncated, partial=partial,
        )  # fmt: skip

    def files(self, prefixes: Iterable[str] = ("read",)) -> dict[str, FileText]:
        """Return the path to text of everything read by the calls of these prefixes; unreadable files are not in it."""
        found: dict[str, FileText] = {}
        for prefix in prefixes:
            for raw in self._pages(prefix):
                for item in _dicts(raw.get("files")):
                    if item.get("error") or not isinstance(item.get("text"), str) or not item.get("path"):
                        continue
                    total = item.get("total_lines")
                    found[str(item["path"])] = FileText(
                        path=str(item["path"]), text=item["text"], start_line=_number(item.get("start_line")) or 1,
                        total_lines=total if isinstance(total, int) else None, truncated=bool(item.get("truncated")),
                    )  # fmt: skip
        return found

    def failures(self) -> tuple[str, ...]:
        """Return one sentence for each call that failed and each file of a call that could not be read."""
        found: list[str] = []
        for result in self.results:
            if not result.ok and not _ran(result):
                problem = result.artifacts.error
                reason = (
                    f"{problem.code}: {problem.message}" if problem is not None else result.stderr or "no reason given"
                )
                found.append(f"the call {result.tool} failed ({reason})")
            if result.artifacts.call_id.startswith("version."):
                continue  # several places are tried for a version; most are not there
            for item in _dicts((result.artifacts.structured or {}).get("files")):
                error = item.get("error")
                if isinstance(error, dict):
                    found.append(f"{item.get('path')} could not be read ({error.get('code')}: {error.get('message')})")
        return tuple(found)

    def _pages(self, prefix: str) -> list[dict[str, Any]]:
        pages: list[dict[str, Any]] = []
        while self.answered(page_id(prefix, len(pages) + 1)):
            pages.append(self.structured(page_id(prefix, len(pages) + 1)))
        return pages


def split_lines(text: str) -> list[str]:
    """Return the lines as the file server counts them: by newline only, never at form feeds or Unicode separators."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def _ran(result: ToolEnvelope) -> bool:
    """Whether a command ran to its end: its exit code is then an answer, not a failure of the call."""
    return result.exit_code is not None


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _extension_total(row: dict[str, Any]) -> ExtensionTotal:
    return ExtensionTotal(
        extension=str(row.get("extension", "")),
        files=_number(row.get("files")),
        bytes=_number(row.get("bytes")),
        lines=_number(row.get("lines")),
        directory=str(row["directory"]) if isinstance(row.get("directory"), str) else None,
    )


def _value(item: dict[str, Any]) -> Value:
    return Value(
        value=str(item.get("value", "")),
        count=_number(item.get("count")),
        files=_number(item.get("files")),
        path=str(item.get("path", "")),
        line=_number(item.get("line")) or 1,
    )
