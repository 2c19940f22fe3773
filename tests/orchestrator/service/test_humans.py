"""What humans do to runs over the API: answer, say, undo, fork, cancel; with a scripted model and a real gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from bench.workers.fleet import decide

from lg_orch.testing import ScriptedModel, calls, text
from tests.orchestrator.service.serving import Api, serving
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")

BEFORE = "begin\nend\n"
AFTER = "begin\na-r0001\nb-r0001\nend\n"
REQUEST = "insert two lines, token r0001"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "repo"
    made.mkdir()
    (made / "log.txt").write_text(BEFORE)
    (made / "Makefile").write_text("test:\n\ttrue\n")
    return made


@pytest.fixture
def api(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    with ScriptedModel(decide) as model:
        config = tmp_path / "settings.toml"
        config.write_text(scripted_settings(model.base_url))
        with serving(root, "--config", str(config)) as made:
            yield made


def answered(api: Api, run_id: str, decision: str) -> dict[str, Any]:
    """Answer the question that the run waits for."""
    waiting = api.until(run_id, "waiting")
    (question,) = waiting["questions"]
    body = {"question": question["key"], "decision": decision}
    given = api("POST", f"/v1/runs/{run_id}/answer", body)
    assert given.status == 202, given.data
    again = api("POST", f"/v1/runs/{run_id}/answer", body)
    assert again.status == 409, "nobody decides twice"
    return dict(question)


def test_a_run_is_approved_undone_and_forked_over_the_api(api: Api, root: Path) -> None:
    run_id = api.create(REQUEST)
    question = answered(api, run_id, "approve_for_run")
    assert (question["tool"], question["decisions"]) == (
        "fs__apply_patch",
        ["approve", "approve_for_run", "deny", "edit"],
    )
    assert "a-r0001" in question["message"]
    assert api.until(run_id, "done", "failed", "unchecked", "waiting")["state"] in ("done", "unchecked")
    assert (root / "log.txt").read_text() == AFTER
    late = api("POST", f"/v1/runs/{run_id}/say", {"text": "one more thing"})
    assert (late.status, late.json["code"]) == (409, "conflict"), "guidance that nobody would hear is not taken"

    patch = api("GET", f"/v1/runs/{run_id}/artifacts/changes.patch").data.decode()
    assert "+a-r0001" in patch
    preview = api("POST", f"/v1/runs/{run_id}/undo", {"preview": True}).json
    assert ("-b-r0001" in preview["diff"], len(preview["change_sets"])) == (True, 2)
    assert (root / "log.txt").read_text() == AFTER
    stale = api("POST", f"/v1/runs/{run_id}/undo", {"change_sets": preview["change_sets"][:1]})
    assert (stale.status, "1 change set more" in stale.json["detail"]) == (409, True)
    assert (api.run(run_id)["undo"], (root / "log.txt").read_text()) == (None, AFTER)
    assert api("POST", f"/v1/runs/{run_id}/undo", {"change_sets": preview["change_sets"]}).status == 202
    assert api.undone(run_id)["state"] == "done"
    assert (root / "log.txt").read_text() == BEFORE
    assert api("GET", f"/v1/runs/{run_id}/artifacts/changes.patch").status == 404

    visits = [
        data["data"]["visit"] for name, _, data in api.events(run_id) if name == "run" and "visit" in data["data"]
    ]
    refused = api("POST", f"/v1/runs/{run_id}/fork", {"step": 900})
    assert refused.status == 422
    forked = api("POST", f"/v1/runs/{run_id}/fork", {"step": visits[0], "say": "only one line"})
    assert (forked.status, forked.json["forked_from"]) == (201, f"{run_id}:{visits[0]}")
    answered(api, forked.json["run_id"], "deny")
    assert api.until(forked.json["run_id"], "done", "failed", "unchecked", "waiting")["epoch"] >= 2
    streamed = api.events_so_far(forked.json["run_id"])
    notes = [data["data"].get("text") for name, _, data in streamed if name == "run"]
    assert notes.count("only one line") == 1


def test_a_waiting_run_takes_guidance_as_a_denial_and_can_be_cancelled(api: Api, root: Path) -> None:
    run_id = api.create(REQUEST)
    (first,) = api.until(run_id, "waiting")["questions"]
    unfit = api("POST", f"/v1/runs/{run_id}/answer", {"question": first["key"], "decision": "done"})
    assert (unfit.status, unfit.json["code"]) == (422, "invalid_arguments")
    assert api("POST", f"/v1/runs/{run_id}/say", {"text": "no, wait"}).status == 202
    ended = api.until(run_id, "waiting", "done", "unchecked", "failed")
    assert first["key"] not in [question["key"] for question in ended["questions"]]
    told = [data["data"] for name, _, data in api.events_so_far(run_id) if name == "run"]
    assert next(data["decision"] for data in told if "decision" in data) == "deny"
    assert [data["by"] for data in told if data.get("text") == "no, wait"] == ["local"]
    waiting = api.create(REQUEST)
    api.until(waiting, "waiting")
    assert api("POST", f"/v1/runs/{waiting}/cancel").json["state"] == "cancelled"
    assert api("POST", f"/v1/runs/{waiting}/answer", {"question": first["key"], "decision": "deny"}).status == 409
    assert api("POST", f"/v1/runs/{waiting}/resume").status == 202
    assert api.until(waiting, "waiting")["epoch"] == 2
    assert (root / "log.txt").read_text() == BEFORE


def test_the_questions_of_one_turn_are_answered_together(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    made = [
        ("fs__apply_patch", {"patch": f"{name}.txt\n<<<<<<< SEARCH\n=======\none\n>>>>>>> REPLACE\n"}) for name in "ab"
    ]
    with ScriptedModel([calls(*made), text("Done.")]) as model:
        config = tmp_path / "settings.toml"
        config.write_text(scripted_settings(model.base_url))
        with serving(root, "--config", str(config)) as api:
            run_id = api.create("add two files")
            first, second = api.until(run_id, "waiting")["questions"]
            assert first["turn"] == second["turn"] != ""
            body = {"question": first["key"], "decision": "edit", "arguments": {}, "together": True}
            assert api("POST", f"/v1/runs/{run_id}/answer", body).status == 422
            body = {"question": first["key"], "decision": "approve", "together": True}
            assert api("POST", f"/v1/runs/{run_id}/answer", body).status == 202
            ended = api.until(run_id, "done", "failed", "unchecked", "waiting")
            assert ended["state"] in ("done", "unchecked"), ended
    assert [(root / f"{name}.txt").read_text() for name in "ab"] == ["one\n"] * 2
