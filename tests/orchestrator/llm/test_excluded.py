"""What the kind of a request excludes is neither offered to a model nor made when it asks for it all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import mcp.types as t
import pytest

from lg_orch.contracts.agent_guides import guides_in, guides_named
from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.state import QueuedCall
from lg_orch.human.answering import answers
from lg_orch.human.approvals import Nobody, Question, YesToBuiltin
from lg_orch.testing import text
from tests.orchestrator.llm.workshop import READ, WRONG, patch, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_question_is_not_offered_a_tool_that_changes_files_and_a_call_of_it_changes_nothing(
    tmp_path: Path,
) -> None:
    script = [READ, patch(), text("It subtracts.")]
    ran = await run(tmp_path, script, request="where is add defined?")
    offered = [tool["function"]["name"] for tool in ran.model.requests[0]["tools"]]
    assert "fs__read_file" in offered
    assert "fs__apply_patch" not in offered
    assert WRONG in ran.made.source()
    assert "fs__apply_patch" not in ran.made.tools.names()
    assert "answers a question, so it changes no files" in str(ran.model.requests[-1]["messages"])
    assert ran.final.status == "done", ran.final.text


@pytest.mark.parametrize(
    ("path", "guide"),
    [
        ("AGENTS.md", True), ("docs/agents.MD", True), ("CLAUDE.local.md", True), (".cursor/rules/a.mdc", True),
        ("GEMINI.md", True), (".github/copilot-instructions.md", True), ("src/agents.py", False),
        ("claude.md.txt", False), ("my-agents.md", False), (".github/instructions/py.style.instructions.md", True),
        (".github/prompts/fix.prompt.md", True), (".github/agents/a.agent.md", True), (".junie/guidelines.md", True),
        (".amazonq/rules/a.md", True), (".augment-guidelines", True), (".aider.conf.yml", True), ("CRUSH.md", True),
        (".opencode/agent/a.md", True), (".trae/rules/a.md", True), (".mcp.json", True), (".vscode/mcp.json", True),
        (".VSCode/settings.json", True), (".idx/airules.md", True), ("AGENTS.md/a", True), ("CLAUDE.md.", True),
        (r"a\AGENTS.md", True), (".vscode/launch.json", False), ("docs/prompt.md", False), (".github/mail.md", False),
    ],
)  # fmt: skip
def test_files_that_instruct_agents_are_known_by_name(path: str, guide: bool) -> None:
    assert bool(guides_in([path])) is guide


def test_guides_are_found_in_a_patch_of_which_nobody_knows_the_files() -> None:
    assert guides_named('{"patch": "*** Update File: sub/AGENTS.md\\n@@\\n"}') == ("AGENTS.md",)
    assert guides_named("+++ b/calc.py\n+agents = 1") == ()


ASKED = t.InputRequiredResult(
    input_requests={
        "approve.a": t.ElicitRequest(
            params=t.ElicitRequestFormParams(message="may it?", requested_schema={"type": "object", "properties": {}})
        )
    },
    request_state="sealed",
)


@pytest.mark.parametrize(
    ("tool", "arguments", "touches", "answered"),
    [
        ("fs__apply_patch", {"patch": "--- a/AGENTS.md\n+++ b/AGENTS.md\n@@\n-a\n+b\n"}, ("docs/ai.md",), False),
        ("fs__apply_patch", {"patch": "*** Update File: .claude/a.md\n@@\n-a\n+b\n"}, ("docs/ai.md",), False),
        ("fs__apply_patch", {"patch": "`GEMINI.md`\n<<<<<<< SEARCH\na\n=======\nb\n"}, ("docs/ai.md",), False),
        ("fs__apply_patch", {"changes": [{"path": ".cursorrules", "content": "x"}]}, ("docs/ai.md",), False),
        ("fs__apply_patch", {"patch": "a.py\n<<<<<<< SEARCH\na\n=======\nb\n"}, ("a.py", "sub/AGENTS.md"), False),
        ("fs__apply_patch", {"patch": "a\n+This repository has its advice for agents in AGENTS.md\n"}, ("a",), True),
        ("fs__apply_patch", {"patch": '--- "a/\\101GENTS.md"\n+++ "b/\\101GENTS.md"\n@@\n-a\n+b\n'}, None, False),
        ("fs__apply_patch", {"patch": '"*** Update File: \\u0041GENTS.md\\n@@\\n-a\\n+b"'}, None, False),
        ("exec__exec", {"cmd": "mv", "args": ["notes.md", "sub/Agents.md"]}, None, False),
        ("exec__exec", {"cmd": "cp", "args": ["-r", "mine", ".claude"]}, None, False),
        ("exec__exec", {"cmd": "pytest", "args": ["tests/test_agents.py"]}, None, True),
    ],
)
async def test_yes_does_not_answer_for_a_call_that_reaches_a_guide_by_a_link_or_a_command(
    tool: str, arguments: dict[str, Any], touches: tuple[str, ...] | None, answered: bool
) -> None:
    queued = QueuedCall(call=PlannedCall(id="c1", tool=tool, input=arguments), key="k", touches=touches)
    given = await answers(YesToBuiltin(Nobody()), queued, ASKED, builtin=True)
    assert (given is not None) is answered


async def test_yes_answers_for_a_patch_and_not_for_one_of_an_agent_guide() -> None:
    asked = Question(tool="fs__apply_patch", builtin=True, message="")
    yes = YesToBuiltin(Nobody())
    answer = await yes.ask(asked)
    assert answer is not None
    assert answer.decision == "once"
    guide = Question(tool="fs__apply_patch", builtin=True, message="", guides=("AGENTS.md",))
    assert await yes.ask(guide) is None
