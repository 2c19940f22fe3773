"""Sets up, shows, exports and closes a run, for `run`, `resume` and `fork`."""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Self

from lg_orch.contracts.errors import EXTRA_MODULES
from lg_orch.contracts.text import in_line
from lg_orch.display.report_view import print_report
from lg_orch.llm.model_names import check_flags
from lg_policy.builtin_servers import BUILTINS
from lg_policy.errors import ConfigError, LgError
from lg_policy.install_hints import extra_command

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from lg_orch.contracts.events import Event
    from lg_orch.contracts.state import Final
    from lg_orch.display.progress import Renderer
    from lg_orch.engine.job import RunJob
    from lg_orch.engine.signals import StopRequests
    from lg_orch.human.approvals import Approver, HumanAnswer, Question
    from lg_orch.llm.choice import ChosenBackend
    from lg_orch.recording.event_bus import EventBus, Listener
    from lg_orch.runs.run_directory import RunDir
    from lg_orch.runs.spans import Spans
    from lg_orch.settings.setup import CommandSetup
    from lg_orch.tools.connection import Connection
    from lg_policy.config.settings import Settings
    from lg_policy.secrets.masking import Masker


@dataclass(frozen=True, kw_only=True)
class Past:
    """An earlier part of the run that is going on now."""

    run: RunDir
    verdicts: tuple[tuple[Question, HumanAnswer], ...] = ()
    """The answers that are given now, and to what."""
    if_lost: HumanAnswer | None = None
    """What is said besides, should the outcome of the call that asked have been lost meanwhile."""
    say: str | None = None
    """What the user adds to the request now."""
    forked_from: dict[str, Any] | None = None
    """Where the run's state comes from, when the run itself is new."""
    plan: tuple[str, ...] | None = None
    """The steps of its plan, as the user changed them."""


@dataclass(frozen=True, kw_only=True)
class Around:
    """What the runs of a conversation share."""

    view: Renderer
    person: Approver
    connection: Connection
    chosen: ChosenBackend
    stop: StopRequests
    follows: str | None = None
    """The run before, whose conversation this one continues."""


def get_ready(args: argparse.Namespace) -> None:
    """Check flags and packages, and fork what becomes the gateway and its servers, before any setting is read.

    Raises `ConfigError`.
    """
    if hasattr(args, "model"):
        check_flags(args.model, args.base_url)
    require_extra()
    if not args.gateway:
        from lg_policy.prefork.start import fork_servers

        fork_servers([len(BUILTINS)])


def require_extra() -> None:
    """Raise `ConfigError` with what to install unless everything that a run imports is there."""
    missing = sorted(name for name in EXTRA_MODULES if find_spec(name) is None)
    if missing:
        raise ConfigError(f"lg-orch run needs {', '.join(missing)}", hint=extra_command("orch"))


def drive(args: argparse.Namespace, setup: CommandSetup, request: str, begun: float, past: Past | None = None) -> int:
    """Drive a run to its end, print its report and return its exit status."""
    import anyio

    from lg_orch.engine.driver import Driver

    logging.basicConfig(level=setup.flags.log_level.upper(), stream=sys.stderr, force=True)
    # Some libraries read a `.env` of the current directory when imported: that must not be the repository's.
    os.chdir(setup.state.path)
    with Session(args, setup, request, begun, past) as session:
        final = anyio.run(Driver(session.job).run)
        session.renderer.close()
        trace_path = export(args, setup, session.job)
    _print(args, setup.root, session.job.run, final, trace_path)
    return final.exit_status


class Session:
    """Lock, journal and live view of a run; `job` is what the driver needs. Raises `ConfigError`, `RunBusy`."""

    def __init__(
        self, args: argparse.Namespace, setup: CommandSetup, request: str, begun: float, past: Past | None = None,
        around: Around | None = None,
    ) -> None:  # fmt: skip
        from lg_orch.engine.job import RunJob
        from lg_orch.human.approvals import by_flags
        from lg_orch.llm.providers import api_keys
        from lg_orch.recording.event_bus import EventBus
        from lg_orch.recording.journal import Journal, read_journal
        from lg_orch.runs.history import prior_of
        from lg_orch.runs.retention import drop_expired
        from lg_orch.runs.run_directory import RunLock, new_run
        from lg_orch.runs.trace import owe_trace
        from lg_policy.config.loading import expand_env
        from lg_policy.config.trust import accepted_guide
        from lg_policy.secrets.masking import Masker
        from lg_policy.state import load_key

        settings = setup.loaded.settings
        url, token = _gateway(args)
        _check_flags(args, settings)
        chosen = around.chosen if around is not None else chosen_backend(setup)
        self._spans = _spans(settings.trace.otlp_endpoint)
        masker = Masker(load_key("mask"), [*api_keys(os.environ), *([token] if token else [])])
        _keepable(masker, past)
        store_url = expand_env(settings.store.url, os.environ, "store.url")
        if past is None:
            drop_expired(setup.state.path, settings.store.runs_ttl, store_url)
        run = past.run if past is not None else new_run(setup.state.path)
        try:
            self._lock = RunLock(run, store_url)
        except LgError:
            if past is None:
                run.remove()
            raise
        self._journal = Journal(run.journal)
        origin = past.forked_from if past is not None else None
        events = tuple(read_journal(run.journal)) if past is not None and origin is None else ()
        if traced(args, setup):
            owe_trace(run, root=setup.root, output_dir=settings.trace.output_dir)
        # Last of all: nothing that can fail may happen between a live view's start and the block that ends it.
        self.renderer, person = _shown_and_asked(args, settings, run, begun, around)
        listeners: list[Listener] = [self.renderer, *([self._spans] if self._spans is not None else [])]
        bus = EventBus(self._journal, masker, listeners, after=events[-1].seq if events else 0)
        if past is not None:
            events = (*events, *_said_now(bus, past))
        self.job = RunJob(
            request=masker.mask(request),  # what was pasted into it is not kept
            run=run, root=setup.root, root_id=setup.root_id, state_dir=setup.state.path,
            allow_broad=setup.flags.allow_broad_root, settings=settings, chosen=chosen, bus=bus, store_url=store_url,
            environ=dict(os.environ), say=self.renderer.say, gateway_url=url, gateway_token=token,
            flags=by_flags(yes=args.yes, deny_all=args.deny_all),
            person=person, **_shared(around), plan_only=args.plan_only,
            edited_plan=past.plan if past is not None else None,
            begun=begun, record=_record(args, setup, around) | ({"forked_from": origin} if origin else {}),
            resumed=past is not None and origin is None, prior=prior_of(events, origin),
            accepted_guide=accepted_guide(setup.root), if_lost=_if_lost(past),
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.renderer.close()
        self._journal.close()
        self._lock.release()
        if self._spans is not None:
            self._spans.close()


def _shared(around: Around | None) -> dict[str, Any]:
    """What a conversation gives to each of its runs."""
    return {} if around is None else {"connection": around.connection, "stop": around.stop}


def chosen_backend(setup: CommandSetup) -> ChosenBackend:
    """Return the decision-maker of the settings. Raises `ConfigError` when it cannot be asked."""
    from lg_orch.llm.choice import choose_backend, require_keys

    models = setup.loaded.settings.models
    chosen = choose_backend(models, cache_dir=setup.state.path / "model-cache")
    require_keys(models)
    return chosen


def _shown_and_asked(
    args: argparse.Namespace, settings: Settings, run: RunDir, begun: float, around: Around | None
) -> tuple[Renderer, Approver]:
    """Where progress is shown, and who answers questions."""
    if around is not None:
        return around.view, around.person
    from lg_orch.display.progress import choose_renderer
    from lg_orch.human.approvals import Nobody
    from lg_orch.human.terminal import Terminal, is_attended

    view = choose_renderer(sys.stderr, begun, as_json=args.json, quiet=args.quiet, verbose=args.verbose)
    return view, Terminal(view, run.drafts, notify=settings.approval.notify) if is_attended() else Nobody()


def _check_flags(args: argparse.Namespace, settings: Settings) -> None:
    """Raise `ConfigError` for flags that these settings do not allow."""
    from lg_orch.llm.choice import require_prices

    if args.yes and settings.profile == "prod":
        raise ConfigError("--yes is refused in profile prod", hint="answer on a terminal, or use --deny-all")
    if args.max_cost_usd is not None:
        require_prices(settings.models)


def _spans(endpoint: str | None) -> Spans | None:
    """Where the run is sent to as spans. Raises `ConfigError`."""
    if not endpoint:
        return None
    from lg_orch.runs.spans import spans_to

    return spans_to(endpoint)


def _keepable(masker: Masker, past: Past | None) -> None:
    """Raise `ConfigError` for an answer that the journal would keep masked: it could not be given again."""
    given = [answer.arguments for _, answer in past.verdicts if answer.arguments is not None] if past else []
    if any(masker.mask_json(arguments) != arguments for arguments in given):
        raise ConfigError(
            "the answer seems to contain a secret, and a run's journal does not store secrets",
            hint="decline with --deny and set the secret in the server's own configuration",
        )


def _said_now(bus: EventBus, past: Past) -> Iterator[Event]:
    """Journal what the user said with this command, before anything else can fail."""
    from lg_orch.human.inquiry import record

    if past.say is not None:
        yield bus.emit("thought", "user", "note", {"text": past.say, "guidance": True})
    for question, verdict in past.verdicts:
        yield record(bus, question.tool, question.key, verdict)


def _if_lost(past: Past | None) -> tuple[str, HumanAnswer] | None:
    """The call that the answer given now is about, and what is said of it besides."""
    if past is None or not past.verdicts or past.if_lost is None:
        return None
    return past.verdicts[0][0].call_id, past.if_lost


def traced(args: argparse.Namespace, setup: CommandSetup) -> bool:
    """Tell whether this run's trace is exported."""
    return bool(args.trace or setup.loaded.settings.trace.enabled)


def _record(args: argparse.Namespace, setup: CommandSetup, around: Around | None) -> dict[str, Any]:
    """What a later `resume` needs to go on under the same conditions."""
    from lg_orch.runs.run_root import path_text
    from lg_orch.settings.setup import LIMITS

    config = setup.flags.config
    follows = around.follows if around is not None else None
    return ({"follows": follows} if follows else {}) | {
        "sources": list(setup.loaded.sources),
        "options": {
            "config": path_text(config) if config is not None else None,
            "profile": setup.loaded.settings.profile,
            "model": args.model or os.environ.get("LG_MODEL"),
            "base_url": args.base_url,
            "gateway": args.gateway,
            "root": path_text(setup.root),
            "trace": traced(args, setup),
            **{name: getattr(args, name) for name in LIMITS},
        },
    }


def _gateway(args: argparse.Namespace) -> tuple[str | None, str | None]:
    token = os.environ.get("LG_GATEWAY_TOKEN") or None
    if args.gateway is None:
        return None, None
    from lg_orch.tools.gateway import check_url

    check_url(args.gateway, token)
    return args.gateway, token


def export(args: argparse.Namespace, setup: CommandSetup, job: RunJob) -> str | None:
    """Write the trace if one is wanted; a root that cannot be written is a warning."""
    if not traced(args, setup):
        return None
    from lg_orch.runs.trace import export_trace

    try:
        path = export_trace(job.run, root=setup.root, output_dir=setup.loaded.settings.trace.output_dir)
    except (LgError, OSError) as error:
        job.run.pending_trace.unlink(missing_ok=True)
        print(f"lg-orch: warning: the trace was not written: {in_line(error)}", file=sys.stderr)
        return None
    job.bus.emit("node", "trace", "end", {"path": path})
    return path


def _print(args: argparse.Namespace, root: Path, run: RunDir, final: Final, trace_path: str | None) -> None:
    if args.json:
        result = {"run_id": run.run_id, "trace": trace_path, **final.model_dump(mode="json")}
        print(json.dumps(result, ensure_ascii=False), flush=True)
    else:
        print_report(final.text, root)
