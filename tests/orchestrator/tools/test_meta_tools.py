"""A run through a gateway that lists only its meta tools: real program, real gateway over HTTP, a scripted model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.contracts.errors import GatewayGone
from lg_orch.testing import ScriptedModel, calls, text
from lg_orch.tools.connection import Connection
from lg_orch.tools.meta_tools import DISCOVER, unfolded
from lg_orch.tools.tool_info import EXECUTE, tool_info
from lg_policy.version import __version__
from tests.e2e.programs import serving
from tests.orchestrator.fake_gateway import error_result, text_result
from tests.orchestrator.llm.project import ANSWER, KEY, READ, RIGHT, make, patch

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

LISTED = (tool_info(DISCOVER, "", None), tool_info(EXECUTE, "", None), tool_info("mcp_result", "", None))


def test_a_run_works_through_a_gateway_that_lists_only_its_meta_tools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    project = make(tmp_path)
    with ScriptedModel([calls(READ), calls(patch()), text(ANSWER)]) as model:
        project.configure(model, extra='[gateway]\nexpose = "search"\n')
        arguments = ("--no-login", "--config", str(project.settings), "--root", str(project.root))
        with serving("lg-gateway", "serve", *arguments, cwd=tmp_path) as url:
            done = project.run("--yes", "--gateway", url)
        assert done.returncode == 0, done.stdout + done.stderr
        told = [tool["function"]["name"] for tool in model.requests[0]["tools"]]
    assert "fs__apply_patch" in told
    assert not {DISCOVER, EXECUTE} & set(told)
    assert RIGHT in project.source()
    trace = project.trace()
    assert trace["verification"]["ok"]
    (asked,) = [event["data"] for event in trace["events"] if (event["kind"], event["phase"]) == ("approval", "begin")]
    assert asked["tool"] == "fs__apply_patch"
    assert f'client: "lg-orch {__version__}"' in asked["message"]
    assert "run with settings that differ" not in done.stdout
    assert "fs__apply_patch" in json.dumps(trace["patches"] + trace["tool_calls"])


async def answering(answer: Any) -> Connection:
    async def send(name: str, *_: Any, **__: Any) -> Any:
        return answer

    return await unfolded(Connection(tools=LISTED, send=send, server="fake"))


@pytest.mark.anyio
async def test_a_gateway_whose_search_fails_or_never_ends_is_given_up() -> None:
    endless = text_result("", {"tools": [], "next_offset": 0})
    for answer in (error_result("internal", "no"), text_result("no structure"), endless):
        with pytest.raises(GatewayGone, match=DISCOVER):
            await answering(answer)


@pytest.mark.anyio
async def test_what_is_found_is_called_by_its_own_name_and_what_is_listed_as_it_is() -> None:
    sent: list[tuple[str, dict[str, Any]]] = []
    tool = {
        "name": "fs__read_file", "description": "reads", "inputSchema": {"type": "object"},
        "annotations": {"readOnlyHint": True}, "_meta": {"lg/root": {"id": "r", "name": "n"}, "lg/policy": "p"},
    }  # fmt: skip

    async def send(name: str, arguments: dict[str, Any], *_: Any, **__: Any) -> Any:
        sent.append((name, arguments))
        return text_result("", {"tools": [tool], "next_offset": None})

    found = await unfolded(Connection(tools=LISTED, send=send, server="fake"))
    read = next(one for one in found.tools if one.name == "fs__read_file")
    assert [one.name for one in found.tools] == ["mcp_result", "fs__read_file"]
    assert (read.read_only, read.root_id, read.policy) == (True, "r", "p")
    await found.send("fs__read_file", {"path": "a"}, {}, 1.0, None)
    await found.send("mcp_result", {"result_id": "x"}, {}, 1.0, None)
    assert sent[1:] == [
        (EXECUTE, {"tool": "fs__read_file", "arguments": {"path": "a"}}), ("mcp_result", {"result_id": "x"}),
    ]  # fmt: skip
