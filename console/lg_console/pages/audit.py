"""The pages of the ledger: calls in pages of fifty with a filter that stands in the address, and one call whole."""

from __future__ import annotations

import json
from urllib.parse import urlencode

from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.ledger import CallPage, CallsWanted, LedgerCall, WholeCall
from lg_console.sources.people import Person
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, empty, fitting, framed

FIELDS = (
    ("tool", "Tool", "fs__*"),
    ("who", "Caller", "local:*"),
    ("outcome", "Outcome", "refused"),
    ("run", "Run", ""),
    ("since", "Since", "24h or 2026-11-01"),
    ("until", "Until", ""),
)
RECORD_CHARACTERS = 20_000
RECORDS_CHARACTERS = 80_000
"""Of all records of a call on its page."""


def audit_page(console: Console, person: Person, wanted: CallsWanted, found: CallPage) -> str:
    """Return one page of calls."""
    query = wanted.query()
    frame = PageFrame(title="Audit", path="/audit", person=person, script="audit.js")
    rows = [_row(call) for call in found.calls]
    older = {**query, "before": str(found.older)} if found.older is not None else None
    nothing = empty(
        "No call fits this filter." if query else "No call was made yet.",
        tag("a", "Show all", href="/audit") if query else None,
    )
    return framed(
        console,
        frame,
        tag("h1", "Audit"),
        tag("p", "checking the chain …", id="chain", role="status", data_chain="/v1/audit/chain"),
        _filter(query),
        _table(rows) if rows else nothing,
        tag(
            "p",
            tag("a", "Newest", href=f"/audit?{urlencode(query)}") if wanted.before is not None else None,
            " ",
            tag("a", "Older", href=f"/audit?{urlencode(older)}", rel="next") if older is not None else None,
            class_="bar",
        ),
        tag(
            "p",
            tag("a", "Export", href=f"/v1/audit/export?{urlencode(query)}", download=True),
            " these records." if query else " the whole chain, for `lg-gateway audit verify --export FILE`.",
            class_="note",
        ),
    )


def call_page(console: Console, person: Person, call: WholeCall) -> str:
    """Return one call whole."""
    frame = PageFrame(title=f"Call {call.id}", path="/audit", person=person)
    question: Child = None
    if call.question:
        lines = call.question.count("\n") + 1
        question = [
            tag("h2", "What a person was shown"),
            tag("p", f"{lines} of {lines} lines. Its digest is the one in the ledger.", class_="lines"),
            tag("pre", call.question, tabindex="0"),
        ]
    return framed(
        console,
        frame,
        tag("p", tag("a", "All calls", href="/audit")),
        tag("h1", "Call ", tag("code", call.id)),
        tag("pre", call.text, tabindex="0", class_="wrap"),
        question,
        tag("h2", "Records"),
        _records(call),
    )


def _records(call: WholeCall) -> list[Markup]:
    """Return the first records that a page has room for."""
    found = fitting(map(_record, call.records), most=len(call.records), room=RECORDS_CHARACTERS)
    rest = len(call.records) - len(found)
    note = tag("p", f"{rest} more records: `lg-gateway audit show {call.id}` prints all.", class_="note")
    return [*found, note] if rest else found


def _record(record: object) -> Markup:
    text = json.dumps(record, indent=2, sort_keys=True, ensure_ascii=False)
    shown = text if len(text) <= RECORD_CHARACTERS else f"{text[:RECORD_CHARACTERS]}… ({len(text)} characters)"
    number = record["seq"] if isinstance(record, dict) else ""
    return tag("details", tag("summary", f"Record {number}"), tag("pre", shown, tabindex="0", class_="wrap"))


def _filter(query: dict[str, str]) -> Markup:
    fields = [
        tag(
            "label",
            label,
            tag(
                "input",
                name=name,
                value=query.get(name, ""),
                placeholder=example or None,
                maxlength="200",
                data_search=True if name == "tool" else None,
            ),
        )
        for name, label, example in FIELDS
    ]
    return tag("form", *fields, tag("button", "Filter"), action="/audit", class_="filter", role="search")


def _table(rows: list[Markup]) -> Markup:
    heads = ("Time", "Caller", "Tool", "About", "Decision", "Outcome")
    head = tag("thead", tag("tr", *[tag("th", name, scope="col") for name in heads]))
    return tag("div", tag("table", head, tag("tbody", *rows), class_="rows"), class_="scroll", id="calls")


def _row(call: LedgerCall) -> Markup:
    cells = (("Caller", call.who), ("Tool", call.tool), ("About", call.about), ("Decision", call.decision))
    return tag(
        "tr",
        tag("td", tag("a", call.time, href=f"/audit/{call.id}"), data_label="Time", class_="title"),
        *[tag("td", text, data_label=label) for label, text in cells],
        tag("td", call.outcome, data_label="Outcome"),
        tabindex="-1",
        class_="dim" if call.note else None,
    )
