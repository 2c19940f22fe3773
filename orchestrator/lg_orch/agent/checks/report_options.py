"""Asks the runner of a check for its machine-readable report, where its command template allows that. Pure.

pytest gets `--junitxml=/dev/stderr`, `go test` gets `-json`. Standard error has that name in a bubblewrap sandbox, so
other sandboxes are not asked for it. Of runners without such a report, the summary counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.runner_reports import runner_of
from lg_orch.tools.junit import REPORT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lg_orch.contracts.plans import ToolUse
    from lg_orch.contracts.repository import Command
    from lg_orch.contracts.state import Sandbox

_SANDBOX = "bubblewrap"
_FREE = ("-m=*...", "text:*...")
"""Entries of a template after which every argument is passed on."""


def with_reports(uses: Iterable[ToolUse], commands: Sequence[Command], sandbox: Sandbox | None) -> tuple[ToolUse, ...]:
    """Return the checks, with what makes their runners write a report."""
    return tuple(
        use.model_copy(update={"input": _with_report(use.input, commands, sandbox)}) if "cmd" in use.input else use
        for use in uses
    )


def shown_words(arguments: Mapping[str, Any]) -> list[str]:
    """Return a check's command as words for people, without the options that only ask for the report."""
    words = [str(word) for word in arguments.get("args") or ()]
    size = len(REPORT_OPTIONS)
    if tuple(words[-size:]) == REPORT_OPTIONS:
        words = words[:-size]
    return [str(arguments.get("cmd")), *words]


def _with_report(arguments: dict[str, Any], commands: Sequence[Command], sandbox: Sandbox | None) -> dict[str, Any]:
    allowed = next((command.args_allow for command in commands if command.name == arguments["cmd"]), ())
    args = arguments.get("args") or []
    if not isinstance(args, list) or not all(isinstance(word, str) for word in args) or "--" in args:
        return arguments
    runner = runner_of(arguments)
    if runner == "go test" and "-json" in allowed and "-json" not in args:
        return arguments | {"args": [args[0], "-json", *args[1:]]}
    seen = sandbox is not None and sandbox.active and sandbox.backend.startswith(_SANDBOX)
    asked = any(word.startswith(("--junit", "--collect-only", "--co", "--version", "--help")) for word in args)
    if runner == "pytest" and seen and not asked and _may_report(allowed):
        return arguments | {"args": [*args, *REPORT_OPTIONS]}
    return arguments


def _may_report(allowed: Iterable[str]) -> bool:
    entries = list(allowed)
    if any(entry in _FREE for entry in entries):
        return True
    plugins = [entry.removeprefix("-p=").split("|") for entry in entries if entry.startswith("-p=")]
    return REPORT_OPTIONS[-1] in entries and any(REPORT_OPTIONS[1] in names for names in plugins)
