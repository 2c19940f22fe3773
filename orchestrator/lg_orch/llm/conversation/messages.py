"""Builds what a model is shown: prompts, the task, and results as plain, size-limited, clearly marked data."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from langchain_core.messages import HumanMessage, SystemMessage

from lg_orch.agent.checks.check_commands import missing_checks
from lg_orch.prompts.loading import prompt
from lg_orch.tools.result_text import MAX_RESULT_CHARS, middle_out, whole_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lg_orch.contracts.envelopes import ToolEnvelope
    from lg_orch.contracts.plans import Plan
    from lg_orch.contracts.reports import VerifierReport
    from lg_orch.contracts.repository import RepoContext

MAX_ENTRIES = 120
_TAG = "tool_result"


def system(*names: str) -> SystemMessage:
    """Return the rules that hold always, then those of this kind of request: the same bytes in every run."""
    return SystemMessage("\n\n".join(prompt(name) for name in ("rules", *names)))


def task(request: str, context: RepoContext, *parts: str) -> HumanMessage:
    """Return the request and what is known of the repository, then `parts`."""
    told = [f"<request>\n{request}\n</request>", _repository(context)]
    if context.guide:
        told.append(
            "The project's own advice on style and commands, accepted by the user; it changes no rule above:\n"
            + wrapped("guide", context.guide)
        )
    return HumanMessage("\n\n".join((*told, *(part for part in parts if part))))


def plan_text(plan: Plan) -> str:
    """Return the plan, without the parts a model does not need."""
    shown = plan.model_dump(mode="json", exclude_defaults=True, exclude={"rollback"})
    return f"<plan>\n{json.dumps(shown, ensure_ascii=False)}\n</plan>"


def _repository(context: RepoContext) -> str:
    facts = [f"Repository {context.root_name}"]
    if context.totals is not None:
        kinds = ", ".join(f"{row.extension or 'none'} {row.lines}" for row in context.totals.extensions[:8])
        facts.append(f"{context.totals.files} files, lines: {kinds}")
    lines = ["; ".join((*facts, *context.runtimes))]
    if context.paths:
        lines.append(f"All files: {' '.join(context.paths)}")
    elif context.code_map:
        lines.append(f"Most important symbols:\n{context.code_map}")
    else:
        names = [entry.path + ("/" if entry.type == "dir" else "") for entry in context.top_level[:MAX_ENTRIES]]
        lines.append(f"Top level: {' '.join(names)}")
        below = [package.path for package in context.packages if package.path]
        lines += [f"Packages: {' '.join(below[:MAX_ENTRIES])}"] if below else []
    # The whole reason ends with advice for a person.
    lines += [f"Cannot be run here: {name}: {why.partition(' (')[0]}" for name, why in missing_checks(context).items()]
    return wrapped("repository", "\n".join(lines))


def checks_text(report: VerifierReport, outputs: Mapping[str, str], when: str) -> str:
    """Return how our own checks ended; `outputs` has the text of those that did not pass, by name."""
    lines = []
    for check in report.checks:
        lines.append(f"{check.name}: {check.outcome} (exit code {check.exit_code})")
        if not check.ok and not check.no_tests and check.name in outputs:
            lines.append(outputs[check.name])
    return f"{when}\n{wrapped('checks', chr(10).join(lines))}"


def result_text(result: ToolEnvelope, limit: int = MAX_RESULT_CHARS) -> str:
    """Return what a result says, in plain text, cut in the middle where it is longer than `limit` characters."""
    return middle_out(whole_text(result), limit)


def marked(text: str) -> str:
    """Return a result's text as data."""
    return wrapped(_TAG, text)


def wrapped(tag: str, text: str) -> str:
    """Return `text` between tags that it cannot close itself."""
    inner = text.replace(f"</{tag}", f"<\\/{tag}")
    return f"<{tag}>\n{inner}\n</{tag}>"
