"""Replay of a run: the run as it stood after one of its events, and the way to the next."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lg_console.drawing.story import cut, seconds_of
from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.runs import WholeRun
from lg_console.web.layout import age

DATA = 2_000
"""Characters of an event's data that are shown."""


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """A place in the events of a run. `place` counts from 1."""

    place: int
    events: Sequence[Mapping[str, Any]]

    @property
    def event(self) -> Mapping[str, Any]:
        """The event that happened last."""
        return self.events[self.place - 1]

    def node(self, step: int) -> int:
        """Return the place of the next (1) or previous (-1) node that begins."""
        at = self.place + step
        while 1 <= at <= len(self.events) and not _begins_a_node(self.events[at - 1]):
            at += step
        return min(max(at, 1), len(self.events))


def replayed(run: WholeRun, place: int) -> tuple[WholeRun, Replayed | None]:
    """Return a run with its first `place` events, and the place; a run without events has none."""
    if not run.events:
        return run, None
    place = min(max(place, 1), len(run.events))
    events = run.events[:place]
    summary = replace(run.summary, tokens=0, cost_usd=0.0, state="replay", stopping=False, report="", undo="")
    # What stands after the last event is not what stood then.
    then = replace(run, summary=summary, events=events, questions=(), artifacts=(), patch="", steps=())
    return then, Replayed(place=place, events=run.events)


def replay_bar(replay: Replayed, tab: str, show: str) -> Markup:
    """Return where the replay stands, what happened there, and the ways on."""
    last = len(replay.events)
    hidden = [tag("input", type="hidden", name=name, value=value) for name, value in (("tab", tab), ("show", show))]
    steps = (
        ("First", 1, "first"), ("Node before", replay.node(-1), "node-before"), ("Back", replay.place - 1, "back"),
        ("Next", replay.place + 1, "next"), ("Next node", replay.node(1), "next-node"), ("Last", last, "last"),
    )  # fmt: skip
    buttons = [
        tag(
            "button",
            word,
            name="at",
            value=str(min(max(at, 1), last)),
            data_step=key,
            disabled=at < 1 or at > last or at == replay.place,
        )
        for word, at, key in steps
    ]
    return tag(
        "section",
        tag(
            "form",
            *hidden,
            tag(
                "label",
                f"Event {replay.place} of {last}",
                tag("input", type="range", id="replay-at", min="1", max=str(last), value=str(replay.place)),
            ),
            tag("div", *buttons, tag("button", "Play", type="button", id="replay-play", hidden=True), class_="buttons"),
            method="get",
        ),
        tag("p", *_what_happened(replay), class_="replayed", role="status"),
        tag(
            "details",
            tag("summary", "What this event holds"),
            tag("pre", cut(json.dumps(replay.event.get("data"), indent=2, ensure_ascii=False), DATA), class_="wrap"),
        ),
        id="replay",
        class_="card",
        aria_label="Replay",
        data_live=True,
        data_last=str(last),
    )


def _what_happened(replay: Replayed) -> list[Child]:
    event, first = replay.event, seconds_of(replay.events[0].get("time"))
    at = seconds_of(event.get("time"))
    words = " ".join(cut(event.get(name), 80) for name in ("kind", "name", "phase"))
    return [tag("strong", words), f", {age(at - first)} after the run began, at {cut(event.get('time'), 40)}"]


def _begins_a_node(event: Mapping[str, Any]) -> bool:
    return event.get("kind") == "node" and event.get("phase") == "begin"
