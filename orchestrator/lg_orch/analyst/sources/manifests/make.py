"""Test targets of a `Makefile` or `justfile`."""

from __future__ import annotations

import re

from lg_orch.analyst.sources.evidence import split_lines
from lg_orch.analyst.sources.facts import Manifest, TestCommand

_TARGET = re.compile(r"^@?([A-Za-z][\w-]*)(?:\s[\w=\"'\s*+-]*)?:(?!=)")
_TEST = re.compile(r"^(?:tests?|check|unit-?tests?|integration-?tests?|test-[\w-]+|tests-[\w-]+)$")


def read_make(file: str, text: str) -> Manifest:
    """Return one command for each target whose name speaks of tests."""
    program = "just" if file.lower().endswith("justfile") else "make"
    tests = tuple(
        TestCommand(command=f"{program} {found[1]}", why=f"a {program} target", file=file, line=number)
        for number, line in enumerate(split_lines(text), start=1)
        if (found := _TARGET.match(line)) and _TEST.match(found[1])
    )
    return Manifest(file=file, ecosystem=program, tests=tests)
