"""Which checks a change gets, and what one proves that runs no test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.agent.checks.check_commands import ProjectCheck, checks_for, root_checks
from lg_orch.agent.checks.packages import LOOK, mentioned, packages
from lg_orch.contracts.repository import Command, DirectoryEntry, Package, RepoContext
from lg_orch.llm.conversation.messages import task
from lg_orch.llm.tool_offer import parameters
from lg_orch.testing import calls, text
from lg_orch.tools.tool_info import tool_info
from lg_policy.config.settings import BudgetSettings
from tests.fs.helpers import fs_client
from tests.orchestrator.llm.workshop import DONE, RIGHT, run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lg_orch.contracts.state import RunState
    from lg_orch.testing import Scripted, ScriptedModel
    from tests.orchestrator.llm.workshop import Shop

UNITTEST = "python -m unittest in packages/"
PROJECT = '[project]\nname = "p"\n'
API_TEST = (
    "import unittest\nfrom code import double\n\nclass Test(unittest.TestCase):\n"
    "    def test_double(self):\n        self.assertEqual(double(2), 4)\n"
)
MONOREPO = {
    "calc.py": f"def add(a, b):\n    {RIGHT}\n",
    **{
        f"packages/{name}/{file}": content
        for name in ("api", "web")
        for file, content in {
            "pyproject.toml": PROJECT, "code.py": "def double(a):\n    return a * 2\n", "test_code.py": API_TEST,
        }.items()
    },
    "packages/bare/pyproject.toml": PROJECT,
    "packages/bare/code.py": "def double(a):\n    return a * 2\n",
}  # fmt: skip
REQUEST = "change double to add instead"


def change(name: str, new: str = "return a + a") -> list[Scripted]:
    path = f"packages/{name}/code.py"
    block = f"{path}\n<<<<<<< SEARCH\n    return a * 2\n=======\n    {new}\n>>>>>>> REPLACE\n"
    return [calls(("fs__read_file", {"path": path})), calls(("fs__apply_patch", {"patch": block}))]


async def work(
    place: Path, *script: Scripted, request: str = REQUEST, **budgets: int
) -> tuple[RunState, Shop, ScriptedModel]:
    whole = [*script, *(text(DONE) for _ in range(4))]
    done = await run(place, whole, request=request, budgets=budgets, files=MONOREPO)
    return done.state, done.made, done.model


def ran(made: Shop, phase: str) -> list[str]:
    """The checks in the order in which they were run: before the change, or after it."""
    return [event["name"] for event in made.events("verify", phase)]


def results(state: RunState) -> dict[str, str]:
    assert state.verification is not None
    return {check.name: check.outcome for check in state.verification.checks}


@pytest.mark.anyio
async def test_a_change_in_a_package_is_checked_there_and_at_the_root_before_it_and_after_it(tmp_path: Path) -> None:
    state, made, model = await work(tmp_path, *change("api"))
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert ran(made, "baseline") == ran(made, "end") == ["make test", f"{UNITTEST}api"]
    order = [event.kind for event in made.world.events() if event.kind == "verify" or "patch" in event.data]
    assert order == ["verify", "verify", "tool", "verify", "verify"]
    assert f"{UNITTEST}api" not in str(model.requests[0]), "nobody foresaw it"


@pytest.mark.anyio
async def test_a_package_that_the_request_names_is_checked_first_and_again_only_if_it_is_changed(
    tmp_path: Path,
) -> None:
    state, made, _ = await work(tmp_path, *change("api"), request=f"{REQUEST}, as packages/web/code.py does")
    assert ran(made, "baseline") == ["make test", f"{UNITTEST}web", f"{UNITTEST}api"]
    assert list(results(state)) == ["make test", f"{UNITTEST}api"]


@pytest.mark.anyio
async def test_what_fails_in_a_package_that_is_changed_later_counts_as_new_and_is_said_to_have_no_baseline(
    tmp_path: Path,
) -> None:
    state, made, _ = await work(tmp_path, *change("api"), *change("web", "return a"), max_loops=1)
    assert ran(made, "baseline") == ["make test", f"{UNITTEST}api"]
    assert results(state)[f"{UNITTEST}web"] == "failed, and not run before the change"
    assert state.final is not None
    assert state.final.status == "failed"


@pytest.mark.anyio
async def test_where_no_test_is_run_before_and_after_nothing_has_failed_and_nothing_is_proved(tmp_path: Path) -> None:
    state, _, _ = await work(tmp_path, *change("bare"))
    assert state.final is not None
    assert state.final.status == "done", state.final.text
    assert results(state)[f"{UNITTEST}bare"] == "no tests ran"
    assert state.verification is not None
    assert not state.verification.checks[1].ok


@pytest.mark.anyio
async def test_tests_that_are_gone_after_the_change_fail_it(tmp_path: Path) -> None:
    path = "packages/api/test_code.py"
    gone = [calls(("fs__read_file", {"path": path})), calls(("fs__apply_patch", {"changes": [
        {"path": path, "op": "delete"},
    ]}))]  # fmt: skip
    state, _, _ = await work(tmp_path, *gone, max_loops=1)
    assert state.final is not None
    assert state.final.status == "failed"
    assert f"| `{UNITTEST}api` | no tests ran any more |" in state.final.text


@pytest.mark.anyio
async def test_packages_over_the_limit_are_named_as_not_checked(tmp_path: Path) -> None:
    state, _, _ = await work(tmp_path, *change("api"), *change("web"), max_check_packages=1)
    assert list(results(state)) == ["make test", f"{UNITTEST}api"]
    assert state.final is not None
    assert "changed but not checked: `packages/web` (budgets.max_check_packages" in state.final.text


@pytest.mark.anyio
async def test_checks_that_a_change_calls_for_and_a_loop_has_no_room_for_cost_a_loop(tmp_path: Path) -> None:
    state, _, _ = await work(tmp_path, *change("api"), max_tool_calls_per_loop=3, max_loops=2)
    assert list(results(state)) == ["make test", f"{UNITTEST}api"]
    assert state.budgets.loop == 2
    state, _, _ = await work(tmp_path / "again", *change("api"), max_tool_calls_per_loop=3, max_loops=1)
    assert state.final is not None
    assert "budgets.max_loops" in state.final.text


@pytest.mark.anyio
async def test_packages_are_found_by_one_search_for_what_their_manifests_say(tmp_path: Path) -> None:
    files = {
        "Cargo.toml": '[workspace]\nmembers = ["native/*"]\n', "native/core/Cargo.toml": '[package]\nname = "core"\n',
        "tools/x/go.mod": "module example.org/x\n", "Makefile": "build:\n\tx\ncheck: build\n\tx\n",
        "web/package.json": '{"scripts": {"test": "vitest"}}',
        "docs/package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}',
        "api/pyproject.toml": '[project]\nname = "api"\n[dependency-groups]\ndev = ["pytest"]\n',
        "lint/pyproject.toml": "[tool.ruff]\n", "old/setup.py": "from setuptools import setup\nsetup(name='old')\n",
        "api/tests/fixtures/broken/pyproject.toml": PROJECT,
        "web/node_modules/a/package.json": '{"scripts": {"test": "x"}}',
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    async with fs_client(tmp_path) as server:
        answer: Any = await server.client.call_tool("search_files", LOOK)
    found = packages(answer.structured_content["files"])
    assert {one.path: one.tests for one in found} == {
        "": ("cargo-workspace", "make:check"), "api": ("pytest", "python"), "native/core": ("cargo",),
        "old": ("python",), "tools/x": ("go",), "web": ("npm", "npm:vitest"),
    }  # fmt: skip
    names = [DirectoryEntry(path=name, type="file") for name in ("Cargo.toml", "Makefile")]
    here = RepoContext(root_name="r", top_level=tuple(names), packages=found)
    assert chosen(here, "native/core/src/lib.rs", "web/a/b.ts", "web/c.ts", "api/x.py", "README.md") == [
        ("cargo", ""), ("npm-test", "web"), ("pytest", "api"),
    ]  # fmt: skip
    assert chosen(here, "docs/x.md", "tools/x/main.go") == [("cargo", ""), ("go", "tools/x")]
    assert mentioned("see ./web/src and tools/x, not native", [one.path for one in found]) == ["tools/x", "web"]


def chosen(context: RepoContext, *paths: str) -> list[tuple[str, str]]:
    return [(one.command, one.cwd) for one in checks_for(context, paths, BudgetSettings()).checks]


@pytest.mark.parametrize(
    ("able", "names", "tests", "expected"),
    [
        ((), ("pyproject.toml",), (), [("pytest", "-q")]),
        (("pytest", "python"), ("tests",), (), [("pytest", "-q")]),
        (("python", "python-pytest"), ("setup.py",), (), [("python", "-m", "unittest")]),
        (("python", "python-pytest"), ("conftest.py",), (), [("python-pytest", "-q")]),
        (("python", "python-pytest"), ("setup.py",), ("pytest", "python"), [("python-pytest", "-q")]),
        (("make",), ("pyproject.toml",), ("make:check", "make:test"), [("make", "test")]),
        (("make",), (), ("make:check",), [("make", "check")]),
        (("cargo", "make"), ("Cargo.toml",), ("make:test",), [("cargo", "test")]),
        (("npm-test",), ("package.json",), (), []),
    ],
)
def test_what_is_not_installed_is_not_chosen(
    able: Sequence[str], names: Sequence[str], tests: tuple[str, ...], expected: list[tuple[str, ...]]
) -> None:
    context = RepoContext(
        root_name="r",
        top_level=tuple(DirectoryEntry(path=name, type="file") for name in names),
        commands=tuple(Command(name=name) for name in able),
        packages=(Package(path="", tests=tests),),
    )
    assert [(one.command, *one.args) for one in root_checks(context)] == expected


def test_a_check_of_a_package_is_run_in_its_directory_and_a_model_may_name_one_too() -> None:
    assert ProjectCheck(command="go", args=("test",), cwd="x").input() == {"cmd": "go", "args": ["test"], "cwd": "x"}
    assert "cwd" not in ProjectCheck(command="go").input()
    here = RepoContext(root_name="r", packages=(Package(path="native", manifests=("Cargo.toml",), tests=("cargo",)),))
    here = here.model_copy(update={"commands": (Command(name="cargo"), Command(name="go"))})
    meta = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    runner = tool_info("exec__exec", "", meta, {"properties": {"cmd": {"type": "string"}, "cwd": {"type": "string"}}})
    told = parameters(runner, here)["properties"]
    assert told["cmd"]["enum"] == ["cargo"]
    assert "cwd" in told
    assert "cwd" not in parameters(runner, here.model_copy(update={"packages": ()}))["properties"]
    assert "Packages: native\n" in str(task("fix it", here).content)
