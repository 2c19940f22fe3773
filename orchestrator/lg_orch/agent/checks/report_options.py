"""Asks the runner of a check for its machine-readable report, where its command template allows that. Pure.

pytest gets `--junitxml=/dev/stderr`, `go test` gets `-json`, `node --test` a second reporter. `npm test` passes options
on to Jest, Vitest, Mocha or node where the script in `package.json` is that program and nothing else. Standard error
has that name in a bubblewrap sandbox, so other sandboxes are not asked for it. Of runners without such a report, the
summary counts. `cargo test` has a report only in its nightly versions; `cargo_output` compares what it prints with
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lg_orch.agent.checks.packages import SCRIPT
from lg_orch.agent.checks.runner_reports import runner_of
from lg_orch.tools.junit import JS_OPTIONS, NODE_REPORT, REPORT_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lg_orch.contracts.plans import ToolUse
    from lg_orch.contracts.repository import Command, Package
    from lg_orch.contracts.state import Sandbox

_SANDBOX = "bubblewrap"
_FREE = ("-m=*...", "text:*...")
"""Entries of a template after which every argument is passed on."""
_PASSED_ON = "--..."
"""The entry of a template that passes on what stands after `--`."""
_REPORTER = "--test-reporter"


def with_reports(
    uses: Iterable[ToolUse],
    commands: Sequence[Command],
    sandbox: Sandbox | None,
    packages: Iterable[Package] = (),
) -> tuple[ToolUse, ...]:
    """Return the checks, with what makes their runners write a report."""
    asking = _Asking(commands, sandbox, packages)
    return tuple(
        use.model_copy(update={"input": asking.with_report(use.input)}) if "cmd" in use.input else use for use in uses
    )


def shown_words(arguments: Mapping[str, Any]) -> list[str]:
    """Return a check's command as words for people, without the options that only ask for the report."""
    words = [str(word) for word in arguments.get("args") or ()]
    for options in (REPORT_OPTIONS, *(("--", *options) for options in JS_OPTIONS.values())):
        if tuple(words[-len(options) :]) == options:
            words = words[: -len(options)]
    for options in (JS_OPTIONS["node"], JS_OPTIONS["node"][1:]):
        # A plan's own reporter for people stays.
        at = 0 if options[0].startswith(f"{_REPORTER}=") else 1
        if tuple(words[at : at + len(options)]) == options:
            words[at : at + len(options)] = []
    return [str(arguments.get("cmd")), *words]


class _Asking:
    """Knows what a command's template allows, and which runner a package's test script starts."""

    def __init__(self, commands: Sequence[Command], sandbox: Sandbox | None, packages: Iterable[Package]) -> None:
        self._commands = commands
        self._has_stderr = sandbox is not None and sandbox.active and sandbox.backend.startswith(_SANDBOX)
        self._packages = packages

    def with_report(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a check, with the options that ask for a report where they can be added."""
        allowed = next((command.args_allow for command in self._commands if command.name == arguments["cmd"]), ())
        args = arguments.get("args") or []
        if not isinstance(args, list) or not all(isinstance(word, str) for word in args) or "--" in args:
            return arguments
        runner = runner_of(arguments)
        if runner == "go test" and "-json" in allowed and "-json" not in args:
            return arguments | {"args": [args[0], "-json", *args[1:]]}
        if not self._has_stderr:
            return arguments
        options = self._options(arguments, runner, args, allowed)
        return arguments | {"args": options} if options else arguments

    def _options(
        self, arguments: Mapping[str, Any], runner: str, args: list[str], allowed: Sequence[str]
    ) -> list[str] | None:
        """The arguments with the report asked for by a file's name; `None` where that cannot be."""
        if runner == "pytest":
            asked = any(word.startswith(("--junit", "--collect-only", "--co", "--version", "--help")) for word in args)
            return None if asked or not _may_report(allowed) else [*args, *REPORT_OPTIONS]
        if runner == "node" and arguments["cmd"] == "node-test":
            return _node_options(args) if _may_write(allowed) else None
        if arguments["cmd"] == "npm-test" and _PASSED_ON in allowed and set(args) <= {"--silent"}:
            script = self._script(str(arguments.get("cwd") or ""))
            return [*args, "--", *JS_OPTIONS[script]] if script else None
        return None

    def _script(self, directory: str) -> str:
        """The runner that a package's test script is; empty where it is not one alone."""
        tests = next((package.tests for package in self._packages if package.path == directory), ())
        runners = [kind.removeprefix(SCRIPT) for kind in tests if kind.startswith(SCRIPT)]
        return runners[0] if len(runners) == 1 else ""


def _node_options(args: list[str]) -> list[str] | None:
    """Reporters stand before the files. One that the plan chose stays, if it is the only one and stands first."""
    chosen = [word for word in args if word.startswith(_REPORTER)]
    if not chosen:
        return [*JS_OPTIONS["node"], *args]
    if len(chosen) > 1 or args[0] != chosen[0] or "=" not in chosen[0]:
        return None
    return [args[0], "--test-reporter-destination=stdout", *NODE_REPORT, *args[1:]]


def _may_write(allowed: Iterable[str]) -> bool:
    """Tell whether a template of `node --test` allows both reporters."""
    names: dict[str, set[str]] = {}
    for entry in allowed:
        option, _, values = entry.partition("=")
        names.setdefault(option, set()).update(values.split("|"))
    wanted = [word.partition("=") for word in JS_OPTIONS["node"]]
    return all(value in names.get(option, ()) for option, _, value in wanted)


def _may_report(allowed: Iterable[str]) -> bool:
    entries = list(allowed)
    if any(entry in _FREE for entry in entries):
        return True
    plugins = [entry.removeprefix("-p=").split("|") for entry in entries if entry.startswith("-p=")]
    return REPORT_OPTIONS[-1] in entries and any(REPORT_OPTIONS[1] in names for names in plugins)
