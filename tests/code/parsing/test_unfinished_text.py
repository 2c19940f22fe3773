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
