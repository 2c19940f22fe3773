"""Routes, plans and calls: what a backend decides, checked before anything acts on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from lg_orch.contracts.base import Name, Strict, Text

if TYPE_CHECKING:
    from collections.abc import Iterator

Intent = Literal["code_change", "analysis", "research", "question", "refactor", "debug"]
THE_REQUEST = "do what the request says"
"""The one step of a plan that a small request is itself."""
CHANGES: tuple[Intent, ...] = ("code_change", "refactor", "debug")
"""Requests that are done only when files were changed."""
Lane = Literal["interactive", "deep"]


class Route(Strict):
    """What kind of request this is and how it will be handled."""

    intent: Intent
    lane: Lane
    rationale: Text
    """Why, in one sentence, for the reader of the trace."""
    wants_check: bool = False
    """The request asks whether the checks pass: only a check that ran answers it."""
    needs_model: bool = False
    """True when only a language model could do it and there is none; the run then ends with exit status 2."""


class ToolUse(Strict):
    """One tool call as a plan names it."""

    tool: Name
    """Qualified name, `fs__read_file`."""
    input: dict[str, Any] = Field(default_factory=dict)


class PlannedCall(Strict):
    """One call that the executor is about to make."""

    id: Name
    """Unique within the run; the result carries it as `artifacts.call_id`."""
    tool: Name
    input: dict[str, Any] = Field(default_factory=dict)
    why: Text = ""
    """Shown as progress, so that a person can follow."""


class PlanStep(Strict):
    """One step: what it is for, the calls it needs, what should come out, which files it changes."""

    id: Name
    description: Text
    tools: tuple[ToolUse, ...] = Field(default=(), max_length=50)
    expected_outcome: Text = ""
    files_touched: tuple[str, ...] = Field(default=(), max_length=200)


class Plan(Strict):
    """The planner's output (`schemas/planner_output.schema.json`)."""

    steps: tuple[PlanStep, ...] = Field(max_length=30)
    acceptance: tuple[str, ...] = Field(default=(), max_length=20)
    verification: tuple[ToolUse, ...] = Field(default=(), max_length=10)
    """Checks that the verifier really runs; their exit codes are the only proof of success."""
    rollback: Text = ""

    def calls(self) -> Iterator[PlannedCall]:
        """Yield the calls of all steps in order, with ids `<step id>.<n>`, n from 1."""
        for step in self.steps:
            for number, use in enumerate(step.tools, start=1):
                yield PlannedCall(id=f"{step.id}.{number}", tool=use.tool, input=use.input, why=step.description)


class Repair(Strict):
    """Another plan after one that did not work, and what was learnt from it."""

    reflection: Text
    """Why the work so far did not do it, in one or two sentences; shown to every later request of the run."""
    plan: Plan


class Turn(Strict):
    """What a backend that acts wants next; without calls and without `replan` it is done."""

    calls: tuple[PlannedCall, ...] = ()
    words: str = ""
    """Its closing words, for the user."""
    replan: Text = ""
    """Why the plan does not fit what was found."""
    notes: tuple[str, ...] = ()
    """What the report must say of the model, such as a setting of its server."""


class Review(Strict):
    """Whether a change does what was asked, as a model sees it. Never counts as a check that passed."""

    ok: bool
    problems: tuple[Text, ...] = Field(default=(), max_length=10)
