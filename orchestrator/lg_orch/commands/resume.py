"""`lg-orch resume RUN_ID`: continues a stopped run, in another process, at any later time."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lg_orch.commands.session import Past, drive, get_ready
from lg_orch.contracts.text import one_line, visible
from lg_policy.errors import Conflict, InvalidArguments, UsageError
from lg_policy.quick_imports import quick_imports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from lg_orch.contracts.events import Event
    from lg_orch.human.approvals import HumanAnswer, Question


_ANSWER_HINT = """for example '{"environment": "staging"}'; `lg-orch approvals` shows the fields"""


def command(args: argparse.Namespace) -> int:
    """Continue the run under the conditions it was started with, except for what flags say now."""
    begun = time.monotonic()
    get_ready(args)
    with quick_imports():
        from lg_orch.engine.stop_reports import refuse_unraised
        from lg_orch.recording.journal import whole_journal
        from lg_orch.runs.run_root import replaced_text, require_root
        from lg_orch.runs.trace import build_trace, finished
        from lg_orch.settings.find_run import find
        from lg_orch.settings.setup import prepare

    found = find(args.run_id, args)
    run, args.root = found.run, found.working_root() or args.root
    events = tuple(whole_journal(run.journal))
    if not events:
        raise Conflict(f"run {run.run_id} was killed before it wrote anything", hint="start it again")
    begin: dict[str, Any] = next((event.data for event in events if event.name == "run"), {})
    adopt(args, options_of(events))
    if finished(events):
        status = build_trace(run.run_id, events).status
        raise Conflict(f"run {run.run_id} has ended ({status}); there is nothing to resume", hint=fork_hint(run.run_id))
    verdicts = _verdicts(args, events)
    setup = prepare(args)
    require_root(run.run_id, found.record, setup.root)
    refuse_unraised(run.run_id, events, setup.loaded.settings.budgets)
    request = str(begin.get("request", ""))
    other = replaced_text(found.record, setup.root)
    if other is not None:
        print(visible(f"lg-orch: {other}; you are asked anew about its calls"), file=sys.stderr, flush=True)
    if not (args.json or args.quiet):
        print(f"lg-orch: resuming {run.run_id}: {one_line(request, 80)}", file=sys.stderr, flush=True)
    past = Past(run=run, verdicts=verdicts, if_lost=_if_lost(args), say=args.say, plan=_steps(args.plan))
    return drive(args, setup, request, begun, past)


def _steps(path: Path | None) -> tuple[str, ...] | None:
    """The steps of a plan that the user wrote. Raises `UsageError`."""
    if path is None:
        return None
    from lg_orch.engine.plan_view import steps_in
    from lg_orch.human.drafts import read_text

    try:
        return steps_in(read_text(path))
    except InvalidArguments as error:
        raise UsageError(f"--plan: {error.message}", hint=error.hint) from error


def fork_hint(run_id: str) -> str:
    """Return what can be done with a run that has ended."""
    return f"`lg-orch fork {run_id} --at STEP` starts a new run from one of its steps"


def options_of(events: Sequence[Event]) -> dict[str, Any]:
    """Return the flags that a run was driven with last."""
    options: dict[str, Any] = {}
    for event in events:
        if event.name == "run" and event.phase in ("begin", "resume"):
            given = event.data.get("options") or {}
            options |= {name: value for name, value in given.items() if value is not None}
    return options


def adopt(args: argparse.Namespace, options: dict[str, Any]) -> None:
    """Fill in what the run was driven with where no flag says otherwise."""
    from lg_orch.runs.run_root import path_of
    from lg_orch.settings.setup import LIMITS

    for name in ("profile", "model", "base_url", "gateway", *LIMITS):
        if getattr(args, name, None) is None:
            setattr(args, name, options.get(name))
    for name in ("config", "root"):
        if getattr(args, name) is None and options.get(name):
            setattr(args, name, path_of(str(options[name])))
    args.trace = args.trace or bool(options.get("trace"))


def _verdicts(args: argparse.Namespace, events: Sequence[Event]) -> tuple[tuple[Question, HumanAnswer], ...]:
    """The answers that the flags give to the open question, or to those of one turn. Raises `UsageError`."""
    from lg_orch.human.inquiry import fits, of_same_turn, open_questions

    said = _said(args)
    questions = open_questions(events)
    if said is None:
        return ()
    if not questions:
        if said.by == "resume --say":
            return ()
        raise UsageError(
            f"the run waits for no answer, so {said.by.partition(' ')[2]} has nothing to answer",
            hint="run the same command without it to continue the run",
        )
    question = questions[-1]
    if question.kind == "question" and said.decision == "answer":
        return ((question, _checked(question, said)),)
    if not fits(question, said):
        if said.by == "resume --say":
            return ()
        wanted = "--done, --not-done or --stop" if question.kind == "outcome" else "--approve, --deny or --edit FILE"
        wanted = {"elsewhere": "--deny, or nothing to look again", "question": "--answer JSON or --deny"}.get(
            question.kind, wanted
        )
        raise UsageError(f"{said.by.partition(' ')[2]} does not answer what the run asks", hint=f"use {wanted}")
    together = of_same_turn(question, questions)
    if said.decision == "edit" and len(together) > 1:
        raise UsageError(
            f"the run asks about {len(together)} calls at once, and --edit changes one",
            hint="answer on a terminal, where each can be answered by itself, or deny them with --say TEXT",
        )
    return tuple((asked, said) for asked in together)


def _checked(question: Question, said: HumanAnswer) -> HumanAnswer:
    """The answer to a server's form. Raises `ConfigError` when it does not fit."""
    from lg_orch.human.forms import check

    try:
        check(question.form, said.arguments)
    except InvalidArguments as error:
        raise UsageError(f"--answer: {error.message}", hint=error.hint) from error
    return said


def _answer(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--answer is not JSON: {error}", hint=_ANSWER_HINT) from error
    if not isinstance(value, dict):
        raise UsageError("--answer is not a JSON object", hint=_ANSWER_HINT)
    return value


def _check_together(args: argparse.Namespace) -> None:
    """Raise `ConfigError` for flags that do not go together."""
    if args.reason and not args.deny:
        raise UsageError("--reason needs --deny")
    if args.outcome and (args.approve or args.deny or args.edit):
        raise UsageError(
            f"--{args.outcome.replace('_', '-')} tells what happened to a lost call",
            hint="use it alone, or with --answer in case the call that asked was lost",
        )
    if args.for_run and not args.approve:
        raise UsageError("--for-run needs --approve")


def _outcome(args: argparse.Namespace) -> HumanAnswer:
    from lg_orch.human.approvals import HumanAnswer

    return HumanAnswer(decision=args.outcome, by=f"resume --{args.outcome.replace('_', '-')}")


def _if_lost(args: argparse.Namespace) -> HumanAnswer | None:
    """What `--answer` is accompanied by."""
    return _outcome(args) if args.answer is not None and args.outcome is not None else None


def _said(args: argparse.Namespace) -> HumanAnswer | None:
    from lg_orch.human.approvals import HumanAnswer
    from lg_orch.human.drafts import read_arguments

    _check_together(args)
    if args.approve:
        return HumanAnswer(decision="run" if args.for_run else "once", by="resume --approve")
    if args.deny:
        return HumanAnswer(decision="deny", by="resume --deny", reason=args.reason or args.say or "")
    if args.edit is not None:
        reason = "the user changed its arguments; the changed call follows"
        try:
            arguments = read_arguments(args.edit)
        except InvalidArguments as error:
            raise UsageError(f"--edit: {error.message}", hint=error.hint) from error
        return HumanAnswer(decision="edit", by="resume --edit", reason=reason, arguments=arguments)
    if args.answer is not None:
        return HumanAnswer(decision="answer", by="resume --answer", arguments=_answer(args.answer))
    if args.outcome is not None:
        return _outcome(args)
    if args.say is not None:
        return HumanAnswer(decision="deny", by="resume --say", reason=args.say)
    return None
