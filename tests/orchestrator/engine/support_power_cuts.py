"""What a human answers after parts of a run were killed, and what must hold then."""

from __future__ import annotations

import json
from collections import Counter

from lg_orch.contracts.events import Event
from lg_orch.recording.journal import read_journal
from lg_orch.runs.run_directory import all_runs
from lg_policy.state import open_state
from tests.orchestrator.forks import Ended
from tests.orchestrator.stage import Place

PATCH = ("name='fs__apply_patch'", "approval_id='ap-")


def answer(place: Place, ended: Ended) -> tuple[str, ...]:
    """What a human says who looks at how things are."""
    if ended.status != 3:
        return ()
    if "--not-done" in json.loads(ended.out)["text"]:
        return (f"--{'done' if place.noted else 'not-done'}",)
    return ("--approve",)


def assert_as_if_nothing_had_happened(place: Place) -> None:
    ended = place.replay()
    assert (ended.status, json.loads(ended.out)["status"]) == (0, "done"), ended.out
    texts = [(place.root / name).read_text() for name in ("log.txt", "more.txt")]
    assert texts == ["begin\nx\ny\nend\n", "begin\nx\nend\n"]
    assert place.noted == "x"
    assert (place.folder / "again").read_text() == "once\n"


def assert_nothing_was_done_or_asked_twice(place: Place) -> None:
    run = next(all_runs(open_state(root=place.root).path))
    assert_asked_once(read_journal(run.journal))
    assert_the_ledger_is_whole(place)
    argv = ("audit", "list", "--json", "--limit", "10000", "--run", run.run_id)
    listed = place.forker.run(*argv, *place.gateway_flags(), cwd=place.root, program="lg_gateway")
    begun = [record for record in map(json.loads, listed.out.splitlines()) if record["phase"] == "begun"]
    once = Counter(record["idempotency_key"] for record in begun if '"note"' in record["arguments"])
    assert set(once.values()) == {1}
    leaves: dict[str, set[str]] = {}
    for record in begun:
        if record["approval_id"]:
            leaves.setdefault(record["approval_id"], set()).add(record["idempotency_key"])
    assert leaves
    assert all(len(keys) == 1 for keys in leaves.values()), "an approval is for one call"


def assert_the_ledger_is_whole(place: Place) -> None:
    verified = place.forker.run("audit", "verify", *place.gateway_flags(), cwd=place.root, program="lg_gateway")
    assert verified.status == 0, verified.out


def assert_asked_once(events: list[Event]) -> None:
    """Of one call only one question is asked, and never again once it was answered."""
    answered: set[str] = set()
    asked: dict[tuple[str, str], set[str]] = {}
    key = {"": ""}
    for event in events:
        if event.kind == "tool" and event.phase == "begin":
            key[event.data["call_id"]] = event.data["idempotency_key"]
        elif event.kind == "approval" and event.phase == "begin":
            assert event.data["key"] not in answered
            asked.setdefault((key[event.data["call_id"]], event.data["kind"]), set()).add(event.data["key"])
        elif event.kind == "approval" and event.phase == "end":
            answered.add(event.data["key"])
    assert asked
    assert all(len(questions) == 1 for questions in asked.values()), asked
