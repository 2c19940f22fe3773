from __future__ import annotations

import io

import pytest

from lg_orch.contracts.events import Event
from lg_orch.contracts.text import one_line, visible
from lg_orch.display.progress import JsonRenderer, PlainRenderer, choose_renderer, describe


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain\n\ttext", "plain\n\ttext"),
        ("\x1b[31mred\x1b[0m", "\\u{1b}[31mred\\u{1b}[0m"),
        ("a\u202eb", "a\\u{202e}b"),
        ("zero\u200bwidth", "zero\\u{200b}width"),
        ("ünïcode 漢字", "ünïcode 漢字"),
        ("bell\x07 \r\x9b", "bell\\u{7} \\u{d}\\u{9b}"),
    ],
)
def test_characters_that_could_deceive_a_terminal_are_spelled_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_is_one_line_and_not_longer_than_asked() -> None:
    assert one_line("a\nb  c", 20) == "a b c"
    assert one_line("x" * 30, 10) == "x" * 8 + "…"


def test_piped_progress_is_plain_lines_and_json_is_one_event_a_line() -> None:
    event = Event(
        seq=1, time="t", kind="tool", name="fs__read_file", phase="begin", data={"input": {"path": "\x1b[2J"}}
    )
    plain, as_json = io.StringIO(), io.StringIO()
    PlainRenderer(plain, 0.0).show(event)
    JsonRenderer(as_json).show(event)
    assert "\x1b" not in plain.getvalue()
    assert plain.getvalue().count("\n") == 1
    assert Event.model_validate_json(as_json.getvalue()) == event
    assert isinstance(choose_renderer(io.StringIO(), 0.0, as_json=False), PlainRenderer)


def test_a_line_says_first_whether_a_call_only_looks_and_what_a_check_printed_last() -> None:
    arguments = {"patch": "x" * 500, "dry_run": True}

    def line(kind: str, name: str, phase: str, data: object) -> str:
        event = {
            "seq": 1,
            "time": "2026-01-01T00:00:00+00:00",
            "kind": kind,
            "name": name,
            "phase": phase,
            "data": data,
        }
        return describe(Event.model_validate(event)) or ""

    begun = {"call_id": "m1", "step": "executor", "idempotency_key": "k", "input": arguments}
    assert "fs__apply_patch dry_run=true patch=" in line("tool", "fs__apply_patch", "begin", begun)
    result = {"ok": True, "timing_ms": 3, "artifacts": {"input": arguments}}
    assert "(dry run) ok, 3 ms" in line("tool", "fs__apply_patch", "end", {"call_id": "m1", "result": result})
    check = {"ok": False, "exit_code": 1, "summary": "1 failed"}
    assert line("verify", "pytest", "end", check).endswith("pytest: failed, exit code 1: 1 failed")
