"""`lg-orch run`: progress on stderr from the first moment, the result on stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lg_orch.errors import EXTRA_MODULES, INSTALL_HINT
from lg_orch.text import one_line, visible
from lg_policy.errors import ConfigError, LgError
from lg_policy.fastimport import quick_imports

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from lg_orch.driver import Job
    from lg_orch.render import Renderer
    from lg_orch.runs import RunDir
    from lg_orch.setup import Setup
    from lg_orch.state import Final


def command(args: argparse.Namespace) -> int:
    """Run the request. Returns the exit status of design: 0 done, 1 failed, 2 usage, 3 waiting, 130 interrupted."""
    begun = time.monotonic()
    request = _request(args.request)
    if not args.json:
        print(f"lg-orch: {one_line(request, 100)}", file=sys.stderr, flush=True)
    missing = sorted(name for name in EXTRA_MODULES if find_spec(name) is None)
    if missing:
        raise ConfigError(f"lg-orch run needs {', '.join(missing)}", hint=INSTALL_HINT)
    with quick_imports():
        import anyio

        from lg_orch.driver import Driver
        from lg_orch.setup import prepare

    setup = prepare(args)
    logging.basicConfig(level=setup.flags.log_level.upper(), stream=sys.stderr, force=True)
    # Some libraries read a `.env` of the current directory when imported: that must not be the repository's.
    os.chdir(setup.state.path)
    with Session(args, setup, request, begun) as (job, renderer):
        final = anyio.run(Driver(job).run)
        renderer.close()
        trace_path = _export(args, setup, job.run, renderer.say)
    _print(args, job.run, final, trace_path)
    return final.exit_status


class Session:
    """Everything of a run that must be taken down again: lock, journal, live view."""

    def __init__(self, args: argparse.Namespace, setup: Setup, request: str, begun: float) -> None:
        self._args, self._setup, self._request, self._begun = args, setup, request, begun

    def __enter__(self) -> tuple[Job, Renderer]:
        from lg_orch.approvals import choose_approver
        from lg_orch.bus import Bus
        from lg_orch.driver import Job
        from lg_orch.journal import Journal
        from lg_orch.minds import choose_mind
        from lg_orch.render import choose_renderer
        from lg_orch.runs import RunLock, new_run
        from lg_orch.trace import owe_trace
        from lg_policy.redact import Masker
        from lg_policy.state import load_key

        args, setup = self._args, self._setup
        url, token = _gateway(args)
        settings = setup.loaded.settings
        if args.yes and settings.profile == "prod":
            raise ConfigError("--yes is refused in profile prod", hint="answer on a terminal, or use --deny-all")
        chosen = choose_mind(settings.models.role("planner"))
        run = new_run(setup.state.path)
        self._lock, self._journal = RunLock(run), Journal(run.journal)
        if _traced(args, setup):
            owe_trace(run, root=setup.root, output_dir=settings.trace.output_dir)
        masker = Masker(load_key("mask"), [token] if token else [])
        # Last of all: nothing that can fail may happen between a live view's start and the block that ends it.
        self._renderer = choose_renderer(sys.stderr, self._begun, as_json=args.json)
        bus = Bus(self._journal, masker, [self._renderer])
        job = Job(
            request=self._request, run=run, root=setup.root, root_id=setup.root_id,
            allow_broad=setup.flags.allow_broad_root, state_dir=setup.state.path, settings=settings, chosen=chosen,
            bus=bus, environ=dict(os.environ), say=self._renderer.say, gateway_url=url, gateway_token=token,
            approver=choose_approver(yes=args.yes, deny_all=args.deny_all, view=self._renderer), begun=self._begun,
            sources=setup.loaded.sources,
        )  # fmt: skip
        return job, self._renderer

    def __exit__(self, *_: object) -> None:
        self._renderer.close()
        self._journal.close()
        self._lock.release()


def _request(words: list[str]) -> str:
    request = " ".join(words)
    try:
        request.encode()
    except UnicodeEncodeError as error:
        raise ConfigError("the request is not valid UTF-8") from error
    if not request.strip():
        raise ConfigError("the request is empty", hint='for example: lg-orch run "summarize repo"')
    return request


def _gateway(args: argparse.Namespace) -> tuple[str | None, str | None]:
    token = os.environ.get("LG_GATEWAY_TOKEN") or None
    if args.gateway is None:
        return None, None
    from lg_orch.gateway import check_url

    check_url(args.gateway, token)
    return args.gateway, token


def _traced(args: argparse.Namespace, setup: Setup) -> bool:
    return bool(args.trace or setup.loaded.settings.trace.enabled)


def _export(args: argparse.Namespace, setup: Setup, run: RunDir, say: Callable[[str], None]) -> str | None:
    """Write the trace if one is wanted; a root that cannot be written is a warning."""
    if not _traced(args, setup):
        return None
    from lg_orch.trace import export_trace

    try:
        path = export_trace(run, root=setup.root, output_dir=setup.loaded.settings.trace.output_dir)
    except (LgError, OSError) as error:
        run.pending_trace.unlink(missing_ok=True)
        print(f"lg-orch: warning: the trace was not written: {error}", file=sys.stderr)
        return None
    say(f"trace           {path}")
    return path


def _print(args: argparse.Namespace, run: RunDir, final: Final, trace_path: str | None) -> None:
    if args.json:
        result = {"run_id": run.run_id, "trace": trace_path, **final.model_dump(mode="json")}
        print(json.dumps(result, ensure_ascii=False), flush=True)
    else:
        print(visible(final.text), flush=True)
