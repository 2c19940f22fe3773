"""The pages of servers: how each stands, and one with the end of its log."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote

from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import Person, Role
from lg_console.sources.servers import ServerState
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, empty, framed, state_word

HEADS = ("Server", "State", "Protocol", "Tools", "Restarts", "p50", "p95", "Error")


def servers_page(console: Console, person: Person, servers: Sequence[ServerState], mark: str) -> str:
    """Return the list."""
    frame = PageFrame(title="Servers", path="/servers", person=person, topics=("servers",), marks=mark)
    head = tag("thead", tag("tr", *[tag("th", name, scope="col") for name in HEADS]))
    table = tag("div", tag("table", head, tag("tbody", *map(_row, servers)), class_="rows"), class_="scroll")
    return framed(
        console,
        frame,
        tag("h1", "Servers"),
        tag(
            "div",
            table
            if servers
            else empty("No server is configured.", "`lg-gateway import` takes over those of a client."),
            id="servers",
            data_live=True,
        ),
        tag("p", "Latencies are of the last calls in the ledger.", class_="note"),
    )


def server_page(console: Console, person: Person, server: ServerState, mark: str) -> str:
    """Return one server."""
    frame = PageFrame(title=f"Server {server.name}", path="/servers", person=person, topics=("servers",), marks=mark)
    return framed(
        console,
        frame,
        tag("p", tag("a", "All servers", href="/servers")),
        tag("h1", "Server ", tag("code", server.name)),
        tag("div", *_facts(server), _retry(server, person), id="server", data_live=True),
        tag("h2", "End of its log"),
        tag("pre", server.log, tabindex="0", class_="wrap", id="log", data_live=True)
        if server.log
        else empty("It has printed nothing to its log."),
    )


def _row(server: ServerState) -> Markup:
    error = [server.error, f" {server.what_to_do}"] if server.error else [server.what_to_do]
    return tag(
        "tr",
        tag(
            "td",
            tag("a", server.name, href=f"/servers/{quote(server.name, safe='')}"),
            data_label="Server",
            class_="title",
        ),
        tag("td", state_word(server.state), data_label="State"),
        tag("td", server.era or "-", data_label="Protocol"),
        tag("td", server.tools, data_label="Tools"),
        tag("td", server.restarts, data_label="Restarts"),
        tag("td", _ms(server.p50), data_label="p50"),
        tag("td", _ms(server.p95), data_label="p95"),
        tag("td", *error, data_label="Error"),
        tabindex="-1",
    )


def _facts(server: ServerState) -> list[Child]:
    kind = "built in" if server.builtin else "third party, trusted" if server.trusted else "third party"
    facts = (
        ("State", state_word(server.state)),
        ("Kind", kind),
        ("Protocol", server.era or "not known yet"),
        ("Version", server.version or "not known yet"),
        ("Tools", str(server.tools)),
        ("Restarts", str(server.restarts)),
        ("Last calls", f"{server.calls}, p50 {_ms(server.p50)}, p95 {_ms(server.p95)}"),
        ("Error", server.error),
        ("What to do", server.what_to_do),
    )
    rows = [[tag("dt", name), tag("dd", value)] for name, value in facts if value]
    return [tag("dl", *rows, class_="facts-list")]


def _retry(server: ServerState, person: Person) -> Markup | None:
    if server.state in ("up", "starting") or not person.has(Role.APPROVER):
        return None
    fields = json.dumps({"server": server.name})
    return tag(
        "p",
        tag("button", "Try again now", type="button", data_post="/v1/servers/retry", data_fields=fields),
        tag("span", "", class_="problem", role="alert"),
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"
