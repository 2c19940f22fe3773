"""What the API takes and returns, as JSON."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lg_orch.service.records.rows import RunPhase

MAX_REQUEST = 100_000
"""Characters of a run's request."""
MAX_TEXT = 20_000
REF = r"^[A-Za-z0-9][A-Za-z0-9_+-]*([./][A-Za-z0-9_+-]+)*$"
"""A branch or tag: plain names with single dots and slashes between them."""


def _storable(text: str) -> str:
    """Refuse what no database and no terminal takes."""
    if "\0" in text:
        raise ValueError("must not contain U+0000")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("must be valid Unicode") from error
    return text


def _said(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty")
    return text


Clean = Annotated[str, AfterValidator(_storable)]
Words = Annotated[Clean, AfterValidator(_said), Field(min_length=1, max_length=MAX_TEXT)]
ChangeSet = Annotated[Clean, Field(min_length=1, max_length=200)]
Limit = Annotated[int, Field(gt=0, le=10**12)]
Amount = Annotated[float, Field(gt=0, le=10**9, allow_inf_nan=False)]


class Body(BaseModel):
    """Base of what callers send: no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Limits(Body):
    """Limits of a run, at most those of the service."""

    max_tokens: Limit | None = None
    """Tokens of model traffic."""
    max_cost_usd: Amount | None = None
    """US dollars of model traffic."""
    max_wall_s: Amount | None = None
    """Seconds, without waiting for a human."""


class CreateRun(Limits):
    """A new run."""

    request: Annotated[Clean, AfterValidator(_said), Field(min_length=1, max_length=MAX_REQUEST)]
    """What is to be done, in words."""
    repository: Annotated[Clean, Field(min_length=1, max_length=2_000)] | None = None
    """An absolute path, or an address to clone, that the service allows; by default the service's own repository."""
    ref: Annotated[str, Field(pattern=REF, max_length=200)] | None = None
    """With an address: the branch or tag to begin from; by default the repository's own."""
    model: Annotated[Clean, Field(min_length=1, max_length=200)] | None = None
    """`PROVIDER:NAME`, for all roles; by default as the service is configured."""
    approvals: Literal["ask", "deny"] = "ask"
    """`ask`: a call that needs approval waits for it. `deny`: it is denied, and the run goes on."""
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    """Higher ones are begun first."""


class AnswerRun(Body):
    """The answer to a question of a run."""

    question: Annotated[Clean, Field(min_length=1, max_length=500)]
    """The question's `key`."""
    decision: Literal["approve", "approve_for_run", "deny", "edit", "answer", "done", "not_done", "stop", "again"]
    """Which fit depends on the question's `kind`; it lists them."""
    reason: Annotated[Clean, Field(max_length=MAX_TEXT)] = ""
    """With `deny`: what the run is told."""
    arguments: dict[str, Any] | None = None
    """With `edit`: what to make the call with instead. With `answer`: the fields of the form."""
    together: bool = False
    """With `approve`, `approve_for_run` and `deny`: whether it answers the other questions of its turn too."""
    if_lost: Literal["done", "not_done", "stop"] | None = None
    """With `answer`: what counts if the outcome of the call that asked was lost meanwhile."""


class SayToRun(Body):
    """Guidance for a run."""

    text: Words
    """It is added to the run's request. A run that waits for approval of a call takes it as a denial of that call."""


class ResumeRun(Limits):
    """What changes when a run is resumed."""


class ForkRun(Body):
    """A new run from a step of another one."""

    step: Annotated[int, Field(ge=1, le=10**6)]
    """The step that was the last to happen."""
    say: Words | None = None
    """Guidance for the new run."""


class UndoRun(Body):
    """Which changes to take back."""

    to: Annotated[int, Field(ge=0, le=10**6)] = 0
    """Only what changed after that step."""
    preview: bool = False
    """Return what would be reverted, and change nothing."""
    change_sets: Annotated[tuple[ChangeSet, ...], Field(max_length=10_000)] | None = None
    """Those of the preview: an undo that would revert any other by now is refused."""


class View(BaseModel):
    """Base of what is returned."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)


class QuestionView(View):
    """A question that a run waits for."""

    key: str
    kind: Literal["approval", "elsewhere", "outcome", "question"]
    """`approval`: may the call be made. `outcome`: was it carried out. `question`: a server's form. `elsewhere`: it is
    answered in another place."""
    tool: str
    message: str
    """What the human is asked, whole. Foreign text: show it as text."""
    arguments: dict[str, Any]
    """What the call would be made with."""
    form: dict[str, Any]
    """With `question`: JSON Schema of the answer."""
    decisions: tuple[str, ...]
    """The decisions that answer it."""
    turn: str = ""
    """The same for questions about calls of one turn, which may be answered `together`."""


class RunView(View):
    """A run."""

    run_id: str
    state: RunPhase
    request: str
    repository: str
    root: str
    """The directory that it works on."""
    created_by: str
    created: str
    """UTC, ISO 8601."""
    updated: str
    """When its state last changed."""
    priority: int
    epoch: int
    """How many workers had it so far."""
    worker: str | None
    """The worker that has it now."""
    stopping: bool
    """Whether it was asked to stop, or to be cancelled."""
    model: str | None
    report: dict[str, Any] | None
    """The last report: `status`, `text` (Markdown), `usage`, `verification`."""
    undo: dict[str, Any] | None
    """How the last undo stands: `state` (queued, done, failed), `text` or `error`."""
    forked_from: str | None


class RunDetail(RunView):
    """A run with what it waits for."""

    questions: tuple[QuestionView, ...]
    last_event: int
    """The number of its newest event."""


class RunPage(View):
    """Some runs, the newest first."""

    runs: tuple[RunView, ...]
    next: str | None
    """`after` of the next page; null on the last one."""


class ArtifactView(View):
    """A file of a run."""

    name: str
    media_type: str
    what: str


class ArtifactList(View):
    """The files of a run."""

    artifacts: tuple[ArtifactView, ...]


class UndoPreview(View):
    """What an undo would revert."""

    diff: str
    """Unified diff of what the undo would do."""
    change_sets: tuple[str, ...]
    """Their ids, in the order in which they would be reverted."""
    uncovered: tuple[str, ...]
    """What it would not revert."""


class Health(View):
    """Whether the service is there."""

    status: Literal["ok"]
