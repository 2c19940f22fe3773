"""`lg-gateway approvals`: list and answer pending approvals, from any terminal of the same user. Starts no server.

Without `--root`, `--config`, `--mcp-json` or `--state-dir` it reads every gateway of this user that keeps its store in
a file.

You can say yes only at a terminal, after the whole question was shown there. For an operator's question you also copy
a code that only the terminal shows. This stops programs that merely run commands. It does not stop a program that
drives a terminal as the same user. If you hold an operator's token (`LG_OPERATOR_TOKEN`), you are the operator and need
no terminal.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

from lg_gateway.approvals.grants import Grant
from lg_gateway.approvals.layout import WIDTH
from lg_gateway.approvals.records import Approval
from lg_gateway.commands.approval_prompt import Pending, confirmed, decide, shown, span
from lg_gateway.commands.approvals_watch import ApprovalsWatch
from lg_gateway.commands.output import LIST_WIDTH, complain, fail, print_json, say, word
from lg_gateway.commands.terminal import Terminal
from lg_gateway.serving.setup import GatewayLocation, locate, user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import common_flags
from lg_policy.errors import ConfigError, LgError
from lg_policy.printing import quote, visible
from lg_policy.state import StateDir, find_states, state_home

RECENT = 100


@dataclass(frozen=True, kw_only=True)
class Counter:
    """The stores that the command looks at, each with the root or file that its gateway works for."""

    stores: Mapping[str, StoreAccess]

    def pending(self) -> list[Pending]:
        """Return every question that waits, oldest first."""
        found = [
            Pending(approval=approval, access=access, subject=subject)
            for subject, access in self.stores.items()
            for approval in access.pending()
        ]
        return sorted(found, key=lambda pending: pending.approval.created)

    def recent(self) -> list[Pending]:
        """Return the newest questions of any state, newest first."""
        found = [
            Pending(approval=approval, access=access, subject=subject)
            for subject, access in self.stores.items()
            for approval in access.recent(RECENT)
        ]
        return sorted(found, key=lambda pending: -pending.approval.created)[:RECENT]

    def grants(self) -> list[tuple[str, Grant]]:
        """Return every "for this run" that is kept, with the root or file of its gateway."""
        return [(subject, grant) for subject, access in self.stores.items() for grant in access.grants()]

    def find(self, approval_id: str | None) -> Pending:
        """Return a question. Raises `ConfigError` when there is none."""
        if not approval_id:
            raise ConfigError("which question? Give its id", hint="`lg-gateway approvals list` shows them")
        for subject, access in self.stores.items():
            approval = access.question(approval_id)
            if approval is not None:
                return Pending(approval=approval, access=access, subject=subject)
        raise ConfigError(
            f"there is no question {word(approval_id)}", hint="`lg-gateway approvals list --all` shows them all"
        )


def run(args: argparse.Namespace) -> int:
    """`lg-gateway approvals ACTION`."""
    try:
        with _counter(args) as counter:
            return _ACTIONS[args.action](counter, args)
    except ConfigError:
        raise
    except (StoreError, LgError) as error:
        fail(error)
        return 1


@contextmanager
def _counter(args: argparse.Namespace) -> Iterator[Counter]:
    flags = common_flags(args)
    chosen = (flags.root, flags.config, flags.state_dir, flags.effective_config, args.mcp_json)
    places = _everywhere() if not any(chosen) else {}
    if not places:
        located = locate(flags, mcp_json=args.mcp_json)
        subject = flags.root or flags.config or args.mcp_json or located.state.path
        places = {str(subject): located}
    with ExitStack() as stack:
        yield Counter(stores=dict(_opened(places, stack)))


def _opened(places: Mapping[str, GatewayLocation], stack: ExitStack) -> Iterator[tuple[str, StoreAccess]]:
    """Open what can be opened. Raises `StoreError` where that is nothing; one broken store must not hide the others."""
    problems = []
    for subject, place in places.items():
        try:
            access = StoreAccess(place)
        except StoreError as error:
            problems.append(error)
            fail(f"{word(subject)}: {error}")
        else:
            stack.callback(access.close)
            yield subject, access
    if len(problems) == len(places):
        raise problems[0]


def _everywhere() -> dict[str, GatewayLocation]:
    """Return the places of this user's gateways whose store is a file that exists."""
    home = state_home(os.environ)
    found = {
        subject: GatewayLocation(state=StateDir(path=home / state_id, id=state_id), environ=os.environ)
        for state_id, subject in find_states(os.environ).items()
    }
    return {subject: located for subject, located in found.items() if located.store_place.path.exists()}


def _list(counter: Counter, args: argparse.Namespace) -> int:
    found = counter.recent() if args.all else counter.pending()
    for pending in found:
        if args.json:
            print_json(_as_json(pending), sort_keys=True)
        else:
            say(_line(pending))
    if not found and not args.json:
        complain("no question waits for an answer")
    return 0


def _line(pending: Pending) -> str:
    approval = pending.approval
    age = max(0, int(time.time() - approval.created))
    operator = "operator needed, " if approval.approver == "operator" else ""
    client = f" with {word(approval.client, LIST_WIDTH)}" if approval.client else ""
    asker = f"asked by {operator}{word(approval.identity, LIST_WIDTH)}{client}"
    what = [approval.id, f"{approval.state:<8}", f"{span(age):>6} ago", word(approval.tool, LIST_WIDTH)]
    return "  ".join([*what, asker, word(pending.subject)])


def _show(counter: Counter, args: argparse.Namespace) -> int:
    pending = counter.find(args.id)
    approval = pending.approval
    if args.json:
        print_json(_as_json(pending), indent=2, sort_keys=True)
        return 0
    say(shown(pending, shutil.get_terminal_size((WIDTH, 0)).columns))
    if approval.decided_by:
        reason = f", reason: {quote(approval.reason, limit=500)}" if approval.reason else ""
        say(f"\n{approval.state} by {visible(approval.decided_by)}{reason}")
    return 0


def _approve(counter: Counter, args: argparse.Namespace) -> int:
    pending = counter.find(args.id)
    operator = _operator(pending.access)
    if operator is not None:
        return _report(decide(pending, "approve", for_run=args.for_run, by=operator))
    with Terminal() as terminal:
        terminal.show(shown(pending, terminal.width()) + "\n")
        if not confirmed(pending, terminal):
            complain("not approved")
            return 1
    return _report(decide(pending, "approve", for_run=args.for_run))


def _deny(counter: Counter, args: argparse.Namespace) -> int:
    pending = counter.find(args.id)
    return _report(decide(pending, "deny", reason=args.reason, by=_operator(pending.access) or ""))


def _operator(access: StoreAccess) -> str | None:
    """Return which operator's token the environment holds, `None` for none. Raises `ConfigError` for one that fails."""
    text = os.environ.get("LG_OPERATOR_TOKEN")
    if not text:
        return None
    token = access.read(lambda tx: access.tokens.check(tx, text, time.time()))
    if token is None or token.role != "operator":
        raise ConfigError(
            "the token in LG_OPERATOR_TOKEN is no operator's token of this gateway, or it has ended",
            hint="make one with `lg-gateway tokens create NAME --role operator`, or unset it and answer at a terminal",
        )
    return token.identity


def _report(approval: Approval) -> int:
    complain(f"{approval.id} {approval.state}")
    return 0


def _watch(counter: Counter, _args: argparse.Namespace) -> int:
    with Terminal() as terminal:
        return ApprovalsWatch(terminal, counter.pending).run()


def _grants(counter: Counter, args: argparse.Namespace) -> int:
    now = time.time()
    found = [(subject, grant) for subject, grant in counter.grants() if args.all or grant.counts(now)]
    for subject, grant in found:
        if args.json:
            print_json(asdict(grant) | {"counts": grant.counts(now), "for": subject}, sort_keys=True)
        else:
            tool = word(grant.tool, LIST_WIDTH)
            say("  ".join([grant.id, _left(grant, now), tool, *_whose(grant), word(subject)]))
    if not found and not args.json:
        complain("no tool is approved for a run")
    return 0


def _left(grant: Grant, now: float) -> str:
    if grant.revoked is not None:
        return "revoked"
    return f"{span(int(grant.expires - now))} left" if grant.counts(now) else "expired"


def _whose(grant: Grant) -> list[str]:
    run_id, identity = word(grant.run_id, LIST_WIDTH), word(grant.identity, LIST_WIDTH)
    return [f"run {run_id}", f"of {identity}", f"by {visible(grant.by)}"]


def _revoke(counter: Counter, args: argparse.Namespace) -> int:
    """End a grant. Like a no it may come from any command of the user: it permits nothing."""
    subject = next((subject for subject, grant in counter.grants() if grant.id == args.id), None)
    if subject is None:
        raise ConfigError(
            f"there is no grant {word(args.id or '')}", hint="`lg-gateway approvals grants` shows those that count"
        )
    access, now = counter.stores[subject], time.time()
    by = _operator(access) or f"user {user_name()} at a command line"
    access.write(lambda tx: access.approvals.grants.revoke(tx, args.id, now=now, by=by))
    complain(f"{args.id} revoked")
    return 0


def _as_json(pending: Pending) -> dict[str, object]:
    return asdict(pending.approval) | {"for": pending.subject}


_ACTIONS = {
    "list": _list, "show": _show, "watch": _watch, "approve": _approve, "deny": _deny, "grants": _grants,
    "revoke": _revoke,
}  # fmt: skip
