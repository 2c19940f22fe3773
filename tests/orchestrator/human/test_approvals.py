from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import anyio
import mcp.types as t
import pytest

from lg_orch.contracts.plans import Plan, PlannedCall, PlanStep, ToolUse
from lg_orch.human.approvals import Approver, DenyAll, HumanAnswer, Nobody, Question, YesToBuiltin, by_flags
from lg_orch.human.terminal import Terminal
from lg_orch.testing import ScriptedBackend
from tests.orchestrator.fake_gateway import FakeGateway, error_result, text_result
from tests.orchestrator.helpers import world

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from lg_orch.contracts.envelopes import ToolEnvelope

pytestmark = pytest.mark.anyio

ASK = t.InputRequiredResult(
    input_requests={
        "approve.abc": t.ElicitRequest(
            params=t.ElicitRequestFormParams(message="run ls?", requested_schema={"type": "object", "properties": {}})
        )
    },
    request_state="sealed",
)


class Gate(FakeGateway):
    """Asks about `exec__exec` and third-party tools; judges the answer as the real gate does."""

    def _answer(self, params: t.CallToolRequestParams) -> Any:
        if params.name.startswith("fs__"):
            return super()._answer(params)
        given = (params.input_responses or {}).get("approve.abc")
        if given is None or params.request_state != "sealed":
            return ASK
        content = getattr(given, "content", None) or {}
        if content.get("decision") in ("once", "run"):
            return text_result("ran", {"ok": True, "exit_code": 0, "stdout": "ran", "stderr": ""})
        return error_result("approval_denied", str(content.get("reason")))


async def ask(
    tmp_path: Path, approver: Approver, tool: str = "exec__exec", gateway: Gate | None = None
) -> tuple[ToolEnvelope, Gate]:
    gateway = gateway or Gate()
    gateway.tools["other__tool"] = {"read_only": False, "meta": {}}
    async with world(tmp_path, ScriptedBackend(), gateway=gateway, approver=approver) as run:
        queued = run.services.mint(PlannedCall(id="c1", tool=tool, input={}))
        with anyio.fail_after(60):
            return await run.services.tools.call(queued, step="executor", timeout_s=20), gateway


async def test_yes_approves_a_call_of_a_built_in_tool_and_says_so(tmp_path: Path) -> None:
    envelope, gateway = await ask(tmp_path, YesToBuiltin(Nobody()))
    assert envelope.ok
    assert envelope.artifacts.approved_by == "--yes"
    keys: set[Any] = {dict(params.meta or {})["lg/idempotency-key"] for params in gateway.calls}
    assert len(gateway.calls) == 2
    assert len(keys) == 1


async def test_yes_does_not_approve_tools_of_others(tmp_path: Path) -> None:
    envelope, gateway = await ask(tmp_path, YesToBuiltin(Nobody()), tool="other__tool")
    assert envelope.artifacts.error is not None
    assert envelope.artifacts.error.code == "approval_required"
    assert len(gateway.calls) == 1


async def test_deny_all_denies_with_a_reason(tmp_path: Path) -> None:
    envelope, _ = await ask(tmp_path, DenyAll())
    assert envelope.artifacts.error is not None
    assert envelope.artifacts.error.code == "approval_denied"
    assert "--deny-all" in envelope.artifacts.error.message


WHICH = t.InputRequiredResult(
    input_requests={
        "ask.1": t.ElicitRequest(
            params=t.ElicitRequestFormParams(
                message="server: other",
                requested_schema={"type": "object", "properties": {"colour": {"type": "string", "title": "x\u202ey"}}},
            )
        )
    },
    request_state="sealed",
)


class Asking(Gate):
    """Its third-party tool asks something after the call was approved, and tells what it was answered."""

    def _answer(self, params: t.CallToolRequestParams) -> Any:
        given: Any = (params.input_responses or {}).get("ask.1")
        if given is not None:
            return text_result(f"{given.action} {given.content}")
        found = super()._answer(params)
        return found if isinstance(found, t.InputRequiredResult) or params.name.startswith("fs__") else WHICH


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (HumanAnswer(decision="answer", by="terminal", arguments={"colour": "red"}), "accept {'colour': 'red'}"),
        (HumanAnswer(decision="deny", by="terminal", reason="for the run only"), "decline None"),
    ],
)
async def test_a_servers_question_is_put_to_the_human_and_only_its_answer_goes_back(
    tmp_path: Path, answer: HumanAnswer, told: str
) -> None:
    asked: list[Question] = []

    class Person:
        async def ask(self, question: Question) -> HumanAnswer | None:
            asked.append(question)
            return answer if question.kind == "question" else HumanAnswer(decision="once", by="somebody else")

    envelope, _ = await ask(tmp_path, Person(), tool="other__tool", gateway=Asking())
    assert envelope.stdout == told
    assert envelope.artifacts.approved_by == "somebody else", "who answers a server approves nothing"
    assert [(one.kind, one.key) for one in asked] == [("approval", "approve.abc"), ("question", "ask.1")]
    assert asked[1].message.splitlines() == [
        "server: other", "It asks for:", "| colour (may be left out, text): x\\u{202e}y",
    ]  # fmt: skip


async def test_no_flag_answers_a_server_and_deny_all_declines(tmp_path: Path) -> None:
    question = Question(kind="question", tool="t", builtin=True, message="?")
    assert await by_flags(yes=True, deny_all=False).ask(question) is None
    denied = await by_flags(yes=False, deny_all=True).ask(question)
    assert denied is not None
    assert denied.decision == "deny"


async def test_time_a_person_takes_is_not_the_runs(tmp_path: Path) -> None:
    class Person:
        async def ask(self, _question: Question) -> HumanAnswer | None:
            run.services.control.started -= 500
            run.services.control.waited_s += 500  # a person who takes 500 s, without waiting
            return HumanAnswer(decision="once", by="terminal")

    plan = Plan(steps=(PlanStep(id="s", description="d", tools=(ToolUse(tool="exec__exec"),)),))
    async with world(
        tmp_path, ScriptedBackend(planned=plan), gateway=Gate(), budgets={"max_wall_s": 100}, approver=Person()
    ) as run:
        with anyio.fail_after(60):
            state = await run.go("go")
    assert state.final is not None
    assert state.final.status == "done"
    assert state.approvals == [{"call_id": "s.1", "tool": "exec__exec", "by": "terminal"}]
    assert "you said yes at the terminal" in state.final.text


class Still:
    def paused(self) -> AbstractContextManager[None]:
        return nullcontext()


class At:
    """A terminal where these lines are typed, one after the other; `then` happens before the line of its number."""

    def __init__(self, drafts: Path, *typed: str, then: Mapping[int, Callable[[], object]] | None = None) -> None:
        self.shown = io.StringIO()
        self._typed = iter(enumerate(typed))
        self._then = then or {}
        self.terminal = Terminal(Still(), drafts, read=self._line, target=self.shown)

    async def _line(self) -> str:
        number, line = next(self._typed, (-1, ""))
        self._then.get(number, lambda: None)()
        return line


ASKS = Question(kind="question", tool="t", builtin=False, message="which?", form={
    "type": "object", "required": ["colour"],
    "properties": {"colour": {"type": "string", "enum": ["red"]}, "fast": {"type": "boolean", "default": True}},
})  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "content"),
    [
        (["a", "blue", "red", "", "s"], {"colour": "red", "fast": True}),
        (["a", "", "1", "no", "send"], {"colour": "red", "fast": False}),
        (["a", "red", "", ""], None),
        (["a", "red"], None),
        ([""], None),
        ([], None),
    ],
)
async def test_on_the_terminal_a_form_is_sent_only_when_it_is_whole_and_a_person_says_so(
    tmp_path: Path, typed: list[str], content: dict[str, Any] | None
) -> None:
    at = At(tmp_path, *(f"{line}\n" for line in typed))
    verdict = await at.terminal.ask(ASKS)
    assert verdict is not None
    assert (verdict.decision, verdict.arguments) == (("answer", content) if content is not None else ("deny", None))


@pytest.mark.parametrize(
    ("typed", "decision", "reason"),
    [
        (["o\n"], "once", ""),
        (["run\n"], "run", ""),
        (["\n", "because\n"], "deny", "because"),
        (["n\n", "no\n"], "deny", "no"),
        (["yes\n", "oo\n", "o\n"], "once", ""),
        ([], "deny", ""),
    ],
)
async def test_on_the_terminal_only_a_clear_yes_is_a_yes(
    tmp_path: Path, typed: list[str], decision: str, reason: str
) -> None:
    at = At(tmp_path, *typed)
    verdict = await at.terminal.ask(Question(tool="exec__exec", builtin=True, message="run \x1b[2Jls?"))
    assert verdict == HumanAnswer(decision=decision, by="terminal", reason=reason)  # type: ignore[arg-type]  # parametrised
    assert "\x1b" not in at.shown.getvalue()
    assert "run \\u{1b}[2Jls?" in at.shown.getvalue()


PATCH = {"patch": "a.py\n-x\n+y\n", "dry_run": False}


async def test_arguments_are_edited_in_files_a_patch_as_plain_text(tmp_path: Path) -> None:
    def edit() -> None:
        assert (tmp_path / "patch.txt").read_text() == PATCH["patch"]
        (tmp_path / "patch.txt").write_text("a.py\n-x\n+z\n")

    at = At(tmp_path, "e\n", "\n", then={1: edit})
    verdict = await at.terminal.ask(Question(tool="fs__apply_patch", builtin=True, message="?", arguments=PATCH))
    assert verdict is not None
    assert verdict.decision == "edit"
    assert verdict.arguments == {"patch": "a.py\n-x\n+z\n", "dry_run": False}
    assert str(tmp_path / "patch.txt") in at.shown.getvalue()


async def test_an_edit_that_changes_nothing_or_is_not_json_is_asked_for_again(tmp_path: Path) -> None:
    def spoil() -> None:
        (tmp_path / "arguments.json").write_text("{")

    at = At(tmp_path, "e\n", "\n", "e\n", "\n", "o\n", then={3: spoil})
    verdict = await at.terminal.ask(Question(tool="t", builtin=True, message="?", arguments={"a": 1}))
    assert verdict is not None
    assert verdict.decision == "once"
    assert "Nothing was changed" in at.shown.getvalue()
    assert "is not JSON" in at.shown.getvalue()


@pytest.mark.parametrize(
    ("typed", "decision"), [("d\n", "done"), ("n\n", "not_done"), ("s\n", "stop"), ("", "stop"), ("yes\n", "stop")]
)
async def test_of_a_lost_call_only_clear_words_say_that_it_was_or_was_not_made(
    tmp_path: Path, typed: str, decision: str
) -> None:
    verdict = await At(tmp_path, typed).terminal.ask(Question(kind="outcome", tool="t", builtin=True, message="?"))
    assert verdict is not None
    assert verdict.decision == decision


@pytest.mark.parametrize("flags", [{"yes": True, "deny_all": False}, {"yes": False, "deny_all": True}])
async def test_no_flag_answers_whether_a_lost_call_was_made(flags: dict[str, bool]) -> None:
    assert await by_flags(**flags).ask(Question(kind="outcome", tool="t", builtin=True, message="?")) is None


@pytest.mark.parametrize(
    ("typed", "decisions"),
    [
        (("o\n",), ["once", "once", "once"]), (("r\n",), ["run", "run", "run"]),
        (("d\n", "no\n"), ["deny", "deny", "deny"]), (("\n", "\n"), ["deny", "deny", "deny"]), ((), ["deny"] * 3),
        (("x\n", "e\n", "o\n", "d\n", "why\n", "r\n"), ["once", "deny", "run"]),
        (("e\n", "r\n", "d\n", "\n"), ["run", "once", "deny"]),
    ],
)  # fmt: skip
async def test_questions_of_one_turn_are_answered_at_once_or_each_by_itself(
    tmp_path: Path, typed: tuple[str, ...], decisions: list[str]
) -> None:
    tools = ("fs__apply_patch", "fs__apply_patch", "other__tool")
    questions = [Question(tool=tool, builtin=True, message=f"call {number}?") for number, tool in enumerate(tools)]
    at = At(tmp_path, *typed)
    answers = await at.terminal.answer_together(questions)
    assert [answer.decision for answer in answers or ()] == decisions
    assert all(f"Call {number} of 3" in at.shown.getvalue() for number in (1, 2, 3))
