"""Shows progress on stderr during a run: plain lines when piped, a live line on a terminal, JSON when asked."""

from __future__ import annotations

import json
import re
import time
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO

from lg_orch.contracts.events import Usage
from lg_orch.contracts.text import one_line, visible
from lg_orch.tools.junit import split_report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from lg_orch.contracts.events import Event

INPUT_WIDTH = 70
UNTOLD = frozenset({"ingest", "policy_gate"})
"""Nodes whose remarks are for the trace: a reader has just typed the request, and knows how many tools there are."""
_COUNTED = re.compile(r"\d+ entries seen")
"""A progress message that says nothing by itself."""


def describe(event: Event) -> str | None:
    """Return the line for one event; `None` for events that only a trace needs."""
    data = event.data
    if event.kind == "tool":
        return _describe_tool(event)
    if event.kind == "model":
        return _describe_model(event)
    if event.kind == "verify":
        return _describe_check(event)
    if event.kind == "approval":
        how = f"{data.get('decision')} ({data.get('by')})" if event.phase == "end" else "a human is asked"
        return f"approval        {event.name}: {how}"
    if event.kind == "error":
        return f"error           {data.get('text', '')}"
    if event.kind == "thought" and data.get("text") and event.name not in UNTOLD:
        return f"{event.name:<15} {data['text']}"
    if event.name == "run" and event.phase == "connected":
        return f"gateway         {len(data.get('tools', ()))} tools"
    if event.name == "trace":
        return f"trace           {data.get('path')}"
    if event.name == "run" and event.phase == "end":
        usage = data.get("usage") or {}
        return f"ended           {data.get('status')}: {Usage.model_validate(usage).summary()}"
    return None


_VERDICTS = {"could_not_run": "could not be run"}
"""Verdicts of a check that read otherwise than they are stored."""


def _describe_check(event: Event) -> str:
    data = event.data
    said = one_line(str(data.get("reason") or data.get("summary") or ""), 100)
    code = f"exit code {event.data.get('exit_code')}" + (f": {said}" if said else "")
    if event.phase == "baseline":
        return f"baseline        {event.name}: {code}"
    verdict = _VERDICTS.get(str(data.get("verdict")), "passed" if data.get("ok") else "failed")
    return f"check           {event.name}: {verdict}, {code}"


def _describe_tool(event: Event) -> str | None:
    data = event.data
    if event.phase == "begin":
        return f"call            {event.name} {_arguments(data.get('input') or {})}"
    if event.phase == "progress":
        message = split_report(str(data.get("message") or ""))[0].strip()
        return f"                {one_line(message, 100)}" if message and not _COUNTED.fullmatch(message) else None
    if event.phase == "retry":
        return f"retry           {event.name}: server unavailable; retrying in {data.get('pause_s')} s"
    result = data.get("result") or {}
    if result.get("ok"):
        dry = ((result.get("artifacts") or {}).get("input") or {}).get("dry_run") is True
        return f"                {event.name}{' (dry run)' if dry else ''} ok, {result.get('timing_ms')} ms"
    if result.get("exit_code") is not None:
        return f"                {event.name}: exit code {result['exit_code']}, {result.get('timing_ms')} ms"
    why = one_line(result.get("stderr") or "no reason was given", 160)
    return f"                {event.name} failed, {result.get('timing_ms')} ms: {why}"


def _describe_model(event: Event) -> str | None:
    data = event.data
    if event.phase == "begin":
        return f"model           asking {event.name} ({data.get('role')})"
    if event.phase == "progress":
        return None
    if event.phase == "end":
        if data.get("from_cache"):
            return f"                {event.name}: answered from cache"
        cost = f", ${data['cost_usd']:.4f}" if data.get("cost_usd") else ""
        spent = f"{data.get('latency_ms')} ms, {data.get('total_tokens')} tokens{cost}"
        return f"                {event.name} answered, {spent}"
    why = one_line(str(data.get("error", "")), 160)
    if event.phase == "retry":
        return f"retry           {event.name} in {data.get('pause_s', 0):.1f} s: {why}"
    return f"                {event.name} failed{', asking a fallback' if data.get('falls_back') else ''}: {why}"


def _arguments(values: dict[str, Any]) -> str:
    # What is long hides what follows it, and whether a call only looks must not be hidden.
    first = sorted(values.items(), key=lambda item: not isinstance(item[1], bool))
    return one_line(" ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in first), INPUT_WIDTH)


class PlainRenderer:
    """One line an event, with the seconds since the command began; of a replayed run, since that run began."""

    def __init__(self, stream: TextIO, begun: float, *, replayed: bool = False) -> None:
        self._stream = stream
        self._begun = begun
        self._replayed = replayed
        self._first: datetime | None = None

    def show(self, event: Event) -> None:
        """Print the event if a reader cares."""
        line = describe(event)
        if line is None:
            return
        if not self._replayed:
            self.say(line)
            return
        then = datetime.fromisoformat(event.time)
        self._first = self._first or then
        self._print((then - self._first).total_seconds(), line)

    def say(self, line: str) -> None:
        """Print a line."""
        self._print(time.monotonic() - self._begun, line)

    def _print(self, seconds: float, line: str) -> None:
        print(f"[{seconds:6.2f}] {visible(line)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: there is no live line to take down."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing: no line moves here."""
        return nullcontext()


class JsonRenderer:
    """One event a line, as it stands in the journal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def show(self, event: Event) -> None:
        """Print the event."""
        print(event.model_dump_json(), file=self._stream, flush=True)

    def say(self, line: str) -> None:
        """Drop the line: plain remarks have no place between events."""

    def close(self) -> None:
        """Do nothing: there is no live line to take down."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing: no line moves here."""
        return nullcontext()


class RichRenderer:
    """On a terminal: finished things as lines, what is going on now as a live line below them."""

    def __init__(self, stream: TextIO, begun: float) -> None:
        from rich.console import Console
        from rich.status import Status

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._begun = begun
        self._status = Status("starting", console=self._console, spinner="dots")
        self._status.start()

    def show(self, event: Event) -> None:
        """Update the live line; print what is finished."""
        from rich.text import Text

        if event.kind == "model" and event.phase == "progress":
            self._status.update(Text(one_line(str(event.data.get("text", ""))[-90:], 100)))
            return
        line = describe(event)
        if line is None:
            return
        if event.kind in ("tool", "model") and event.phase in ("begin", "progress", "retry"):
            from rich.markup import escape

            self._status.update(escape(one_line(" ".join(line.split()), 100)))
        if event.phase != "progress":
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line above the live one."""
        from rich.text import Text

        bad = line.startswith(("error", "retry")) or " failed, " in line or ": exit code " in line[:60]
        style = "red" if bad else ""
        stamp = Text(f"{time.monotonic() - self._begun:6.2f}  ", style="dim")
        self._console.print(stamp + Text(visible(line), style=style), soft_wrap=True)

    def close(self) -> None:
        """Take the live line down."""
        self._status.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the live line away while a person types."""
        self._status.stop()
        try:
            yield
        finally:
            self._status.start()


Renderer = PlainRenderer | JsonRenderer | RichRenderer


def choose_renderer(stream: TextIO, begun: float, *, as_json: bool, replayed: bool = False) -> Renderer:
    """Return the renderer for JSON if asked, for a live view if the terminal can show one, else for plain lines.

    A replay has no live view.
    """
    if as_json:
        return JsonRenderer(stream)
    import os

    if replayed:
        return PlainRenderer(stream, begun, replayed=True)
    if stream.isatty() and os.environ.get("TERM") not in (None, "dumb") and "NO_COLOR" not in os.environ:
        return RichRenderer(stream, begun)
    return PlainRenderer(stream, begun)
