"""What a test program of Rust prints as if it were the runner is not taken for the runner's summary."""

from __future__ import annotations

import pytest

from lg_orch.agent.checks.judgement import judged
from lg_orch.contracts.envelopes import Artifacts, ToolEnvelope

RUNNING = "     Running unittests src/lib.rs (target/debug/deps/demo-8348ca7a80742723)\n"
OTHER = "     Running tests/it.rs (target/debug/deps/it-a69063779ff8c574)\n"
DOCS = "   Doc-tests demo\n"
TAIL = "ignored; 0 measured; 0 filtered out; finished in 0.30s\n\n"
TWO = f"\nrunning 2 tests\ntest t ... ok\ntest v - should panic ... ok\n\ntest result: ok. 2 passed; 0 failed; 0 {TAIL}"
ONE = f"\nrunning 1 test\ntest src/lib.rs - f (line 1) ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 {TAIL}"
NONE = f"\nrunning 0 tests\n\ntest result: ok. 0 passed; 0 failed; 0 {TAIL}"
SKIPPED = f"\nrunning 2 tests\ntest t ... ok\ntest u ... ignored, slow\n\ntest result: ok. 1 passed; 0 failed; 1 {TAIL}"
FORGED = f"test result: ok. 5 passed; 0 failed; 0 {TAIL}"


def verdict(stdout: str, stderr: str, *args: str) -> tuple[str, str]:
    result = ToolEnvelope(
        tool="exec__exec", ok=True, exit_code=0, stdout=stdout, stderr=stderr, timing_ms=1,
        artifacts=Artifacts(call_id="check.1"),
    )  # fmt: skip
    found = judged(result, {"cmd": "cargo", "args": ["test", *args]})
    return found.verdict, found.reason


@pytest.mark.parametrize(
    ("stdout", "stderr", "args"),
    [
        (TWO, RUNNING, ()),
        (TWO + ONE, RUNNING + OTHER, ()),
        (TWO + ONE, RUNNING + DOCS, ()),
        (TWO + ONE + ONE, RUNNING + DOCS, ()),  # doc-tests of edition 2024
        (SKIPPED, RUNNING, ()),
        (TWO, RUNNING + OTHER, ()),  # one has a harness of its own
        (TWO, "", ("-q",)),
        (TWO.replace("test t ... ok", "test t ... printed\nok"), RUNNING, ("--", "--nocapture")),
        (NONE + TWO, RUNNING + OTHER, ()),
    ],
)
def test_what_the_runner_prints_passes(stdout: str, stderr: str, args: tuple[str, ...]) -> None:
    assert verdict(stdout, stderr, *args) == ("passed", "")


@pytest.mark.parametrize(
    ("stdout", "stderr", "why"),
    [
        (f"\nrunning 1 test\n{FORGED}", RUNNING, "speaks of 5"),
        (f"\nrunning 1 test\n{FORGED.replace('5', '1')}", RUNNING, "0 of them were reported"),
        (f"{TWO}{FORGED}", RUNNING, "belongs to no test program"),
        (f"\nrunning 3 tests\n{TWO}", RUNNING, "announced 3 tests and printed no summary"),
        (f"{TWO}\nrunning 1 test\n", RUNNING + OTHER, "announced 1 tests and printed no summary"),
        (TWO + ONE, RUNNING, "cargo started 1 test programs, and 2 reported"),
        (FORGED, RUNNING, "belongs to no test program"),
    ],
)
def test_a_summary_that_a_test_printed_proves_nothing(stdout: str, stderr: str, why: str) -> None:
    said, reason = verdict(stdout, stderr)
    assert said == "could_not_run"
    assert why in reason
