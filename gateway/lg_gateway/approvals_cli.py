"""`lg-gateway approvals`: see and answer questions, from any terminal of the same user. Starts no server.

A yes is taken from a terminal only, after all of the question was shown there; an operator's question also wants a code
typed that only the terminal shows. This keeps out programs that merely run commands. It does not keep out a program
that drives a terminal as the same user.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import TextIO

from lg_gateway.approvals import Approval, State
from lg_gateway.desk import Desk
from lg_gateway.question import visible
from lg_gateway.setup import locate, user_name
from lg_gateway.store import StoreError, Tx
from lg_policy.errors import ConfigError, LgError
from lg_policy.flags import common_flags

WATCH_POLL_S = 0.3
CODE_DIGITS = 6
KEYS = {"a": "approve this call", "r": "approve this tool for the run", "d": "deny", "s": "skip for now"}


def _find(desk: Desk, approval_id: str | None) -> Approval:
    """Return a question. Raises `ConfigError` when there is none."""
    if not approval_id:
        raise ConfigError("which question? give its id", hint="see `lg-gateway approvals list`")
    found = desk.read(lambda tx: desk.approvals.get(tx, approval_id, time.time()))
    if found is None:
        raise ConfigError(f"there is no question {visible(approval_id)}")
    return found


def _pending(desk: Desk) -> list[Approval]:
    return desk.read(lambda tx: desk.approvals.pending(tx, time.time()))


def _decide(desk: Desk, approval: Approval, how: str, *, by: str, reason: str = "", for_run: bool = False) -> Approval:
    """Answer. Raises `Conflict` when somebody else was faster, `ConfigError` when the question has expired."""

    def work(tx: Tx) -> Approval:
        current = desk.approvals.get(tx, approval.id, time.time())
        if current is not None and current.state is State.EXPIRED:
            raise ConfigError(f"{approval.id} has expired")
        moved = desk.approvals.move(tx, approval, how, by=by, reason=reason)
        if for_run:
            desk.approvals.grant(tx, moved, time.time())
        return moved

    return desk.write(work)


def run_approvals(args: argparse.Namespace) -> int:
    """`lg-gateway approvals ACTION`."""
    located = locate(common_flags(args), mcp_json=args.mcp_json)
    try:
        desk = Desk(located)
        try:
            return _ACTIONS[args.action](desk, args)
        finally:
            desk.close()
    except ConfigError:
        raise
    except (StoreError, LgError) as error:
        print(f"lg-gateway: {error}", file=sys.stderr)
        return 1


def _list(desk: Desk, args: argparse.Namespace) -> int:
    found = desk.read(lambda tx: desk.approvals.recent(tx, 100)) if args.all else _pending(desk)
    for approval in found:
        if args.json:
            print(json.dumps(asdict(approval), sort_keys=True))
        else:
            age = max(0, int(time.time() - approval.created))
            who = visible(approval.identity)
            print(f"{approval.id}  {approval.state:<9} {age:>6} s ago  {visible(approval.tool)}  asked by {who}")
    if not found and not args.json:
        print("nothing waits for an answer", file=sys.stderr)
    return 0


def _show(desk: Desk, args: argparse.Namespace) -> int:
    approval = _find(desk, args.id)
    if args.json:
        print(json.dumps(asdict(approval), indent=2, sort_keys=True))
    else:
        print(f"{approval.id}: {approval.state}\n\n{approval.full or approval.text}")
    return 0


def _approve(desk: Desk, args: argparse.Namespace) -> int:
    approval = _find(desk, args.id)
    with _terminal() as (keyboard, screen):
        screen.write(f"{approval.id}\n\n{approval.full or approval.text}\n\n")
        if not _confirmed(approval, keyboard, screen):
            print("not approved", file=sys.stderr)
            return 1
    _decide(desk, approval, "approve", by=_by(approval), for_run=args.for_run)
    print(f"{approval.id} approved", file=sys.stderr)
    return 0


def _deny(desk: Desk, args: argparse.Namespace) -> int:
    approval = _find(desk, args.id)
    _decide(desk, approval, "deny", by=_by(approval), reason=args.reason)
    print(f"{approval.id} denied", file=sys.stderr)
    return 0


def _watch(desk: Desk, _args: argparse.Namespace) -> int:
    """Show each question as it comes and take one key for it."""
    skipped: set[str] = set()
    with _terminal() as (keyboard, screen):
        screen.write("waiting for questions; Ctrl-C ends\n")
        screen.flush()
        while True:
            for approval in _pending(desk):
                if approval.id not in skipped:
                    _answer(desk, approval, keyboard, screen, skipped)
            time.sleep(WATCH_POLL_S)


def _answer(desk: Desk, approval: Approval, keyboard: TextIO, screen: TextIO, skipped: set[str]) -> None:
    keys = {key: words for key, words in KEYS.items() if key != "r" or approval.run_id is not None}
    menu = "  ".join(f"[{key}] {words}" for key, words in keys.items())
    screen.write(f"\n{approval.id}\n\n{approval.full or approval.text}\n\n{menu}\n")
    screen.flush()
    key = _one_key(keyboard)
    if key in ("a", "r") and key in keys:
        if approval.approver == "operator" and not _confirmed(approval, keyboard, screen):
            skipped.add(approval.id)
            return
        verdict = "approve"
    elif key == "d":
        verdict = "deny"
    else:
        skipped.add(approval.id)
        return
    try:
        done = _decide(desk, approval, verdict, by=_by(approval), for_run=key == "r")
        screen.write(f"{done.id} {done.state}\n")
    except LgError as error:
        screen.write(f"{error.text()}\n")
    screen.flush()


def _confirmed(approval: Approval, keyboard: TextIO, screen: TextIO) -> bool:
    """Have a human at the terminal say yes: an operator by copying a code that is shown nowhere else."""
    if approval.approver == "operator":
        code = "".join(secrets.choice("0123456789") for _ in range(CODE_DIGITS))
        screen.write(f"operator approval: type {code} to approve, anything else to leave it: ")
        screen.flush()
        return secrets.compare_digest(keyboard.readline().strip().encode(), code.encode())
    screen.write("approve this call? type yes: ")
    screen.flush()
    return keyboard.readline().strip().lower() == "yes"


class _terminal:  # noqa: N801  used like a function
    """The controlling terminal, both ways, whatever standard input and output are. Raises `ConfigError` without one."""

    def __enter__(self) -> tuple[TextIO, TextIO]:
        if sys.platform == "win32":
            names = ("CONIN$", "CONOUT$")
        else:
            names = ("/dev/tty", "/dev/tty")
        try:
            self._streams = (open(names[0], encoding="utf-8"), open(names[1], "w", encoding="utf-8"))
        except OSError as error:
            raise ConfigError("approving needs a terminal with a human at it", hint="run it in one") from error
        return self._streams

    def __exit__(self, *_exc: object) -> None:
        for stream in self._streams:
            stream.close()


def _one_key(keyboard: TextIO) -> str:
    """Read one key press without waiting for Enter. Typed-ahead keys are dropped: they were not about this question."""
    if sys.platform == "win32":
        return keyboard.readline().strip()[:1].lower()
    import termios
    import tty

    descriptor = keyboard.fileno()
    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSAFLUSH)
        return keyboard.read(1).lower()
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


def _by(approval: Approval) -> str:
    role = "operator" if approval.approver == "operator" else "user"
    return f"{role} {user_name()} at a terminal"


_ACTIONS: dict[str, Callable[[Desk, argparse.Namespace], int]] = {
    "list": _list,
    "show": _show,
    "watch": _watch,
    "approve": _approve,
    "deny": _deny,
}
