"""The pages of runs: the list, a form for a new one, and two of them side by side."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode

from lg_console.drawing.diff import diff_picture
from lg_console.drawing.story import Story
from lg_console.markup.elements import Child, Markup, tag
from lg_console.sources.people import Person, Role
from lg_console.sources.runs import STATES, RunPage, RunSummary, RunsWanted, WholeRun
from lg_console.web.console import Console
from lg_console.web.layout import PageFrame, age, empty, framed, moment, state_word

REQUEST = 160


def runs_page(console: Console, person: Person, wanted: RunsWanted, found: RunPage, mark: str) -> str:
    """Return the list."""
    query = wanted.query()
    frame = PageFrame(title="Runs", path="/runs", person=person, topics=("runs",), marks=mark, script="runs.js")
    heads = ("State", "Request", "Repository", "By", "Begun", "Tokens", "Cost")
    head = tag("thead", tag("tr", *[tag("th", name, scope="col") for name in heads]))
    table = tag("div", tag("table", head, tag("tbody", *map(_row, found.runs)), class_="rows"), class_="scroll")
    nothing = empty(
        "No run fits this filter." if query else "There is no run yet.",
        tag("a", "Show all", href="/runs") if query else tag("a", "Begin one", href="/runs/new"),
    )
    new = tag("a", "New run", href="/runs/new", class_="button") if person.has(Role.OPERATOR) else None
    return framed(
        console,
        frame,
        tag(
            "div",
            tag("h1", "Runs"),
            tag("div", tag("button", "Notify me", type="button", id="notify", hidden=True), new, class_="ways"),
            class_="bar",
        ),
        _filter(query),
        tag("div", table if found.runs else nothing, id="runs", data_live=True),
        tag("p", tag("a", "Older", href=f"/runs?{urlencode({**query, 'after': found.older})}"))
        if found.older
        else None,
    )


def new_run_page(console: Console, person: Person) -> str:
    """Return the form that begins a run."""
    frame = PageFrame(title="New run", path="/runs", person=person, script="runs.js")
    texts = (
        ("repository", "Repository: an absolute path; empty is the service's own", "text"),
        ("model", "Model: PROVIDER:NAME; empty is as configured", "text"),
        ("max_tokens", "At most so many tokens", "number"),
        ("max_cost_usd", "At most so many US dollars", "number"),
        ("max_wall_s", "At most so many seconds", "number"),
    )
    fields = [
        tag("label", label, tag("input", name=name, type=kind, step="any" if kind == "number" else None, min="0"))
        for name, label, kind in texts
    ]
    asks = [tag("option", "ask: wait for a person", value="ask"), tag("option", "deny: go on without", value="deny")]
    return framed(
        console,
        frame,
        tag("h1", "New run"),
        tag(
            "form",
            tag(
                "label",
                "What is to be done",
                tag("textarea", "", name="request", rows="5", required=True, maxlength="100000"),
            ),
            *fields,
            tag("label", "A call that needs approval", tag("select", *asks, name="approvals")),
            tag("div", tag("button", "Begin", class_="primary"), class_="buttons"),
            tag("p", "", class_="problem", role="alert"),
            data_send="/v1/runs",
            data_to="/runs/",
        )
        if person.has(Role.OPERATOR)
        else tag("p", f"You are {person.role}; only an operator may begin a run."),
    )


def compare_page(console: Console, person: Person, runs: Sequence[tuple[WholeRun, Story]]) -> str:
    """Return two runs side by side."""
    frame = PageFrame(title="Compare", path="/runs", person=person)
    rows = (
        ("Request", [run.summary.request for run, _ in runs]),
        ("State", [run.summary.state for run, _ in runs]),
        ("Model", [run.summary.model or "as configured" for run, _ in runs]),
        ("Calls", [str(story.calls) for _, story in runs]),
        ("Model requests", [str(story.requests) for _, story in runs]),
        ("Tokens", [f"{story.tokens:,}" for _, story in runs]),
        ("Cost", [f"${story.cost_usd:.4f}" for _, story in runs]),
        ("Time", [age(story.last - story.first) for _, story in runs]),
        ("Checks", [_checks(story) for _, story in runs]),
    )
    names = [tag("th", tag("a", run.summary.run_id, href=_address(run.summary)), scope="col") for run, _ in runs]
    body = [
        tag(
            "tr",
            tag("th", name, scope="row"),
            *[tag("td", value) for value in values],
            class_="differs" if len(set(values)) > 1 else None,
        )
        for name, values in rows
    ]
    table = tag("table", tag("thead", tag("tr", tag("td"), *names)), tag("tbody", *body))
    diffs = [
        tag("section", tag("h2", run.summary.run_id), diff_picture(run.patch) if run.patch else empty("No change."))
        for run, _ in runs
    ]
    return framed(
        console, frame, tag("h1", "Compare"), tag("div", table, class_="scroll"), tag("div", *diffs, class_="side")
    )


def _checks(story: Story) -> str:
    last = {check.name: check.verdict for check in story.checks if not check.before}
    return ", ".join(f"{name}: {verdict}" for name, verdict in last.items()) or "none"


def _filter(query: dict[str, str]) -> Markup:
    options = [
        tag("option", state or "any", value=state, selected=query.get("state", "") == state) for state in ("", *STATES)
    ]
    return tag(
        "form",
        tag("label", "State", tag("select", *options, name="state")),
        tag("label", "Repository", tag("input", name="repository", value=query.get("repository", ""), maxlength="400")),
        tag(
            "label", "Search", tag("input", name="text", value=query.get("text", ""), maxlength="200", data_search=True)
        ),
        tag("button", "Filter"),
        action="/runs",
        class_="filter",
        role="search",
    )


def _row(run: RunSummary) -> Markup:
    request = run.request[:REQUEST] + ("…" if len(run.request) > REQUEST else "")
    cells: tuple[tuple[str, Child], ...] = (
        ("Repository", run.repository.rpartition("/")[2] or run.repository),
        ("By", run.created_by),
        ("Begun", moment(run.created)),
        ("Tokens", f"{run.tokens:,}" if run.tokens else "-"),
        ("Cost", f"${run.cost_usd:.2f}" if run.cost_usd else "-"),
    )
    return tag(
        "tr",
        tag("td", state_word(run.state), ", stopping" if run.stopping else "", data_label="State"),
        tag("td", tag("a", request or run.run_id, href=_address(run)), data_label="Request", class_="title"),
        *[tag("td", value, data_label=label) for label, value in cells],
        tabindex="-1",
        data_state=run.state,
        data_run=run.run_id,
    )


def _address(run: RunSummary) -> str:
    return f"/runs/{quote(run.run_id, safe='')}"
