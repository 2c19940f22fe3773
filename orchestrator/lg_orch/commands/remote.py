"""The commands with `--server URL`: the run service does the work, and what it says is shown here."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lg_orch.contracts.state import EXIT_STATUS
from lg_orch.contracts.text import in_line, one_line, visible
from lg_policy.errors import UsageError
from lg_policy.terminal_rows import columns_of, fitting, relaid

if TYPE_CHECKING:
    import argparse

    from lg_orch.service.client import RunClient

POLL_S = 0.5
WAITING = 3
LOCAL = ("plan_only", "plan", "base_url", "trace", "gateway", "html", "profile", "config", "allow_broad_root")
"""Flags that mean something only where the run is driven."""
LOCAL_IN_RESUME = ("model", "yes", "deny_all")
"""More of them: the run has had these since it was created."""
_OUTCOMES = {"cancelled": 130}


def command(args: argparse.Namespace) -> int:
    """Do what was typed on the server. Returns the command's exit status."""
    from lg_orch.service.client import connected

    _refuse_local(args)
    with connected(args.server) as client:
        return _COMMANDS[args.command](client, args)


def _refuse_local(args: argparse.Namespace) -> None:
    """Raise `UsageError` for a flag that would be ignored: what was typed is done as it was typed, or not at all."""
    names = LOCAL + (LOCAL_IN_RESUME if args.command == "resume" else ())
    typed = [name for name in names if getattr(args, name, None)]
    if typed:
        raise UsageError(
            f"--{typed[0].replace('_', '-')} does not go with --server",
            hint="leave it out, or run the command without --server in the repository",
        )


def _run(client: RunClient, args: argparse.Namespace) -> int:
    if args.yes:
        raise UsageError(
            "--yes does not go with --server", hint="answer with `lg-orch resume RUN_ID --approve --server`"
        )
    body: dict[str, Any] = {
        "request": " ".join(args.request),
        "model": args.model,
        "approvals": "deny" if args.deny_all else "ask",
        **_limits(args),
    }
    if args.root is not None:
        body["repository"] = str(args.root.absolute())
    run_id = in_line(client.send("POST", "/v1/runs", body)["run_id"])
    print(f"lg-orch: run {run_id} on {args.server}", file=sys.stderr, flush=True)
    return _follow(client, args, run_id, after=0)


def _resume(client: RunClient, args: argparse.Namespace) -> int:
    run = _found(client, args.run_id)
    run_id, last = str(run["run_id"]), int(run["last_event"])
    decision = _decision(args)
    if decision is not None:
        if not run["questions"]:
            raise UsageError(f"run {run_id} waits for no answer", hint="leave the answer out to continue the run")
        client.send("POST", f"/v1/runs/{run_id}/answer", {"question": run["questions"][-1]["key"], **decision})
    elif args.say is not None:
        client.send("POST", f"/v1/runs/{run_id}/say", {"text": args.say})
    else:
        client.send("POST", f"/v1/runs/{run_id}/resume", _limits(args))
    return _follow(client, args, run_id, after=last)


def _decision(args: argparse.Namespace) -> dict[str, Any] | None:
    """The answer that the flags give."""
    if args.edit is not None:
        raise UsageError("--edit does not go with --server", hint="deny the call, and --say what to do instead")
    if args.approve:
        return {"decision": "approve_for_run" if args.for_run else "approve"}
    if args.deny:
        return {"decision": "deny", "reason": args.reason or args.say or ""}
    if args.answer is not None:
        try:
            given = json.loads(args.answer)
        except ValueError as error:
            raise UsageError(f"--answer is not JSON: {error}") from error
        return {"decision": "answer", "arguments": given, "if_lost": args.outcome}
    return {"decision": args.outcome} if args.outcome is not None else None


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    names = ("max_tokens", "max_cost_usd", "max_wall_s")
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def _follow(client: RunClient, args: argparse.Namespace, run_id: str, *, after: int) -> int:
    """Show the run's events until it ends or waits; Ctrl-C leaves it going."""
    from lg_orch.display.progress import choose_renderer

    renderer = choose_renderer(sys.stderr, time.monotonic(), as_json=args.json)
    try:
        for name, data in client.events(run_id, after):
            if name == "run":
                renderer.show(data)
            elif name == "state" and data["state"] == "waiting":
                break
    except KeyboardInterrupt:
        print(f"\nlg-orch: run {run_id} goes on there; `lg-orch cancel {run_id} --server` ends it", file=sys.stderr)
        return 130
    finally:
        renderer.close()
    return _result(args, _found(client, run_id))


def _result(args: argparse.Namespace, run: dict[str, Any]) -> int:
    from lg_orch.display.report_view import print_report

    state, report = in_line(run["state"]), run["report"] or {}
    status = _OUTCOMES.get(state, EXIT_STATUS.get(report.get("status", "failed"), 1))
    if args.json:
        print(json.dumps({"run_id": run["run_id"], "status": state, "exit_status": status, **report}), flush=True)
        return status
    print_report(str(report.get("text") or f"The run is {state}."))
    if state == "waiting" and not run["questions"]:
        print(f"\nIt goes on with `lg-orch resume {in_line(run['run_id'])} --server {args.server}`.", flush=True)
    elif state == "waiting":
        how = f"lg-orch resume {in_line(run['run_id'])} --server {args.server}"
        print(f"\nAnswer with `{how} --approve` or `{how} --deny`.", flush=True)
    return status


def _list(client: RunClient, args: argparse.Namespace) -> int:
    page = client.send("GET", "/v1/runs", query={"limit": str(min(args.limit, 200))})
    for run in page["runs"]:
        if args.json:
            print(json.dumps(run))
        else:
            where = one_line(str(run["repository"]), 60)
            row = f"{in_line(run['run_id'])}  {in_line(run['state']):<11}  {one_line(str(run['request']), 60)}  {where}"
            print(fitting(row, sys.stdout))
    if not page["runs"] and not args.json:
        print("no runs yet")
    return 0


def _show(client: RunClient, args: argparse.Namespace) -> int:
    run = _found(client, args.run_id)
    if args.diff:
        from lg_orch.display.report_view import print_diff

        print_diff(str(client.send("GET", f"/v1/runs/{run['run_id']}/artifacts/changes.patch")))
        return 0
    if args.json:
        print(json.dumps(run, indent=1))
        return 0
    for name in ("run_id", "repository", "request", "state", "created_by", "created", "updated"):
        print(f"{name:<11} {visible(str(run[name]))}".replace("\n", f"\n{' ' * 12}"))
    for question in run["questions"]:
        message, columns = visible(str(question["message"])), columns_of(sys.stdout)
        print(f"\n{relaid(message, columns) if columns is not None else message}")
    if run["report"] is not None:
        from lg_orch.display.report_view import print_report

        print()
        print_report(str(run["report"]["text"]))
    return 0


def _runs(client: RunClient, args: argparse.Namespace) -> int:
    if args.action == "prune":
        raise UsageError("runs prune does not go with --server", hint="the service removes its old runs itself")
    return _show(client, args) if args.action == "show" else _list(client, args)


def _undo(client: RunClient, args: argparse.Namespace) -> int:
    from lg_orch.display.report_view import print_diff

    run_id = str(_found(client, args.run_id)["run_id"])
    shown = client.send("POST", f"/v1/runs/{run_id}/undo", {"to": args.to or 0, "preview": True})
    print_diff(str(shown["diff"]))
    for words in shown["uncovered"]:
        print(f"not covered: {in_line(words)}")
    if not shown["change_sets"]:
        print(f"nothing to undo: run {run_id} has no patch left to revert")
        return 0
    if not args.yes:
        print("lg-orch: nothing was undone; pass --yes to undo this", file=sys.stderr)
        return WAITING
    client.send("POST", f"/v1/runs/{run_id}/undo", {"to": args.to or 0, "change_sets": shown["change_sets"]})
    while (undo := _found(client, run_id)["undo"])["state"] == "queued":
        time.sleep(POLL_S)
    if undo["state"] == "done":
        print(visible(str(undo["text"])))
        return 0
    print(
        "\n".join([f"lg-orch: {visible(str(undo['error']))}", *map(visible, undo.get("details", ()))]), file=sys.stderr
    )
    return 1


def _cancel(client: RunClient, args: argparse.Namespace) -> int:
    run = client.send("POST", f"/v1/runs/{_found(client, args.run_id)['run_id']}/cancel")
    print(
        f"{in_line(run['run_id'])} is {in_line(run['state'])}" + (" and will be cancelled" if run["stopping"] else "")
    )
    return 0


def _found(client: RunClient, given: str | None) -> dict[str, Any]:
    """The run of that id, or the newest one."""
    if given in (None, "last"):
        newest = client.send("GET", "/v1/runs", query={"limit": "1"})["runs"]
        if not newest:
            raise UsageError("the run service has no run yet")
        given = str(newest[0]["run_id"])
    found: dict[str, Any] = client.send("GET", f"/v1/runs/{quote(given, safe='')}")
    return found


_COMMANDS = {"run": _run, "resume": _resume, "runs": _runs, "undo": _undo, "cancel": _cancel}
