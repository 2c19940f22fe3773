"""Questions whose answers come from commands, and what is said when no command may run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from eval.repos import unpack

from lg_orch.contracts.reports import Check, VerifierReport
from tests.fs.helpers import write_tree
from tests.orchestrator.analyst.driver import ALL_TOOLS, FS_TOOLS, ask, command_result

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


def commands(*, git: bool) -> dict[str, object]:
    return {"commands": [{"name": "git", "available": git}, {"name": "pytest", "available": True}]}


async def test_history_is_told_by_git_when_it_may_run(tmp_path: Path) -> None:
    log = "abc1234\t2026-11-01\tAda <x>\tAdd [tea](x)\n\nM\tsrc/tea.py\nA\tREADME.md\nffff000\t2026-10-01\tBo\tBegin\n"
    canned = {
        "commands.1": command_result("commands.1", "exec__list_commands", commands(git=True)),
        "log.1": command_result("log.1", "exec__exec", {"ok": True, "exit_code": 0, "stdout": log}),
    }
    outcome = await ask(tmp_path, "what changed last?", tools=ALL_TOOLS, canned=canned)
    assert outcome.says("abc1234", "2026-11-01", "src/tea.py")
    assert outcome.says("ffff000", "Begin")
    assert "[tea](x)" not in outcome.text
    assert outcome.plan.verification == ()


async def test_history_is_not_guessed_when_git_may_not_run(tmp_path: Path) -> None:
    canned = {"commands.1": command_result("commands.1", "exec__list_commands", commands(git=False))}
    outcome = await ask(tmp_path, "what changed last?", tools=ALL_TOOLS, canned=canned)
    assert [result.artifacts.call_id for result in outcome.results] == ["commands.1"]
    assert any("git may not run here" in item for item in outcome.answer.missing)
    without = await ask(tmp_path, "what changed last?", tools=FS_TOOLS)
    assert without.calls == 0
    assert without.answer.missing


async def test_a_failing_git_is_reported_with_its_status(tmp_path: Path) -> None:
    failed = {"ok": False, "exit_code": 128, "stderr": "fatal: not a git repository"}
    canned = {
        "commands.1": command_result("commands.1", "exec__list_commands", commands(git=True)),
        "log.1": command_result("log.1", "exec__exec", failed),
    }
    outcome = await ask(tmp_path, "what changed last?", tools=ALL_TOOLS, canned=canned)
    assert any("exit status 128" in item and "not a git repository" in item for item in outcome.answer.missing)


@pytest.mark.parametrize(
    ("repo", "expected"),
    [
        ("python", [("pytest", ["-q"])]),
        ("typescript", [("npm-test", [])]),
        ("rust", [("cargo", ["test"])]),
        ("go", [("go", ["test", "./..."])]),
        ("maven", []),
    ],
)
async def test_only_a_question_for_checks_plans_one(
    repo: str, expected: list[tuple[str, list[str]]], tmp_path: Path
) -> None:
    root = unpack(repo, tmp_path)
    asked = await ask(root, "do the tests pass?", tools=ALL_TOOLS)
    assert [(use.input["cmd"], use.input["args"]) for use in asked.plan.verification] == expected
    for request in ("summarize repo", "how do I run the tests?", "which tests cover pot?"):
        assert (await ask(root, request, tools=ALL_TOOLS)).plan.verification == ()


async def test_tests_that_no_file_configures_are_run_as_their_names_say(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_depth.py").write_text("def test_depth():\n    assert True\n")
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "tidal"\nversion = "1"\n')
    outcome = await ask(tmp_path, "how do I run the tests?", tools=ALL_TOOLS)
    assert outcome.text.startswith("To run the tests, type `python -m pytest`.")
    assert outcome.says("python -m pytest", "no file says how", at="tests/test_depth.py:1")
    assert not outcome.answer.missing


async def test_the_exit_code_is_the_answer(tmp_path: Path) -> None:
    root = unpack("python", tmp_path)
    report = VerifierReport(
        ok=False,
        checks=(Check(name="pytest -q", ok=False, tool="exec__exec", exit_code=1, summary="1 failed, 3 passed"),),
    )
    outcome = await ask(root, "do the tests pass?", tools=ALL_TOOLS, verification=report)
    assert outcome.says("pytest -q", "failed", "exit code 1", "1 failed, 3 passed")
    assert outcome.says("pytest", at="pyproject.toml:29")


async def test_without_a_check_nothing_is_claimed(tmp_path: Path) -> None:
    root = unpack("python", tmp_path)
    for tools in (ALL_TOOLS, FS_TOOLS):
        outcome = await ask(root, "do the tests pass?", tools=tools)
        assert "nothing is claimed" in outcome.text
        assert "passed" not in outcome.text
        assert outcome.answer.missing


async def test_a_command_that_did_not_end_has_proved_nothing(tmp_path: Path) -> None:
    check = Check(name="pytest -q", ok=False, tool="exec__exec", exit_code=None, summary="sandbox_unavailable")
    outcome = await ask(
        unpack("python", tmp_path), "do the tests pass?", tools=ALL_TOOLS,
        verification=VerifierReport(ok=False, checks=(check,)),
    )  # fmt: skip
    assert outcome.says("failed", "no exit code")


async def test_definitions_in_product_code_come_before_tests(tmp_path: Path) -> None:
    write_tree(tmp_path, {"tests/a.py": "class Pot: ...\n", "src/z.py": "class Pot: ...\n"})
    outcome = await ask(tmp_path, "where is Pot defined?")
    assert [item.file for item in outcome.answer.statements] == ["src/z.py", "tests/a.py"]


@pytest.mark.parametrize(
    ("path", "line", "name"),
    [
        ("a.py", "async def brew(self):", "brew"), ("a.py", "    def brew(self):", "brew"),
        ("a.py", "BREW: int = 3", "BREW"),
        ("a.ts", "export default class Brew<T> {", "Brew"), ("a.ts", "export const brew = () => 1;", "brew"),
        ("a.js", "exports.brew = function () {", "brew"), ("a.js", "  async brew(x) {", "brew"),
        ("a.rs", "pub(crate) async fn brew<T>() {", "brew"), ("a.rs", "macro_rules! brew {", "brew"),
        ("a.go", "func (p *Pot) Brew() int {", "Brew"), ("a.go", "type Brew struct {", "Brew"),
        ("A.java", "    public static <T> List<T> brew(T t) {", "brew"),
        ("A.java", "public final class Brew {", "Brew"),
        ("a.kt", "data class Brew(val x: Int)", "Brew"), ("a.c", "#define BREW 1", "BREW"),
        ("a.rb", "  def brew", "brew"),
    ],
)  # fmt: skip
async def test_definitions_of_many_languages_are_found(path: str, line: str, name: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {path: f"\n{line}\n"})
    assert (await ask(tmp_path, f"where is {name} defined?")).says(at=f"{path}:2")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "x = brew(1)"), ("a.py", "if brew == 2:"), ("a.ts", "return brew(x);"), ("a.go", "\tx := p.brew()"),
        ("A.java", "        Pot x = brew(1);"), ("a.rs", "    brew();"), ("a.py", "from pot import brew"),
    ],
)  # fmt: skip
async def test_a_use_is_no_definition(path: str, line: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {path: f"\n{line}\n"})
    outcome = await ask(tmp_path, "where is brew defined?")
    assert outcome.answer.statements == ()
    assert (await ask(tmp_path, "who uses brew?")).says(at=f"{path}:2")


@pytest.mark.parametrize(
    ("subject", "path", "line"),
    [
        ("gateway/pkg/store.py", "tests/test_a.py", "from pkg.store import Store"),
        ("gateway/pkg/store.py", "tests/test_a.py", "from pkg import other, store"),
        ("gateway/pkg/store.py", "gateway/pkg/b.py", "from .store import Store"),
        ("gateway/pkg/store.py", "gateway/pkg/b.py", "from . import store"),
        ("src/pkg/store/__init__.py", "a.py", "import pkg.store"),
        ("pkg.store", "a.py", "import os, pkg.store as s"),
        ("httpx", "a.py", "from httpx._client import Client"),
        ("@shop/ui", "a.js", 'import { B } from "@shop/ui/button";'),
        ("packages/web/src/utils.ts", "a.ts", 'export * from "../web/utils.js";'),
        ("crates/ignore/src/walk.rs", "a.rs", "use crate::walk::{Walk, Other};"),
        ("tea-clock", "a.rs", "use tea_clock::Minutes;"),
        ("internal/urn", "a.go", '\turn "example.org/x/internal/urn"'),
        ("org.example.Mesh", "A.java", "import static org.example.Mesh.hold;"),
    ],
)
async def test_imports_of_many_languages_are_found(subject: str, path: str, line: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {path: f"\n{line}\n"})
    assert (await ask(tmp_path, f"what depends on {subject}?")).says(at=f"{path}:2")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", "use this store when in doubt"), ("a.py", "# the import of stores"),
        ("a.py", "from pkg.storeroom import x"),
        ("a.py", "import restore"), ("a.js", 'const x = "store";'), ("a.rs", "    restore::use_it();"),
    ],
)  # fmt: skip
async def test_what_only_looks_like_an_import_is_none(path: str, line: str, tmp_path: Path) -> None:
    write_tree(tmp_path, {path: f"\n{line}\n"})
    assert (await ask(tmp_path, "what depends on store?")).answer.statements == ()
