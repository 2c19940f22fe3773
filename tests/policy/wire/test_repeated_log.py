"""A message that strangers can cause is logged once a minute, and counted."""

from __future__ import annotations

import logging

import pytest

from lg_policy.wire.repeated_log import OncePerKind, once_per_kind


def test_what_was_not_written_is_counted_on_the_next_line(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = logging.getLogger("test_repeated_log")
    log.addFilter(OncePerKind(clock=lambda: now[0]))
    for _ in range(5):
        log.warning("kind: %s", "detail")
    log.warning("another kind: %s", "detail")
    now[0] = 61.0
    log.warning("kind: %s", "detail")

    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["kind: detail", "another kind: detail", "kind: detail (4 more like this)"]


def test_a_logger_is_limited_once_however_often_that_is_asked() -> None:
    log = logging.getLogger("test_repeated_log.limited")
    assert once_per_kind(once_per_kind(log)) is log
    assert len(log.filters) == 1


def test_one_kind_of_message_is_logged_once_and_then_counted() -> None:
    def record(text: str, *args: object) -> logging.LogRecord:
        return logging.LogRecord("x", logging.WARNING, "f", 1, text, args, None)

    filtered = OncePerKind(60)
    assert filtered.filter(record("Invalid Host header: a"))
    assert not filtered.filter(record("Invalid Host header: b"))
    assert filtered.filter(record("Invalid Origin header: a"))
    at_once = OncePerKind(0)
    assert at_once.filter(record("a %s", 1))
    many = [number for number in range(1000) if filtered.filter(record(f"{number} x"))]
    assert len(many) < 110
    counting = OncePerKind(1e9)
    counting._seen["x 30 a"] = (-1e10, 7)
    last = record("a: %s", "b")
    assert counting.filter(last)
    assert last.getMessage() == "a: b (7 more like this)"
