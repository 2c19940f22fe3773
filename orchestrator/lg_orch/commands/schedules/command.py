"""`lg-orch schedules add|list|remove`: requests that the run service makes again and again."""

from __future__ import annotations

import json
from getpass import getuser
from typing import TYPE_CHECKING, Any

from lg_policy.printing import one_line, visible

if TYPE_CHECKING:
    import argparse

    from lg_orch.service.assembly import Parts


def command(args: argparse.Namespace) -> int:
    """Add, list or remove schedules."""
    from lg_orch.service.api.scheduling import shown
    from lg_orch.service.assembly import assemble
    from lg_orch.settings.setup import prepare

    args.gateway = None
    parts = assemble(args, prepare(args))
    try:
        if args.action == "add":
            _print(_added(args, parts))
        elif args.action == "remove":
            print(f"removed {parts.schedules.remove(args.name).name}")
        else:
            found = [shown(schedule) for schedule in parts.schedules.all()]
            for row in found:
                print(json.dumps(row)) if args.json else _print(row)
            if not found and not args.json:
                print('no schedules yet; `lg-orch schedules add NAME --cron "0 3 * * 1-5" REQUEST` makes one')
    finally:
        parts.close()
    return 0


def _added(args: argparse.Namespace, parts: Parts) -> dict[str, Any]:
    from pydantic import ValidationError

    from lg_orch.service.api.bodies import CreateRun
    from lg_orch.service.api.scheduling import checked_run, masked, shown
    from lg_policy.errors import UsageError
    from lg_policy.secrets.masking import Masker
    from lg_policy.state import load_key

    try:
        run = CreateRun(request=" ".join(args.request), repository=args.repository, ref=args.ref)
    except ValidationError as error:
        raise UsageError(f"this cannot be a run: {error.errors()[0]['msg']}") from error
    checked_run(run, parts.repositories)
    body = masked(run, Masker(load_key("mask"), [])).model_dump(mode="json", exclude_none=True)
    return shown(parts.schedules.add(args.name, args.cron, args.zone, body, getuser()))


def _print(row: dict[str, Any]) -> None:
    last = f", last run {row['last_run']}" if row["last_run"] else ""
    failed = f", last time: {one_line(visible(row['error']), 100)}" if row["error"] else ""
    words = one_line(visible(row["run"]["request"]), 60)
    print(f"{row['name']:<20}  {row['cron']} ({row['zone']})  next {row['next']}{last}{failed}  {words}")
