"""Draws the graph of a run: nodes in layers, the one that is being visited marked, with the number of visits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lg_console.markup.elements import Child, Markup, tag

NODES = 60
WIDTH, HEIGHT, GAP_X, GAP_Y, MARGIN = 132, 34, 34, 22, 12


def layers_of(edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return nodes in layers: each behind the last of those that lead to it; edges that lead back do not count.

    Within a layer nodes stand near those that lead to them (two barycentre sweeps).
    """
    names = list(dict.fromkeys(name for edge in edges for name in edge))[:NODES]
    forward = _without_cycles(names, edges)
    depth = dict.fromkeys(names, 0)
    for _ in names:
        for start, end in forward:
            depth[end] = max(depth[end], depth[start] + 1)
    layers: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in names:
        layers[depth[name]].append(name)
    for _ in range(2):
        place = {name: row for layer in layers for row, name in enumerate(layer)}
        for layer in layers[1:]:
            before = {name: [place[start] for start, end in forward if end == name] for name in layer}
            layer.sort(key=lambda name: sum(before[name]) / len(before[name]) if before[name] else 0.0)
    return layers


def _without_cycles(names: Sequence[str], edges: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the edges without those that lead back to a node on the way to them."""
    following: dict[str, list[str]] = {name: [] for name in names}
    for start, end in edges:
        if start in following and end in following and start != end:
            following[start].append(end)
    kept: list[tuple[str, str]] = []
    state: dict[str, int] = {}
    for root in names:
        stack = [(root, iter(following[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            name, rest = stack[-1]
            after = next(rest, None)
            if after is None:
                state[name] = 2
                stack.pop()
            elif state.get(after) != 1:
                kept.append((name, after))
                if after not in state:
                    state[after] = 1
                    stack.append((after, iter(following[after])))
    return kept


def graph_picture(edges: Sequence[tuple[str, str]], visits: Mapping[str, int], current: str) -> Markup | None:
    """Return the picture; `None` for a run whose graph is not known yet."""
    layers = layers_of(edges)
    if not layers:
        return None
    rows = max(map(len, layers))
    width = MARGIN * 2 + len(layers) * WIDTH + (len(layers) - 1) * GAP_X
    height = MARGIN * 2 + rows * HEIGHT + (rows - 1) * GAP_Y + 26
    at = {
        name: (MARGIN + column * (WIDTH + GAP_X), MARGIN + row * (HEIGHT + GAP_Y))
        for column, layer in enumerate(layers)
        for row, name in enumerate(layer)
    }
    drawn: list[Child] = [_edge(at[start], at[end], start == end) for start, end in edges if start in at and end in at]
    drawn += [_node(name, at[name], visits.get(name, 0), current == name) for name in at]
    said = f"The graph of the run. Now: {current or 'no node'}."
    picture = tag(
        "svg",
        tag("title", said),
        *drawn,
        viewBox=f"0 0 {width} {height}",
        width=str(width),
        height=str(height),
        role="img",
        aria_label=said,
    )
    return tag("div", picture, class_="graph", tabindex="0", role="region", aria_label="Graph")


def _node(name: str, at: tuple[int, int], visits: int, active: bool) -> Markup:
    x, y = at
    times = f" x{visits}" if visits > 1 else ""
    kind = "box active" if active else "box seen" if visits else "box"
    return tag(
        "g",
        tag("rect", x=str(x), y=str(y), width=str(WIDTH), height=str(HEIGHT), rx="6", class_=kind),
        tag("text", f"{'▸ ' if active else ''}{name[:18]}{times}", x=str(x + 8), y=str(y + 22)),
        tag("title", f"{name}: {visits} visits"),
    )


def _edge(start: tuple[int, int], end: tuple[int, int], itself: bool) -> Markup:
    if itself:
        x, y = start[0] + WIDTH - 24, start[1] + HEIGHT
        return tag("path", d=f"M{x} {y} q 8 14 16 0", class_="edge")
    y1, y2 = start[1] + HEIGHT // 2, end[1] + HEIGHT // 2
    if end[0] > start[0]:
        x1, x2 = start[0] + WIDTH, end[0]
        return tag("path", d=f"M{x1} {y1} C{x1 + 20} {y1} {x2 - 20} {y2} {x2} {y2}", class_="edge")
    x1, x2 = start[0] + WIDTH // 2, end[0] + WIDTH // 2
    low = max(start[1], end[1]) + HEIGHT + 18
    return tag("path", d=f"M{x1} {start[1] + HEIGHT} C{x1} {low} {x2} {low} {x2} {end[1] + HEIGHT}", class_="edge")
