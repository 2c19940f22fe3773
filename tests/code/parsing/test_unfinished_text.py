"""Text as it is while somebody types it, and text that is not UTF-8, are still read by their grammar."""

from __future__ import annotations

import json

import pytest

from lg_code.parsing.facts import Facts, as_wire, from_wire
from lg_code.parsing.grammar_reader import read_with_grammar
from lg_code.parsing.languages import BY_NAME, Grammar
from lg_code.parsing.sites import sites_by_grammar


def read(language: str, text: bytes) -> Facts:
    """The facts as the server gets them from a parser process."""
    facts = read_with_grammar(Grammar(BY_NAME[language]), text, language)
    return from_wire(json.loads(json.dumps(as_wire(facts))), len(text))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", b"class A:\n    def f(self):\n        return self.(a)\n"),
        ("cpp", b"void f() { a->(); }\n"),
        ("c", b"int f(int a) { return g.(a); }\n"),
        ("java", b"class A { void f() { this.(); } }\n"),
    ],
)
def test_a_call_whose_name_is_missing_leaves_the_rest_of_the_file_known(language: str, text: bytes) -> None:
    assert "f" in [symbol.name for symbol in read(language, text).symbols]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("bash", b"f() {\n  \xfferne -x\n}\n"),
        ("python", b"# gr\xfc\xdfe\ndef f(): return '\xe9'\n"),
        ("php", b"<?php function f() { g\xe9(1); }\n"),
    ],
)
def test_text_of_another_encoding_does_not_end_the_grammar(language: str, text: bytes) -> None:
    facts = read(language, text)
    (symbol,) = [symbol for symbol in facts.symbols if symbol.name == "f"]
    assert text[symbol.start_byte : symbol.end_byte].strip().endswith((b"}", b"'"))
    assert sites_by_grammar(Grammar(BY_NAME[language]), text, "f", language)


@pytest.mark.parametrize("language", ["python", "javascript", "ruby"])
def test_a_number_is_no_name_and_neither_is_a_part_of_one(language: str) -> None:
    uses = read(language, b"value_1(0x1f, 10e5, 7)\n").uses
    assert "value_1" in uses
    assert uses.keys().isdisjoint({"x1f", "0x1f", "e5", "10e5", "7", "1"})


def test_a_parser_whose_answer_is_malformed_is_not_believed() -> None:
    text = b"def f(): pass\n"
    good = json.loads(json.dumps(as_wire(read("python", text))))
    (row,) = good["symbols"]
    wrong_rows: list[list[object]] = [
        [*row[:3], 2, 1, *row[5:]],
        [*row[:3], True, 1, *row[5:]],
        [*row[:5], 0, 10**6],
        ["", *row[1:]],
        [None, *row[1:]],
        row[:-1],
    ]
    wrong_uses: list[dict[str, object]] = [
        {"f": 1.5},
        {"f": -1},
        {"": 1},
        {"f" * 1_000: 1},
        {"f": True},
        {"f": 1 << 40},
    ]
    wrong: list[dict[str, object]] = [{"symbols": [row, other]} for other in wrong_rows]
    wrong += [{"uses": uses} for uses in wrong_uses]
    for answer in wrong:
        with pytest.raises(ValueError, match="malformed"):
            from_wire({**good, **answer}, len(text))
