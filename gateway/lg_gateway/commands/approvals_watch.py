"""`lg-gateway approvals watch`: one terminal that shows each question as it comes and takes a key press for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lg_gateway.approvals.records import ApprovalState
from lg_gateway.commands.approval_prompt import Pending, confirmed, decide, shown
from lg_gateway.commands.terminal import Terminal
from lg_policy.errors import LgError

POLL_S = 0.3
KEYS = {"a": "approve once", "r": "approve for this run", "d": "deny", "s": "skip", "q": "quit"}


@dataclass
class ApprovalsWatch:
    """The loop of the command. `look` returns what waits now, of all gateways that are watched."""

    terminal: Terminal
    look: Callable[[], Sequence[Pending]]
    skipped: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Show questions until the human ends it."""
        self.terminal.write("Waiting for questions. q or Ctrl-C ends.\n")
        while True:
            one = next((one for one in self.look() if one.approval.id not in self.skipped), None)
            if one is None:
                if self.terminal.key(POLL_S) in ("q", ""):
                    return 0
            elif self._ask(one) in ("q", ""):
                return 0

    def _ask(self, one: Pending) -> str:
        """Show one question and act on a key. The bell calls a human back to the terminal."""
        self.terminal.write("\a\n")
        self.terminal.show(shown(one))
        keys = {key: words for key, words in KEYS.items() if key != "r" or one.approval.run_id is not None}
        menu = "   ".join(f"[{key}] {words}" for key, words in keys.items())
        self.terminal.forget()
        self.terminal.write(f"\n{menu}\n")
        key = self._key(one, keys)
        if key is None:
            return "gone"
        if key in ("a", "r", "d"):
            self._decide(one, key)
        else:
            self.skipped.add(one.approval.id)
        return key

    def _key(self, one: Pending, keys: dict[str, str]) -> str | None:
        """Wait for a key of the menu; `None` when the question is answered elsewhere or expires meanwhile."""
        while True:
            key = self.terminal.key(POLL_S)
            if key is not None and (key in keys or key == ""):
                return key
            now = one.now()
            if now is None or now.state is not ApprovalState.PENDING:
                state = now.state if now is not None else "gone"
                self.terminal.write(f"{one.approval.id} is {state}: it was answered elsewhere or ran out of time\n")
                return None

    def _decide(self, one: Pending, key: str) -> None:
        try:
            if key == "d":
                reason = self.terminal.line("Reason, which the caller is told (Enter for none): ")
                done = decide(one, "deny", reason=reason)
            elif one.approval.approver == "operator" and not confirmed(one, self.terminal):
                self.skipped.add(one.approval.id)
                self.terminal.write("not approved\n")
                return
            else:
                done = decide(one, "approve", for_run=key == "r")
        except LgError as error:
            self.terminal.write(f"{error.text()}\n")
            return
        self.terminal.write(f"{done.id} {done.state} {time.strftime('%H:%M:%S')}\n")
