"""One call, step by step: find the template, judge the arguments, resolve the program, wait for a turn, run, report."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lg_exec.process.container import ChangeSet, Finished, Limits, OnOutput, Timing
from lg_exec.process.environment import Programs
from lg_exec.process.output_text import clean
from lg_exec.process.root_identity import refuse_replaced
from lg_exec.process.run import run
from lg_exec.process.worker_thread import Work, in_thread
from lg_exec.sandbox.interface import HOW_TO_GET_ONE, Backend, CommandJob, ContainmentReport
from lg_exec.sandbox.linked_worktree import LinkedWorktree
from lg_exec.server.fair_queue import Turns
from lg_exec.server.output_hints import hint_for
from lg_exec.templates.arguments import ArgumentRules, check_env
from lg_policy.errors import InvalidArguments, LgError, NotFound, PolicyDenied, SandboxUnavailable
from lg_policy.paths.file_rules import FileRules
from lg_policy.paths.root import Root

if TYPE_CHECKING:
    from lg_exec.sandbox.interface import RootDirectory
    from lg_policy.config.settings import CommandTemplate, Settings

log = logging.getLogger(__name__)

LOOP_BYTES = 100_000
"""Output that is made into text by the event loop itself; more goes to a thread."""
MAX_FILES = 200
"""Files of a change set that a result describes. `list_changes` of the file server has all of them."""
PREPARE_S = 30.0
"""Seconds that looking at the root before a command starts may take."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a caller asks for. `timeout_s` can shorten the template's limit, never extend it."""

    cmd: str
    args: tuple[str, ...] = ()
    cwd: str = ""
    timeout_s: float | None = None
    stdin: str = ""
    env: Mapping[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a command ended, and what contained it."""

    request: Request
    limits: Limits
    finished: Finished
    sandbox: ContainmentReport
    changed_paths: tuple[str, ...] | None
    change_set: ChangeSet | None = None
    hint: str = ""
    """What to do about a failure that the sandbox causes, or why changes cannot be taken back."""

    @property
    def ok(self) -> bool:
        """Return whether the command exited with 0 within its limits. The output has no say in it."""
        return self.finished.exit_code == 0 and self.finished.limit_hit is None

    def as_json(self) -> dict[str, Any]:
        """Return the structured content of the `exec` tool."""
        done = self.finished
        return {
            "ok": self.ok,
            "exit_code": done.exit_code,
            "signal": done.signal,
            "stdout": clean(done.stdout.text()),
            "stderr": clean(done.stderr.text()),
            "truncated": bool(done.stdout.dropped or done.stderr.dropped),
            "timing_ms": done.wall_ms,
            "cpu_ms": done.cpu_ms,
            "peak_memory_mb": done.peak_memory_mb,
            "sandbox": self.sandbox.as_json(),
            "limit_hit": done.limit_hit,
            "changed_paths": None if self.changed_paths is None else list(self.changed_paths),
            **_as_json(self.change_set),
            **({"hint": self.hint} if self.hint else {}),
        }

    @property
    def large(self) -> bool:
        """Return whether making text of the output is too much work for the event loop."""
        return self.finished.stdout.total + self.finished.stderr.total > LOOP_BYTES


class Executor:
    """Runs named commands below one root, with one backend, a limited number at a time."""

    def __init__(self, root: RootDirectory, settings: Settings, backend: Backend, programs: Programs) -> None:
        self._root = root
        self._settings = settings.exec
        self._network_default = settings.policy.network_default == "allow"
        self._files = FileRules.from_settings(settings.policy, extra_deny=(f"/{settings.trace.output_dir}",))
        self._programs = programs
        self._rules = {name: ArgumentRules(name, template) for name, template in settings.exec.commands.items()}
        self._worktree = LinkedWorktree(str(root.path), ())
        self._check_root = partial(refuse_replaced, str(root.path), root.fd) if isinstance(root, Root) else None
        self._turns = Turns(settings.exec.max_concurrent, settings.exec.max_waiting)
        self.backend = backend

    @property
    def waiting(self) -> int:
        """Return the number of calls that wait for their turn."""
        return self._turns.waiting

    async def execute(self, request: Request, on_output: OnOutput | None = None, *, client: str = "") -> Outcome:
        """Run one command when it is the turn of `client`, a text that tells callers apart.

        Raises `LgError` when the command is refused or cannot start. A command that fails is an outcome, not an error.
        """
        stdin = _encoded(request.stdin)
        job = await in_thread(lambda work: self.prepare(request, work), seconds=PREPARE_S, what="preparing the command")
        timing = Timing(
            grace_s=self._settings.kill_grace_s,
            progress_s=self._settings.progress_interval_s,
            silence_s=self._settings.heartbeat_s,
        )
        async with self._turns.turn(client):
            try:
                container = await in_thread(
                    lambda work: self.backend.contain(job, work),
                    seconds=PREPARE_S,
                    what="looking for names to hide below the root",
                    discard=lambda made: made.close(),
                )
                finished = await run(container, stdin=stdin, limits=job.limits, timing=timing, on_output=on_output)
            except OSError as error:  # no more memory, processes, descriptors, or room in the scratch directory
                raise _not_started(request.cmd, error) from error
        log.info("%s %s: exit %s signal %s", request.cmd, job.args, finished.exit_code, finished.signal)
        change_set = container.change_set
        hint = f"these changes cannot be taken back: {change_set.why_not}" if change_set and change_set.why_not else ""
        if finished.exit_code != 0:
            why_not = self._worktree.why_not
            found = await in_thread(lambda _: hint_for(finished, root_mode=job.root_mode, why_no_repository=why_not))
            hint = "; ".join(filter(None, (found, hint)))
        return Outcome(
            request=request,
            limits=job.limits,
            finished=finished,
            sandbox=self.backend.report,
            changed_paths=container.changed_paths,
            change_set=change_set,
            hint=hint,
        )

    def prepare(self, request: Request, work: Work | None = None) -> CommandJob:
        """Judge a request and resolve its program, without running anything. Raises `LgError`."""
        if self._check_root is not None:
            self._check_root()
        template = self._template(request.cmd)
        cwd = self._directory(request.cwd)
        accepted = self._rules[request.cmd].check(request.args, lambda path: self._resolve(cwd, path))
        for path in accepted.paths:
            if work is not None:
                work.check()
            self._check_path(path)
        env = check_env(dict(request.env or {}), template.env, request.cmd)
        self._check_backend(request.cmd, template)
        limits = effective_limits(self._settings.limits, template.limits)
        if request.timeout_s is not None:
            limits = replace(limits, timeout_s=min(limits.timeout_s, request.timeout_s))
        program = self._programs.find(request.cmd, template)
        projects = self._programs.projects()
        # A command may start a program of the project's environment, and that needs its interpreter.
        prefixes = dict.fromkeys([*program.prefixes, *(prefix for project in projects for prefix in project.prefixes)])
        return CommandJob(
            program=replace(program, prefixes=tuple(prefixes)),
            args=(*template.prefix, *accepted.args),
            env=env,
            cwd=cwd,
            root_mode=template.root,
            network=self._network_default if template.network is None else template.network,
            limits=limits,
            environments=tuple(project.path for project in projects),
        )

    def catalogue(self) -> list[dict[str, Any]]:
        """Return every enabled command, whether it can run now, and if not, why."""
        commands = sorted(self._settings.commands.items())
        return [self._entry(name, template) for name, template in commands if template.enabled]

    def _entry(self, name: str, template: CommandTemplate) -> dict[str, Any]:
        reason = environment = ""
        try:
            self._check_backend(name, template)
            environment = self._programs.environment_of(self._programs.find(name, template).path)
        except LgError as error:
            shown = error.hint if isinstance(error, NotFound) else ""
            reason = error.message + (f" ({shown})" if shown else "")
        return {
            "name": name,
            "description": template.description,
            "available": not reason,
            "reason": reason,
            "args_allow": list(template.args_allow),
            "args_deny": list(template.args_deny),
            "network": self._network_default if template.network is None else template.network,
            "root": template.root,
            "env": list(template.env),
            "environment": environment,
            "approval": template.approval,
            "timeout_s": effective_limits(self._settings.limits, template.limits).timeout_s,
            "rerun": template.rerun,
        }

    def _template(self, name: str) -> CommandTemplate:
        template = self._settings.commands.get(name)
        enabled = sorted(key for key, command in self._settings.commands.items() if command.enabled)
        if template is None:
            raise PolicyDenied(f"there is no command {name[:80]!r}", hint=f"cmd is one of: {', '.join(enabled)}")
        if not template.enabled:
            raise PolicyDenied(
                f"the command {name!r} is switched off in the settings", hint=f"cmd is one of: {', '.join(enabled)}"
            )
        return template

    def _check_backend(self, name: str, template: CommandTemplate) -> None:
        report = self.backend.report
        if report.active:
            return
        if report.backend != "off":
            why = getattr(self.backend, "why", "no sandbox works on this machine")
            raise SandboxUnavailable(f"{name!r} was not run: {why}", hint=HOW_TO_GET_ONE)
        if template.only_sandboxed:
            why = "belongs to the project itself" if template.from_ == "project" else "runs any code that it is given"
            raise SandboxUnavailable(
                f"{name!r} {why}, so it does not run without a sandbox",
                hint=f"{HOW_TO_GET_ONE}; to run this command unconfined all the same, set "
                f"[exec.commands.{name}] needs_sandbox = false",
            )

    def _directory(self, cwd: str) -> str:
        with self._root.open_dir(cwd) as opened:
            if not self._files.may_read(opened.rel, is_dir=True):
                why = self._files.why_not_read(opened.rel, is_dir=True) or ""
                raise PolicyDenied(f"the directory {cwd!r} may not be read", hint=why)
            return opened.rel

    def _resolve(self, cwd: str, path: str) -> str:
        # On Windows what starts with a slash or names a drive is not relative, though not always absolute either.
        alone = not cwd or path.startswith(("/", os.sep)) or os.path.splitdrive(path)[0]
        return self._root.normalise(path if alone else f"{cwd}/{path}")

    def _check_path(self, rel: str) -> None:
        """Refuse a path that a link leads out of the root, or that may not be read. The path need not exist."""
        try:
            opened = self._root.open_dir(rel)
        except NotFound:
            return
        except InvalidArguments:
            opened = self._root.open_file(rel)
        with opened:
            is_dir = stat.S_ISDIR(opened.stat.st_mode)
            why = self._files.why_not_read(opened.rel, is_dir=is_dir) or self._files.why_not_read(rel, is_dir=is_dir)
        if why is not None:
            raise PolicyDenied(f"{rel!r} may not be read", hint=why)


def _as_json(changes: ChangeSet | None) -> dict[str, Any]:
    """Return the id of the change set, and its files as `apply_patch` names them. Of many files, the first."""
    if changes is None or changes.change_id is None:
        return {}
    files = [
        {
            "path": file.path,
            "op": file.op,
            "to": None,
            "before_sha256": file.before_sha256,
            "after_sha256": file.after_sha256,
            **({"link": True} if file.link_before or file.link_after else {}),
        }
        for file in changes.files[:MAX_FILES]
    ]
    return {"change_id": changes.change_id, "files": files}


def _not_started(name: str, error: OSError) -> SandboxUnavailable:
    where = f" ({error.filename})" if isinstance(error.filename, str) else ""
    return SandboxUnavailable(
        f"{name!r} was not run, because the system refuses what it needs: {error.strerror or error}{where}",
        hint="free what is used up (temporary directory, memory, processes, open files) and run it again",
    )


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise InvalidArguments(
            f"stdin is not valid Unicode: character {error.start} is half of a surrogate pair",
            hint="send whole characters",
        ) from error


def effective_limits(defaults: Any, own: Any) -> Limits:
    """Return a template's own limits, and those of `[exec.limits]` where it has none."""
    chosen = {name: getattr(own, name) or getattr(defaults, name) for name in type(defaults).model_fields}
    return Limits(**chosen)
