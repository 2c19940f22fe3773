"""Every language with a grammar: what is defined, called and imported in a small file of it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from lg_code.parsing.facts import CALL, IMPORT, Facts, unpacked
from lg_code.parsing.grammar_reader import read_with_grammar
from lg_code.parsing.languages import BY_NAME, LANGUAGES, Grammar, language_of

SAMPLES = Path(__file__).parent / "samples"


class Sample(NamedTuple):
    """A file of the folder beside this one (there with `.txt` at the end of its name), and what is in it."""

    name: str
    definitions: str
    calls: str
    imports: str

    def text(self) -> bytes:
        return (SAMPLES / f"{self.name}.txt").read_bytes()


FILES = {
    "python": Sample(
        "a.py",
        "LIMIT:variable A:class A.x:field A.run:method f:function",
        calls="cached helper go",
        imports="os join",
    ),
    "javascript": Sample(
        "a.mjs",
        "fs:variable A:class A.#x:field A.run:method add:function gen:function late:function",
        calls="go Thing require",
        imports="read io",
    ),
    "typescript": Sample(
        "a.ts",
        (
            "Shape:interface Shape.area:method Shape.side:field Colour:enum Id:type A:class A.x:field "
            "A.run:method A.go:method add:function N:module N.inner:function"
        ),
        calls="call",
        imports="Row db",
    ),
    "tsx": Sample(
        "a.tsx",
        "Page:function",
        calls="Card Row t",
        imports="React",
    ),
    "rust": Sample(
        "a.rs",
        (
            "S:struct S.a:field E:enum E.One:member T:trait T.go:method S:impl S.go:method tests:module "
            "tests.t:function N:constant m:macro"
        ),
        calls="helper max println",
        imports="std io Read",
    ),
    "go": Sample(
        "a.go",
        "S:struct S.A:field I:interface I.Do:method F:type Do:method New:function C:constant V:variable",
        calls="Println New",
        imports="fmt mod",
    ),
    "java": Sample(
        "A.java",
        ("A:class A.x:field A.A:method A.run:method A.E:enum A.E.ONE:member A.I:interface A.I.f:method A.R:class"),
        calls="go C Override",
        imports="List java",
    ),
    "c": Sample(
        "a.c",
        (
            "MAX:macro SQ:macro node:struct node.v:field e:enum e.ONE:member node_t:type add:declaration "
            "name:function total:variable"
        ),
        calls="copy",
        imports="list",
    ),
    "cpp": Sample(
        "a.hpp",
        "a.b:module a.b.S:class a.b.S.S:method a.b.S.run:method a.b.S.x:field S.later:method Id:type",
        calls="go move Thing",
        imports="vector",
    ),
    "csharp": Sample(
        "A.cs",
        (
            "N:module N.A:class N.A.x:field N.A.P:field N.A.A:method N.A.Run:method N.I:interface "
            "N.I.F:method N.E:enum N.E.One:member N.R:class"
        ),
        calls="Go C Do",
        imports="System Text",
    ),
    "ruby": Sample(
        "a.rb",
        "M:module M.A:class M.A.LIMIT:constant M.A.valid?:method M.A.make:method",
        calls="check Thing",
        imports="thing",
    ),
    "php": Sample(
        "a.php",
        ("App:module A:class A.x:field A.C:constant A.run:method I:interface T:trait E:enum E.One:member f:function"),
        calls="go Thing do make",
        imports="Lib Thing",
    ),
    "kotlin": Sample(
        "a.kt",
        "A:class A.x:field A.run:method A.make:method O:class top:function E:class E.ONE:member Id:type",
        calls="go Thing call also",
        imports="Thing",
    ),
    "swift": Sample(
        "a.swift",
        (
            "P:interface P.f:method A:class A.x:field A.init:method A.run:method S:class E:class "
            "E.one:member top:function Id:type g:variable"
        ),
        calls="go Thing act",
        imports="Foundation",
    ),
    "bash": Sample(
        "a.sh",
        "LIMIT:variable greet:function late:function",
        calls="echo other greet",
        imports="",
    ),
}


def facts_of(language: str) -> Facts:
    text = FILES[language].text()
    return read_with_grammar(Grammar(BY_NAME[language]), text, language)


def test_every_language_is_tried() -> None:
    assert FILES.keys() == {language.name for language in LANGUAGES}


@pytest.mark.parametrize("language", FILES)
def test_the_definitions_of_a_language_are_found(language: str) -> None:
    sample = FILES[language]
    assert language_of(sample.name, sample.text()) == language
    facts = facts_of(language)
    assert facts.problem == ""
    assert [f"{symbol.qualified}:{symbol.kind}" for symbol in facts.symbols] == sample.definitions.split()


@pytest.mark.parametrize("language", FILES)
def test_calls_and_imports_of_a_language_are_told_apart(language: str) -> None:
    calls, imports = FILES[language].calls, FILES[language].imports
    kinds = {name: unpacked(use)[0] for name, use in facts_of(language).uses.items()}
    assert {name for name in calls.split() if kinds.get(name, 0) & CALL} == set(calls.split())
    assert {name for name in imports.split() if kinds.get(name, 0) & IMPORT} == set(imports.split())


def test_a_file_without_a_suffix_is_told_by_its_first_line() -> None:
    assert language_of("bin/run", b"#!/usr/bin/env -S python3 -u\n") == "python"
    assert language_of("bin/run", b"#! /bin/sh\n") == "bash"
    assert language_of("Rakefile", b"") == "ruby"
    assert language_of("notes", b"plain words") == "text"
