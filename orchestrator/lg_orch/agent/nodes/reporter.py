"""Writes the final report: why the run failed, the answer, the checks, what is missing, who decided."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lg_orch.agent.checks.planned_checks import BASELINE_ID, CHECK_ID, changes, own_checks
from lg_orch.agent.checks.repeated_checks import AGAIN_ID, left_changed, repeated_all, weakening
from lg_orch.agent.checks.verdicts import fewer_tests_in, named, verdict
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.patches import has_effect, written_paths
from lg_orch.agent.report_notes import answered, counted, repetition
from lg_orch.agent.services import think
from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.contracts.reports import Answer
from lg_orch.contracts.state import EXIT_STATUS, Final
from lg_orch.contracts.text import code_span, one_line, quoted, sentence, stopped_text

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import Problem
    from lg_orch.contracts.reports import Check, VerifierReport
    from lg_orch.contracts.state import RunState, Status, Update

UNPROVED = "The model says:"
"""Stands before words that prove nothing."""
HEADINGS = {"failed": "**Failed:**", "unchecked": "**Done, but nothing checked it:**"}
DONE = "**Done:**"
MAX_REASON = 300
MAX_PROBLEMS = 2_000
"""Characters of foreign text in a report: of an error line, of what a model says in a review."""
LIMITS = "(budgets.max_check_packages, budgets.max_checks)"
MAX_NOTE = 500
"""Characters of a failed call's message in a note."""
MAX_REASON_CHARS = 4_000
"""Characters of a note or of the reason for a run's end, which may hold what a server or a model said."""
MAX_FILES = 20
"""Names of changed files in a report."""

_PLAIN = re.compile(r"[\w.-]+", re.ASCII)
"""Names of directories that can stand in a report as they are."""


async def reporter(state: RunState, services: Services) -> Update:
    """Write the final report. A run without one useful tool result has failed, whatever the backend says."""
    if state.guards.refused is not None:
        return {"final": _refusal(state, services, state.guards.refused)}
    answer = await _answer(state, services)
    found = verdict(state, services)
    words = services.bus.mask(answer.text_markdown).strip()
    if words and isinstance(services.backend, ActingBackend):
        # A model may write a table or a heading that looks like ours.
        words = f"{UNPROVED}\n\n{quoted(words)}"
    reason = stopped_text(one_line(found.reason, MAX_REASON_CHARS))
    # What weakens the proof stands before it.
    told = [_checking(state, services)]
    parts = [f"{HEADINGS[found.status]} {reason}", *told] if found.reason else [*told, _proof(state, services)]
    parts += [words, _changed_files(state, services)]
    if state.verification is not None:
        parts.append(_checks(state.verification))
    notes = counted([*_notes(state, services, answer), *_doubts(state, services)])
    if notes:
        # In one line each, nothing that a stranger says can pass for a heading or a table of ours.
        lines = (one_line(services.bus.mask(note), MAX_REASON_CHARS) for note in notes)
        parts.append("Notes:\n\n" + "\n".join(f"- {line}" for line in lines))
    parts.append(f"_{_footer(state, services)}_")
    final = Final(
        status=found.status,
        exit_status=EXIT_STATUS[found.status],
        text="\n\n".join(part for part in parts if part),
        statements=answer.statements,
        missing=answer.missing,
    )
    return {"final": final, "facts": list(answer.statements)}


async def _answer(state: RunState, services: Services) -> Answer:
    """The backend's answer; of a backend that acts, the words it closed its work with: no request is made for them."""
    if state.plan is None:
        return Answer(text_markdown="")
    if isinstance(services.backend, ActingBackend):
        return Answer(text_markdown=state.words)
    results = services.whole_results(state)
    try:
        return await think(
            services.backend.answer,
            services.request(state),
            state.plan,
            services.context(state),
            results,
            state.verification,
        )
    except ThinkingFailed as error:
        # What was done stands in the tables and notes; the words for it are missing.
        return Answer(text_markdown="", missing=(f"an answer in words: {error.text()}",))


def _proof(state: RunState, services: Services) -> str:
    """Say what proves a change; empty for an answer without one, which speaks for itself."""
    report = state.verification
    if report is None or not changes(state) or not isinstance(services.backend, ActingBackend):
        return ""
    before = {check.name for check in state.baseline.checks if not check.ok} if state.baseline else set()
    passed = [code_span(check.name) for check in report.checks if check.ok and check.name not in before]
    fixed = [code_span(check.name) for check in report.checks if check.ok and check.name in before]
    told = [f"{', '.join(fixed)} failed before the change and {'pass' if fixed[1:] else 'passes'} now"] if fixed else []
    told += [f"checked by {', '.join(passed)}"] if passed else []
    return f"{DONE} {'; '.join(told)}." if told else ""


def _checking(state: RunState, services: Services) -> str:
    """Names the changed files that check the project, and the tests that no longer ran."""
    if not isinstance(services.backend, ActingBackend):
        return ""
    files = left_changed(state, services)
    told = []
    if files.checking:
        told.append(f"**The change also edits tests or check settings:** {named(files.checking)}.")
        again = state.repeated is not None and state.repeated.ok and repeated_all(state)
        if again and weakening(state, services, files):
            told.append("The checks also pass with these files as they were before.")
    fewer = fewer_tests_in(state)
    if fewer:
        told.append(f"**Fewer tests ran than before the change:** {fewer}.")
    return " ".join(told)


def _changed_files(state: RunState, services: Services) -> str:
    """What the run's patches changed, as the file server reports it: a failed run may leave changes too."""
    results = services.whole_results(state)
    paths = list(dict.fromkeys(path for result in results for path in written_paths(services, result)))
    if not paths:
        return ""
    names = ", ".join(code_span(path) for path in paths[:MAX_FILES])
    more = f" and {len(paths) - MAX_FILES} more" if len(paths) > MAX_FILES else ""
    return f"Changed: {names}{more}. Revert with `lg-orch undo {services.run_id}`."


def _changed(state: RunState, services: Services) -> bool:
    return any(has_effect(services, result) for result in services.whole_results(state))


def _refusal(state: RunState, services: Services, problem: Problem) -> Final:
    status: Status = "refused" if problem.code in ("needs_model", "invalid_arguments", "too_large") else "failed"
    changed = _changed_files(state, services)
    said = stopped_text(one_line(problem.message, MAX_REASON_CHARS))
    parts = [f"**Failed:** {said}" if changed else f"Nothing was done: {said}"]
    parts += [sentence(one_line(problem.hint, MAX_REASON_CHARS)) if problem.hint else "", changed]
    text = "\n\n".join(part for part in parts if part)
    return Final(status=status, exit_status=EXIT_STATUS[status], text=text)


def _checks(report: VerifierReport) -> str:
    rows = [
        f"| {code_span(check.name).replace('|', '/')} | {check.outcome} | "
        f"{'-' if check.exit_code is None else check.exit_code} | {_cell(check.summary)} |"
        for check in report.checks
    ]
    table = "\n".join(["| check | result | exit code | last line |", "|---|---|---|---|", *rows])
    details = [_detail(check) for check in report.checks if not check.ok]
    told = [f"- {detail}" for detail in details if detail]
    return "\n\n".join([table, "\n".join(told)]) if told else table


def _detail(check: Check) -> str:
    """Why a check is not passed: what failed, the first error line, what to do."""
    parts = []
    if check.failures:
        parts.append(f"failed: {', '.join(code_span(name) for name in check.failures)}")
    if check.reason:
        parts.append(f"first error: {code_span(check.reason, MAX_REASON)}")
    if check.next_step:
        parts.append(f"next: {one_line(check.next_step, MAX_REASON)}")
    return f"{code_span(check.name)}: {'; '.join(parts)}" if parts else ""


def _cell(text: str) -> str:
    """Foreign text for a cell of a table."""
    return code_span(text, MAX_REASON).replace("|", "/") if text else ""


def _notes(state: RunState, services: Services, answer: Answer) -> list[str]:
    notes = [*services.control.notices, *state.guards.notes]
    for result in state.tool_results:
        error = result.artifacts.error
        if result.artifacts.repeated:
            notes.append(repetition(result))
        if result.artifacts.approved_by is not None:
            notes.append(answered(result))
        if error is None:
            continue
        if result.artifacts.call_id.startswith(BASELINE_ID):
            command = code_span(str(result.artifacts.input.get("cmd")))
            notes.append(f"no baseline from {command}: {error.code}: {code_span(error.message, MAX_NOTE)}")
        # A check that could not run is in the table already.
        elif not result.artifacts.call_id.startswith((CHECK_ID, AGAIN_ID)):
            notes.append(f"{code_span(result.tool)} failed: {error.code}: {code_span(error.message, MAX_NOTE)}")
    notes += [f"not found: {text}" for text in answer.missing if text not in answer.text_markdown]
    sandbox = state.security.sandbox
    ran = any(result.exit_code is not None for result in state.tool_results)
    if ran and sandbox is not None and not sandbox.active:
        notes.append('commands ran without a sandbox (`[exec] sandbox = "off"`)')
    return notes


def _doubts(state: RunState, services: Services) -> list[str]:
    """What a reader of a model's work must know: nothing was checked, it failed before, a limit could not be held."""
    doubts: list[str] = []
    if not isinstance(services.backend, ActingBackend):
        return doubts
    if changes(state) and state.plan is not None and not state.plan.verification:
        left_out = own_checks(state, services).left_out
        doubts += [f"changed but not checked: {', '.join(map(code_span, left_out))} {LIMITS}"] if left_out else []
    now = {check.name for check in state.verification.checks if check.ok} if state.verification else set()
    before = (
        [check.name for check in state.baseline.checks if not (check.ok or check.no_tests or check.name in now)]
        if state.baseline
        else []
    )
    if before:
        doubts.append(f"failed before the change too: {', '.join(code_span(name) for name in before)}")
    if state.review is not None and not state.review.ok:
        problems = code_span("; ".join(state.review.problems), MAX_PROBLEMS)
        doubts.append(f"a model that reviewed an earlier state of the change found: {problems}")
    wanted = "max_cost_usd" in services.settings.budgets.model_fields_set
    if wanted and services.spending is not None and services.spending.unpriced:
        models = ", ".join(sorted(services.spending.unpriced))
        doubts.append(
            f"`budgets.max_cost_usd` could not be enforced: there is no price for {models} (`[models.prices]`)"
        )
    return doubts


def _footer(state: RunState, services: Services) -> str:
    calls, loops = state.budgets.calls, state.budgets.loop
    revision = state.repo_context.revision if state.repo_context else None
    name = services.root_name if _PLAIN.fullmatch(services.root_name) else code_span(services.root_name)
    where = f"{name} at {revision[:12]}" if revision else name
    return (
        f"{where}; answered by {services.backend_name}; {calls} tool calls in {loops} "
        f"{'loop' if loops == 1 else 'loops'}{_traffic(services)}; run {services.run_id}"
    )


def _traffic(services: Services) -> str:
    """What the models used, for the summary that ends every run."""
    meter = services.spending
    if meter is None or not meter.tokens:
        return ""
    unknown = f"cost unknown (no price for {', '.join(sorted(meter.unpriced))})" if meter.unpriced else ""
    cost = unknown if not meter.usd else f"${meter.usd:.4f}" + (f" and {unknown}" if unknown else "")
    return f", {meter.tokens:,} tokens, {cost or '$0'}, {services.wall_s():.0f} s"
