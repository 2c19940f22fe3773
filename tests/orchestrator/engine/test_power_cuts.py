"""Everything ends at once: `lg-orch`, its own gateway, the servers and the command that runs, with SIGKILL.

Each time at an exact place of one of them; then `resume`. No effect twice, nothing lost, nobody asked twice, the same
end as if nothing had happened, and a ledger that verifies.
"""

from __future__ import annotations

import json
import random
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lg_orch.agent.graph import NODES
from lg_orch.runs.run_directory import all_runs
from lg_policy.state import open_state
from tests.orchestrator.forks import Boundary
from tests.orchestrator.stage import EVERYTHING, Place
from tests.orchestrator.stopping import after, before
from tests.postgres import own_server

if TYPE_CHECKING:
    pass
from tests.orchestrator.engine.support_power_cuts import (
    PATCH,
    answer,
    assert_as_if_nothing_had_happened,
    assert_nothing_was_done_or_asked_twice,
    assert_the_ledger_is_whole,
)

pytestmark = pytest.mark.timeout(600)
MAX_DEATHS = 80
SEED, CUTS = 20261125, 8
SAVER = "langgraph.checkpoint.sqlite.aio:AsyncSqliteSaver"
WHILE = ("model", "before", "after", "again")
"""While the model is asked, while a command runs that has not done its work yet, that has, and one with `rerun`."""
INSIDE = (
    before("lg_fs.server.read_tools:Lookups.list_files"),
    before("lg_fs.server.read_tools:Lookups.read_file"),
    before("lg_gateway.calls.recorder:LedgerRecorder.begun", *PATCH),
    after("lg_gateway.calls.recorder:LedgerRecorder.begun", *PATCH),
    before("lg_fs.changes.commit:Commit.begin"),
    after("lg_fs.changes.commit:Commit.begin"),
    after("lg_fs.changes.commit:Commit.stage"),
    after("lg_fs.changes.commit:Commit._change"),
    after("lg_fs.changes.commit:Commit.change"),
    after("lg_fs.changes.commit:Commit.finish"),
    before("lg_gateway.calls.recorder:LedgerRecorder.ended", *PATCH),
    after("lg_gateway.calls.recorder:LedgerRecorder.ended", *PATCH),
    before("lg_exec.server.executor:Executor.execute", "cmd='note'"),
    after("lg_exec.server.executor:Executor.execute", "cmd='again'"),
    before(f"{SAVER}.aput", nth=3),
    after(f"{SAVER}.aput", nth=2),
    before(f"{SAVER}.aput_writes", nth=2),
    after(f"{SAVER}.aput_writes", nth=2),
)
KINDS, PHASES = ("tool", "approval"), ("begin", "end")
TOOLS = ("fs__read_file", "fs__apply_patch", "exec__exec")
AT_THE_END = before("lg_orch.commands.session:export")


SHARED_SAVER = "langgraph.checkpoint.postgres.aio:AsyncPostgresSaver"
INSIDE_SHARED = (
    *INSIDE[2:4],
    after("lg_fs.changes.commit:Commit._change"),
    before("lg_gateway.calls.recorder:LedgerRecorder.ended", *PATCH),
    before("lg_exec.server.executor:Executor.execute", "cmd='note'"),
    before(f"{SHARED_SAVER}.aput", nth=2),
    after(f"{SHARED_SAVER}.aput_writes", nth=2),
)


@pytest.fixture
def own(place: Place) -> Place:
    return replace(place, own=True)


def test_a_power_cut_inside_every_call_changes_nothing_about_the_end(own: Place) -> None:
    left, also = [*INSIDE], set(own.cut_while(*WHILE))
    ended = own.begin("--trace", request=EVERYTHING, yes=False, places=left)
    for _ in range(MAX_DEATHS):
        left, also = [one for one in left if one["name"] not in ended.at], also - set(ended.at)
        if not ended.killed and ended.status != 3:
            break
        last = [AT_THE_END] if ended.status == 3 and "y" in own.log else []
        ended = own.resume(*answer(own, ended), yes=False, places=[*left, *last])
    assert (left, also) == ([], set())
    # The last death was between the end of the journal and the trace, which the next command then wrote.
    assert "has ended (done)" in ended.out
    (trace,) = (own.root / "artifacts" / "runs").iterdir()
    assert json.loads(trace.read_text())["status"] == "done"
    assert_as_if_nothing_had_happened(own)
    assert_nothing_was_done_or_asked_twice(own)


def test_a_power_cut_at_every_node_changes_nothing_about_the_end(own: Place) -> None:
    # What happens within a node is above.
    seen: set[Boundary] = {
        (kind, name, phase, "") for kind in ("tool", "approval") for name in TOOLS for phase in PHASES
    }
    ended = own.begin(request=EVERYTHING, seen=seen)
    while ended.killed and len(seen) < MAX_DEATHS:
        seen |= {(*boundary[:3], "") for boundary in ended.boundaries()}
        ended = own.resume(seen=seen)
    assert "has ended (done)" in ended.out
    assert {name for kind, name, phase, _ in seen if (kind, phase) == ("node", "end")} >= {name for name, _ in NODES}
    assert_as_if_nothing_had_happened(own)
    assert_nothing_was_done_or_asked_twice(own)


def newest(place: Place) -> str:
    return next(all_runs(open_state(root=place.root).path)).run_id


def on(place: Place, url: str, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The place with ledger, approvals and checkpoints in PostgreSQL."""
    monkeypatch.setenv("LG_TEST_STORE", url)
    settings = (place.folder / "settings.toml").read_text()
    (place.folder / "shared.toml").write_text(f'{settings}\n[store]\nurl = "${{LG_TEST_STORE}}"\n')
    return replace(place, config="shared.toml", own=True)


def test_power_cuts_change_nothing_about_the_end_where_postgresql_is_the_store(
    place: Place, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, left = on(place, postgres_url, monkeypatch), [*INSIDE_SHARED]
    ended = shared.begin(request=EVERYTHING, yes=False, places=left)
    for _ in range(MAX_DEATHS):
        left = [one for one in left if one["name"] not in ended.at]
        if not ended.killed and ended.status != 3:
            break
        ended = shared.resume(*answer(shared, ended), yes=False, places=left)
    assert left == []
    assert ended.status == 0, ended.out
    assert_as_if_nothing_had_happened(shared)
    assert_nothing_was_done_or_asked_twice(shared)


def test_a_run_whose_postgresql_is_killed_breaks_off_and_goes_on_when_it_is_there_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    with own_server() as server:
        shared = on(place, server.url, monkeypatch)
        shared.victim("model").write_text(f"rm {shared.victim('model')}; kill -9 {server.pid}")
        cut_off = shared.begin(request=EVERYTHING)
        assert server.is_gone()
        assert cut_off.status == 1
        assert "the connection to PostgreSQL was lost during the run" in json.loads(cut_off.out.splitlines()[0])["text"]
        assert shared.resume().status == 2
        server.start()
        ended = shared.resume()
        assert ended.status == 0, ended.out
        assert_as_if_nothing_had_happened(shared)
        assert_nothing_was_done_or_asked_twice(shared)


def test_power_cuts_at_random_moments_change_nothing_about_the_end(own: Place) -> None:
    chance = random.Random(SEED)
    begun = time.monotonic()
    assert own.begin(request=EVERYTHING).status == 0
    whole_s = time.monotonic() - begun
    deaths = 0
    # How fast the machine is changes meanwhile: a run that was not cut off, or too early, says what "whole" is now.
    while deaths < CUTS:
        own.reset()
        before_it = newest(own)
        begun = time.monotonic()
        ended = own.begin(request=EVERYTHING, after_s=chance.uniform(0.1, 1) * whole_s)
        if newest(own) == before_it:
            whole_s *= 1.5
            continue  # cut off before there was a run
        if not ended.killed:
            whole_s = time.monotonic() - begun
        while ended.killed or ended.status == 3:
            deaths += ended.killed
            assert_the_ledger_is_whole(own)
            lives = chance.uniform(0.3, 1) * whole_s if ended.killed and deaths < CUTS else None
            ended = own.resume(*answer(own, ended), after_s=lives)
        if ended.status != 0:
            # Cut off after its end, or before its beginning: either says so.
            assert "has ended (done)" in ended.out or "before it wrote anything" in ended.out
        if "before it wrote anything" not in ended.out:
            assert_as_if_nothing_had_happened(own)
            assert_nothing_was_done_or_asked_twice(own)
