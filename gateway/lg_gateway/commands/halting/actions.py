"""`lg-gateway halt` and `lg-gateway continue`. Each is a record in the ledger, which running gateways see at once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

from lg_gateway.commands.approvals.actions import Stores, opened_stores, operator_of
from lg_gateway.commands.terminal.output import complain, fail, say, word
from lg_gateway.commands.terminal.terminal import Terminal
from lg_gateway.ledger.halt import write_continue, write_halt
from lg_gateway.serving.setup import user_name
from lg_gateway.serving.store_access import StoreAccess
from lg_gateway.store.interface import StoreError
from lg_policy.errors import ConfigError, LgError, UnknownName
from lg_policy.printing import visible

AGREED = ("continue", "y", "yes")


def halt(args: argparse.Namespace) -> int:
    """`lg-gateway halt`."""

    def stop(subject: str, access: StoreAccess) -> None:
        by = f"user {user_name()} at a command line"
        access.write(lambda tx: write_halt(access.ledger, tx, by=by, reason=args.reason, now=args.now))
        running = "what runs is cut off" if args.now else "what runs may end"
        say(f"halted {word(subject)}: no new call begins, {running} (`lg-gateway continue` lets calls begin again)")

    return _each(args, lambda stores: _all(stores, stop))


def let_continue(args: argparse.Namespace) -> int:
    """`lg-gateway continue`."""
    return _each(args, partial(_continue, reason=args.reason))


def _each(args: argparse.Namespace, act: Callable[[Stores], int]) -> int:
    try:
        with opened_stores(args) as stores:
            if not stores.stores:
                raise UnknownName(f"there is no gateway; looked at {stores.looked_at}", hint="name it with --root DIR")
            return act(stores)
    except ConfigError as error:
        every = (
            f"`lg-gateway {args.command}` without --root and --config takes all your gateways, and needs no settings"
        )
        raise ConfigError(error.message, hint=f"{error.hint}, or: {every}" if error.hint else every) from error
    except (StoreError, LgError) as error:
        fail(error)
        return 1


def _all(stores: Stores, act: Callable[[str, StoreAccess], None]) -> int:
    """Do something to every store; one that fails keeps no other from it."""
    failed = 0
    for subject, access in stores.stores.items():
        try:
            act(subject, access)
        except (StoreError, LgError) as error:
            fail(f"{word(subject)}: {error}")
            failed = 1
    return failed


def _continue(stores: Stores, *, reason: str) -> int:
    halted = {subject: access for subject, access in stores.stores.items() if access.halt() is not None}
    if not halted:
        complain("nothing is halted")
        return 0
    for subject, access in halted.items():
        found = access.halt()
        if found is not None:
            say(f"{word(subject)} is halted since {found.time} {visible(found.text)}")
    allowed = {subject: operator_of(access) for subject, access in halted.items()}
    if not all(allowed.values()):
        with Terminal() as terminal:
            if terminal.line("Let calls begin again? Type continue: ").lower() not in AGREED:
                complain("still halted")
                return 1

    def resume(subject: str, access: StoreAccess) -> None:
        by = f"operator {allowed[subject]}" if allowed[subject] else f"user {user_name()} at a terminal"
        access.write(lambda tx: write_continue(access.ledger, tx, by=by, reason=reason))
        say(f"continued {word(subject)}")

    return _all(Stores(stores=halted, looked_at=stores.looked_at), resume)
