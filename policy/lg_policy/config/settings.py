"""The settings tree: frozen, without unknown keys. The string below each field documents it.

`loading` builds it from the profile, the user's files and the flags; nothing else reads settings files.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Literal

from pydantic import Field

from lg_policy.config.console import ConsoleSettings
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.gateway import GatewaySettings, RuleSettings, UpstreamSettings
from lg_policy.config.ledger import LedgerSettings
from lg_policy.config.models import ModelSettings, ModelsSettings, PriceSettings
from lg_policy.config.observing import LogSettings
from lg_policy.config.section import Duration, PositiveFloat, PositiveInt, Section
from lg_policy.config.service import ServiceSettings

__all__ = [
    "ApprovalSettings", "BudgetSettings", "CommandLimits", "CommandTemplate", "ExecLimits", "ExecSettings",
    "FsSettings", "GatewaySettings", "LedgerSettings", "ModelSettings", "ModelsSettings", "PolicySettings",
    "PriceSettings", "RuleSettings", "Section", "ServiceSettings", "Settings", "StoreSettings", "TraceSettings",
    "UpstreamSettings",
]  # fmt: skip


class BudgetSettings(Section):
    """Hard limits of one run, enforced in one place."""

    max_loops: PositiveInt = 3
    """Rounds of plan, execute, verify."""
    max_tool_calls_per_loop: PositiveInt = 12
    """Tool calls in one round."""
    max_checks: PositiveInt = 8
    """Most checks after a change. They come from the project's own files; those of the root run first."""
    max_check_packages: PositiveInt = 4
    """Most packages below the root whose checks run after a change. Those with the most changed files come first."""
    near_tests_above_s: float = Field(default=10, ge=0)
    """After a change, pytest runs the tests that failed and those of the changed files first, and all others only if
    these pass. This is done where all tests take longer than so many seconds."""
    max_patch_bytes: PositiveInt = 200_000
    """Bytes of one patch."""
    tool_timeout_s: PositiveFloat = 600
    """Seconds for one tool call."""
    max_tokens: PositiveInt = 400_000
    """Tokens of model traffic per run, prompt and completion together."""
    max_cost_usd: PositiveFloat = 3.0
    """US dollars of model traffic per run."""
    max_wall_s: PositiveFloat = 3600
    """Seconds of wall clock per run, without waiting for a human."""


class PolicySettings(Section):
    """Which files may be read and written.

    Lists in a settings file extend these defaults; `<name>_replace = true` replaces them.
    """

    network_default: Literal["deny", "allow"] = "deny"
    """Whether commands may reach the network if their template does not say."""
    require_approval_for_mutations: bool = True
    """Whether a human must approve changes to files."""
    read_allow: tuple[str, ...] = ("**",)
    """Gitignore-style globs of files that may be read. They match at any depth, in any case; a leading `/` anchors."""
    read_deny: tuple[str, ...] = (
        ".ssh/",
        ".env",
        ".env.*",
        "*.pem",
        "id_*",
        ".git/config",
        ".git-credentials",
        ".netrc",
    )
    """Globs of files that are never read, listed, searched or written. Deny wins."""
    write_allow: tuple[str, ...] = ("**",)
    """Globs of files that may be created, changed, moved or deleted."""
    write_deny: tuple[str, ...] = (
        ".git",
        ".gitattributes",
        ".gitmodules",
        ".github/workflows/",
        ".vscode/",
        ".idea/",
        ".cursor/",
        ".claude/",
        ".mcp.json",
        ".envrc",
        ".husky/",
        ".pre-commit-config.yaml",
        "*.lock",
        "package-lock.json",
        "go.sum",
    )
    """Globs of files that are never written. Deny wins."""


class FsSettings(Section):
    """Limits of `lg-fs`."""

    read_max_bytes: PositiveInt = 1_000_000
    """Bytes of text in one `read_file` answer. Read the rest with `start_line`."""
    read_max_lines: PositiveInt = 20_000
    """Lines in one `read_file` answer."""
    read_max_files: PositiveInt = 64
    """Files in one `read_file(paths=…)` call."""
    list_max_entries: PositiveInt = 1_000
    """Entries in one `list_files` page."""
    totals_max_rows: PositiveInt = 2_000
    """Rows of `list_files(totals=true)`. Deeper directories are merged to stay within it."""
    digest_max_mb: PositiveInt = 256
    """Megabytes of large binary files that `list_files(totals=true)` reads for its digest. With more: no digest."""
    search_max_matches: PositiveInt = 500
    """Matches in one `search_files` page."""
    search_max_file_bytes: PositiveInt = 16_000_000
    """Bytes of the largest file that is searched. Larger files are counted as skipped."""
    search_max_reply_bytes: PositiveInt = 400_000
    """Bytes of matched text in one `search_files` answer."""
    walk_max_entries: PositiveInt = 2_000_000
    """Directory entries that one call reads."""
    call_timeout_s: PositiveFloat = 60
    """Seconds for one call. A partial answer says so."""
    patch_max_bytes: PositiveInt = 2_000_000
    """Bytes of one `apply_patch` input."""
    patch_max_files: PositiveInt = 500
    """Files that one `apply_patch` may change."""
    patch_max_file_bytes: PositiveInt = 16_000_000
    """Bytes of one file that `apply_patch` changes, before and after."""
    write_binary: bool = False
    """Whether patches may change the content of files that are not text. They may always move and delete them."""
    hard_links: Literal["read", "refuse"] = "read"
    """Whether files with more than one hard link may be read. The other names may lie outside the root.
    Package managers and git make such links too. With `refuse`, tools list these files but do not open them."""
    write_hard_links: bool = False
    """Whether files with more than one hard link may be written."""
    durable: bool = True
    """Whether a patch is on the disk before it is reported. If not, a power cut (not a crash) may lose part of it."""
    journal_max_changes: PositiveInt = 500
    """Change sets kept for `revert_patch`. The oldest are removed first."""
    journal_max_bytes: PositiveInt = 256_000_000
    """Bytes kept for `revert_patch`."""
    journal_days: PositiveFloat = 30
    """Days that change sets are kept for `revert_patch`."""
    allow_force_revert: bool = False
    """Whether `revert_patch(force=true)` may overwrite files that changed since."""
    threads: PositiveInt = 4
    """Calls that work on files at the same time. Further calls wait."""


class CodeSettings(Section):
    """Limits of `lg-code`. Which files it reads is up to `[policy]` and `[fs]`."""

    call_timeout_s: PositiveFloat = 60
    """Seconds for one call. A partial answer says so."""
    index_wait_s: PositiveFloat = 20
    """Seconds that a call waits for the index. After that it answers with what is indexed, and says what is missing."""
    index_max_files: PositiveInt = 300_000
    """Files in the index. Further files are not found."""
    index_max_mb: PositiveInt = 2_048
    """Megabytes of the index on the disk. When it is full, no file is added."""
    watch_max_directories: Annotated[int, Field(ge=0)] = 30_000
    """Directories that are watched for changes (Linux). In larger trees, or with 0, each call looks at all files."""
    parse_max_bytes: PositiveInt = 1_000_000
    """Bytes of the largest file that is parsed. Larger ones are read line by line."""
    file_max_bytes: PositiveInt = 16_000_000
    """Bytes of the largest file that is read at all."""
    data_max_bytes: PositiveInt = 100_000
    """Bytes of the largest data file (JSON, CSV, SVG, lock files and the like) that is read."""
    parser_processes: PositiveInt = 2
    """Processes that parse at the same time."""
    parser_memory_mb: PositiveInt = 1_024
    """Megabytes of address space of one parser process. A file that needs more is read line by line."""
    parser_cpu_s: PositiveFloat = 5
    """Seconds of CPU time for one file. A file that needs more is read line by line."""
    parser_idle_s: PositiveFloat = 60
    """Seconds after which a parser process without work ends."""
    map_max_tokens: PositiveInt = 32_000
    """Tokens of the largest `repo_map`."""
    max_results: PositiveInt = 200
    """Results in one answer."""
    max_reply_bytes: PositiveInt = 200_000
    """Bytes of text in one answer."""
    threads: PositiveInt = 4
    """Calls that are answered at the same time. Further calls wait."""


class CommandLimits(Section):
    """Limits of one command call; in a template, `None` keeps the value of `[exec.limits]`."""

    timeout_s: PositiveFloat | None = None
    """Seconds of wall clock."""
    memory_mb: PositiveInt | None = None
    """Mebibytes for the whole process tree."""
    processes: PositiveInt | None = None
    """Processes and threads at one time."""
    output_kb: PositiveInt | None = None
    """Kibibytes kept of each output stream, half from its head, half from its tail."""
    cpu_s: PositiveFloat | None = None
    """Seconds of CPU time for the whole process tree."""
    open_files: PositiveInt | None = None
    """Open files per process."""
    file_mb: PositiveInt | None = None
    """Mebibytes of the largest file that may be written."""
    disk_mb: PositiveInt | None = None
    """Mebibytes of throw-away storage: private temporary directories and the overlay, each."""


class ExecLimits(Section):
    """Default limits of command calls."""

    timeout_s: PositiveFloat = 600
    """Seconds of wall clock."""
    memory_mb: PositiveInt = 2048
    """Mebibytes for the whole process tree."""
    processes: PositiveInt = 256
    """Processes and threads at one time."""
    output_kb: PositiveInt = 512
    """Kibibytes kept of each output stream, half from its head, half from its tail."""
    cpu_s: PositiveFloat = 3600
    """Seconds of CPU time for the whole process tree."""
    open_files: PositiveInt = 4096
    """Open files per process."""
    file_mb: PositiveInt = 1024
    """Mebibytes of the largest file that may be written."""
    disk_mb: PositiveInt = 1024
    """Mebibytes of throw-away storage: private temporary directories and the overlay, each."""


class CommandTemplate(Section):
    """A command that may be called by name. The request never chooses the executable."""

    description: str = ""
    """One line for the client's list of commands."""
    enabled: bool = True
    """Whether the command may be called."""
    executable: str | None = None
    """Program name or absolute path; by default the command's own name."""
    from_: Literal["system", "project", "python"] = Field(default="system", alias="from")
    """Where to find the executable: the fixed system path, the project's own environment, or our interpreter's."""
    prefix: tuple[str, ...] = ()
    """Arguments that always come first."""
    args_allow: tuple[str, ...] = ()
    """Allowed further arguments: a literal, `--opt=PATTERN` (`*`: anything), or `path:GLOB` under the root."""
    args_deny: tuple[str, ...] = ()
    """Arguments that are refused although `args_allow` matches, also as the value of an option; same syntax."""
    env: tuple[str, ...] = ()
    """Environment names that a call may set."""
    root: Literal["overlay", "ro", "rw"] = "overlay"
    """How the sandboxed command sees the root: throw-away copy-on-write, read-only, or for real."""
    network: bool | None = None
    """Whether the command may reach the network; `None` follows `policy.network_default`."""
    approval: bool = False
    """Whether a human must approve each call."""
    needs_sandbox: bool | None = None
    """Whether the command is refused with `sandbox = "off"`. By default, programs of the project's environment are."""
    rerun: bool = False
    """Whether the command may be run again if a crash lost its outcome."""
    limits: CommandLimits = CommandLimits()
    """Limits that differ from `[exec.limits]`."""

    @property
    def only_sandboxed(self) -> bool:
        """Return whether the command is never run unconfined."""
        return self.from_ == "project" if self.needs_sandbox is None else self.needs_sandbox


def _shipped_commands() -> dict[str, CommandTemplate]:
    return {name: CommandTemplate.model_validate(template) for name, template in DEFAULT_COMMANDS.items()}


class ExecSettings(Section):
    """How `lg-exec` runs commands."""

    sandbox: Literal["required", "off"] = "required"
    """`required`: without a working OS sandbox each call answers `sandbox_unavailable`. `off`: commands run unconfined.

    With `off` every result, the tool's description and `doctor` say so.
    """
    environment: str = "auto"
    """The project's own environment: `auto`, a path, or `none`.

    `auto` takes ROOT/.venv, ROOT/venv and ROOT/node_modules/.bin. Without a Python environment there, it takes the one
    that your shell has active (VIRTUAL_ENV, CONDA_PREFIX, UV_PROJECT_ENVIRONMENT), or that poetry, pdm, hatch, pyenv,
    tox or nox keeps for the project. No program is run to find it.
    """
    commands: dict[str, CommandTemplate] = Field(default_factory=_shipped_commands)
    """Command templates by name. A table in a settings file changes only the keys that it names."""
    limits: ExecLimits = ExecLimits()
    """Limits for commands whose template sets none."""
    max_concurrent: PositiveInt = 4
    """Commands that run at the same time. Further calls wait, and clients take turns."""
    max_waiting: PositiveInt = 64
    """Calls that may wait for their turn. Beyond that, the newest call of the client with most is refused."""
    kill_grace_s: PositiveFloat = 2.0
    """Seconds between SIGTERM and SIGKILL."""
    progress_interval_s: PositiveFloat = 0.5
    """Shortest time between two progress messages of one call."""
    heartbeat_s: PositiveFloat = 15.0
    """Seconds without output until a command sends a progress message, so that no client gives up on it."""


class ApprovalSettings(Section):
    """How long a question to a human stays open."""

    live_timeout_s: PositiveFloat = 600
    """Seconds that a live question waits."""
    ttl: Duration = "7d"
    """How long a deferred question can be answered: a number and `s`, `m`, `h` or `d`."""
    hold_s: Annotated[float, Field(ge=0)] = 45
    """Seconds that a call of a client without elicitation waits for an answer before it returns."""
    max_pending: PositiveInt = 30
    """Questions of one identity that may be open at once. A call that needs one more is refused."""
    form_always: Literal["confirm", "write", "off"] = "confirm"
    """What an "always allow" from a client's form does. A client could answer its own form. So with `confirm` it
    counts for the session, and for good once you confirm it with `lg-gateway rules add --from ID` at a terminal.
    `write` writes the rule into your settings at once. `off` does not offer it. Your own terminals always offer it."""
    notify: tuple[Literal["bell", "desktop"], ...] = ()
    """How you are told that a call waits for you: `bell` rings the terminal of the gateway, `desktop` shows a
    notification with `notify-send`, or `osascript` on macOS, where it is installed. A question of `lg-orch` rings its
    own terminal, and the notification is the terminal's own."""


class TraceSettings(Section):
    """The exported run trace."""

    enabled: bool = False
    """Whether every run is exported. `--trace` exports a single run."""
    output_dir: str = "artifacts/runs"
    """Directory under the root. The tools cannot open it."""
    otlp_endpoint: str | None = None
    """Address to send runs to as OpenTelemetry spans (OTLP/HTTP), without texts and arguments. Needs extra `otel`."""


class StoreSettings(Section):
    """Where ledger, approvals, recorded outcomes, pins and checkpoints are stored, and how long runs are kept."""

    url: str = "sqlite"
    """`sqlite`: a file in the state directory. `postgresql://USER@HOST/DATABASE` (extra `postgres`; for `lg-orch`
    `orch-postgres`): shared by gateways on several machines that have the same keys; `${NAME}` is expanded."""
    runs_ttl: Duration = "30d"
    """How long `lg-orch` keeps runs that have ended: a number and `s`, `m`, `h` or `d`."""
    ended_days: PositiveInt = 30
    """Days that the gateway keeps ended records: questions and their answers, "for this run" grants, and tokens that
    expired or were revoked. During that time, a denied call is not asked about again in its run."""
    run_days: PositiveInt = 90
    """Days after a run's last call that the gateway remembers its epoch and its use of `gateway.run_budget`."""


class Settings(Section):
    """The whole tree."""

    profile: Literal["dev", "stage", "prod"] = "dev"
    """Which shipped profile the defaults came from."""
    models: ModelsSettings = ModelsSettings()
    """Models by role."""
    budgets: BudgetSettings = BudgetSettings()
    """Limits of one run."""
    policy: PolicySettings = PolicySettings()
    """File policy."""
    fs: FsSettings = FsSettings()
    """The file server."""
    code: CodeSettings = CodeSettings()
    """The server that knows the code."""
    exec: ExecSettings = Field(default_factory=ExecSettings)
    """The command server."""
    gateway: GatewaySettings = Field(default_factory=GatewaySettings)
    """The gateway."""
    approval: ApprovalSettings = ApprovalSettings()
    """Questions to a human."""
    trace: TraceSettings = TraceSettings()
    """Run traces."""
    store: StoreSettings = StoreSettings()
    """Storage."""
    service: ServiceSettings = ServiceSettings()
    """The run service."""
    console: ConsoleSettings = ConsoleSettings()
    """The console."""
    ledger: LedgerSettings = LedgerSettings()
    """The record of every call."""
    log: LogSettings = LogSettings()
    """The gateway's log."""

    def policy_digest(self) -> str:
        """Return 16 hex digits over what built-in servers enforce: policy, fs, exec and trace.output_dir."""
        chosen = self.model_dump(
            mode="json", by_alias=True, include={"policy": True, "fs": True, "exec": True, "trace": {"output_dir"}}
        )
        canonical = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]
