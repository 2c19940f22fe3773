"""Notes in the final report."""

from __future__ import annotations

import pytest

from lg_orch.agent.report_notes import counted, repetition
from lg_orch.contracts.envelopes import Artifacts, ToolEnvelope


@pytest.mark.parametrize(
    ("repeated", "ok", "told"),
    [
        (1, True, "the server of `fs__read_file` went down and recovered; the call was retried once"),
        (2, True, "the server of `fs__read_file` went down and recovered; the call was retried 2 times"),
        (3, False, "the server of `fs__read_file` went down and did not recover; the call was retried 3 times"),
    ],
)
def test_a_retried_call_is_noted_with_its_number_of_retries_in_words(repeated: int, ok: bool, told: str) -> None:
    result = ToolEnvelope(
        tool="fs__read_file",
        ok=ok,
        exit_code=None,
        stdout="",
        stderr="",
        timing_ms=0,
        artifacts=Artifacts(call_id="c", repeated=repeated),
    )
    assert repetition(result) == told


def test_a_note_that_comes_several_times_stands_once_with_its_number() -> None:
    assert counted(["b", "a", "b"]) == ["b (2 times)", "a"]
