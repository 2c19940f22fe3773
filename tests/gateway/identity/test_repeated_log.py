"""The log of what happens again and again."""

from __future__ import annotations

import logging

import pytest

from lg_gateway.identity.repeated_log import RepeatedLog


def test_what_was_not_written_is_counted_on_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = RepeatedLog(logging.getLogger("test"), clock=lambda: now[0])
    for _ in range(5):
        log.write(logging.WARNING, "kind", "detail")
    log.write(logging.WARNING, "another kind", "detail")
    now[0] = 61.0
    log.write(logging.WARNING, "kind", "detail")

    lines = [record.message for record in caplog.records]
    assert lines == ["kind: detail", "another kind: detail", "kind: detail (4 more since the last such line)"]
