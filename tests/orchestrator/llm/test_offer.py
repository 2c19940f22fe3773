"""What a model is offered, and which requests are plain enough to need no router."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from mcp.types import CallToolResult, TextContent

from lg_code.server import schemas as code
from lg_fs.server import schemas as fs
from lg_orch.agent.model_context import MAX_MAP, with_model_context
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.repository import Command, DirectoryEntry, Package, RepoContext, RepoTotals
from lg_orch.contracts.state import QueuedCall
from lg_orch.llm.conversation.messages import system, task
from lg_orch.llm.cost.tokens import base_count, is_exact
from lg_orch.llm.plain_requests import route_by_rules
from lg_orch.llm.tool_offer import offer, parameters
from lg_orch.tools.gateway_tools import envelope_of
from lg_orch.tools.tool_info import tool_info
from lg_policy.config.settings import Settings
from tests.support import require

if TYPE_CHECKING:
    from lg_orch.tools.tool_info import ToolInfo


def test_what_providers_refuse_and_what_a_model_never_needs_is_left_out_of_the_offer() -> None:
    schema = {
        "type": "object", "oneOf": [{"required": ["patch"]}], "additionalProperties": False,
        "properties": {"patch": {"type": "string", "minLength": 1}, "dry_run": {"type": "boolean"}},
    }  # fmt: skip
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    own, other = tool_info("fs__apply_patch", "long", root, schema), tool_info("x__apply_patch", "", None, schema)
    here = RepoContext(root_name="r")
    assert parameters(own) == {"type": "object", "properties": {"patch": {"type": "string"}}}
    assert parameters(other)["properties"] == schema["properties"]
    assert "oneOf" not in parameters(other)
    names = [one["function"]["name"] for one in offer([own, other], here, 2)]
    assert names == ["fs__apply_patch", "x__apply_patch", "mcp_result"]
    names = [one["function"]["name"] for one in offer([own, other, other], here, 2, replan=True)]
    assert names == ["fs__apply_patch", "mcp_discover", "mcp_execute", "mcp_result", "replan"]


def test_a_model_is_told_only_of_commands_that_are_of_use_here() -> None:
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    schema = {"type": "object", "properties": {"cmd": {"enum": ["cargo", "pytest"]}}}
    here = RepoContext(
        root_name="r", top_level=(DirectoryEntry(path="pyproject.toml", type="file"),),
        commands=tuple(Command(name=name) for name in ("pytest", "cargo", "mine")),
    )  # fmt: skip
    told = function(tool_info("exec__exec", "cargo, pytest", root, schema), here)
    assert told["parameters"]["properties"]["cmd"]["enum"] == ["pytest", "mine"]
    assert "python" not in told["description"], "there is none to run throw-away code with"


PYTHON = (DirectoryEntry(path="pyproject.toml", type="file"),)


def test_a_model_is_told_how_to_run_throw_away_code_and_how_long_a_command_may_take() -> None:
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    schema = {"type": "object", "properties": {"cmd": {"enum": ["python"]}, "timeout_s": {"type": "number"}}}
    commands = (Command(name="python", args_allow=("-c=*...",), timeout_s=90), Command(name="mine", timeout_s=40))
    here = RepoContext(root_name="r", top_level=PYTHON, commands=commands)
    told = function(tool_info("exec__exec", "", root, schema), here)
    assert "args -c CODE" in told["description"]
    assert told["parameters"]["properties"]["timeout_s"] == {"type": "number", "description": "at most 90"}
    strict = here.model_copy(update={"commands": (Command(name="python", args_allow=("path:**",)),)})
    assert "CODE" not in function(tool_info("exec__exec", "", root, schema), strict)["description"]


def test_limits_that_a_call_could_break_unawares_are_told_and_others_cost_no_tokens() -> None:
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    properties = {
        "regex": {"type": "string", "minLength": 1, "maxLength": 4_096},
        "context_lines": {"type": "integer", "minimum": 0, "maximum": 20, "description": "long words"},
        "glob": {"type": "string", "pattern": "^[a-z*.]+$"},
    }
    schema = {"type": "object", "properties": properties, "required": ["regex"]}
    assert parameters(tool_info("fs__search_files", "", root, schema))["properties"] == {
        "regex": {"type": "string", "description": "RE2"},
        "glob": {"type": "string", "pattern": "^[a-z*.]+$", "description": "*.py"},
        "context_lines": {"type": "integer", "maximum": 20},
    }


def function(tool: ToolInfo, context: RepoContext) -> dict[str, Any]:
    """How one tool is offered."""
    told: list[dict[str, Any]] = [offered["function"] for offered in offer([tool], context, 9)]
    return next(offered for offered in told if offered["name"] == tool.name)


@pytest.mark.parametrize(
    ("request_text", "lane"),
    [
        ("fix the failing test", "interactive"),
        ("Please rename `add` to `plus` in calc.py.", "interactive"),
        ("refactor everything into packages", None),
        ("Migrate the whole project to Python 3.13", None),
        ("why does it fail, and is the design right?", "interactive"),
        ("where is add defined?", "interactive"),
        ("das Programm stürzt ab", None),
        ("add(1, 2) gives -1, is that wrong?", "interactive"),
    ],
)
def test_wording_that_says_enough_needs_no_model_to_route_it(request_text: str, lane: str | None) -> None:
    found = route_by_rules(request_text)
    assert (found.lane if found is not None else None) == lane


@pytest.mark.parametrize(
    ("request_text", "intent"),
    [
        ("calc.add returns -1 for add(1, 2), it should be 3", "debug"),
        ("The parser crashes on an empty file.\n\n" + "  File x.py, line 1\n" * 400, "debug"),
        ("`total` is wrong for negative amounts", "debug"),
        ("Why is the cache so slow? Please make it faster.", "code_change"),
        ("why does add return -1?", "question"),
        ("Should this function not return a list?", "question"),
        ("the parser is a recursive one, no?", "question"),
        ("review the error handling", "question"),
        ("It hangs on start. Is that still so?", None),
        ("hello", None),
    ],
)
def test_reports_of_faults_are_repaired_and_questions_answered_without_asking_a_router(
    request_text: str, intent: str | None
) -> None:
    found = route_by_rules(request_text)
    assert (found.intent if found is not None else None) == intent


def test_a_map_of_the_code_stands_in_place_of_a_listing_where_a_server_makes_one() -> None:
    top = tuple(DirectoryEntry(path=f"part{number}", type="dir") for number in range(3))
    large = RepoContext(root_name="r", top_level=top)
    queued = QueuedCall(call=PlannedCall(id="context.map", tool="code__repo_map"), key="k")
    answer = CallToolResult(content=[TextContent(type="text", text="a.py:\n  def add(a, b)\n" * 900)])
    found, _notes = with_model_context(large, {"map": envelope_of(queued, answer, builtin=True)}, None)
    told = str(task("fix it", found).content)
    assert "def add(a, b)" in told
    assert "Top level" not in told
    assert len(told) < MAX_MAP + 500, "whatever the server says of its budget"
    without, _notes = with_model_context(large, {}, None)
    assert "Top level: part0/ part1/ part2/" in str(task("fix it", without).content)
    small = found.model_copy(update={"paths": ("a.py",)})
    assert "All files: a.py" in str(task("fix it", small).content)


def test_rules_and_tools_stay_below_a_thousand_tokens_also_with_a_server_that_knows_the_code() -> None:
    require(is_exact(), "the extra `tokens`")
    limits = Settings()
    schemas = {
        "fs__read_file": fs.read_input(limits.fs), "fs__search_files": fs.search_input(limits.fs),
        "fs__list_files": fs.list_input(limits.fs), "fs__apply_patch": fs.patch_input(limits.fs),
        "exec__exec": {"properties": {"cmd": {}, "args": {"type": "array", "items": {"type": "string"}},
                       "timeout_s": {}, "cwd": {}}, "required": ["cmd"]},
        "code__repo_map": code.map_input(limits.code), "code__find_symbol": code.find_input(limits.code),
        "code__outline": code.outline_input(limits.code), "code__read_symbol": code.read_input(),
        "code__references": code.references_input(limits.code), "code__tests_for": code.tests_input(limits.code),
        "code__search_code": {"properties": {"query": {"type": "string"}}, "required": ["query"]},
    }  # fmt: skip
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    tools = [tool_info(name, "long words " * 40, root, schema) for name, schema in sorted(schemas.items())]
    names = ("cargo", "git-diff", "git-log", "git-show", "git-status", "make", "mypy", "pytest", "python", "ruff")
    commands = tuple(Command(name=name, args_allow=("-c=*...",), timeout_s=600) for name in names)
    top = tuple(DirectoryEntry(path=name, type="file") for name in ("pyproject.toml", "Cargo.toml", "Makefile"))
    here = RepoContext(root_name="r", top_level=top, commands=commands, packages=(Package(path="a"),))
    offered = offer(tools, here, 40, replan=True)
    told = [tool["function"]["name"] for tool in offered if tool["function"]["name"].startswith("code__")]
    assert told == ["code__read_symbol", "code__references", "code__search_code", "code__tests_for"]
    fixed = base_count(str(system("act", "change", "checked").content)) + base_count(
        json.dumps(offered, separators=(",", ":"))
    )
    assert fixed <= 1_000, fixed


def test_tools_that_know_the_code_are_offered_where_they_save_more_than_they_cost() -> None:
    root = {"mcp": {"tool": {"_meta": {"lg/root": {"id": "x"}}}}}
    tools = [
        tool_info(f"code__{name}", "", root, {}) for name in ("read_symbol", "references", "search_code", "tests_for")
    ]

    def offered(lines: int, paths: tuple[str, ...]) -> int:
        totals = RepoTotals(files=3, bytes=1, lines=lines, directories=1)
        here = RepoContext(root_name="r", totals=totals, paths=paths)
        return sum(tool["function"]["name"].startswith("code__") for tool in offer(tools, here, 40))

    assert offered(400, ("a.py", "b.py")) == 0, "all files are named, and a search finds the rest"
    assert offered(40_000, ("a.py", "b.py")) == 4
    assert offered(400, ()) == 4, "too many files to be named"
