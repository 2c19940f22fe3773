"""Says how the run ended: why it failed, then the answer, what was checked, what is missing, who did the thinking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lg_orch.agent.checks import missing_checks
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.nodes.checking import BASELINE_ID, CHECK_ID, changes, own_checks
from lg_orch.agent.patches import has_effect, written_paths
from lg_orch.agent.report_text import counted, repetition
from lg_orch.agent.services import think
from lg_orch.contracts.errors import ThinkingFailed
from lg_orch.contracts.reports import Answer
from lg_orch.contracts.state import EXIT_STATUS, Final

if TYPE_CHECKING:
    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import Problem
    from lg_orch.contracts.reports import VerifierReport
    from lg_orch.contracts.state import RunState, Status, Update

UNPROVED = "The model's own words, which nothing above or below proves:"
LIMITS = "(budgets.max_check_packages, budgets.max_checks)"
MAX_FILES = 20
"""Names of changed files in a report."""


async def reporter(state: RunState, services: Services) -> Update:
    """Write the final report. A run without one useful tool result has failed, whatever the backend says."""
    if state.guards.refused is not None:
        return {"final": _refusal(state.guards.refused)}
    answer = await _answer(state, services)
    status, reason = verdict(state)
    if status == "done" and isinstance(services.backend, ActingBackend):
        status, reason = _worked(state, services)
    words = services.bus.mask(answer.text_markdown).strip()
    if reason and words and isinstance(services.backend, ActingBackend):
        words = f"{UNPROVED}\n\n" + "\n".join(f"> {line}".rstrip() for line in words.splitlines())
    parts = [f"**Failed:** {reason.rstrip('.')}."] if reason else []
    parts += [words, _changed_files(state, services)]
    if state.verification is not None:
        parts.append(_checks(state.verification))
    notes = counted([*_notes(state, services, answer), *_doubts(state, services)])
    if notes:
        parts.append("Notes:\n\n" + "\n".join(f"- {services.bus.mask(note)}" for note in notes))
    parts.append(f"_{_footer(state, services)}_")
    final = Final(
        status=status,
        exit_status=EXIT_STATUS[status],
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


def _worked(state: RunState, services: Services) -> tuple[Status, str]:
    """A request for a change is not done while no file was changed, and one for an answer not without one."""
    if not changes(state):
        return ("done", "") if state.words else ("failed", "the model gave no answer")
    if not _changed(state, services):
        return "failed", "a change was asked for and no file was changed"
    return "done", ""


def _changed_files(state: RunState, services: Services) -> str:
    """What the run's patches changed, by the file server's word: a failed run may leave changes too."""
    results = services.whole_results(state)
    paths = list(dict.fromkeys(path for result in results for path in written_paths(services, result)))
    if not paths:
        return ""
    named = ", ".join(f"`{path}`" for path in paths[:MAX_FILES])
    more = f" and {len(paths) - MAX_FILES} more" if len(paths) > MAX_FILES else ""
    return f"Changed: {named}{more}. `lg-orch undo {services.run_id}` takes it back."


def _changed(state: RunState, services: Services) -> bool:
    return any(has_effect(services, result) for result in services.whole_results(state))


def verdict(state: RunState) -> tuple[Status, str]:
    """How the run ended and, unless it is done, why."""
    if state.guards.stopped is not None:
        dropped = f"; {state.guards.dropped} decided calls were not made" if state.guards.dropped else ""
        return "failed", f"{state.guards.stopped.rstrip('.')}{dropped}"
    made = [result for result in state.tool_results if result.artifacts.error is None]
    if not made and state.repo_context is not None and state.repo_context.files is None:
        return "failed", "no tool call brought a result"
    if not made and state.tool_results:
        return "failed", "every planned tool call failed"
    if state.verification is not None and not state.verification.ok:
        failed = [check.name for check in state.verification.checks if not check.ok and not check.harmless]
        return "failed", f"checks did not pass: {', '.join(failed)}"
    return "done", ""


def _refusal(problem: Problem) -> Final:
    status: Status = "refused" if problem.code in ("needs_model", "invalid_arguments", "too_large") else "failed"
    hint = f"\n\n{problem.hint[:1].upper()}{problem.hint[1:]}." if problem.hint else ""
    text = f"Nothing was done: {problem.message.rstrip('.')}.{hint}"
    return Final(status=status, exit_status=EXIT_STATUS[status], text=text)


def _checks(report: VerifierReport) -> str:
    rows = [
        f"| `{check.name}` | {check.outcome} | "
        f"{'-' if check.exit_code is None else check.exit_code} | {check.summary.replace('|', '/')} |"
        for check in report.checks
    ]
    return "\n".join(["| check | result | exit code | last line |", "|---|---|---|---|", *rows])


def _notes(state: RunState, services: Services, answer: Answer) -> list[str]:
    notes = [*services.control.notices, *state.guards.notes]
    for result in state.tool_results:
        error = result.artifacts.error
        if result.artifacts.repeated:
            notes.append(repetition(result))
        if result.artifacts.approved_by is not None:
            notes.append(f"`{result.tool}` was answered by {result.artifacts.approved_by} when the gateway asked")
        if error is None:
            continue
        if result.artifacts.call_id.startswith(BASELINE_ID):
            notes.append(f"no baseline from `{result.artifacts.input.get('cmd')}`: {error.code}: {error.message}")
        # A check that could not run is in the table already.
        elif not result.artifacts.call_id.startswith(CHECK_ID):
            notes.append(f"`{result.tool}` failed: {error.code}: {error.message}")
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
    if changes(state) and _changed(state, services) and state.verification is None:
        doubts.append("no check was run on the change: none was planned, and none was found that can be run here")
        missing = missing_checks(services.context(state))
        doubts += [f"`{name}` cannot be run here: {why}" for name, why in missing.items()]
    ran = state.verification.checks if state.verification is not None else ()
    if ran and all(check.no_tests for check in ran):
        doubts.append("no test was run on the change, so nothing proves it")
    if changes(state) and state.plan is not None and not state.plan.verification:
        left_out = own_checks(state, services).left_out
        doubts += [f"changed and not checked: {', '.join(left_out)} {LIMITS}"] if left_out else []
    before = (
        [check.name for check in state.baseline.checks if not (check.ok or check.no_tests)] if state.baseline else []
    )
    if before:
        doubts.append(f"did not pass before the change: {', '.join(f'`{name}`' for name in before)}")
    if state.review is not None and not state.review.ok:
        doubts.append(f"a model that reviewed an earlier state of the change found: {'; '.join(state.review.problems)}")
    wanted = "max_cost_usd" in services.settings.budgets.model_fields_set
    if wanted and services.spending is not None and services.spending.unpriced:
        models = ", ".join(sorted(services.spending.unpriced))
        doubts.append(f"`budgets.max_cost_usd` could not be held: `[models.prices]` has no price for {models}")
    return doubts


def _footer(state: RunState, services: Services) -> str:
    calls, loops = state.budgets.calls, state.budgets.loop
    revision = state.repo_context.revision if state.repo_context else None
    where = f"{services.root_name} at {revision[:12]}" if revision else services.root_name
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
