"""The summaries of many test runners: what failed is seen whatever the exit status, and so is that nothing ran.

`runner_outputs.json` has the ends of their outputs, each with what it says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lg_orch.agent.checks.runner_reports import read_counts

OUTPUTS: dict[str, tuple[str, str]] = json.loads((Path(__file__).parent / "runner_outputs.json").read_text("utf-8"))


def said(text: str) -> str:
    counts = read_counts(text)
    if counts is None:
        return "silent"
    return "failed" if counts.failed else "passed" if counts.passed else "nothing"


@pytest.mark.parametrize("runner", OUTPUTS)
def test_the_output_of_a_runner_says_whether_tests_failed_passed_or_did_not_run(runner: str) -> None:
    wanted, text = OUTPUTS[runner]
    assert said(text) == wanted
    assert said(text.replace("\n", "\r\n")) == wanted
