"""Every language with a grammar: what is defined, called and imported in a small file of it."""

from __future__ import annotations

import pytest

from lg_code.parsing.facts import CALL, IMPORT, Facts, unpacked
from lg_code.parsing.grammar_reader import read_with_grammar
from lg_code.parsing.languages import BY_NAME, LANGUAGES, Grammar, language_of

FILES: dict[str, tuple[str, str, str, str, str]] = {
    # language: name, text, definitions, calls, imports
    "python": (
        "a.py",
        "from os.path import join as j\nLIMIT = 1\nclass A(B):\n    x: int = 2\n    @cached\n    async def run(self):\n"
        "        return helper(self.go())\ndef f(): pass\n",
        "LIMIT:variable A:class A.x:field A.run:method f:function",
        "cached helper go",
        "os join",
    ),
    "javascript": (
        "a.mjs",
        "import {read} from './io.js'\nconst fs = require('node:fs')\nexport class A extends B { #x = 1; run() { go() } }\n"
        "export const add = (a, b) => a + b\nfunction* gen() { new Thing() }\nmodule.exports.late = function () {}\n",
        "fs:variable A:class A.#x:field A.run:method add:function gen:function late:function",
        "go Thing require",
        "read io",
    ),
    "typescript": (
        "a.ts",
        "import type { Row } from '../db'\nexport interface Shape { area(): number; side: number }\nenum Colour { Red }\n"
        "type Id = string\nabstract class A<T> { private x: T; abstract run(): void; go(): void { call<T>(this.x) } }\n"
        "export const add = (a: number): number => a\nnamespace N { export function inner() {} }\n",
        "Shape:interface Shape.area:method Shape.side:field Colour:enum Id:type A:class A.x:field A.run:method A.go:method "
        "add:function N:module N.inner:function",
        "call",
        "Row db",
    ),
    "tsx": (
        "a.tsx",
        "import React from 'react'\nexport function Page(props: P) { return <Card title={t('x')}><Row/></Card> }\n",
        "Page:function",
        "Card Row t",
        "React",
    ),
    "rust": (
        "a.rs",
        "use std::io::{self, Read};\npub struct S { a: u8 }\nenum E { One }\ntrait T { fn go(&self); }\n"
        'impl T for S { fn go(&self) { helper(1); self.a.max(2); println!("x") } }\nmod tests { fn t() {} }\n'
        "const N: u8 = 1;\nmacro_rules! m { () => {} }\n",
        "S:struct S.a:field E:enum E.One:member T:trait T.go:method S:impl S.go:method tests:module tests.t:function "
        "N:constant m:macro",
        "helper max println",
        "std io Read",
    ),
    "go": (
        "a.go",
        'package a\nimport (\n "fmt"\n m "example.org/mod"\n)\ntype S struct { A int }\ntype I interface { Do() }\n'
        "type F func(int)\nfunc (s *S) Do() { fmt.Println(New(1)) }\nfunc New(a int) *S { return &S{A: a} }\nconst C = 1\n"
        "var V = 2\n",
        "S:struct S.A:field I:interface I.Do:method F:type Do:method New:function C:constant V:variable",
        "Println New",
        "fmt mod",
    ),
    "java": (
        "A.java",
        "import java.util.List;\npublic class A extends B { int x; A() { super(); } @Override void run() { go(new C()); } "
        "enum E { ONE } interface I { void f(); } record R(int a) {} }\n",
        "A:class A.x:field A.A:method A.run:method A.E:enum A.E.ONE:member A.I:interface A.I.f:method A.R:class",
        "go C Override",
        "List java",
    ),
    "c": (
        "a.c",
        '#include "list.h"\n#define MAX 1\n#define SQ(x) ((x)*(x))\nstruct node { int v; };\nenum e { ONE };\n'
        "typedef struct node node_t;\nint add(int a);\nstatic char *name(struct node *n) { return copy(n->v); }\nint total = 0;\n",
        "MAX:macro SQ:macro node:struct node.v:field e:enum e.ONE:member node_t:type add:declaration name:function "
        "total:variable",
        "copy",
        "list",
    ),
    "cpp": (
        "a.hpp",
        "#include <vector>\nnamespace a::b { template <class T> class S : public B { public: S() {} ~S(); void run() { go(); } "
        "int x; }; }\nvoid S::later() { std::move(x); new Thing(); }\nusing Id = int;\n",
        "a.b:module a.b.S:class a.b.S.S:method a.b.S.run:method a.b.S.x:field S.later:method Id:type",
        "go move Thing",
        "vector",
    ),
    "csharp": (
        "A.cs",
        "using System.Text;\nnamespace N { public class A : B { int x; public int P { get; set; } A() {} void Run() { Go(new C()); "
        "this.Do(); } } interface I { void F(); } enum E { One } record R(int A); }\n",
        "N:module N.A:class N.A.x:field N.A.P:field N.A.A:method N.A.Run:method N.I:interface N.I.F:method N.E:enum "
        "N.E.One:member N.R:class",
        "Go C Do",
        "System Text",
    ),
    "ruby": (
        "a.rb",
        "require_relative 'lib/thing'\nmodule M\n  class A < B\n    LIMIT = 1\n    def valid?\n      check(self)\n    end\n"
        "    def self.make\n      Thing.new\n    end\n  end\nend\n",
        "M:module M.A:class M.A.LIMIT:constant M.A.valid?:method M.A.make:method",
        "check Thing",
        "thing",
    ),
    "php": (
        "a.php",
        "<?php\nnamespace App;\nuse Lib\\Thing;\nclass A extends B { private $x; const C = 1; function run() { go(new Thing()); "
        "$this->do(); self::make(); } }\ninterface I {}\ntrait T {}\nenum E { case One; }\nfunction f() {}\n",
        "App:module A:class A.x:field A.C:constant A.run:method I:interface T:trait E:enum E.One:member f:function",
        "go Thing do make",
        "Lib Thing",
    ),
    "kotlin": (
        "a.kt",
        "import a.b.Thing\nclass A(val n: Int) : B() { val x = 1\n fun run() { go(Thing()) }\n "
        "companion object {\n fun make() = 1\n }\n}\n"
        "object O { }\nfun top(a: Int): Int = a.also { it.call() }\nenum class E { ONE }\ntypealias Id = Int\n",
        "A:class A.x:field A.run:method A.make:method O:class top:function E:class E.ONE:member Id:type",
        "go Thing call also",
        "Thing",
    ),
    "swift": (
        "a.swift",
        "import Foundation\nprotocol P { func f() }\nclass A: B { var x = 1\n init() {}\n func run() { go(Thing()); self.act() } }\n"
        "struct S {}\nenum E { case one }\nfunc top() {}\ntypealias Id = Int\nlet g = 1\n",
        "P:interface P.f:method A:class A.x:field A.init:method A.run:method S:class E:class E.one:member top:function "
        "Id:type g:variable",
        "go Thing act",
        "Foundation",
    ),
    "bash": (
        "a.sh",
        "source ./lib.sh\nLIMIT=1\ngreet() { echo hi; other 1; }\nfunction late { :; }\ngreet\n",
        "LIMIT:variable greet:function late:function",
        "echo other greet",
        "",
    ),
}


def facts_of(language: str) -> Facts:
    text = FILES[language][1].encode()
    return read_with_grammar(Grammar(BY_NAME[language]), text, language)


def test_every_language_is_tried() -> None:
    assert FILES.keys() == {language.name for language in LANGUAGES}


@pytest.mark.parametrize("language", FILES)
def test_the_definitions_of_a_language_are_found(language: str) -> None:
    name, text, definitions, _, _ = FILES[language]
    assert language_of(name, text.encode()) == language
    facts = facts_of(language)
    assert facts.problem == ""
    assert [f"{symbol.qualified}:{symbol.kind}" for symbol in facts.symbols] == definitions.split()


@pytest.mark.parametrize("language", FILES)
def test_calls_and_imports_of_a_language_are_told_apart(language: str) -> None:
    _, _, _, calls, imports = FILES[language]
    kinds = {name: unpacked(use)[0] for name, use in facts_of(language).uses.items()}
    assert {name for name in calls.split() if kinds.get(name, 0) & CALL} == set(calls.split())
    assert {name for name in imports.split() if kinds.get(name, 0) & IMPORT} == set(imports.split())


def test_a_file_without_a_suffix_is_told_by_its_first_line() -> None:
    assert language_of("bin/run", b"#!/usr/bin/env -S python3 -u\n") == "python"
    assert language_of("bin/run", b"#! /bin/sh\n") == "bash"
    assert language_of("Rakefile", b"") == "ruby"
    assert language_of("notes", b"plain words") == "text"
