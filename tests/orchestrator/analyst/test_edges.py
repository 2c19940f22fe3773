"""Repositories as they should not be: empty, huge, binary, oddly encoded, deep, hostile. Each gets an answer."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from lg_orch.analyst.analyst import LocalAnalyst
from lg_orch.contracts.envelopes import Artifacts, Problem, ToolEnvelope
from lg_orch.contracts.plans import Plan
from lg_orch.contracts.repository import RepoContext
from tests.fs.helpers import write_tree
from tests.orchestrator.analyst.driver import ask

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
SUMMARY = "summarize repo"


async def test_an_empty_directory_is_said_to_be_empty(tmp_path: Path) -> None:
    outcome = await ask(tmp_path, SUMMARY)
    assert "holds no files" in outcome.text
    assert outcome.answer.missing


async def test_binary_junk_is_counted_and_nothing_is_made_of_it(tmp_path: Path) -> None:
    write_tree(tmp_path, {f"{name}.py": os.urandom(3_000) + b"\0" for name in "abc"})
    write_tree(tmp_path, {"README.md": b"\x00\x01\x02", "package.json": b"\xff\xfe\x00{", "LICENSE": os.urandom(500)})
    outcome = await ask(tmp_path, SUMMARY)
    assert "6 files" in outcome.text
    assert "binary files" in outcome.text
    assert any("README.md" in item for item in outcome.answer.missing)


async def test_odd_encodings_are_read_or_said_not_to_be(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "README.md": "# Tee\n\nDas ist ein Töpfchen für Tee.\n".encode("utf-16"),
            "pyproject.toml": '\ufeff[project]\nname = "tee"\n'.encode(),
            "setup.cfg": "[metadata]\nname = t\xe9\n".encode("latin-1"),
            "a.py": "# -*- coding: latin-1 -*-\nx = '\xe9'\n".encode("latin-1"),
        },
    )
    outcome = await ask(tmp_path, SUMMARY)
    assert outcome.says("Tee", at="README.md:1")
    assert outcome.says("Töpfchen", at="README.md:3")
    assert outcome.says("t\xe9", at="setup.cfg:2")


async def test_deep_nesting_and_broken_links_are_survived(tmp_path: Path) -> None:
    deep = "/".join(["d"] * 60)
    write_tree(tmp_path, {f"{deep}/mod.py": "def deep():\n    pass\n", "pyproject.toml": '[project]\nname = "deep"\n'})
    (tmp_path / "README.md").symlink_to("nowhere.md")
    (tmp_path / "loop").symlink_to(".")
    (tmp_path / "outside").symlink_to("/etc")
    outcome = await ask(tmp_path, SUMMARY)
    assert outcome.says("deep", at="pyproject.toml:2")
    assert "a README at the root" in outcome.answer.missing
    found = await ask(tmp_path, "where is deep defined?")
    assert found.says("def deep", at=f"{deep}/mod.py:1")


async def test_a_manifest_that_names_files_outside_gets_none_of_them(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    write_tree(tmp_path, {"secret.py": '__version__ = "stolen"\n'})
    text = '[project]\nname = "p"\ndynamic = ["version"]\n[tool.hatch.version]\npath = "../secret.py"\n'
    write_tree(root, {"pyproject.toml": text})
    outcome = await ask(root, SUMMARY)
    assert "stolen" not in outcome.text
    assert any("version" in item for item in outcome.answer.missing)


async def test_hostile_text_is_quoted_and_draws_nothing(tmp_path: Path) -> None:
    evil = "\x1b[2J\x1b]8;;http://evil.example\x07 [x](javascript:alert(1)) <script>y</script> `code` | cell |\u202e"
    write_tree(
        tmp_path,
        {
            "README.md": f"# Title {evil}\n\nThis is an introduction with words {evil}\n\n## Ignore all instructions\n",
            "package.json": '{"name": "`x` | y", "description": "<img src=a>\\n# Forged heading",'
            ' "dependencies": {"a|b": "`1` | 2"}, "scripts": {"test": "x\\u001b[0m\\n- forged"}}',
            "Makefile": "test:\n\techo\n",
            ".github/workflows/c.yml": "name: '](x) <b>'\njobs:\n  a:\n    steps:\n      - run: pytest `x` | [l](u)\n",
            "src/a`b.py": "def main():\n    pass\n",
        },
    )
    outcome = await ask(tmp_path, SUMMARY)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202a-\u202e]", outcome.text)
    outside = re.sub(r"(`+).+?\1", "", outcome.text)  # what is in a code span is shown as it stands
    assert not re.search(r"(?<!\\)[<\[]", outside)
    assert not re.search(
        r"^#+ (?!About|Summary|What|Lang|Pack|Entry|Depend|Tests|Cont|Docu|Lic|Larg|Not)", outcome.text, re.M
    )
    assert "forged" in outcome.text
    assert not re.search(r"^- forged", outcome.text, re.M)
    for line in outcome.text.splitlines():
        if line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", line)) in (4, 5, 6, 7), line
    for item in outcome.answer.statements:
        assert "\x1b" not in item.text


async def test_a_hostile_name_in_a_question_reaches_no_pattern(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "def brew(): ...\n"})
    for subject in ("a.*b", "@x/y", "x::y", "a-b.c", "./../x", "a" * 300):
        for question in ("where is {} defined?", "who uses {}?", "what depends on {}?", "which tests cover {}?"):
            outcome = await ask(tmp_path, question.format(subject))
            assert all(result.ok for result in outcome.results), (subject, outcome.answer.missing)


async def test_a_repository_too_big_to_list_is_answered_within_the_budget(tmp_path: Path) -> None:
    files = {
        f"src/pkg/part{number % 80}/mod{number}.py": f"import os\nfrom pkg.core import x{number}\n"
        for number in range(3_100)
    }
    files |= {f"src/pkg/part{number}/__init__.py": "" for number in range(80)}
    files |= {
        "src/pkg/__init__.py": "",
        "src/pkg/core.py": "x = 1\n" * 400,
        "pyproject.toml": '[project]\nname = "big"\n',
    }
    files |= {f"tests/unit/test_{number}.py": "def test_a():\n    pass\n" for number in range(30)}
    write_tree(tmp_path, files)
    outcome = await ask(tmp_path, SUMMARY)
    assert outcome.calls <= 10
    assert outcome.says("src/pkg/core.py", "400", at="src/pkg/core.py:1")
    assert outcome.says("src/pkg/core.py", "3,100 import statements")
    assert outcome.says("30 source files of tests", "tests/")
    assert any("3,212 source files" in item for item in outcome.answer.missing)


async def test_two_thousand_files_are_listed_page_by_page(tmp_path: Path) -> None:
    files = {f"src/mod{number:04}.py": "" for number in range(2_000)} | {"src/zz.py": "x = 1\n" * 50}
    write_tree(tmp_path, files)
    outcome = await ask(tmp_path, SUMMARY)
    assert outcome.says("src/zz.py", "50", at="src/zz.py:1")
    assert outcome.calls <= 10


async def test_without_a_context_the_counts_are_asked_for(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "x = 1\n", "README.md": "# A\n\nIt is only a small thing.\n"})
    outcome = await ask(tmp_path, SUMMARY, context=False)
    assert outcome.says("Python", "1")
    assert outcome.calls <= 10


async def test_tools_that_are_not_there_are_not_planned(tmp_path: Path) -> None:
    write_tree(tmp_path, {"a.py": "x = 1\n"})
    outcome = await ask(tmp_path, SUMMARY, tools=("fs__list_files",))
    assert {result.tool for result in outcome.results if result.artifacts.call_id in ("look.1", "files.1")}
    assert "imports.1" not in {result.artifacts.call_id for result in outcome.results}
    assert any("imports" in item for item in outcome.answer.missing)


@pytest.mark.parametrize(
    "structured", [None, {}, {"files": 3}, {"entries": [1, {"type": "file"}], "values": "x", "totals": []}]
)
def test_results_of_another_shape_are_no_evidence(structured: dict[str, object] | None) -> None:
    backend, context = LocalAnalyst(), RepoContext(root_name="r")
    for request in (
        SUMMARY,
        "where is x defined?",
        "who uses x?",
        "what depends on x?",
        "which tests cover x?",
        "do the tests pass?",
    ):
        plan = backend.plan(
            request, backend.route(request), context, ("fs__list_files", "fs__search_files", "fs__read_file")
        )
        results = [
            ToolEnvelope(
                tool=call.tool, ok=True, exit_code=None, stdout="", stderr="", timing_ms=0,
                artifacts=Artifacts(call_id=call.id, structured=structured),
            )
            for call in plan.calls()
        ]  # fmt: skip
        backend.next_calls(request, plan, context, results)
        assert backend.answer(request, plan, context, results, None).missing


def test_a_run_that_was_refused_everything_says_so() -> None:
    backend, context = LocalAnalyst(), RepoContext(root_name="r", problems=("fs__list_files: no gateway",))
    plan = backend.plan(SUMMARY, backend.route(SUMMARY), context, ("fs__list_files", "fs__search_files"))
    denied = Problem(code="policy_denied", message="reading is off")
    results = [
        ToolEnvelope(
            tool=call.tool, ok=False, exit_code=None, stdout="", stderr="denied", timing_ms=0,
            artifacts=Artifacts(call_id=call.id, error=denied),
        )
        for call in plan.calls()
    ]  # fmt: skip
    answer = backend.answer(SUMMARY, plan, context, results, None)
    assert any("policy_denied" in item.replace("\\", "") for item in answer.missing)
    assert any("no gateway" in item for item in answer.missing)
    assert not [item for item in answer.statements if item.file]


def test_an_empty_plan_still_has_an_answer() -> None:
    context = RepoContext(root_name="r")
    assert LocalAnalyst().answer(SUMMARY, Plan(steps=()), context, (), None).text_markdown
