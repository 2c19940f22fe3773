"""READMEs, licences, CI files: what they say first and on which line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_orch.analyst.sources.ci import read_workflow
from lg_orch.analyst.sources.evidence import FileText
from lg_orch.analyst.sources.licence import recognise
from lg_orch.analyst.sources.readme import read_readme
from lg_orch.analyst.sources.roles import is_test_file, role


def file(path: str, text: str) -> FileText:
    return FileText(path=path, text=text, start_line=1, total_lines=None, truncated=False)


@pytest.mark.parametrize(
    ("path", "text", "title", "paragraph"),
    [
        ("README.md", "# Tea\n\nTea is a warm drink for all.\n", ("Tea", 1), ("Tea is a warm drink for all.", 3)),
        ("README.md", "Tea\n===\n\nTea is a warm\ndrink.\n", ("Tea", 1), ("Tea is a warm drink.", 4)),
        (
            "README.md", "<h1 align=center>Tea</h1>\n\n> [!NOTE]\n\nTea is a warm drink.",
            ("Tea", 1), ("Tea is a warm drink.", 5),
        ),
        (
            "README.md", "<!-- a\n# no\n-->\n# Yes\n```\ncode is here for you\n```\nIt is only this.",
            ("Yes", 4), ("It is only this.", 8),
        ),
        (
            "README.md", "# [Tea](x) `v1`\n[![b](i)](l)\n\nSee [the *long*\nguide](http://x) for more.",
            ("Tea v1", 1), ("See the long guide for more.", 4),
        ),
        (
            "README.rst", "===\nTea\n===\n\n.. image:: x\n   :alt: y\n\nThe `tea <http://x>`_ is ``hot`` now.\n",
            ("Tea", 2), ("The tea is hot now.", 8),
        ),
        (
            "README.md", "# Tea\n\n<p>Thanks to<br>\nour many sponsors</p>\n\n> Warm and drinkable leaves\n\nMore.",
            ("Tea", 1), ("Warm and drinkable leaves", 6),
        ),
        (
            "README.md", "<h1>Tea</h1>\n<p>Warm and drinkable<br>leaves</p>\n",
            ("Tea", 1), ("Warm and drinkable leaves", 2),
        ),
        (
            "README.md", "# Tea\n\n[See how it compares to coffee](x)\n\nTea is a warm drink.",
            ("Tea", 1), ("Tea is a warm drink.", 5),
        ),
        ("README", "Tea is a warm drink made of leaves.\n", None, ("Tea is a warm drink made of leaves.", 1)),
        ("README.md", "# 茶\n\n茶は温かい飲み物です。とても\n", ("茶", 1), ("茶は温かい飲み物です。とても", 3)),
    ],
)  # fmt: skip
def test_title_and_first_paragraph(
    path: str, text: str, title: tuple[str, int] | None, paragraph: tuple[str, int] | None
) -> None:
    readme = read_readme(file(path, text))
    assert (readme.title and (readme.title.text, readme.title.line)) == title
    assert (readme.paragraph and (readme.paragraph.text, readme.paragraph.line)) == paragraph


@pytest.mark.parametrize("text", ["", "\n\n", "# \n", "[![a](b)](c)\n", "---\n***\n", "| a | b |\n|---|---|\n"])
def test_a_readme_that_says_nothing_gives_nothing(text: str) -> None:
    readme = read_readme(file("README.md", text))
    assert readme.paragraph is None


@given(st.text(), st.sampled_from(["README.md", "README.rst", "README"]))
def test_no_text_makes_the_reader_fail(text: str, path: str) -> None:
    read_readme(file(path, text))
    recognise(file("LICENSE", text))
    read_workflow(file(".github/workflows/x.yml", text))


@pytest.mark.parametrize("piece", ["[", "![](", "<!--", "*a", "`", "[a](", "_ _", "<a ", ":a:`"])
def test_repeated_markup_is_read_in_time(piece: str) -> None:
    read_readme(file("README.md", f"word {piece * 400_000}\n" * 3))
    read_readme(file("README.rst", f"word {piece * 400_000}\n" * 3))


@pytest.mark.parametrize(
    ("text", "name", "line"),
    [
        ("MIT License\n\nPermission is hereby granted, free of charge, to any person obtaining\na copy", "MIT", 3),
        ("x\n Apache License\n Version 2.0", "Apache-2.0", 2),
        ("GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007", "GPL-3", 1),
        ("GNU LESSER GENERAL PUBLIC LICENSE\nVersion 2.1", "LGPL-2.1", 1),
        ("Redistribution and use in source and binary forms, with\nNeither the name of", "BSD-3-Clause", 1),
        ("Redistribution and use in source and binary\nforms", "BSD-2-Clause", 1),
        ("Mozilla Public License Version 2.0", "MPL-2.0", 1),
        ("This is free and unencumbered software released into the public domain.", "Unlicense", 1),
    ],
)
def test_licences_are_recognised(text: str, name: str, line: int) -> None:
    found = recognise(file("LICENSE", text))
    assert found is not None
    assert (found.text, found.line) == (name, line)


def test_an_unknown_licence_is_not_guessed() -> None:
    assert recognise(file("LICENSE", "Do as you like, but bring tea.")) is None


def test_workflow_jobs_and_test_commands() -> None:
    text = (
        "name: 'Build'\non: [push]\njobs:\n  # all\n  unit:\n    name: pytest here\n    steps:\n      - run: |\n"
        "          pip install pytest==8\n          python -m pytest tests && echo done\n  lint:\n    steps:\n"
        "      - run: mvn -B clean install -DskipTests\n      - run: ./mvnw clean verify\n"
    )
    flow = read_workflow(file(".github/workflows/build.yml", text))
    assert flow is not None
    assert flow.name is not None
    assert (flow.name.text, flow.name.line) == ("Build", 1)
    assert [(job.text, job.line) for job in flow.jobs] == [("unit", 5), ("lint", 11)]
    assert [(test.command, test.line) for test in flow.tests] == [
        ("pytest tests && echo done", 10),
        ("mvnw clean verify", 14),
    ]


def test_a_file_that_no_service_reads_is_no_workflow() -> None:
    assert read_workflow(file("docs/build.yml", "jobs:\n  a:\n")) is None


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("src/app.py", "code"), ("tests/app.py", "tests"), ("src/app_test.go", "tests"), ("web/a.spec.tsx", "tests"),
        ("examples/a.py", "examples"), ("docs/conf.py", "docs"), ("doc/man.go", "code"),
        ("vendor/x/tests/a.py", "vendored"),
        ("a/src/main/java/org/example/test/A.java", "code"), ("a/src/test/java/org/A.java", "tests"),
        ("okio/src/jvmTest/kotlin/okio/Util.kt", "tests"), ("okio/src/commonMain/kotlin/example/A.kt", "code"),
        ("node_modules/x/index.js", "vendored"), ("contest/app.py", "code"), ("crates/a/benches/b.rs", "examples"),
    ],
)  # fmt: skip
def test_roles_follow_names(path: str, expected: str) -> None:
    assert role(path) == expected


def test_test_files_are_known_by_the_habits_of_their_language() -> None:
    tests = ("test_a.py", "ATest.java", "a.test.ts", "b_test.go", "conftest.py")
    others = ("latest.py", "Contest.java", "test.md", "attestation.ts")
    assert [name for name in (*tests, *others) if is_test_file(name)] == list(tests)
