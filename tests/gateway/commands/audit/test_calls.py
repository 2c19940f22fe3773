"""What a row about a call says: its subject in few words, whatever its arguments hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import mcp_types as t
import pytest

from lg_gateway.calls.recorder import notes_of
from lg_gateway.views.calls import ABOUT_WIDTH, CallRow, about, note_row, outcome_of, table
from lg_policy.printing import display_width
from tests.gateway.elicitation.server_questions import entry

PATCH = "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n--- /dev/null\n+++ b/new.py\n"


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"path": "src/a.py", "limit": 3}, "src/a.py"),
        ({"paths": ["a.py", "b.py"]}, "a.py b.py"),
        ({"cmd": "pytest", "args": ["-q", "tests"]}, "pytest -q tests"),
        ({"patch": PATCH}, "a.py, new.py"),
        ({"patch": "*** Begin Patch\n*** Update File: a.py\n@@\n"}, "a.py"),
        ({"changes": [{"path": "a.py", "op": "add"}, {"path": "b.py"}]}, "a.py, b.py"),
        ({"query": "x\ny\x1b[2J"}, "x y\\u{1b}[2J"),
        ({"text": "hello"}, '{"text": "hello"}'),
        ({}, ""),
    ],
)
def test_a_call_is_told_by_what_it_names(arguments: dict[str, object], shown: str) -> None:
    assert about(json.dumps(arguments)) == shown


@pytest.mark.parametrize(
    "arguments", ['{"path": ' + "[" * 5_000, '{"path": ' + "[" * 900 + "]" * 900 + "}", "[" * 200_000, "{", '"x"', ""]
)
def test_arguments_that_are_cut_nested_or_huge_are_shown_by_their_beginning(arguments: str) -> None:
    assert display_width(about(arguments)) <= ABOUT_WIDTH


def row(**cells: str) -> CallRow:
    usual = {
        "id": "66db4e72", "time": "2026-11-29 23:44:50Z", "caller": "local:root", "tool": "fs__read_file",
        "about": "a.py", "decision": "allowed", "outcome": "ok 12 ms",
    }  # fmt: skip
    made: dict[str, Any] = usual | cells
    return CallRow(**made)


def test_a_table_fits_the_terminal_by_cutting_what_the_calls_were_about() -> None:
    long = "src/" + "deep/" * 20 + "a.py"
    rows = [row(), row(about=long, decision="approved by root"), row(time="2026-11-28 09:00:00Z")]
    narrow, wide = list(table(rows, 80)), list(table(rows, 160))
    assert max(map(len, narrow)) <= 80
    assert "local:root" not in "".join(narrow), "a caller that is always the same is left out"
    assert "CALLER" in wide[0]
    assert "23:44:50" in wide[1]
    assert "11-28 09:00" in wide[3]
    assert long in "\n".join(table(rows))


@pytest.mark.parametrize("name", ["n" * 500, "\u6587" * 200, "\x1b[2J" * 50, "[bold]" * 60, "a\u0301" * 100])
def test_long_names_of_a_caller_do_not_push_other_rows_over_the_edge(name: str) -> None:
    rows = [row(), row(tool=name, caller=name, decision=name, outcome=name)]
    for width in (80, 120, 200):
        shown = list(table(rows, width))
        assert max(map(display_width, shown)) <= width
        assert "66db4e72  23:44:50  " in shown[1]
        assert "ok 12 ms" in shown[1] or width == 80


@pytest.mark.parametrize(
    ("detail", "about", "decision"),
    [
        ("by user ada at a command line: wrong files", "wrong files", "by ada"),
        ("by user ada at a command line", "", "by ada"),
        ("version 1.2", "version 1.2", ""),
    ],
)
def test_the_row_of_a_note_says_once_who_made_it(detail: str, about: str, decision: str) -> None:
    record = {"seq": 4, "identity": "user ada at a command line", "detail": detail, "outcome": "halted"}
    shown = note_row(record)
    assert (shown.about, shown.decision, shown.outcome) == (about, decision, "halted")


def test_a_table_fits_the_terminal_however_long_decisions_and_callers_are() -> None:
    rows = [
        row(caller="local:ada", tool="fs__apply_patch", decision="approved by local:ada at a terminal"),
        row(id="#16", caller="user ada at a command line", tool="-", decision="", outcome="halted now"),
    ]
    lines = list(table(rows, 80))
    assert max(map(len, lines)) <= 80
    assert "approved by" in lines[1]
    assert "halted" in lines[2]


@pytest.mark.parametrize(
    ("trusted", "structured", "shown"),
    [
        (True, {"exit_code": 1}, "ok (exit status 1) 12 ms"),
        (True, {"exit_code": -9}, "ok (exit status -9) 12 ms"),
        (True, {"exit_code": 0}, "ok 12 ms"),
        (True, {"exit_code": "1\x1b[2J"}, "ok 12 ms"),
        (True, {"exit_code": True}, "ok 12 ms"),
        (True, None, "ok 12 ms"),
        (False, {"exit_code": 1}, "ok 12 ms"),
    ],
)
def test_a_command_that_failed_is_told_apart_from_one_that_did_not(
    trusted: bool, structured: dict[str, Any] | None, shown: str
) -> None:
    known = entry()
    server = replace(known.server, trusted=trusted)
    answer = t.CallToolResult(content=[], structured_content=structured)
    detail = notes_of(answer, replace(known, server=server))
    assert outcome_of({"phase": "ended", "outcome": "ok", "detail": detail, "duration_ms": 12.0}) == shown
