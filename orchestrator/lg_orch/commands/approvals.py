"""`lg-orch approvals`: lists waiting runs, from any directory, with their questions and how to answer."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from lg_orch.contracts.text import in_line, one_line, visible
from lg_policy.terminal_rows import columns_of, fitting, relaid

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.settings.find_run import FoundRun


def command(args: argparse.Namespace) -> int:
    """Print the waiting runs of every repository, or of the one that `--root` names; the newest first."""
    from lg_orch.settings.find_run import everywhere

    shown = 0
    for found in everywhere(args):
        for row in _waiting(found):
            if shown and not args.json:
                print()
            print(json.dumps(row, ensure_ascii=False) if args.json else _text(row))
            shown += 1
    if shown == 0 and not args.json:
        print("no run waits for a human")
    return 0


def _waiting(found: FoundRun) -> Iterator[dict[str, Any]]:
    from lg_orch.human.inquiry import how_to_answer, of_same_turn, open_questions
    from lg_orch.human.question_texts import QuestionTexts
    from lg_orch.recording.journal import read_journal
    from lg_orch.runs.run_directory import is_driven
    from lg_orch.runs.trace import ended, finished
    from lg_policy.errors import NotFound

    try:
        events = read_journal(found.run.journal)
    except NotFound:
        return
    questions = [] if finished(events) else open_questions(events)
    request = next((event.data.get("request") for event in events if event.name == "run"), "")
    inputs = {event.data["call_id"]: event.data["input"] for event in events if event.data.get("input") is not None}
    if not questions and ended(events) == "waiting" and not is_driven(found.run):
        yield _plan_row(found, str(request), events)
    texts = QuestionTexts(found.run.questions)
    for question in map(texts.whole, questions):
        yield {
            "run_id": found.run.run_id,
            "root": str(found.root) if found.root is not None else None,
            "request": request,
            "kind": question.kind,
            "tool": question.tool,
            "message": question.message,
            "arguments": dict(question.arguments) or inputs.get(question.call_id, {}),
            "answer": (
                "It is asked on the terminal that drives the run."
                if is_driven(found.run)
                else how_to_answer(found.run.run_id, question, len(of_same_turn(question, questions)))
            ),
        }


def _plan_row(found: FoundRun, request: str, events: Sequence[Event]) -> dict[str, Any]:
    """A run that waits with its plan (`run --plan-only`)."""
    from lg_orch.engine.plan_view import plan_text
    from lg_orch.runs.trace import build_trace

    run_id = found.run.run_id
    plans = build_trace(run_id, events).plans
    steps = plan_text(plans[-1]).rstrip() if plans else ""
    return {
        "run_id": run_id,
        "root": str(found.root) if found.root is not None else None,
        "request": request,
        "kind": "plan",
        "tool": "",
        "message": f"It waits with its plan; nothing was changed.\n{steps}".rstrip(),
        "arguments": {},
        "answer": f"`lg-orch resume {run_id}` carries it out, also with --plan FILE or --say TEXT.",
    }


def _text(row: dict[str, Any]) -> str:
    head = f"{row['run_id']}  {in_line(row['root'] or '')}\n{one_line(str(row['request']), 100)}"
    columns = columns_of(sys.stdout)
    message = relaid(str(row["message"]), columns) if columns is not None else row["message"]
    return fitting(visible(f"{head}\n\n{message}\n\n{row['answer']}"), sys.stdout)
