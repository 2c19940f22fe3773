"""What crosses the borders of a run: routes, plans, calls, results, reports. `schemas/` is generated from this file.

Everything here is frozen, refuses unknown keys and holds plain JSON values, so that a model's answer, a journal line
and a checkpoint are checked by the same rules. Sizes are bounded because the bounds reach a model's output grammar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from collections.abc import Iterator

Intent = Literal["code_change", "analysis", "research", "question", "refactor", "debug"]
CHANGES: tuple[Intent, ...] = ("code_change", "refactor", "debug")
"""Requests that are done only when files were changed."""
Lane = Literal["interactive", "deep"]
Text = Annotated[str, Field(max_length=4_000)]
Name = Annotated[str, Field(min_length=1, max_length=200)]


class Strict(BaseModel):
    """Base of all of them: immutable, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Route(Strict):
    """What kind of request this is and how it will be handled."""

    intent: Intent
    lane: Lane
    rationale: Text
    """Why, in one sentence, for the reader of the trace."""
    needs_model: bool = False
    """True when the mind at hand cannot do it and a language model is needed; the run then ends with exit status 2."""


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
        """The calls of all steps in order, with ids `<step id>.<n>`, n from 1."""
        for step in self.steps:
            for number, use in enumerate(step.tools, start=1):
                yield PlannedCall(id=f"{step.id}.{number}", tool=use.tool, input=use.input, why=step.description)


class Repair(Strict):
    """Another plan after one that did not work, and what was learnt from it."""

    reflection: Text
    """Why the work so far did not do it, in one or two sentences; shown to every later request of the run."""
    plan: Plan


class Turn(Strict):
    """What a mind that acts wants next; without calls and without `replan` it is done."""

    calls: tuple[PlannedCall, ...] = ()
    words: str = ""
    """Its closing words, for the user."""
    replan: Text = ""
    """Why the plan does not fit what was found."""


class Review(Strict):
    """Whether a change does what was asked, as a model sees it. Never counts as a check that passed."""

    ok: bool
    problems: tuple[Text, ...] = Field(default=(), max_length=10)


class Problem(Strict):
    """Why a call was refused or failed; `code` is one of `lg_policy.errors.ERROR_CODES`, or a server's own."""

    code: str
    message: str
    hint: str = ""
    retry_after_s: float = 0.0
    """Above zero: the call still runs; made again, under the same key, after so many seconds it brings its outcome."""
    approval_id: str = ""
    """The gateway's name for a question that only it can be answered at."""
    begun_before: bool = False
    """With `outcome_unknown`: an earlier request lost it, and the gateway looked whether it can be made again."""
    questions_waiting: int = 0
    """Above zero: so many questions wait for a human that the gateway takes no other; nothing was done."""


class Artifacts(Strict):
    """What belongs to a result besides its text."""

    call_id: str
    """The `PlannedCall.id` this answers."""
    input: dict[str, Any] = Field(default_factory=dict)
    why: str = ""
    """What was said when the call was decided."""
    structured: dict[str, Any] | None = None
    """The tool's `structuredContent`, if it has one; null in a trace or state that only refers to the stored result."""
    error: Problem | None = None
    repeated: int = 0
    """How often the call was made again because its server was away."""
    approved_by: str | None = None
    """Who answered the gateway's question about this call: `terminal`, `--yes`; null when nothing was asked."""
    decision: Literal["edit", "not_done", "stop"] | None = None
    """What a human said that changes what follows: `edit` (make the call in `edited` instead), and of a call whose
    outcome was lost `not_done` (make it again, as a new call) or `stop`."""
    edited: dict[str, Any] | None = None
    """The arguments that a human gave instead of `input`; the call with them follows."""
    replayed: bool = False
    """The gateway answered from its record: the call was made before, under the same key."""
    ledger_id: str = ""
    """The call's `request_id` in the gateway's ledger (`lg-gateway audit show`); empty when it never got there."""
    digest: str = ""
    """SHA-256 of the whole result in the run's result store."""
    size: int = 0
    """Bytes of the whole result."""
    truncated: bool = False
    """`stdout` is only the beginning of the result's text."""


class ToolEnvelope(Strict):
    """What every tool call comes back as (`schemas/tool_envelope.schema.json`)."""

    tool: str
    ok: bool
    exit_code: int | None
    """The command's exit status; null for tools that run no command, and for commands that were killed."""
    stdout: str
    """The tool's answer as text; for a command its standard output."""
    stderr: str
    """A failure's message; for a command its standard error."""
    timing_ms: int
    """Wall time of the call as the orchestrator saw it."""
    artifacts: Artifacts


class Check(Strict):
    """One check that was run: passed is exit code 0 of our own call, unless no test ran."""

    name: str
    ok: bool
    tool: str
    exit_code: int | None
    summary: str
    failed_before: bool = False
    """It did not pass before the change either."""
    no_tests: bool = False
    """By its own words it ran no test, so it proves nothing, whatever its exit code; then `ok` is false."""
    lost_tests: bool = False
    """It runs no test any more, and did before the change."""
    no_baseline: bool = False
    """It was not run before the change, so every failure counts as new."""

    @property
    def harmless(self) -> bool:
        """Whether it neither proves a change nor speaks against it."""
        return self.no_tests and not self.lost_tests

    @property
    def outcome(self) -> str:
        """How it ended, in words."""
        if self.ok:
            return "passed"
        if self.no_tests:
            return "no tests ran any more" if self.lost_tests else "no tests ran"
        if self.failed_before:
            return "not passed, as before the change"
        return "not passed, and not run before the change" if self.no_baseline else "not passed"


class VerifierReport(Strict):
    """The verifier's output (`schemas/verifier_report.schema.json`). No checks means that nothing is claimed."""

    ok: bool
    checks: tuple[Check, ...] = ()


class Statement(Strict):
    """One thing the answer claims and the place that proves it."""

    text: str
    file: str | None = None
    """Relative to the root, with `/`; null only for totals over many files."""
    line: int | None = None
    """1-based."""


class Answer(Strict):
    """What the run has to say."""

    text_markdown: str
    statements: tuple[Statement, ...] = ()
    missing: tuple[str, ...] = ()
    """What was looked for and not found, or not looked at; the report shows it."""


class Entry(Strict):
    """One directory entry."""

    path: str
    type: str
    size: int | None = None


class ExtensionTotal(Strict):
    """Files of one extension; `""` is none. `directory` is set in the per-directory rows only."""

    extension: str
    files: int
    bytes: int
    lines: int
    directory: str | None = None


class RepoTotals(Strict):
    """`fs__list_files(totals=true)` as it came."""

    files: int
    bytes: int
    lines: int
    directories: int
    binary_files: int = 0
    skipped: int = 0
    hidden: int = 0
    """Entries that the file rules hide."""
    extensions: tuple[ExtensionTotal, ...] = ()
    rows: tuple[ExtensionTotal, ...] = ()
    """Per directory and extension, rolled up into ancestors at `depth`."""
    depth: int | None = None
    partial: str | None = None
    """Why the numbers are incomplete, or null."""
    digest: str | None = None
    """SHA-256 over the names and contents of the files that the tools see, as `lg_fs.tree.tree_digest` defines it."""
    digest_missing: str | None = None
    """Why there is none."""


class Command(Strict):
    """One command of the command server."""

    name: str
    description: str = ""
    approval: bool = False
    """A human is asked each time."""
    reason: str = ""
    """Why it cannot be run here; empty when it can."""


class Package(Strict):
    """A directory with manifests of its own, and how it is tested."""

    path: str
    """Relative to the root; "" is the root itself."""
    manifests: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    """`python`, `pytest` (it is asked for), `cargo`, `cargo-workspace`, `go`, `npm`, `make:test`, `make:check`."""


class RepoContext(Strict):
    """What the context builder found out before any planning; costs no calls of the plan."""

    root_name: str
    root_id: str = ""
    revision: str | None = None
    """The commit checked out, when it could be read."""
    totals: RepoTotals | None = None
    top_level: tuple[Entry, ...] = ()
    top_level_truncated: bool = False
    problems: tuple[str, ...] = ()
    """What could not be found out, in words for the report."""
    paths: tuple[str, ...] = ()
    """Every file of a small repository; empty for a large one."""
    commands: tuple[Command, ...] = ()
    """What the command server knows, also what it cannot run here; empty when nobody asked."""
    scripts: tuple[str, ...] = ()
    """Names of package.json's scripts that do something, and of the Makefile's targets as `make:NAME`."""
    runtimes: tuple[str, ...] = ()
    """Languages and the versions that the manifests ask for."""
    packages: tuple[Package, ...] = ()
    """Packages below the root, and the root, as far as their manifests say how they are tested; sorted by path."""
    guide: str = ""
    """The repository's own advice (`AGENTS.md`), only if the user accepted this very text."""
