"""Reads from the journal what earlier processes did for a run: the next process starts from it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.remarks import FOUND, SAID, Remark
from lg_orch.human.inquiry import answers_of, kept_answers_of
from lg_orch.human.kept_answers import KeptAnswers
from lg_orch.llm.cost.spending import Traffic, traffic_so_far
from lg_orch.llm.cost.token_bounds import TokenBounds, bounds_of
from lg_orch.runs.tree_digest import left_at

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.human.approvals import HumanAnswer


@dataclass(frozen=True, kw_only=True)
class Prior:
    """The past of a run; that of a new one is empty."""

    epoch: int = 0
    """Sent with each call, so that the gateway shuts out an earlier process that still writes."""
    driven_s: float = 0.0
    """Seconds that processes spent on it."""
    waited_s: float = 0.0
    """Seconds that they waited for people."""
    traffic: Traffic = field(default_factory=Traffic)
    """Model traffic."""
    bounds: TokenBounds = field(default_factory=TokenBounds)
    """What is known of the models' counting."""
    answers: Mapping[str, HumanAnswer] = field(default_factory=dict)
    """What humans answered, by the key of their question."""
    kept: KeptAnswers = field(default_factory=KeptAnswers)
    """Those of them that count once more."""
    guidance: tuple[str, ...] = ()
    """What the user added to the request since, oldest first."""
    notices: tuple[str, ...] = ()
    """What the program found when it went on with the run, each text once."""
    remarks: tuple[Remark, ...] = ()
    """Guidance and notices as the model is told them, oldest first."""
    left: str | None = None
    """Digest of the tree as the last process left it."""
    given_up: frozenset[str] = frozenset()
    """Keys of commands that the user stopped before their end, and then said what to do instead."""


def prior_of(events: Sequence[Event], origin: Mapping[str, Any] | None = None) -> Prior:
    """Add it up. `origin` is what a fork's record says of the run that it continues."""
    origin = origin or next((event.data.get("forked_from") for event in events if event.name == "run"), None)
    return Prior(
        epoch=next_epoch(events),
        driven_s=driven_seconds(events),
        waited_s=waited_seconds(events),
        # What the forked state had used counts against the fork's limits too.
        traffic=traffic_so_far(events).plus(
            Traffic(
                tokens=int((origin or {}).get("tokens", 0)),
                usd=float((origin or {}).get("cost_usd", 0.0)),
                unpriced=frozenset((origin or {}).get("unpriced", ())),
            )
        ),
        bounds=bounds_of(events),
        answers=answers_of(events),
        kept=kept_answers_of(events),
        guidance=guidance_of(events),
        notices=tuple(dict.fromkeys(str(event.data["text"]) for event in events if event.data.get("notice"))),
        remarks=remarks_of(events),
        left=left_at(events),
        given_up=given_up(events),
    )


def given_up(events: Sequence[Event]) -> frozenset[str]:
    """Return the keys of commands that were stopped with the run and not wanted any more when it went on.

    A process that was killed stopped nothing: what it began is finished.
    """
    running: dict[str, str] = {}
    found: set[str] = set()
    stopped = False
    for event in events:
        if event.name == "run" and event.kind == "node":
            stopped = event.phase == "end"
        elif event.kind == "tool" and event.phase == "begin" and event.data.get("effect") == "command":
            running[str(event.data.get("call_id"))] = str(event.data.get("idempotency_key"))
        elif event.kind == "tool" and event.phase == "end":
            running.pop(str(event.data.get("call_id")), None)
        elif stopped and event.data.get("guidance"):
            found |= {*running.values()}
    return frozenset(found)


def driven_seconds(events: Sequence[Event]) -> float:
    """Return the seconds that processes spent on the run so far; the time between them does not count."""
    total, since, last = 0.0, None, None
    for event in events:
        now = datetime.fromisoformat(event.time)
        starts = event.name == "run" and event.phase in ("begin", "resume")
        ends = event.name == "run" and event.phase == "end"
        if since is not None and last is not None and (starts or ends):
            total += ((now if ends else last) - since).total_seconds()
            since = None
        since, last = (now if starts else since), now
    return total + ((last - since).total_seconds() if since is not None and last is not None else 0.0)


def waited_seconds(events: Sequence[Event]) -> float:
    """Return the seconds that earlier processes waited for people, as far as they came to say so."""
    ends = [event.data.get("usage") or {} for event in events if event.name == "run" and event.phase == "end"]
    return float(ends[-1].get("waited_s", 0.0)) if ends else 0.0


def guidance_of(events: Sequence[Event]) -> tuple[str, ...]:
    """Return what the user added to the request since it was made, oldest first."""
    return tuple(str(event.data["text"]) for event in events if event.name == "user" and event.data.get("guidance"))


def remarks_of(events: Sequence[Event]) -> tuple[Remark, ...]:
    """Return guidance and notices in order, each with the place where the first request after it showed it.

    A journal of an earlier version does not tell the place: then it was part of the first message.
    """
    found: list[Remark] = []
    for event in events:
        if event.data.get("guidance"):
            found.append(Remark(text=f"{SAID}{event.data['text']}"))
        elif event.data.get("notice"):
            found.append(Remark(text=f"{FOUND}{event.data['text']}."))
        elif event.kind == "model" and event.phase == "begin" and event.data.get("role") == "coder":
            after = int(event.data.get("results") or 0)
            found = [replace(remark, after=after) if remark.after is None else remark for remark in found]
    return tuple(found)


def next_epoch(events: Sequence[Event]) -> int:
    """Return the epoch for a new process: one more than that of the last call that surely reached a server.

    The gateway accepts the epoch it knows or the next one. A call whose outcome is not journalled may or may not have
    been seen there, and one that was answered from the record leaves no mark, so neither counts; the run's lock keeps
    two processes from sharing an epoch.
    """
    began: dict[str, int] = {}
    reached = -1
    for event in events:
        if event.kind != "tool" or event.phase not in ("begin", "end"):
            continue
        call_id = str(event.data["call_id"])
        if event.phase == "begin":
            began[call_id] = int(event.data.get("epoch", 0))
            continue
        artifacts = event.data["result"]["artifacts"]
        if artifacts["error"] is None and not artifacts.get("replayed"):
            reached = max(reached, began.get(call_id, 0))
    return reached + 1
