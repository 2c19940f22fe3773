"""The client of LangGraph Server drives runs of the service: threads, streams, answers, cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest
from bench.workers.fleet import decide
from langgraph_sdk import get_client

from lg_orch.service.langgraph_api.shapes import answers_of, request_of
from lg_orch.testing import ScriptedModel, calls, text
from lg_policy.errors import InvalidArguments
from tests.orchestrator.service.serving import Api, serving
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

INPUT: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "insert two lines, token r0001"}]}]
}
APPROVE: Any = {"resume": {"decisions": [{"type": "approve"}]}}


async def talk(api: Api, root: Path) -> None:
    client = get_client(
        url=f"http://127.0.0.1:{api.port}/lg", api_key=None, headers={"authorization": f"Bearer {api.token}"}
    )
    (assistant,) = await client.assistants.search()
    named = assistant["assistant_id"]
    thread = await client.threads.create(metadata={"user": "ann"})
    at = thread["thread_id"]
    made: list[Any] = []
    parts = [
        part
        async for part in client.runs.stream(
            at, named, input=INPUT, stream_mode=["values", "updates"], on_run_created=made.append
        )
    ]
    run_id = made[0]["run_id"]
    assert (parts[0].event, parts[0].data["run_id"]) == ("metadata", run_id)
    assert {"updates", "values"} <= {part.event for part in parts}
    (interrupt,) = parts[-1].data["__interrupt__"]
    assert interrupt["value"]["action_requests"][0]["name"] == "fs__apply_patch"
    state = await client.threads.get_state(at)
    assert [found["id"] for found in state["interrupts"]] == [interrupt["id"]]
    assert (await client.runs.get(at, run_id))["status"] == "interrupted"
    with pytest.raises(Exception, match="no answer"):
        await client.runs.create(at, named, command={"resume": {"decisions": [{"type": "sing"}]}})

    again = await client.runs.create(at, named, command={"resume": {"decision": "approve_for_run"}})
    assert again["run_id"] == run_id
    values: Any = await client.runs.join(at, run_id)
    assert values["messages"][-1]["type"] == "ai"
    assert (await client.runs.get(at, run_id))["status"] == "success"
    assert (root / "log.txt").read_text() == "begin\na-r0001\nb-r0001\nend\n"
    assert (await client.threads.get(at))["status"] == "idle"
    shown = [part async for part in client.runs.join_stream(at, run_id, stream_mode="custom")]
    assert shown[-1].event == "end"
    numbers = [part.data["seq"] for part in shown if part.event == "custom"]
    assert numbers == list(range(1, len(numbers) + 1))
    cut = [part async for part in client.runs.join_stream(at, run_id, stream_mode="custom", last_event_id="5")]
    assert next(part.data["seq"] for part in cut if part.event == "custom") == 6

    second = await client.runs.create(at, named, input=INPUT)
    await client.runs.join(at, second["run_id"])
    await client.runs.cancel(at, second["run_id"])
    last: Any = (await client.threads.get_state(at))["values"]
    assert [run["status"] for run in await client.runs.list(at)] == ["interrupted", "success"]
    assert len(last["messages"]) == 4
    with pytest.raises(Exception, match="has no run"):
        await client.runs.get((await client.threads.create())["thread_id"], run_id)


def test_the_client_of_langgraph_server_drives_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    root, config = tmp_path / "repo", tmp_path / "settings.toml"
    root.mkdir()
    (root / "log.txt").write_text("begin\nend\n")
    (root / "Makefile").write_text("test:\n\ttrue\n")
    with ScriptedModel(decide) as model:
        config.write_text(scripted_settings(model.base_url, "[service]\nlanggraph_api = true\n"))
        with serving(root, "--config", str(config)) as api:
            assert api("POST", "/lg/threads", {}, headers={"authorization": ""}).status == 401
            anyio.run(talk, api, root)


TURN = [
    ("fs__apply_patch", {"patch": f"{name}.txt\n<<<<<<< SEARCH\n=======\none\n>>>>>>> REPLACE\n"}) for name in "abc"
]


async def answer_one_by_one(api: Api) -> None:
    client = get_client(
        url=f"http://127.0.0.1:{api.port}/lg", api_key=None, headers={"authorization": f"Bearer {api.token}"}
    )
    at = (await client.threads.create())["thread_id"]
    run_id = (await client.runs.create(at, "lg-orch", input={"request": "add files"}))["run_id"]
    await client.runs.join(at, run_id)
    asked = (await client.threads.get_state(at))["interrupts"]
    assert [len(found["value"]["action_requests"]) for found in asked] == [1, 1, 1]
    assert [
        f"{name}.txt" in found["value"]["action_requests"][0]["description"]
        for name, found in zip("abc", asked, strict=True)
    ] == [True] * 3
    first, second, third = (found["id"] for found in asked)
    with pytest.raises(Exception, match="waits for 3 answers"):
        await client.runs.create(at, "lg-orch", command=APPROVE)
    with pytest.raises(Exception, match="waits for 3 answers"):
        await client.runs.create(
            at, "lg-orch", command={"resume": {first: {"type": "approve"}, "other": {"type": "approve"}}}
        )
    await client.runs.create(at, "lg-orch", command={"resume": {second: {"decisions": [{"type": "approve"}]}}})
    parts = [part async for part in client.runs.stream(at, "lg-orch", command={"resume": {first: {"type": "approve"}}})]
    (left,) = parts[-1].data["__interrupt__"]
    assert left["id"] == third
    with pytest.raises(Exception, match=r"no answer|does not ask"):
        await client.runs.create(at, "lg-orch", command={"resume": {first: {"type": "reject"}}})
    await client.runs.create(at, "lg-orch", command={"resume": {"decisions": [{"type": "reject", "message": "no c"}]}})
    await client.runs.join(at, run_id)
    assert (await client.runs.get(at, run_id))["status"] == "success"
    for odd in ("9999", "-1", "0x1", "1e3", "99999999999999999999"):
        shown = [part async for part in client.runs.join_stream(at, run_id, stream_mode="custom", last_event_id=odd)]
        assert next(part.data["seq"] for part in shown if part.event == "custom") == 1, odd


def test_the_questions_of_one_turn_are_shown_apart_and_each_answer_names_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    root, config = tmp_path / "repo", tmp_path / "settings.toml"
    root.mkdir()
    with ScriptedModel([calls(*TURN), text("Done.")]) as model:
        config.write_text(scripted_settings(model.base_url, "[service]\nlanggraph_api = true\n"))
        with serving(root, "--config", str(config)) as api:
            anyio.run(answer_one_by_one, api)
    assert sorted(path.name for path in root.iterdir()) == ["a.txt", "b.txt"]


def test_these_addresses_are_off_unless_settings_turn_them_on(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    with serving(root, worker=False) as api:
        assert api("GET", "/lg/info").status == 404


def test_input_and_answers_that_are_none_are_refused() -> None:
    odd: Any
    for odd in (None, 1, [], {}, {"messages": []}, {"messages": "x"}, {"messages": [{"role": "ai", "content": "x"}]},
                {"messages": [None, 1]}, {"request": 1}):  # fmt: skip
        with pytest.raises(InvalidArguments):
            request_of(odd)
    asked = [{"id": "k"}]
    assert answers_of([{"type": "reject", "message": "no"}], asked)[0].reason == "no"
    assert answers_of({"k": {"type": "accept"}}, asked)[0].decision == "approve"
    for odd in (None, "yes", True, [], {}, {"decisions": []}, {"decisions": [1, 2]}, {"decision": "sing"},
                [{"type": ["approve"]}], {"decisions": [{"type": "approve"}, {"type": "approve"}]}):  # fmt: skip
        with pytest.raises(InvalidArguments):
            answers_of(odd, asked)
    with pytest.raises(InvalidArguments, match="waits for nothing"):
        answers_of({"type": "approve"}, [])
