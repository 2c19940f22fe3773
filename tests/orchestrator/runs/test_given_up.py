"""Which commands are not made again when a stopped run goes on."""

from __future__ import annotations

from typing import Any

import pytest

from lg_orch.contracts.events import Event, Kind
from lg_orch.runs.history import prior_of


def event(kind: Kind, name: str, phase: str, **data: Any) -> Event:
    return Event(seq=1, time="2026-01-31T10:00:00.000+00:00", kind=kind, name=name, phase=phase, data=data)


BEGUN = event("node", "run", "begin")
COMMAND = event("tool", "exec__exec", "begin", call_id="m0.1", idempotency_key="r:1", effect="command", epoch=0)
PATCH = event("tool", "fs__apply_patch", "begin", call_id="m0.2", idempotency_key="r:2", effect="patch", epoch=0)
ENDED = event("tool", "exec__exec", "end", call_id="m0.1", result={"artifacts": {"error": None}})
STOPPED = event("node", "run", "end", status="interrupted")
SAID = event("thought", "user", "note", text="only look", guidance=True)


@pytest.mark.parametrize(
    ("events", "keys"),
    [
        ((BEGUN, COMMAND, STOPPED, SAID), {"r:1"}),
        ((BEGUN, COMMAND, STOPPED), set()),
        ((BEGUN, COMMAND, SAID, STOPPED), set()),
        ((BEGUN, COMMAND, SAID), set()),
        ((BEGUN, COMMAND, ENDED, STOPPED, SAID), set()),
        ((BEGUN, PATCH, STOPPED, SAID), set()),
    ],
    ids=["stopped-and-said", "goes-on", "said-while-it-ran", "killed", "it-had-ended", "a-change-has-an-outcome"],
)
def test_a_command_that_was_stopped_is_given_up_once_something_else_is_said(
    events: tuple[Event, ...], keys: set[str]
) -> None:
    assert prior_of(events).given_up == keys
