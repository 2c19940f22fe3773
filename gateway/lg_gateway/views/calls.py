"""Puts the records of each call together: one row a call, with what it was about, who decided and how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lg_gateway.store.interface import Tx
from lg_gateway.views.records import CALL, GATEWAY, Filter, backwards, noted, short_id
from lg_policy.printing import display_width, one_line, visible

OF_CALL = "SELECT record FROM ledger WHERE request_id = ? ORDER BY seq"
PREVIEW = "preview"
"""How the dry run ends that is made before a question is asked: it is part of another call."""
ABOUT_WIDTH = 60
CELL_WIDTH = 120
"""Columns of a cell of the table."""
NEXT = 500
"""Records after a decision among which its call is looked for."""
LINE_WIDTH = 400
"""Columns of what a note says."""
PARSED_CHARACTERS = 100_000
"""Longer arguments are shown by their beginning, unread."""
_HEADS = {
    "id": "CALL", "time": "UTC", "caller": "CALLER", "tool": "TOOL", "about": "ABOUT", "decision": "DECISION",
    "outcome": "OUTCOME",
}  # fmt: skip
_NARROW = 100
"""On fewer columns a caller that is always the same is left out."""
_NARROWEST = 10
_SUBJECTS = ("path", "paths", "file", "files", "uri", "url", "query", "pattern", "name", "change_id", "cmd", "command")
_PATCHED = re.compile(r"^(?:\+\+\+ (?:b/)?|\*\*\* (?:Update|Add|Delete) File: )([^\t\n]+)", re.MULTILINE)
_QUESTION = re.compile(r"\bap-[a-z0-9]{1,20}\b")
_USER = re.compile(r"by (?:user |local:)(\S+) at (?:a terminal|a command line|the console)")
_EXIT_STATUS = re.compile(r"\bexit status -?\d{1,10}$")
NOTE = "#"
"""Before the number of a record that belongs to no call."""


@dataclass(frozen=True, kw_only=True)
class CallRow:
    """What a person asks first of one call, or of a note that no call made."""

    id: str
    time: str
    caller: str
    tool: str
    about: str
    decision: str
    outcome: str
    seq: int = 0
    """The number of its newest record that was looked for."""

    def cells(self) -> list[str]:
        """Return the cells, safe to print."""
        cells = (self.id, self.time, self.caller, self.tool, self.about, self.decision, self.outcome)
        return [one_line(cell, LINE_WIDTH) for cell in cells]


def newest_calls(tx: Tx, wanted: Filter, limit: int, before: int = 2**62) -> list[CallRow]:
    """Return the newest calls of which a record is wanted, and the notes between them, oldest first.

    With `before`, only what has no record from that number on: what stands on an earlier page.
    """
    rows: list[CallRow] = []
    seen: set[str] = set()
    used: set[str] = set()
    for record in backwards(tx, wanted, before):
        if len(rows) >= limit:
            break
        call = str(record.get("request_id") or "")
        if record.get("phase") != "note" and CALL.fullmatch(call):
            if call not in seen:
                seen.add(call)
                found = _call_rows(tx, call, used, before)
                rows += [replace(row, seq=int(record["seq"])) for row in found]
        elif not record.get("approval_id"):
            rows.append(note_row(record))
        elif record["approval_id"] not in used:  # else it stands in the row of its call, which came after it
            rows += [_decision_row(record)] if not _called_later(tx, record, before) else []
    return rows[::-1]


def _called_later(tx: Tx, note: dict[str, Any], before: int) -> bool:
    """Whether the call of a decision stands on an earlier page; it is looked for among the next records only."""
    if before > int(note["seq"]) + NEXT:
        return False
    sql = "SELECT 1 FROM ledger WHERE seq >= ? AND seq < ? AND record LIKE ? AND record LIKE ? LIMIT 1"
    about = (before, before + NEXT, f'%"approval_id":"{note["approval_id"]}"%', '%"phase":"begun"%')
    return bool(tx.execute(sql, about))


def table(rows: list[CallRow], width: int | None = None) -> Iterator[str]:
    """Return the rows as lines: with a `width` as a table that fits it, else with all their words and two spaces."""
    if width is None:
        yield from ("  ".join(filter(None, row.cells())) for row in rows)
        return
    if not rows:
        return
    callers = {row.caller for row in rows if not row.id.startswith(NOTE)}
    left_out = {"caller"} if width < _NARROW and len(callers) < 2 else set()
    names = [name for name in _HEADS if name not in left_out]
    today = max(row.time for row in rows)[:10]
    cells = [[_HEADS[name] for name in names], *([_cell(row, name, today) for name in names] for row in rows)]
    wanted = {name: max(display_width(row[column]) for row in cells) for column, name in enumerate(names)}
    widths = _fitting(wanted, width - 2 * (len(names) - 1))
    for row in cells:
        shown = [one_line(cell, room) for cell, room in zip(row, widths, strict=True)]
        yield "  ".join(
            f"{cell}{' ' * (room - display_width(cell))}" for cell, room in zip(shown, widths, strict=True)
        ).rstrip()


def _fitting(wanted: Mapping[str, int], room: int) -> list[int]:
    """Return the width of each column: first what a call was about gets narrower, then whatever is widest.

    A caller can choose long names. They must not push all other rows over the edge of the terminal.
    """
    widths = dict(wanted)
    for names in (("about",), tuple(name for name in wanted if name not in ("id", "time"))):
        while sum(widths.values()) > room:
            widest = max(names, key=widths.__getitem__)
            if widths[widest] <= _NARROWEST:
                break
            widths[widest] -= 1
    return list(widths.values())


def _cell(row: CallRow, name: str, today: str) -> str:
    text = str(getattr(row, name))
    if name == "time":
        return text[11:19] if text[:10] == today else text[5:16]
    return one_line(text, CELL_WIDTH)


def about(arguments: str) -> str:
    """Return in a few words what arguments name: files, a command, a query; else their beginning."""
    try:
        given = json.loads(arguments) if len(arguments) <= PARSED_CHARACTERS else None
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return one_line(arguments, ABOUT_WIDTH)
    for name in ("patch", "diff", "input"):
        if isinstance(given.get(name), str) and (files := _files(given[name])):
            return one_line(", ".join(files), ABOUT_WIDTH)
    if isinstance(given.get("changes"), list):
        paths = [str(change["path"]) for change in given["changes"] if isinstance(change, dict) and "path" in change]
        return one_line(", ".join(dict.fromkeys(paths)), ABOUT_WIDTH)
    named = [_plain(given[name]) for name in _SUBJECTS if name in given]
    named += [_plain(given["args"])] if isinstance(given.get("args"), list) else []
    return one_line(" ".join(named) if named else "" if not given else arguments, ABOUT_WIDTH)


def _files(patch: str) -> list[str]:
    found = dict.fromkeys(name.strip() for name in _PATCHED.findall(patch))
    found.pop("/dev/null", None)
    return list(found)


def _plain(value: object) -> str:
    if isinstance(value, list):
        return " ".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value)


def _call_rows(tx: Tx, call: str, used: set[str], before: int) -> list[CallRow]:
    """Return the row of a call, none of one that only tried another out; note which question it was about."""
    records = [json.loads(text) for (text,) in tx.execute(OF_CALL, (call,))]
    if not records or any(record.get("outcome") == PREVIEW for record in records):
        return []
    first, last = records[0], records[-1]
    used.add(question_of(records))
    if int(last["seq"]) >= before:
        return []
    arguments = str(first.get("arguments") or "") or _asked_arguments(tx, first)
    return [
        CallRow(
            id=short_id(call),
            time=moment_of(first),
            caller=str(first.get("identity") or GATEWAY),
            tool=str(first.get("tool") or "-"),
            about=about(arguments) if arguments else "",
            decision=decision_of(tx, records),
            outcome=outcome_of(last),
        )
    ]


def _asked_arguments(tx: Tx, record: dict[str, Any]) -> str:
    """Return the arguments of a call that was refused before it began, from the preview with the same digest."""
    digest = str(record.get("arguments_digest") or "")
    before = (int(record["seq"]) - 12, int(record["seq"]))
    for (text,) in tx.execute("SELECT record FROM ledger WHERE seq >= ? AND seq < ? ORDER BY seq DESC", before):
        found = json.loads(text)
        if digest and found.get("arguments_digest") == digest and found.get("arguments"):
            return str(found["arguments"])
    return ""


def decision_of(tx: Tx, records: list[dict[str, Any]]) -> str:
    """Return who or what decided about a call: the rule, or a person."""
    last, question = records[-1], question_of(records)
    if question.startswith("gr-"):
        return "approved for the run"
    if question:
        notes = [json.loads(text) for (text,) in tx.execute(OF_CALL, (question,))]
        decided = [note for note in notes if note.get("phase") == "note"]
        if decided:
            return f"{decided[-1].get('outcome')} {by_whom(decided[-1])}"
        return f"asked, {question}"
    effect = {"allow": "allowed", "deny": "denied", "approve": "needs approval"}.get(str(last.get("effect")), "")
    return " ".join(filter(None, [effect, f"by {last['rule']}" if last.get("effect") == "deny" else ""]))


def question_of(records: list[dict[str, Any]]) -> str:
    """Return the question, or the grant, that a call was about; empty if there was none."""
    asked = next((str(record["approval_id"]) for record in records if record.get("approval_id")), "")
    found = _QUESTION.search(str(records[-1].get("detail") or "")) if not asked else None
    return asked or (found[0] if found else "")


def by_whom(note: dict[str, Any]) -> str:
    """Return who made a decision: "by root" for a user at a terminal."""
    words = noted(note | {"approval_id": None}).partition(";")[0]
    return _USER.sub(r"by \1", words)


def outcome_of(record: dict[str, Any]) -> str:
    """Return how a call ended."""
    if record.get("phase") == "begun":
        return "no end recorded"
    outcome, code = str(record.get("outcome") or ""), str(record.get("error_code") or "")
    failed = _EXIT_STATUS.search(str(record.get("detail") or "")) if outcome == "ok" else None
    outcome += f" ({failed[0]})" if failed else ""
    times = f" x{record['count']}" if record.get("count") else ""
    took = record.get("duration_ms")
    shown = f"{took:.0f} ms" if isinstance(took, int | float) and outcome != "refused" else ""
    return " ".join(filter(None, [outcome, code])) + times + (f" {shown}" if shown else "")


def note_row(record: dict[str, Any]) -> CallRow:
    """Return the row of a record that belongs to no call."""
    words = noted(record)
    who = str(record.get("identity") or GATEWAY)
    by = words.startswith(f"by {who}")
    return CallRow(
        id=f"{NOTE}{record['seq']}",
        time=moment_of(record),
        caller=who,
        tool=str(record.get("tool") or record.get("server") or "-"),
        about=one_line(words.removeprefix(f"by {who}").removeprefix(": ") if by else words, LINE_WIDTH),
        decision=_USER.sub(r"by \1", f"by {who}") if by else "",
        outcome=str(record.get("outcome") or "noted"),
        seq=int(record["seq"]),
    )


def _decision_row(record: dict[str, Any]) -> CallRow:
    """Return the row of a decision whose call is not among those listed: it was not made again, or not yet."""
    return CallRow(
        id=f"{NOTE}{record['seq']}",
        time=moment_of(record),
        caller=str(record.get("identity") or GATEWAY),
        tool=str(record.get("tool") or "-"),
        about=str(record["approval_id"]),
        decision=f"{record.get('outcome')} {by_whom(record)}",
        outcome="no call since",
        seq=int(record["seq"]),
    )


def moment_of(record: dict[str, Any]) -> str:
    """Return when a record was written, to the second, in UTC."""
    return visible(str(record.get("time") or ""))[:19].replace("T", " ") + "Z"
