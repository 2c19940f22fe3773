"""The parser processes: what they do with a text that ends them, and that the others go on."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lg_code.parsing.facts import MAX_SYMBOLS
from lg_code.parsing.pool import ParserLimits, ParserProcess, Parsers, Request
from lg_policy.errors import Internal

LIMITS = ParserLimits(processes=2, cpu_s=1, memory_mb=400, idle_s=600)


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    made = Parsers(LIMITS)
    yield made
    made.close()


def request(text: bytes, language: str = "python") -> Request:
    return Request(path=f"a.{language}", text=text, language=language)


def test_a_text_that_takes_too_much_memory_is_read_line_by_line(parsers: Parsers) -> None:
    """Each bracket is a node, and all of them are open."""
    small = Parsers(ParserLimits(processes=1, cpu_s=30, memory_mb=120, idle_s=600))
    try:
        facts, _ = small.facts(request(b"def f(): pass\n" + b"x = [(\n" * 400_000))
    finally:
        small.close()
    assert facts.reader == "lines"
    assert "120 MB of memory" in facts.problem
    assert [symbol.name for symbol in facts.symbols] == ["f"]


def test_a_text_that_takes_too_long_is_read_line_by_line_and_the_next_by_its_grammar() -> None:
    quick = Parsers(ParserLimits(processes=1, cpu_s=0.5, memory_mb=1_000, idle_s=600))
    try:
        facts, _ = quick.facts(request(b"class A {}\n" + b"a<" * 30_000, "java"))
        after, _ = quick.facts(request(b"def g(): pass\n"))
    finally:
        quick.close()
    assert facts.reader == "lines"
    assert facts.problem == "parsing took more than 0.5 s of CPU time"
    assert [symbol.name for symbol in facts.symbols] == ["A"]
    assert after.reader == "grammar"


def test_a_process_that_is_killed_is_replaced(parsers: Parsers) -> None:
    parsers.facts(request(b"x = 1\n"))
    process = ParserProcess(LIMITS, ())
    os.kill(process.pid, signal.SIGKILL)
    process.close()
    assert parsers.facts(request(b"def f(): pass\n"))[0].reader == "grammar"


def test_deep_nesting_ends_nothing(parsers: Parsers) -> None:
    deep = b"(" * 20_000 + b")" * 20_000
    for language in ("python", "javascript", "rust", "go", "java", "c", "php"):
        facts, _ = parsers.facts(request(b"a = " + deep, language))
        assert facts.lines == 1
    nested = "".join(f"{' ' * depth}def f{depth}():\n" for depth in range(300)) + " " * 300 + "pass\n"
    facts, _ = parsers.facts(request(nested.encode()))
    assert len(facts.symbols) == 300
    assert max(len(symbol.parent) for symbol in facts.symbols) <= 800


def test_a_parser_that_does_not_start_is_no_fault_of_the_text() -> None:
    broken = Parsers(LIMITS, ["no.such.module:function"])
    with pytest.raises(Internal, match="does not start"):
        broken.facts(request(b"x = 1\n"))
    broken.close()


def test_a_file_with_more_definitions_than_are_kept_says_so() -> None:
    patient = Parsers(ParserLimits(processes=1, cpu_s=60, memory_mb=2_000, idle_s=600))
    many = b"".join(b"def f%d():0\n" % number for number in range(MAX_SYMBOLS + 10))
    try:
        for reader in ("grammar", "lines"):
            facts, _ = patient.facts(replace(request(many), reader=reader))
            assert facts.reader == reader
            assert len(facts.symbols) == MAX_SYMBOLS
            assert facts.problem == "only 50,000 of its definitions are known"
    finally:
        patient.close()
