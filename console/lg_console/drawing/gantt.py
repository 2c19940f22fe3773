"""Draws the timeline of a run: one row for each node, call and request, idle time cut out and labelled."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

from lg_console.drawing.story import Bar
from lg_console.markup.elements import Child, Markup, tag
from lg_console.web.layout import age

BARS = 200
"""Bars that are drawn; the rest is one row for each node and kind."""
ROW, WIDTH, LABEL, RIGHT = 18, 900, 250, 60
IDLE_SHARE = 0.2
CUT_PX = 40
SHOWN = {"all": None, "calls": "call", "model": "model", "failed": "failed"}


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Turns seconds into places. `cuts` are idle times that are drawn short: start, end and place."""

    pieces: tuple[tuple[float, float, float, float], ...]
    """Start and end in seconds, and in pixels."""
    cuts: tuple[tuple[float, float, float], ...]

    def x(self, at: float) -> float:
        """Return the place of a moment."""
        for start, end, left, right in self.pieces:
            if at <= end:
                share = (max(at, start) - start) / (end - start) if end > start else 0.0
                return left + share * (right - left)
        return self.pieces[-1][3]


def scale_of(bars: Sequence[Bar], now: float) -> Scale:
    """Return the scale for bars: what is longer than a fifth of all and idle is drawn as a cut."""
    spans = sorted((bar.start, bar.end if bar.end is not None else now) for bar in bars if bar.kind != "wait")
    busy: list[list[float]] = []
    for start, end in spans:
        if busy and start <= busy[-1][1]:
            busy[-1][1] = max(busy[-1][1], end)
        else:
            busy.append([start, max(start, end)])
    total = busy[-1][1] - busy[0][0] or 1.0
    gaps = [(before[1], after[0]) for before, after in itertools.pairwise(busy)]
    cuts = [gap for gap in gaps if gap[1] - gap[0] > IDLE_SHARE * total]
    room = WIDTH - LABEL - RIGHT - CUT_PX * len(cuts)
    unit = room / ((total - sum(end - start for start, end in cuts)) or 1.0)
    pieces, drawn, at, left = [], [], busy[0][0], float(LABEL)
    for start, end in [*cuts, (busy[-1][1], busy[-1][1])]:
        right = left + (start - at) * unit
        pieces.append((at, start, left, right))
        if end > start:
            pieces.append((start, end, right, right + CUT_PX))
            drawn.append((start, end, right))
        at, left = end, right + CUT_PX
    return Scale(pieces=tuple(pieces), cuts=tuple(drawn))


def chosen_bars(bars: Sequence[Bar], shown: str) -> list[Bar]:
    """Return the bars that a chip of the timeline chooses."""
    if shown == "failed":
        return [bar for bar in bars if bar.failed]
    kind = SHOWN.get(shown)
    return [bar for bar in bars if bar.kind != "wait" and (kind is None or bar.kind == kind)]


def folded(bars: Sequence[Bar]) -> tuple[list[Bar], list[str]]:
    """Return the bars to draw, and a line for each kind of those that are too many."""
    if len(bars) <= BARS:
        return list(bars), []
    kept = sorted(bars, key=lambda bar: (bar.kind != "node", not bar.failed, -bar.seq))[:BARS]
    chosen = {id(bar) for bar in kept}
    counts: dict[tuple[str, str], int] = {}
    for bar in bars:
        if id(bar) not in chosen:
            counts[(bar.node or bar.kind, bar.label)] = counts.get((bar.node or bar.kind, bar.label), 0) + 1
    lines = [f"{node}: {label} x{count}" for (node, label), count in sorted(counts.items())]
    return [bar for bar in bars if id(bar) in chosen], lines[:50]


def gantt_picture(bars: Sequence[Bar], shown: str, now: float | None = None) -> Markup | None:
    """Return the picture, with the same as a table; `None` where nothing ran yet."""
    moment = now if now is not None else time.time()
    rows, rest = folded(chosen_bars(bars, shown))
    if not rows:
        return None
    scale = scale_of(rows, moment)
    height = ROW * len(rows) + 20
    drawn: list[Child] = [_cut(cut, height) for cut in scale.cuts]
    drawn += [_row(bar, number, scale, moment) for number, bar in enumerate(rows)]
    picture = tag(
        "svg",
        tag("title", f"Timeline of {len(rows)} bars"),
        *drawn,
        viewBox=f"0 0 {WIDTH} {height}",
        width=str(WIDTH),
        height=str(height),
        role="img",
    )
    return tag(
        "div",
        tag("div", picture, class_="gantt", tabindex="0", role="region", aria_label="Timeline"),
        tag("p", "Folded: ", ", ".join(rest), class_="note") if rest else None,
        tag("details", tag("summary", "As a table"), _table(rows, moment)),
    )


def _row(bar: Bar, number: int, scale: Scale, now: float) -> Markup:
    end = bar.end if bar.end is not None else now
    left, right = scale.x(bar.start), scale.x(end)
    y = number * ROW
    indent = 0 if bar.kind == "node" else 14
    mark = "✗ " if bar.failed else "▸ " if bar.end is None else ""
    said = f"{bar.label}: {end - bar.start:.1f} s{', failed' if bar.failed else ''} {bar.detail}"
    return tag(
        "g",
        tag("text", f"{mark}{bar.label[:30]}", x=str(4 + indent), y=str(y + 13)),
        tag(
            "rect",
            x=f"{left:.1f}",
            y=str(y + 3),
            width=f"{max(2.0, right - left):.1f}",
            height=str(ROW - 6),
            class_=f"{bar.kind} bad" if bar.failed else bar.kind,
        ),
        tag("text", f"{end - bar.start:.1f} s", x=f"{right + 4:.1f}", y=str(y + 13)),
        tag("title", said),
    )


def _cut(cut: tuple[float, float, float], height: int) -> Markup:
    start, end, left = cut
    middle = left + CUT_PX / 2
    return tag(
        "g",
        tag("line", x1=f"{middle:.1f}", x2=f"{middle:.1f}", y1="0", y2=str(height - 16), class_="cut"),
        tag("text", f"{age(end - start)} idle", x=f"{left - 6:.1f}", y=str(height - 4)),
    )


def _table(rows: Sequence[Bar], now: float) -> Markup:
    heads = ("What", "Kind", "Began after", "Took", "Ended")
    first = rows[0].start
    body = [
        tag(
            "tr",
            tag("td", bar.label),
            tag("td", bar.kind),
            tag("td", f"{bar.start - first:.1f} s"),
            tag("td", f"{(bar.end if bar.end is not None else now) - bar.start:.1f} s"),
            tag("td", "failed" if bar.failed else "goes on" if bar.end is None else "ok"),
        )
        for bar in rows
    ]
    head = tag("thead", tag("tr", *[tag("th", name, scope="col") for name in heads]))
    return tag("div", tag("table", head, tag("tbody", *body)), class_="scroll")
