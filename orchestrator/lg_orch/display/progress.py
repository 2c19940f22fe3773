"""Shows progress on stderr during a run: plain lines when piped, a live block on a terminal, JSON when asked."""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from lg_orch.contracts.events import Usage
from lg_orch.contracts.text import one_line, visible
from lg_orch.display.live_state import LiveState
from lg_orch.tools.junit import split_report
from lg_policy.terminal_rows import fitting, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from rich.text import Text

    from lg_orch.contracts.events import Event

INPUT_WIDTH = 70
REFRESHES = 8
"""Times a second that the live block is drawn."""
MIN_BLOCK = 20
MARGIN = 8
"""Columns before the further lines of a text."""
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
        changed = f", changed {_changed(data['patch'])}" if data.get("patch") else ""
        return f"                {event.name}{' (dry run)' if dry else ''} ok, {result.get('timing_ms')} ms{changed}"
    if result.get("exit_code") is not None:
        return f"                {event.name}: exit code {result['exit_code']}, {result.get('timing_ms')} ms"
    why = one_line(result.get("stderr") or "no reason was given", 160)
    return f"                {event.name} failed, {result.get('timing_ms')} ms: {why}"


def _changed(patch: dict[str, Any]) -> str:
    files = [str(file.get("to") or file.get("path")) for file in patch.get("files") or ()]
    return one_line(f"{', '.join(files)} (+{patch.get('added', 0)} -{patch.get('removed', 0)})", 100)


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
    from lg_orch.agent.checks.report_options import shown_words

    if isinstance(values.get("args"), list):
        values = values | {"args": shown_words(values)[1:]}  # nobody typed what asks a runner for its report
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
        print(fitting(f"[{seconds:6.2f}] {lines_behind(line)}", self._stream), file=self._stream, flush=True)

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


class LiveRenderer:
    """On a terminal: one block that shows what is going on now, and above it the few lines that stay.

    With `verbose` every line stays.
    """

    def __init__(self, stream: TextIO, begun: float, *, verbose: bool = False) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._begun = begun
        self._verbose = verbose
        self._state = LiveState(begun)
        frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if self._console.encoding.startswith("utf") else "|/-\\"
        self._frames = frames
        self._live = Live(
            console=self._console, get_renderable=self._block, refresh_per_second=REFRESHES, transient=True
        )
        self._live.start()

    def _block(self) -> Text:
        from rich.text import Text

        now, used = self._state.rows(max(self._console.width - 4, MIN_BLOCK))
        frame = self._frames[int(time.monotonic() * REFRESHES) % len(self._frames)]
        return Text.assemble((f"{frame} ", "cyan"), f"{now}\n", (f"  {used}", "dim"))

    def show(self, event: Event) -> None:
        """Follow the event; print it if it is one that stays."""
        line = describe(event)
        self._state.take(event, line)
        if line is not None and event.phase != "progress" and (self._verbose or stays(event)):
            self.say(line if self._verbose else " ".join(line.split()))

    def say(self, line: str) -> None:
        """Print a line above the block."""
        if line.startswith("gateway ") and not self._verbose:
            return
        from rich.text import Text

        stamp, style = f"{time.monotonic() - self._begun:6.2f}  ", style_of(line)
        first, *more = rows_of(f"{stamp}{lines_behind(line)}", self._console.width)
        shown = Text.assemble((first[: len(stamp)], "dim"), (first[len(stamp) :], style))
        for row in more:
            shown.append(f"\n{row}", style)
        self._console.print(shown, soft_wrap=True)

    def close(self) -> None:
        """Take the block down."""
        self._live.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the block away while a person types."""
        self._live.stop()
        try:
            yield
        finally:
            self._live.start(refresh=True)


class QuietRenderer:
    """Shows nothing until the report; a question is still asked."""

    def show(self, event: Event) -> None:
        """Show nothing."""

    def say(self, line: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing: there is no live view to take down."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing: nothing moves here."""
        return nullcontext()


def stays(event: Event) -> bool:
    """Tell whether an event is worth a line after it has passed: a change, a check, an answer, a failure, the end."""
    if event.kind in ("approval", "verify", "error"):
        return event.kind != "approval" or event.phase == "end"
    if event.kind == "tool":
        if event.phase == "retry":
            return True
        result = event.data.get("result") or {}
        if str(event.data.get("call_id", "")).startswith("context."):
            return False  # looks for what may not be there
        failed = event.phase == "end" and not result.get("ok") and result.get("exit_code") is None
        return failed or bool(event.data.get("patch"))
    if event.kind == "model":
        return event.phase in ("retry", "failed")
    if event.kind == "thought":
        return event.name in ("run", "tree", "user") or str(event.data.get("text", "")).startswith("no check:")
    return event.name in ("run", "trace") and event.phase == "end"


def lines_behind(line: str) -> str:
    """Return what happened as lines of which only the first begins with words of ours: the others have a margin."""
    return visible(line).replace("\n", f"\n{' ' * MARGIN}| ")


def style_of(line: str) -> str:
    """Return the colour of a line: red for what went wrong."""
    bad = line.startswith(("error", "retry")) or " failed, " in line or ": exit code " in line[:60]
    return "red" if bad else ""


class Renderer(Protocol):
    """Shows a run to somebody."""

    def show(self, event: Event) -> None:
        """Show an event."""
        ...

    def say(self, line: str) -> None:
        """Show a line of ours."""
        ...

    def close(self) -> None:
        """Take down what moves."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Hold still for the length of the block."""
        ...


def choose_renderer(
    stream: TextIO, begun: float, *, as_json: bool, replayed: bool = False, quiet: bool = False, verbose: bool = False
) -> Renderer:
    """Return the renderer for JSON if asked, for a live view if the terminal can show one, else for plain lines.

    A replay has no live view.
    """
    if as_json:
        return JsonRenderer(stream)
    if quiet:
        return QuietRenderer()
    if replayed:
        return PlainRenderer(stream, begun, replayed=True)
    return LiveRenderer(stream, begun, verbose=verbose) if is_capable(stream) else PlainRenderer(stream, begun)


def is_capable(stream: TextIO) -> bool:
    """Tell whether a stream is a terminal on which rows can be redrawn."""
    return stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb", "unknown")
