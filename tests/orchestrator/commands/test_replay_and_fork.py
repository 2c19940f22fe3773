"""Looking back at runs and going on with them in other ways: replay, fork, guidance, edits, an operator's yes."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from lg_orch.contracts.schemas import schema
from lg_orch.runs.run_directory import RunDir, all_runs
from lg_policy.state import open_state
from tests.gateway.commands.terminals import approvals_on_terminal
from tests.orchestrator.stage import GUARDED, REQUEST, Place, insert

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


def newest(place: Place) -> RunDir:
    return next(all_runs(open_state(root=place.root).path))


def lines(run: RunDir, kind: str = "", phase: str = "") -> list[dict[str, Any]]:
    found = [json.loads(line) for line in run.journal.read_text().splitlines()]
    return [line for line in found if kind in ("", line["kind"]) and phase in ("", line["phase"])]


def keys(run: RunDir) -> set[str]:
    return {line["data"]["idempotency_key"] for line in lines(run, "tool", "begin")}


def test_a_replay_gives_the_same_output_without_asking_anybody(place: Place) -> None:
    ended = place.begin()
    asked, log = len(place.model.requests), (place.root / "log.txt").read_text()
    replayed = place.replay()
    assert (replayed.status, replayed.out) == (ended.status, ended.out)
    assert replayed.events == [event for event in ended.events if event["phase"] != "progress"]
    assert (len(place.model.requests), (place.root / "log.txt").read_text()) == (asked, log)


def test_every_line_of_a_journal_and_what_a_run_prints_fit_the_published_schema(place: Place) -> None:
    place.begin(yes=False)
    place.resume("--approve")
    validator = jsonschema.Draft202012Validator(schema("run_event"))
    journal = lines(newest(place))
    for line in journal:
        validator.validate(line)
    seen = {(line["kind"], line["phase"]) for line in journal}
    assert seen >= {("tool", "end"), ("approval", "end"), ("model", "end"), ("verify", "end")}
    assert not validator.is_valid({**journal[0], "kind": "approval", "phase": "end"})
    for call in lines(newest(place), "tool", "end"):
        artifacts = call["data"]["result"]["artifacts"]
        # What came back as a question has no outcome in the ledger yet.
        waits = (artifacts["error"] or {}).get("code") == "approval_required"
        assert waits or artifacts["ledger_id"], call


def test_a_fork_goes_on_from_a_step_with_keys_of_its_own_and_the_old_run_stays(place: Place) -> None:
    place.begin()
    first = newest(place)
    before = first.journal.read_bytes()
    step = next(
        line["data"]["visit"] for line in reversed(lines(first)) if line["kind"] == "node" and line["name"] == "planner"
    )
    place.reset()
    forked = place.driven("fork", first.run_id, "--at", str(step))
    place.assert_as_if_nothing_had_happened(forked)
    second = newest(place)
    assert second.run_id != first.run_id
    assert not keys(first) & keys(second)
    assert first.journal.read_bytes() == before
    begin = lines(second)[0]["data"]
    assert (begin["forked_from"]["run_id"], begin["forked_from"]["step"]) == (first.run_id, step)
    visits = [line["data"]["visit"] for line in lines(second) if "visit" in line["data"]]
    assert min(visits) == step + 1


@pytest.mark.parametrize("step", ["0", "999"])
def test_a_fork_of_a_step_that_there_is_not_leaves_nothing(place: Place, step: str) -> None:
    place.begin()
    runs = [run.run_id for run in all_runs(open_state(root=place.root).path)]
    refused = place.driven("fork", "last", "--at", step)
    assert refused.status == 2
    assert "has no step" in refused.out
    assert [run.run_id for run in all_runs(open_state(root=place.root).path)] == runs


def test_guidance_reaches_the_model_and_denies_the_call_that_waited(place: Place) -> None:
    assert place.begin(yes=False).status == 3
    assert place.resume("--say", "use a capital letter").status in (0, 1)
    assert "use a capital letter" in place.told()
    answers = [line["data"] for line in lines(newest(place), "approval", "end")]
    assert (answers[0]["decision"], answers[0]["reason"]) == ("deny", "use a capital letter")
    assert not place.log.startswith("x")


def test_guidance_is_added_to_a_run_that_was_cut_off(place: Place) -> None:
    assert place.begin(seen=set()).killed
    place.assert_as_if_nothing_had_happened(place.resume("--say", "small letters please"))
    assert "Added by the user later: small letters please" in [
        message["content"] for message in json.loads(place.told())
    ]


def test_an_edited_call_is_shown_and_approved_as_a_call_of_its_own(place: Place, tmp_path: Path) -> None:
    assert place.begin(yes=False).status == 3
    (tmp_path / "edited.json").write_text(json.dumps(insert("z")[1]))
    asked = place.resume("--edit", str(tmp_path / "edited.json"), yes=False)
    assert asked.status == 3
    assert "+z" in json.loads(asked.out)["text"]
    assert place.log == ""
    assert place.resume("--approve").status == 0
    assert "z" in place.log
    assert "x" not in place.log


def test_answers_that_do_not_fit_what_is_asked_change_nothing(place: Place, tmp_path: Path) -> None:
    assert place.begin(yes=False).status == 3
    before = newest(place).journal.read_bytes()
    (tmp_path / "wrong.json").write_text("[]")
    for flags, says in (
        (("--done",), "--done does not answer what the run asks"),
        (("--edit", str(tmp_path / "wrong.json")), "does not hold a JSON object"),
        (("--approve", "--reason", "x"), "--reason needs --deny"),
        (("--deny", "--for-run"), "--for-run needs --approve"),
    ):
        refused = place.resume(*flags, yes=False)
        assert refused.status == 2
        assert says in refused.out
    assert newest(place).journal.read_bytes() == before


def test_a_call_that_only_an_operator_may_approve_makes_the_run_wait_for_one(place: Place) -> None:
    waiting = place.begin(request=GUARDED)
    assert waiting.status == 3, waiting.out
    said = json.loads(waiting.out)["text"]
    asked = said.partition("approvals show ")[2].partition("`")[0]
    assert asked.startswith("ap-")
    assert place.resume().status == 3, "nobody has answered yet"
    assert "not approved" not in approvals_on_terminal("CODE", "approve", asked, *place.gateway_flags())
    ended = place.resume()
    assert ended.status == 0, ended.out
    assert place.log == "x"


def test_a_run_can_go_on_without_what_an_operator_has_not_answered(place: Place) -> None:
    assert place.begin(request=GUARDED).status == 3
    ended = place.resume("--deny", "--reason", "nobody is there")
    assert ended.status in (0, 1)
    assert "nobody is there" in ended.out + place.told()


def test_waiting_runs_are_listed_from_anywhere_with_how_to_answer(place: Place, tmp_path: Path) -> None:
    assert place.begin(yes=False).status == 3
    run_id = newest(place).run_id
    listed = place.forker.run("approvals", cwd=tmp_path)
    assert f"lg-orch resume {run_id} --approve" in listed.out
    assert "+x" in listed.out
    assert REQUEST in listed.out
    (row,) = [
        row for line in place.forker.run("approvals", "--json", cwd=tmp_path).out.splitlines()
        if (row := json.loads(line))["run_id"] == run_id
    ]  # fmt: skip
    assert (row["kind"], row["tool"], row["root"]) == ("approval", "fs__apply_patch", str(place.root))
    place.resume("--approve")
    assert run_id not in place.forker.run("approvals", cwd=tmp_path).out


def test_old_runs_go_and_those_that_can_go_on_stay(place: Place) -> None:
    place.begin()
    done = newest(place)
    place.reset()
    place.begin(seen=set())
    killed = newest(place)
    for run in (done, killed):
        os.utime(run.journal, (0, 0))
    would = place.forker.run("runs", "prune", "--dry-run", *place.flags(), cwd=place.root)
    assert (f"would remove {done.run_id}" in would.out, killed.run_id in would.out) == (True, False)
    assert done.path.exists()
    place.begin()
    assert (done.path.exists(), killed.path.exists()) == (False, True), "a new run removes what is over its time"
    gone = place.forker.run("runs", "prune", "--all", "--older-than", "1h", *place.flags(), cwd=place.root)
    assert f"removed {killed.run_id}" in gone.out
    assert not killed.path.exists()


def test_an_undo_through_a_running_gateway_is_the_users_act_in_its_ledger(place: Place) -> None:
    place.begin()
    undone = place.forker.run("undo", "last", "--yes", "--gateway", place.gateway, *place.flags(), cwd=place.root)
    assert undone.status == 0, undone.out
    assert (place.log, place.noted) == ("", "x")
    reverts = [line for line in lines(newest(place), "approval", "end") if line["name"] == "fs__revert_patch"]
    assert [line["data"]["by"] for line in reverts] == ["lg-orch undo"] * 2


def test_an_answer_counts_once_it_was_given_whatever_fails_afterwards(place: Place) -> None:
    assert place.begin(yes=False).status == 3
    failed = place.driven("resume", "last", "--approve", "--gateway", "http://127.0.0.1:1/mcp", yes=False)
    assert failed.status == 1
    assert "no answer from the gateway" in failed.out
    assert place.log == ""
    assert place.resume().status == 0
    assert place.log == "xy"


def test_a_state_of_another_version_is_refused_with_that_reason_and_left_as_it_is(place: Place) -> None:
    assert place.begin(yes=False).status == 3
    rename_in_checkpoints(newest(place), b"rationale", b"reasoning")
    refused = place.resume("--approve")
    assert refused.status == 1, refused.out
    assert "started by another version" in refused.out, refused.out
    rename_in_checkpoints(newest(place), b"reasoning", b"rationale")
    assert place.resume().status == 0


def rename_in_checkpoints(run: RunDir, old: bytes, new: bytes) -> None:
    """Call a field of the state something else, as another version would have."""
    with closing(sqlite3.connect(run.checkpoints)) as database, database:
        for row, data in database.execute("SELECT rowid, checkpoint FROM checkpoints").fetchall():
            database.execute("UPDATE checkpoints SET checkpoint = ? WHERE rowid = ?", (data.replace(old, new), row))
