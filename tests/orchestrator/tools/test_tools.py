from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import mcp.types as t
import pytest
from mcp.types import CallToolResult

from lg_orch.contracts.plans import PlannedCall
from lg_orch.contracts.state import QueuedCall
from lg_orch.human.approvals import HumanAnswer, Question
from lg_orch.testing import ScriptedBackend
from lg_orch.tools.gateway_tools import envelope_of
from lg_orch.tools.result_text import whole_text
from lg_orch.tools.tool_info import tool_info
from lg_policy.errors import StillRunning
from tests.orchestrator.fake_gateway import FakeGateway, error_result, text_result
from tests.orchestrator.helpers import World, world

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.events import Event

pytestmark = pytest.mark.anyio


async def call(run: World, tool: str, timeout_s: float = 20) -> ToolEnvelope:
    queued = run.services.mint(PlannedCall(id="c1", tool=tool, input={"path": "a"}))
    with anyio.fail_after(60):
        return await run.services.tools.call(queued, step="executor", timeout_s=timeout_s)


def test_tool_facts_come_from_what_the_adapter_keeps() -> None:
    meta = {"lg/root": {"id": "r", "name": "n"}, "lg/server": "files", "lg/tool": "read_file", "lg/policy": "p"}
    info = tool_info("fs__x", "d", {"mcp": {"tool": {"_meta": meta, "annotations": {"read_only_hint": True}}}})
    assert (info.server, info.original, info.root_id, info.policy) == ("files", "read_file", "r", "p")
    assert info.read_only


def test_a_tool_without_metadata_is_read_from_its_name_and_trusted_with_nothing() -> None:
    info = tool_info("github__create_issue", "", None)
    assert (info.server, info.original) == ("github", "create_issue")
    assert not info.read_only
    assert info.root_id is None


async def test_an_error_result_becomes_a_failed_envelope_with_its_code(tmp_path: Path) -> None:
    gateway = FakeGateway(answers={"fs__read_file": error_result("too_large", "cut it")})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run, "fs__read_file")
    assert not envelope.ok
    assert envelope.artifacts.error is not None
    assert envelope.artifacts.error.code == "too_large"
    assert envelope.stderr == "too_large: cut it"


async def test_a_command_result_brings_its_streams_and_exit_code(tmp_path: Path) -> None:
    structured = {"ok": False, "exit_code": 3, "stdout": "out", "stderr": "err"}
    gateway = FakeGateway(answers={"exec__exec": text_result("whatever", structured)})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run, "exec__exec")
    assert (envelope.ok, envelope.exit_code, envelope.stdout, envelope.stderr) == (False, 3, "out", "err")


async def test_a_read_only_call_whose_server_was_away_is_repeated_under_the_same_key(tmp_path: Path) -> None:
    gone = error_result("upstream_unavailable", "fs is restarting")
    gateway = FakeGateway(answers={"fs__read_file": [gone, gone, text_result("back")]})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run, "fs__read_file")
        phases = [event.phase for event in run.events() if event.kind == "tool"]
        keys = {(params.meta or {}).get("lg/idempotency-key") for params in gateway.calls}
    assert (envelope.ok, envelope.stdout) == (True, "back")
    assert phases == ["begin", "retry", "retry"]
    assert envelope.artifacts.repeated == 2
    assert len(keys) == 1


async def test_a_call_that_may_have_an_effect_is_not_repeated(tmp_path: Path) -> None:
    gateway = FakeGateway(answers={"exec__exec": error_result("upstream_unavailable", "gone")})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run, "exec__exec")
    assert not envelope.ok
    assert len(gateway.calls) == 1


def still_running() -> t.CallToolResult:
    error = StillRunning("this call is still running").payload() | {"retry_after_s": "0.01"}
    return t.CallToolResult(content=[], structured_content={"error": error}, is_error=True)


async def test_a_call_that_an_earlier_process_began_and_that_still_runs_is_waited_for(tmp_path: Path) -> None:
    gateway = FakeGateway(answers={"exec__exec": [still_running(), still_running(), text_result("its outcome")]})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway) as run:
        envelope = await call(run, "exec__exec")
    assert (envelope.ok, envelope.stdout) == (True, "its outcome")
    assert len({dict(one.meta or {})["lg/idempotency-key"] for one in gateway.calls}) == 1


async def test_a_call_that_outlasts_its_time_in_an_earlier_process_is_a_question(tmp_path: Path) -> None:
    class Asked:
        def __init__(self) -> None:
            self.kinds: list[str] = []

        async def ask(self, question: Question) -> HumanAnswer | None:
            self.kinds.append(question.kind)
            return HumanAnswer(decision="stop", by="terminal")

    asked, gateway = Asked(), FakeGateway(answers={"exec__exec": still_running()})
    async with world(tmp_path, ScriptedBackend(), gateway=gateway, approver=asked) as run:
        envelope = await call(run, "exec__exec", timeout_s=1)
    assert asked.kinds == ["outcome"]
    assert envelope.artifacts.decision == "stop"


async def test_a_call_over_its_time_comes_back_as_timeout(tmp_path: Path) -> None:
    async def hang(name: str) -> None:
        if name == "exec__exec":
            await anyio.sleep_forever()

    async with world(tmp_path, ScriptedBackend(), gateway=FakeGateway(on_call=hang)) as run:
        envelope = await call(run, "exec__exec", timeout_s=1)
    assert envelope.artifacts.error is not None
    assert envelope.artifacts.error.code == "timeout"


async def test_progress_of_a_call_is_shown_and_not_kept(tmp_path: Path) -> None:
    class SeenEvents:
        def __init__(self) -> None:
            self.messages: list[str] = []

        def show(self, event: Event) -> None:
            if event.phase == "progress":
                self.messages.append(event.data["message"])

    seen = SeenEvents()
    async with world(
        tmp_path, ScriptedBackend(), gateway=FakeGateway(progress=(1, 2, "half")), listeners=(seen,)
    ) as run:
        await call(run, "fs__read_file")
        kept = [event.phase for event in run.events()]
    assert seen.messages == ["half"]
    assert "progress" not in kept


async def test_an_unknown_tool_is_an_envelope_and_not_an_exception(tmp_path: Path) -> None:
    async with world(tmp_path, ScriptedBackend()) as run:
        envelope = await call(run, "nobody__knows")
    assert envelope.stdout == "nobody__knows answered" or not envelope.ok


async def test_secrets_in_arguments_do_not_reach_the_journal(tmp_path: Path) -> None:
    token = "ghp_" + "a" * 36
    async with world(tmp_path, ScriptedBackend()) as run:
        queued = run.services.mint(PlannedCall(id="c1", tool="fs__read_file", input={"path": token}))
        with anyio.fail_after(60):
            await run.services.tools.call(queued, step="executor", timeout_s=20)
        assert token not in run.run.journal.read_text()
        assert "[secret:github_token:" in run.run.journal.read_text()


def test_what_a_command_printed_before_its_time_was_over_is_told_to_the_model() -> None:
    queued = QueuedCall(call=PlannedCall(id="m0.1", tool="exec__exec", input={"cmd": "pytest"}), key="k")
    error = {"code": "timeout", "message": "pytest: limit_exceeded: time (5 s)", "hint": "select less"}
    printed = {"exit_code": None, "stdout": "test_a.py ..", "stderr": "slow", "error": error}
    answer = CallToolResult(content=[], structured_content=printed, is_error=True)
    told = whole_text(envelope_of(queued, answer, builtin=True))
    assert told.startswith("failed: timeout: pytest: limit_exceeded: time (5 s)")
    assert told.endswith("test_a.py ..\n--- standard error ---\nslow")
    assert "test_a.py" not in whole_text(envelope_of(queued, answer, builtin=False)), "a stranger's fields are not read"
