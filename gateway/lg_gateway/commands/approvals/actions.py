"""`lg-gateway approvals`: list and answer pending approvals, from any terminal of the same user. Starts no server.

Without `--root`, `--config`, `--mcp-json` or `--state-dir` it reads every gateway of this user: those that keep their
store in a file, and the server that the settings name. `LG_CONFIG` is read for that server; it never narrows the look.

You can say yes only at a terminal, after the whole question was shown there. For an operator's question you also copy
a code that only the terminal shows. This stops programs that merely run commands. It does not stop a program that
drives a terminal as the same user. If you hold an operator's token (`LG_OPERATOR_TOKEN`), you are the operator and need
no terminal.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from lg_gateway.approvals.grants import Grant
from lg_gateway.approvals.records import Approval
from lg_gateway.commands.approvals.prompt import Pending, agreed_rule, confirmed, decide, shown, span
from lg_gateway.commands.approvals.watch import ApprovalsWatch
from lg_gateway.commands.terminal.output import LIST_WIDTH, complain, fail, print_json, say, word
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.serving.setup import GatewayLocation, locate, user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.factory import store_url
from lg_gateway.store.interface import StoreError
from lg_policy.config.flags import CommonFlags, common_flags
from lg_policy.config.loading import load_settings
from lg_policy.errors import ConfigError, LgError, UnknownName, UsageError
from lg_policy.printing import one_line, quote, visible
from lg_policy.state import StateDir, find_states, state_home
from lg_policy.terminal_rows import WIDTH, relaid

RECENT = 100
NAMED_FILES = 3
"""Changed files that a line of the list names."""
ABOUT_WIDTH = 80
"""Columns of what a call would do, in a line of the list."""
_CHANGED_FILE = re.compile(r"^\| diff --git a/.* b/(.*)$", re.MULTILINE)
_FIRST_ARGUMENT = re.compile(r"^arguments:\n\|!? (.*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Stores:
    """The stores that the command looks at, each with the root or file that its gateway works for."""

    stores: Mapping[str, StoreAccess]
    looked_at: str
    """Where the command looked, in words: a question that is not there may be elsewhere."""
    root: str | None = None
    """The root that the command line names: one store may hold the questions of several."""

    def pending(self) -> list[Pending]:
        """Return every question that waits, oldest first."""
        found = [
            _pending(approval, access, subject)
            for subject, access in self.stores.items()
            for approval in access.pending()
            if self._asked_here(approval)
        ]
        return sorted(found, key=lambda pending: pending.approval.created)

    def recent(self) -> list[Pending]:
        """Return the newest questions of any state, newest first."""
        found = [
            _pending(approval, access, subject)
            for subject, access in self.stores.items()
            for approval in access.recent(RECENT)
            if self._asked_here(approval)
        ]
        return sorted(found, key=lambda pending: -pending.approval.created)[:RECENT]

    def grants(self) -> list[tuple[str, Grant]]:
        """Return every "for this run" that is kept, with the root or file of its gateway."""
        return [(subject, grant) for subject, grant in self._all_grants() if self._asked_here(grant)]

    def find_grant(self, grant_id: str | None) -> StoreAccess:
        """Return the store of a grant. Raises as `find`."""
        found = next(((subject, grant) for subject, grant in self._all_grants() if grant.id == grant_id), None)
        if found is None:
            raise UnknownName(
                f"there is no grant {word(grant_id or '')}; looked at {self.looked_at}",
                hint="`lg-gateway approvals grants` shows those that count",
            )
        subject, grant = found
        self._require_root(grant)
        return self.stores[subject]

    def _all_grants(self) -> Iterator[tuple[str, Grant]]:
        for subject, access in self.stores.items():
            yield from ((subject, grant) for grant in access.grants())

    def find(self, approval_id: str | None) -> Pending:
        """Return a question.

        Raises `UsageError` without an id, `UnknownName` when there is no such question, and `ConfigError` when another
        root than the named one asks it.
        """
        if not approval_id:
            raise UsageError("which question? Give its id", hint="`lg-gateway approvals list` shows them")
        for subject, access in self.stores.items():
            approval = access.question(approval_id)
            if approval is not None:
                self._require_root(approval)
                return _pending(approval, access, subject)
        raise UnknownName(
            f"there is no question {word(approval_id)}; looked at {self.looked_at}",
            hint="`lg-gateway approvals list --all` shows answered and expired questions too",
        )

    def _asked_here(self, asked: Approval | Grant) -> bool:
        """Whether the named root asked. Questions of an earlier version do not say which root did."""
        return self.root is None or not asked.root or asked.root == self.root

    def _require_root(self, asked: Approval | Grant) -> None:
        if not self._asked_here(asked):
            raise ConfigError(
                f"{asked.id} is asked for {word(asked.root)}, not for {word(self.root)}; nothing was done",
                hint=f"pass --root {word(asked.root)} to answer it there",
            )


def run(args: argparse.Namespace) -> int:
    """`lg-gateway approvals ACTION`."""
    try:
        with opened_stores(args) as stores:
            return _ACTIONS[args.action](stores, args)
    except ConfigError:
        raise
    except (StoreError, LgError) as error:
        fail(error)
        return 1


@contextmanager
def opened_stores(args: argparse.Namespace) -> Iterator[Stores]:
    """Open the stores that the command line names, or else all of this user's. Raises `StoreError` where none opens."""
    places, looked_at = _places(args)
    root = os.path.realpath(args.root) if args.root else None
    with ExitStack() as stack:
        yield Stores(stores=dict(_opened(places, stack)), looked_at=looked_at, root=root)


def _pending(approval: Approval, access: StoreAccess, subject: str) -> Pending:
    return Pending(approval=approval, access=access, subject=approval.root or subject)


def _places(args: argparse.Namespace) -> tuple[dict[str, GatewayLocation], str]:
    """Return the gateways that the command line names, or else all of this user's; and in words where that was.

    A variable that was exported for `serve` is not a choice for this command. `LG_STATE_DIR` is one: what lies there is
    found in no other way.
    """
    flags = common_flags(args)
    if any((args.root, args.config, args.mcp_json, args.effective_config, flags.state_dir)):
        located = locate(flags, mcp_json=args.mcp_json)
        subject = str(flags.root or flags.config or args.mcp_json or located.state.path)
        rest = "without --root, --config, --mcp-json and --state-dir the command looks at all gateways of this user"
        if flags.state_dir is not None and args.state_dir is None:
            rest = "LG_STATE_DIR names its state directory"
        return {subject: located}, f"the gateway of {word(subject)} only ({rest})"
    places = _with_files() | _with_server(flags)
    gateways = "1 gateway" if len(places) == 1 else f"{len(places)} gateways"
    return places, f"{gateways} of this user, below {word(state_home(os.environ))}"


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
    if problems and len(problems) == len(places):
        raise problems[0]


def _with_server(flags: CommonFlags) -> dict[str, GatewayLocation]:
    """Return the PostgreSQL store that the settings name, if any. Settings with a mistake hide no other gateway."""
    try:
        settings = load_settings(profile=flags.profile, config=flags.config).settings
        url = store_url(settings.store.url, os.environ)
    except ConfigError as error:
        fail(error)
        return {}
    if url is None:
        return {}
    state = StateDir(path=state_home(os.environ), id="")  # no file of it is used: the server has all but the keys
    located = GatewayLocation(state=state, environ=os.environ, store_url=url)
    return {located.store_place.shown: located}


def _with_files() -> dict[str, GatewayLocation]:
    """Return the places of this user's gateways whose store is a file that exists."""
    home = state_home(os.environ)
    found = {
        subject: GatewayLocation(state=StateDir(path=home / state_id, id=state_id), environ=os.environ)
        for state_id, subject in find_states(os.environ).items()
    }
    return {subject: located for subject, located in found.items() if located.store_place.path.exists()}


def _list(stores: Stores, args: argparse.Namespace) -> int:
    found = stores.recent() if args.all else stores.pending()
    for pending in found:
        if args.json:
            print_json(_as_json(pending), sort_keys=True)
        else:
            say(_line(pending))
    if not found and not args.json:
        complain(f"no question waits for an answer; looked at {stores.looked_at}")
    return 0


def _line(pending: Pending) -> str:
    approval = pending.approval
    age = max(0, int(time.time() - approval.created))
    client = f" with {word(approval.client, LIST_WIDTH)}" if approval.client else ""
    asker = f"asked by {word(approval.identity, LIST_WIDTH)}{client}"
    needed = ["operator needed"] if approval.approver == "operator" else []
    what = [approval.id, f"{approval.state:<8}", f"{span(age):>6} ago", word(approval.tool, LIST_WIDTH)]
    return "  ".join([*what, *_about(approval), asker, *needed, word(pending.subject)])


def _about(approval: Approval) -> list[str]:
    """Return what tells this call from others of the same tool: the files of its diff, or its first argument."""
    whole = relaid(approval.whole(), sys.maxsize)
    files = list(islice(_CHANGED_FILE.finditer(whole), NAMED_FILES + 1))
    if files:
        names = ", ".join(match.group(1) for match in files[:NAMED_FILES])
        return [one_line(names + (", …" if len(files) > NAMED_FILES else ""), ABOUT_WIDTH)]
    argument = _FIRST_ARGUMENT.search(whole)
    return [one_line(argument.group(1), ABOUT_WIDTH)] if argument is not None else []


def _show(stores: Stores, args: argparse.Namespace) -> int:
    pending = stores.find(args.id)
    approval = pending.approval
    if args.json:
        print_json(_as_json(pending), indent=2, sort_keys=True)
        return 0
    say(shown(pending, shutil.get_terminal_size((WIDTH, 0)).columns))
    if approval.decided_by:
        reason = f", reason: {quote(approval.reason, limit=500)}" if approval.reason else ""
        say(f"\n{approval.state} by {visible(approval.decided_by)}{reason}")
    return 0


def _approve(stores: Stores, args: argparse.Namespace) -> int:
    pending = stores.find(args.id)
    keep, rule = args.always or "", _offered(pending.approval, args)
    operator = operator_of(pending.access) if not keep else None
    if operator is not None:
        return _report(decide(pending, "approve", for_run=args.for_run, by=operator))
    with Terminal() as terminal:
        terminal.show(shown(pending, terminal.width()) + "\n")
        said = agreed_rule(terminal, rule) if rule is not None else confirmed(pending, terminal, for_run=args.for_run)
        if not said:
            complain("not approved")
            return 1
    return _report(decide(pending, "approve", for_run=args.for_run, keep=keep))


def _offered(approval: Approval, args: argparse.Namespace) -> dict[str, Any] | None:
    """Return the rule that the command line chooses. Raises `UsageError` for one that this question does not offer."""
    if not args.always:
        return None
    rule = approval.rule(args.always) if approval.approver == "user" else None
    if args.for_run or rule is None:
        offered = ", ".join(approval.words()) if approval.approver == "user" else ""
        raise UsageError(
            f"question {approval.id} cannot be answered with --always {args.always}",
            hint=f"it offers {offered or 'no rule'}" + ("; leave --for-run out" if args.for_run else ""),
        )
    return rule


def _deny(stores: Stores, args: argparse.Namespace) -> int:
    pending = stores.find(args.id)
    return _report(decide(pending, "deny", reason=args.reason, by=operator_of(pending.access) or ""))


def operator_of(access: StoreAccess) -> str | None:
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


def _watch(stores: Stores, _args: argparse.Namespace) -> int:
    with Terminal() as terminal, terminal.marking_pastes():
        return ApprovalsWatch(terminal, stores.pending).run()


def _grants(stores: Stores, args: argparse.Namespace) -> int:
    now = time.time()
    found = [(subject, grant) for subject, grant in stores.grants() if args.all or grant.counts(now)]
    for subject, grant in found:
        if args.json:
            print_json(asdict(grant) | {"counts": grant.counts(now), "for": grant.root or subject}, sort_keys=True)
        else:
            tool = word(grant.tool, LIST_WIDTH)
            say("  ".join([grant.id, _left(grant, now), tool, *_whose(grant), word(grant.root or subject)]))
    if not found and not args.json:
        complain(f"no tool is approved for a run; looked at {stores.looked_at}")
    return 0


def _left(grant: Grant, now: float) -> str:
    if grant.revoked is not None:
        return "revoked"
    return f"{span(int(grant.expires - now))} left" if grant.counts(now) else "expired"


def _whose(grant: Grant) -> list[str]:
    run_id, identity = word(grant.run_id, LIST_WIDTH), word(grant.identity, LIST_WIDTH)
    return [f"run {run_id}", f"of {identity}", f"by {visible(grant.by)}"]


def _revoke(stores: Stores, args: argparse.Namespace) -> int:
    """End a grant. Like a no it may come from any command of the user: it permits nothing."""
    access, now = stores.find_grant(args.id), time.time()
    by = operator_of(access) or f"user {user_name()} at a command line"
    access.write(lambda tx: access.approvals.grants.revoke(tx, args.id, now=now, by=by))
    complain(f"{args.id} revoked")
    return 0


def _as_json(pending: Pending) -> dict[str, object]:
    return asdict(pending.approval) | {"for": pending.subject}


_ACTIONS = {
    "list": _list, "show": _show, "watch": _watch, "approve": _approve, "deny": _deny, "grants": _grants,
    "revoke": _revoke,
}  # fmt: skip
