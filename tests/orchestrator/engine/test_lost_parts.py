"""Only one part dies by SIGKILL, in the middle of a call, and `lg-orch` lives on: its gateway, or one server."""

from __future__ import annotations

import json
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.e2e.programs import served_by
from tests.orchestrator.engine.support_power_cuts import (
    PATCH,
    answer,
    assert_as_if_nothing_had_happened,
    assert_nothing_was_done_or_asked_twice,
)
from tests.orchestrator.stage import EVERYTHING, Place
from tests.orchestrator.stopping import INTERPRETER, PLACES, after, before
from tests.processes import Shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.orchestrator.stopping import Stop

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("programs_by_fork")]
NOTED = ("cmd': 'note'", "approval_id='ap-")
GATEWAY = (
    before("lg_gateway.calls.recorder:LedgerRecorder.begun", "name='fs__list_files'", how="die"),
    before("lg_gateway.calls.recorder:LedgerRecorder.ended", "name='fs__read_file'", how="die"),
    after("lg_gateway.calls.recorder:LedgerRecorder.begun", *PATCH, how="die"),
    before("lg_gateway.calls.recorder:LedgerRecorder.ended", *PATCH, how="die"),
    before("lg_gateway.calls.recorder:LedgerRecorder.ended", *NOTED, how="die"),
)
SERVERS = (
    before("lg_fs.server.read_tools:Lookups.read_file", how="die"),
    after("lg_fs.changes.commit:Commit._change", how="die"),
    after("lg_exec.server.executor:Executor.execute", "cmd='again'", how="die"),
    after("lg_exec.server.executor:Executor.execute", "cmd='note'", how="die"),
)


@pytest.fixture
def own(place: Place) -> Place:
    return replace(place, own=True)


def names(places: tuple[Stop, ...]) -> list[str]:
    return [f"alone: {place['name']}" for place in places]


def test_a_run_whose_gateway_dies_breaks_off_and_goes_on_as_if_it_had_not(own: Place) -> None:
    ended = own.begin(request=EVERYTHING, places=GATEWAY)
    at, asked = ended.at, 0
    while ended.status != 0 and len(at) <= len(GATEWAY) and asked < 2:
        if ended.status == 1:
            assert "the connection to the gateway was lost during the run" in ended.out
        asked += ended.status == 3
        ended = own.resume(*answer(own, ended), places=GATEWAY)
        at += ended.at
    assert at == names(GATEWAY)
    # Whether the one command was carried out, that declares no `rerun`.
    assert asked == 1
    assert ended.status == 0, ended.out
    assert_as_if_nothing_had_happened(own)
    assert_nothing_was_done_or_asked_twice(own)


def test_a_run_whose_servers_die_asks_only_of_the_call_that_nobody_can_know_of(own: Place) -> None:
    asked = own.begin(request=EVERYTHING, places=SERVERS)
    assert asked.status == 3, asked.out
    assert '"cmd": "note"' in json.loads(asked.out)["text"]
    ended = own.resume("--done", places=SERVERS)
    assert ended.status == 0, ended.out
    assert sorted(asked.at + ended.at) == sorted(names(SERVERS))
    assert "went down and recovered" in ended.out
    assert_as_if_nothing_had_happened(own)
    assert_nothing_was_done_or_asked_twice(own)


@contextmanager
def listening(place: Place, *places: Stop) -> Iterator[Place]:
    """The place with a gateway of the user's that comes to these places."""
    (place.folder / PLACES).write_text(json.dumps(places))
    command = [str(place.folder / INTERPRETER), "-P", "-m", "lg_gateway", "serve", "--no-login", "--transport", "http"]
    with served_by([*command, *place.gateway_flags()], cwd=place.folder) as made:
        yield replace(place, shared_gateway=Shared(lambda: nullcontext(made), lambda _: True))


def test_a_run_at_a_gateway_of_the_users_that_dies_goes_on_once_there_is_one_again(place: Place) -> None:
    with listening(place, before("lg_gateway.calls.recorder:LedgerRecorder.ended", *PATCH, how="die")) as first:
        cut_off = first.begin(request=EVERYTHING)
    assert cut_off.status == 1
    assert "the connection to the gateway was lost during the run" in json.loads(cut_off.out.splitlines()[0])["text"]
    ended = place.resume()
    assert ended.status == 0, ended.out
    assert_as_if_nothing_had_happened(place)
    assert_nothing_was_done_or_asked_twice(place)
