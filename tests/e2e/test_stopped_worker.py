"""A worker that is stopped by SIGSTOP while it drives a run, and goes on later. Opt-in: see `conftest.py`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from tests import postgres
from tests.e2e.team import BEFORE, WAIT_S, team_of
from tests.forked_programs import programs_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.team import Team
    from tests.fork_server import ForkServer
    from tests.processes import Shared


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Shared[str], fork_server: ForkServer | None
) -> Iterator[Team]:
    """All that the story needs."""
    with (
        programs_of(fork_server),
        postgres.schema(postgres_server.get()) as url,
        team_of(tmp_path_factory.mktemp("team"), url) as made,
    ):
        yield made


@pytest.mark.timeout(600)
def test_a_worker_that_is_stopped_loses_its_run_writes_nothing_more_when_it_wakes_and_serves_again(team: Team) -> None:
    team.staff()
    silent, goes_on = team.model.expect("r0003")
    run_id = team.api("POST", "/v1/runs", {"request": "insert two lines, token r0003"})["run_id"]
    (question,) = team.api.until(run_id, "waiting")["questions"]
    team.api("POST", f"/v1/runs/{run_id}/answer", {"question": question["key"], "decision": "approve_for_run"})
    assert silent.wait(WAIT_S)
    driven = team.api("GET", f"/v1/runs/{run_id}")
    stopped = team.worker_of(driven)
    stopped.send_signal(signal.SIGSTOP)
    try:
        goes_on.set()
        ended = team.api.until(run_id, "done", "unchecked", "failed", "waiting")
        assert ended["state"] in ("done", "unchecked"), ended
        assert ended["epoch"] > driven["epoch"], "another worker took it over"
    finally:
        stopped.send_signal(signal.SIGCONT)
    for worker in team.workers.values():
        if worker is not stopped:
            worker.kill()
    undo = team.undone(run_id)
    assert undo["state"] == "done", f"the worker that was stopped does it, there is no other: {undo}"
    assert team.log.read_text() == BEFORE, "each line was inserted once, or more than these would have been left"
    trace = team.api("GET", f"/v1/runs/{run_id}/trace")
    assert [event["seq"] for event in trace["events"]] == list(range(1, len(trace["events"]) + 1))
