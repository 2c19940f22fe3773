"""Runs the checks, one a visit: first those before any change, later those that prove it.

A check passes by the exit status of our own call and the runner's own report; where the two disagree it failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.baseline_beside import baseline_update, taken
from lg_orch.agent.checks.check_results import cannot_load_as_before, gone_silent, judge
from lg_orch.agent.checks.near_checks import NEAR_ID, near_check
from lg_orch.agent.checks.new_failures import lost_tests, only_old_failures
from lg_orch.agent.checks.planned_checks import BASELINE_ID, changes
from lg_orch.agent.checks.ran_tests import fewer_tests
from lg_orch.agent.checks.repeated_checks import failed_to_repeat, original_of, repeats
from lg_orch.agent.human_decisions import STOPPED, called_instead, is_result
from lg_orch.agent.interfaces import ActingBackend
from lg_orch.agent.loop_detection import circle
from lg_orch.agent.nodes.executor import perform
from lg_orch.agent.nodes.planner import stopped, work_of
from lg_orch.agent.services import think
from lg_orch.contracts.errors import ModelGone, OutOfBudget, ThinkingFailed
from lg_orch.contracts.reports import Check, VerifierReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.agent.services import Services
    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.state import QueuedCall, RunState, Update


async def verifier(state: RunState, services: Services) -> Update:
    """Run the next check; without any, claim nothing."""
    services.control.check_stop()
    if state.baseline_checks or state.checks:
        services.check_wall()
    if state.baseline_checks:
        return await _baseline(state, services)
    if not state.checks:
        return await _repeat(state, services) if state.repeats else {}
    if state.checks[0].call.id.startswith(NEAR_ID):
        return await _nearest(state, services)
    near = await near_check(state, services)
    if near is not None:
        # A report without checks: from here on the verifier is at work.
        return {"checks": (near, *state.checks), "verification": VerifierReport(ok=False, checks=())}
    return await _next_check(state, services)


async def _next_check(state: RunState, services: Services) -> Update:
    stop = None
    if state.budgets.room == 0:
        # Changes may have called for checks that nobody foresaw: they cost a loop.
        stop = services.budgets.loop_stop(state.budgets)
        state = state.model_copy(update={"budgets": services.budgets.next_loop(state.budgets)})
    if stop is not None:
        return {"guards": stopped(state, stop, len(state.checks)), "checks": ()}
    queued, *rest = state.checks
    envelope, spent = await perform(state, services, queued, step="verifier")
    instead = called_instead(services, queued, envelope)
    if instead is not None:
        rest = [instead, *rest]
    if not is_result(envelope):
        return {"checks": tuple(rest), "budgets": spent}
    # Outputs are long and a stranger's: reading them may take its time.
    check = await think(_judged, state, services, queued, envelope)
    before = state.verification.checks if state.verification else ()
    checks = (*before, check)
    report = VerifierReport(ok=all(counts_as_ok(state, known) for known in checks), checks=checks)
    services.bus.emit("verify", check.name, "end", check.model_dump(mode="json"))
    update: Update = {"verification": report, "checks": tuple(rest), "budgets": spent, "tool_results": [envelope]}
    if envelope.artifacts.decision == "stop":
        return update | {"checks": (), "guards": stopped(state, STOPPED, len(rest))}
    if not rest:
        update |= await _conclude(state, services, report, envelope)
        update["repeats"] = _to_repeat(state, services, update)
    return update


async def _nearest(state: RunState, services: Services) -> Update:
    """Run the tests nearest to the change. Only that some fail is a verdict; it asks no human."""
    queued, *rest = state.checks
    envelope, spent = await perform(
        state, services, queued, step="verifier", in_loop=False, may_ask=services.answers_itself
    )
    update: Update = {"checks": tuple(rest), "budgets": spent, "tool_results": [envelope]}
    if envelope.artifacts.error is not None:
        return update
    check = await think(judge, queued, services.results.whole(envelope))
    before = _before(state, services, rest[0].call.input)
    check = check.model_copy(update={
        "failed_before": only_old_failures(before, services.results.whole(envelope)), "no_baseline": before is None,
    })  # fmt: skip
    if check.verdict != "failed" or counts_as_ok(state, check):
        return update
    services.bus.emit("verify", check.name, "end", check.model_dump(mode="json"))
    report = VerifierReport(ok=False, checks=(check,))
    update |= {"verification": report, "checks": ()}
    return update | await _conclude(state, services, report, envelope)


def _to_repeat(state: RunState, services: Services, update: Update) -> tuple[QueuedCall, ...]:
    """The checks to run again with the files that check as they were; none where the change is worked on further."""
    results = [*state.tool_results, *update["tool_results"]]
    after = state.model_copy(update=update | {"tool_results": results})
    unwanted = after.review is not None and not after.review.ok and not after.reflections
    if unwanted or after.guards.stopped is not None:
        return ()
    return tuple(services.mint(call) for call in repeats(after, services).calls)


async def _repeat(state: RunState, services: Services) -> Update:
    """Run one check again, with the files that check as they were before the change. It asks no human."""
    if services.budgets.wall_stop(services.wall_s()) is not None:
        return {"repeats": ()}
    queued, *rest = state.repeats
    original = original_of(state, services, queued)
    if original is None:
        return {"repeats": ()}
    envelope, spent = await perform(
        state, services, queued, step="verifier", in_loop=False, may_ask=services.answers_itself
    )
    whole = services.results.whole(envelope)
    call = queued.call.model_copy(update={"input": original.artifacts.input})
    check = await think(judge, queued.model_copy(update={"call": call}), whole)
    why = failed_to_repeat(whole)
    if why:
        told = {"ok": False, "verdict": "could_not_run", "unavailable": True, "reason": why, "failures": ()}
        check = check.model_copy(update=told)
    known = state.repeated.checks if state.repeated is not None else ()
    report = VerifierReport(ok=all(done.ok for done in (*known, check)), checks=(*known, check))
    services.bus.emit("verify", check.name, "again", check.model_dump(mode="json"))
    return {"repeats": tuple(rest), "repeated": report, "budgets": spent, "tool_results": [envelope]}


def counts_as_ok(state: RunState, check: Check) -> bool:
    """Tell whether a check passed, or failed before in the same way. What was asked to be repaired has to pass.

    Where no test was run before either, that none is run is no failure of the change, and no proof.
    """
    return check.ok or check.harmless or (check.failed_before and not repairing(state))


def repairing(state: RunState) -> bool:
    """Tell whether what fails is what the run was asked to mend."""
    return state.intent is not None and state.intent.intent == "debug"


async def _baseline(state: RunState, services: Services) -> Update:
    """One check before anything is changed. It asks no human: without an answer there is no baseline."""
    queued = state.baseline_checks[0]
    begun = await taken(services, queued)
    if begun is not None:
        return await baseline_update(state, services, queued, begun)
    envelope, _spent = await perform(
        state, services, queued, step="verifier", in_loop=False, may_ask=services.answers_itself
    )
    return await baseline_update(state, services, queued, envelope)


def _judged(state: RunState, services: Services, queued: QueuedCall, envelope: ToolEnvelope) -> Check:
    return _told_apart(state, services, judge(queued, services.results.whole(envelope)), envelope)


def _told_apart(state: RunState, services: Services, check: Check, envelope: ToolEnvelope) -> Check:
    if not isinstance(services.backend, ActingBackend) or not changes(state):
        return check
    before = _before(state, services, envelope.artifacts.input)
    fewer = fewer_tests(before, services.results.whole(envelope), envelope.artifacts.input)
    check = check.model_copy(update={"fewer_tests": fewer})
    if check.ok:
        return gone_silent(check, before)
    if check.no_tests or check.unavailable:
        return check.model_copy(update={"lost_tests": lost_tests(before)})
    if before is not None and cannot_load_as_before(check, before) and not repairing(state):
        # Packages are missing, say: it neither proves the change nor speaks against it, and no model can help.
        return check.model_copy(update={"unavailable": True, "failed_before": True})
    old = only_old_failures(before, services.results.whole(envelope))
    return check.model_copy(update={"failed_before": old, "no_baseline": before is None})


def _before(state: RunState, services: Services, arguments: Mapping[str, Any]) -> ToolEnvelope | None:
    """The result of the same check before the change."""
    baseline = (result for result in state.tool_results if result.artifacts.call_id.startswith(BASELINE_ID))
    same = [result for result in map(services.results.whole, baseline) if result.artifacts.input == arguments]
    return same[-1] if same and same[-1].artifacts.error is None else None


async def _conclude(state: RunState, services: Services, report: VerifierReport, last: ToolEnvelope) -> Update:
    """After the last check: stop a run that goes in circles; let a model look at a change whose checks passed."""
    if not report.ok:
        results = [
            result for result in services.whole_results(state) if not result.artifacts.call_id.startswith(BASELINE_ID)
        ]
        reason = await think(circle, [*results, services.results.whole(last)])
        return {"guards": stopped(state, reason, 0)} if reason else {}
    backend = services.backend
    if not isinstance(backend, ActingBackend) or not changes(state) or state.review is not None or state.guards.stopped:
        return {}
    if services.budgets.loop_stop(state.budgets) is not None:
        return {}
    try:
        review = await think(backend.review, work_of(state, services))
    except (ThinkingFailed, ModelGone, OutOfBudget) as error:
        # The checks passed; that nobody looked beyond them is said, and is no failure.
        text = f"no model reviewed the change: {error.message}"
        services.bus.emit("error", "review", "note", {"text": text})
        return {"guards": state.guards.model_copy(update={"notes": (*state.guards.notes, text)})}
    if review is None:
        return {}
    services.bus.emit("thought", "review", "note", {
        "text": "a model finds nothing missing" if review.ok else f"a model finds: {'; '.join(review.problems)}",
        "review": review.model_dump(mode="json"),
    })  # fmt: skip
    return {"review": review}
