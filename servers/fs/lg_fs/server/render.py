"""Results as text for models. The structured content says the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lg_fs.search.matches import after_of
from lg_fs.search.search import SearchResult
from lg_fs.tree.listing import Listing
from lg_fs.tree.totals import Totals
from lg_policy.limits import cut_text

_TOP_EXTENSIONS = 30
_TOP_ROWS = 100
_MAX_DIFF = 100_000


def files(entries: list[dict[str, Any]]) -> str:
    """Render several read files, each under a heading."""
    parts: list[str] = []
    for entry in entries:
        if entry["error"] is not None:
            parts.append(f"==> {entry['path']}: {entry['error']['code']}: {entry['error']['message']}")
            continue
        last = entry["start_line"] + entry["line_count"] - 1
        rest = entry["next_start_line"]
        more = "" if rest is None else f"; read on with start_line={rest}"
        parts.append(f"==> {entry['path']} (lines {entry['start_line']}-{last} of {entry['total_lines']}{more})")
        parts.append(entry["text"].removesuffix("\n"))
    return "\n".join(parts)


def listing(page: Listing) -> str:
    """Render one entry a line: directories with a slash, files with their size."""
    lines = [
        f"{entry['path']} ({entry['size']} bytes)" if entry["type"] == "file" else _entry(entry)
        for entry in page.entries
    ]
    if not lines and page.next_cursor is None and not page.stopped:
        lines.append("[nothing here]")
    if page.stopped:
        lines.append(f"[incomplete: {page.stopped}]")
    if page.next_cursor:
        lines.append(f"[more: call again with cursor={page.next_cursor}]")
    lines += _hidden(page.hidden)
    if page.unnameable:
        lines.append(f"[{_number(page.unnameable, 'name')} not shown: not UTF-8, or with control characters]")
    if page.unreadable:
        lines.append(f"[{_number(page.unreadable, 'directory', 'directories')} could not be opened]")
    return "\n".join(lines)


def _number(count: int, noun: str, plural: str = "") -> str:
    return f"{count} {noun if count == 1 else plural or noun + 's'}"


def _hidden(count: int) -> list[str]:
    if not count:
        return []
    entries = _number(count, "entry", "entries")
    return [f"[{entries} not shown: read_deny and read_allow in the server's settings hide them from every tool]"]


def _entry(entry: dict[str, Any]) -> str:
    match entry["type"]:
        case "dir":
            return f"{entry['path']}/"
        case "symlink":
            return f"{entry['path']} (symbolic link)"
        case _:
            return f"{entry['path']} (special file)"


def totals(counted: Totals) -> str:
    """Render sums, then the largest extensions and directories."""
    found = f"{counted.files} files, {counted.bytes} bytes, {counted.lines} lines in {counted.directories} directories"
    lines = [f"{found} ({counted.binary_files} binary, {counted.skipped} not counted)"]
    lines += [
        f"{row['extension'] or '(none)'}: {row['files']} files, {row['lines']} lines, {row['bytes']} bytes"
        for row in counted.extensions[:_TOP_EXTENSIONS]
    ]
    if len(counted.extensions) > _TOP_EXTENSIONS:
        lines.append(f"[{len(counted.extensions) - _TOP_EXTENSIONS} more extensions in the structured result]")
    by_directory: dict[str, list[int]] = {}
    for row in counted.rows:
        sums = by_directory.setdefault(row["directory"], [0, 0])
        sums[0] += row["files"]
        sums[1] += row["lines"]
    ranked = sorted(by_directory.items(), key=lambda item: (-item[1][1], item[0]))
    lines += [f"{directory or '.'}/: {sums[0]} files, {sums[1]} lines" for directory, sums in ranked[:_TOP_ROWS]]
    if len(ranked) > _TOP_ROWS:
        lines.append(f"[{len(ranked) - _TOP_ROWS} more directories in the structured result]")
    lines += _hidden(counted.hidden)
    if counted.partial:
        lines.append(f"[incomplete: {counted.partial}]")
    return "\n".join(lines)


def search(found: SearchResult, output: str, unmatched: str = "") -> str:
    """Render matches as grep prints them, grouped by file; or names, counts, values.

    `unmatched` is what to try if there is no match.
    """
    lines: list[str] = []
    if output == "values":
        lines = [
            f"{v['count']}\t{v['value']}\t({v['files']} files, first {v['path']}:{v['line']})" for v in found.values
        ]
    for hits in found.files:
        if output == "matches":
            lines.append(f"{hits.path}:")
            lines += _blocks(hits.matches)
        else:
            lines.append(hits.path if output == "files" else f"{hits.path}: {hits.count}")
    if not lines:
        lines.append(f"[no match in {_number(found.files_searched, 'file')}{unmatched and f': {unmatched}'}]")
    else:
        lines.append(
            f"[{_number(found.total_matches, 'match', 'matches')} in {found.files_matched} of "
            f"{_number(found.files_searched, 'file')} searched]"
        )
    if found.partial:
        lines.append(f"[incomplete: {found.partial}]")
    if found.next_cursor:
        lines.append(f"[cut: call again with cursor={found.next_cursor}]")
    elif found.truncated and output == "values":
        lines.append("[cut: raise limit or narrow the regex for the rest]")
    skipped = [
        f"{count} {what}"
        for what, count in (("binary", found.binary), ("too large", found.too_large), ("unreadable", found.unreadable))
        if count
    ]
    if skipped:
        lines.append(f"[skipped files: {', '.join(skipped)}]")
    lines += _hidden(found.hidden)
    return "\n".join(lines)


def _blocks(matches: Sequence[dict[str, Any]]) -> list[str]:
    """Render the matches of one file. As with grep, `--` stands where lines between two of them are left out."""
    context = any(match["before"] or match["after"] for match in matches)
    lines: list[str] = []
    end = 0
    for match in matches:
        begin = match["line"] - len(match["before"])
        if context and end and begin > end:
            lines.append("  --")
        lines += [f"  {begin + n}- {text}" for n, text in enumerate(match["before"])]
        lines.append(f"  {match['line']}: {match['text']}")
        below = after_of(match)
        lines += [f"  {below + n}- {text}" for n, text in enumerate(match["after"])]
        end = below + len(match["after"])
    return lines


def change(result: dict[str, Any]) -> str:
    """Render what a change set did, or would do."""
    word = "would change" if result["dry_run"] else f"change {result['change_id']}:"
    lines = [f"{word} {_number(len(result['files']), 'file')}, +{result['added']} -{result['removed']} lines"]
    if result["replayed"]:
        lines[0] += " [done before under the same key, not again]"
    for file in result["files"]:
        moved = f" -> {file['to']}" if file["to"] else ""
        fuzzy = f" [matched ignoring {file['match'].replace('_', ' ')}]" if file["match"] not in (None, "exact") else ""
        lines.append(f"{file['op']} {file['path']}{moved} (+{file['added']} -{file['removed']}){fuzzy}")
    if result["dry_run"]:
        diff, cut = cut_text(result["diff"], _MAX_DIFF)
        lines.append(diff + ("\n[cut: the whole diff is in the structured result]" if cut else ""))
    return "\n".join(lines)


def changes(found: list[dict[str, Any]]) -> str:
    """Render change sets, newest first."""
    lines: list[str] = []
    for change_set in found:
        note = f" reverts {change_set['reverts']}" if change_set["reverts"] else ""
        note += f" [reverted by {change_set['reverted_by']}]" if change_set["reverted_by"] else ""
        sums = f"(+{change_set['added']} -{change_set['removed']})"
        lines.append(f"{change_set['change_id']} {change_set['time']} {change_set['kind']}{note} {sums}")
        lines += [
            f"  {file['op']} {file['path']}" + (f" -> {file['to']}" if file["to"] else "")
            for file in change_set["files"]
        ]
    return "\n".join(lines) or "[no changes are kept]"
