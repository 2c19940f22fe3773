"""The graph's state: typed, plain JSON in every checkpoint, small whatever the tools return.

Nodes get a validated `RunState` and return a dict of changed fields; `checked_update` refuses names that are not fields
and turns models into JSON, so that a checkpoint never holds a class. Large results stay in the run's result store and
are named by digest.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter

from lg_orch.contracts.base import Strict
from lg_orch.contracts.budget_use import Spent
from lg_orch.contracts.envelopes import Problem, ToolEnvelope
from lg_orch.contracts.errors import GraphError
from lg_orch.contracts.plans import Plan, PlannedCall, Review, Route
from lg_orch.contracts.reports import Statement, VerifierReport

Status = Literal["done", "unchecked", "failed", "refused", "waiting", "interrupted", "killed", "running"]
"""`unchecked`: the work came to its end, and nothing could check it."""
EXIT_STATUS: Mapping[Status, int] = {
    "done": 0, "failed": 1, "refused": 2, "waiting": 3, "unchecked": 4, "interrupted": 130,
}  # fmt: skip


class QueuedCall(Strict):
    """A decided call and its idempotency key, checkpointed before the visit that sends it."""

    call: PlannedCall
    key: str
    alone: bool = False
    """It asked a human while others were made beside it; the next visit makes it by itself."""
    asked: bool = False
    """Its question was put together with those of the other calls of its turn."""
    looked: bool = False
    """A dry run has shown which files it changes, and that none of them is changed blindly; the next visit makes it."""
    touches: tuple[str, ...] | None = None
    """The files that it changes, by the dry run; null where nobody knows."""


class ContextRef(Strict):
    """Where the repository context is stored, and the little of it that people ask for."""

    digest: str
    root_name: str
    revision: str | None = None
    """The commit checked out."""
    tree: str | None = None
    """Digest of the files as the tools saw them before anything was done, what was not committed included."""
    files: int | None = None
    lines: int | None = None


class Guards(Strict):
    """What holds the run back."""

    refused: Problem | None = None
    """Set once: the run goes straight to the reporter."""
    stopped: str | None = None
    """Which budget ended the work, in words for the report."""
    dropped: int = 0
    """Calls that were decided and not made because of it."""
    notes: tuple[str, ...] = ()
    """Things the report must say: a server that was away, a setting that differs."""


class Sandbox(Strict):
    """What the command server says about its confinement."""

    active: bool
    backend: str


class Security(Strict):
    """What the policy gate saw at the gateway."""

    policy_digest: str = ""
    policy_mismatch: tuple[str, ...] = ()
    """Tools whose server reports another policy digest than our settings have."""
    sandbox: Sandbox | None = None
    tools: int = 0


class Telemetry(Strict):
    """Counts for the summary."""

    visits: int = 0


class Final(Strict):
    """How the run ended and what it has to say."""

    status: Status
    exit_status: int
    text: str
    """Markdown; what goes to stdout."""
    statements: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()


_last: tuple[list[Any], list[Any]] = ([], [])
"""The newest list of references that was read, as it came and as it was read."""


def _read_once(value: Any) -> Any:
    """Read each reference once: every step of a run reads all of them, in each node and each edge.

    What comes begins with what came before, mostly the very same objects, which compare at once.
    """
    global _last
    if not isinstance(value, list):
        return value
    came, read = _last
    if value[: len(came)] != came:
        came, read = [], []
    added = [
        ToolEnvelope.model_validate(result) if isinstance(result, dict) else result for result in value[len(came) :]
    ]
    found = [*read, *added]
    _last = (list(value), found)
    return found


References = Annotated[list[ToolEnvelope], BeforeValidator(_read_once)]


class RunState(Strict):
    """Everything a run remembers between two steps."""

    request: str
    intent: Route | None = None
    repo_context: ContextRef | None = None
    facts: Annotated[list[Statement], operator.add] = Field(default_factory=list)
    plan: Plan | None = None
    queue: tuple[QueuedCall, ...] = ()
    """Decided calls, the next one first."""
    checks: tuple[QueuedCall, ...] = ()
    """Decided checks of the verifier."""
    baseline_checks: tuple[QueuedCall, ...] = ()
    """The same checks, to be run before anything is changed."""
    baseline_now: bool = False
    """Whether they must end before anything else is done; otherwise they may go on beside what only reads."""
    tool_results: Annotated[References, operator.add] = Field(default_factory=list)
    """References (`reference`): how each call ended, and the digest of the whole."""
    patches: Annotated[list[dict[str, Any]], operator.add] = Field(default_factory=list)
    repeats: tuple[QueuedCall, ...] = ()
    """Checks that passed, to be run again with the files that check as they were before the change."""
    repeated: VerifierReport | None = None
    """How those ended; null when none was repeated."""
    baseline: VerifierReport | None = None
    """How the checks ended before anything was changed; null when none could be run."""
    verification: VerifierReport | None = None
    review: Review | None = None
    """What a model said of a change whose checks passed; asked once."""
    reflections: Annotated[list[str], operator.add] = Field(default_factory=list)
    """What was learnt from attempts that did not work."""
    replan: str = ""
    """Why the plan does not fit what was found; the planner clears it."""
    unasked: bool = False
    """Calls were made and the backend could not be asked what follows; that is what comes next."""
    words: str = ""
    """The closing words of a backend that acts. A claim, not a proof."""
    final: Final | None = None
    guards: Guards = Guards()
    budgets: Spent = Spent()
    approvals: Annotated[list[dict[str, Any]], operator.add] = Field(default_factory=list)
    security: Security = Security()
    telemetry: Telemetry = Telemetry()


Update = dict[str, Any]
"""What a node returns: the changed fields, as models or JSON values."""


def checked_update(node: str, update: Mapping[str, Any]) -> Update:
    """Validate what a node returned and turn it into plain JSON values. Raises `GraphError` naming node and field."""
    plain: Update = {}
    for name, value in update.items():
        if name not in RunState.model_fields:
            raise GraphError(f"node {node} returned {name!r}, which the state does not have")
        adapter = _adapter(name)
        kept = [reference(result) for result in value] if name == "tool_results" else value
        plain[name] = adapter.dump_python(adapter.validate_python(kept), mode="json", exclude_defaults=True)
    return plain


def reference(brief: ToolEnvelope) -> ToolEnvelope:
    """Return what the state keeps of a result.

    Every checkpoint holds all references, so they contain only what edges and rules read. The texts, and the arguments
    of a call that brought a result, are in the result store.
    """
    artifacts = brief.artifacts
    update = {"why": ""} if artifacts.error is not None else {"why": "", "input": {}}
    return brief.model_copy(update={"stdout": "", "stderr": "", "artifacts": artifacts.model_copy(update=update)})


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    annotation: Any = RunState.model_fields[name].annotation
    return TypeAdapter(annotation)
