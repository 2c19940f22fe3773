"""A run as one HTML file that needs nothing else: no script, no request, a policy that forbids both."""

from __future__ import annotations

import base64
from hashlib import sha256
from importlib.resources import files

from lg_console.drawing.diff import diff_picture
from lg_console.drawing.gantt import gantt_picture
from lg_console.drawing.graph import graph_picture
from lg_console.drawing.story import Story, story_of
from lg_console.markup.elements import Child, Markup, document, tag
from lg_console.pages.run import check_view, plan_view, said_view
from lg_console.sources.runs import WholeRun


def exported_run(run: WholeRun) -> str:
    """Return the file."""
    story, summary = story_of(run.events), run.summary
    style = files("lg_console").joinpath("static/app.css").read_text("utf-8")
    digest = base64.b64encode(sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"Run {summary.run_id}"),
        tag("style", Markup(style)),
    )
    return document(head, tag("body", tag("main", *_content(run, story))))


def _content(run: WholeRun, story: Story) -> list[Child]:
    summary = run.summary
    spent = f"{summary.state}; {story.tokens:,} tokens, ${story.cost_usd:.4f}, {story.calls} calls"
    parts: list[Child] = [tag("h1", summary.request), tag("p", f"Run {summary.run_id}: {spent}")]
    if summary.report:
        parts += [tag("h2", "Report"), tag("pre", summary.report, class_="wrap")]
    parts += [tag("h2", "Graph"), graph_picture(story.edges, story.visits, "")]
    parts += [tag("h2", "Timeline"), gantt_picture(story.bars, "all", story.last)]
    if story.plan is not None:
        parts += [tag("h2", "Plan"), plan_view(story.plan)]
    if run.patch:
        parts += [tag("h2", "Changes"), diff_picture(run.patch)]
    if story.checks:
        parts += [tag("h2", "Checks"), *map(check_view, story.checks)]
    return [*parts, tag("h2", "Thoughts"), tag("ol", *map(said_view, story.said), class_="said")]
