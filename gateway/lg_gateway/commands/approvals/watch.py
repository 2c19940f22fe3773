"""`lg-gateway approvals watch`: show each question as it comes, and take one key press as the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lg_gateway.approvals.question import ALWAYS, EXACT, PATTERN, READS, SESSION, TOOL
from lg_gateway.approvals.records import ApprovalState
from lg_gateway.commands.approvals.prompt import Pending, agreed_rule, confirmed, decide, shown
from lg_gateway.commands.terminal.terminal import Terminal
from lg_policy.errors import LgError
from lg_policy.printing import exit_text, visible

POLL_S = 0.3
KEYS = {"o": "approve once", "r": "approve for this run", "d": "deny", "s": "skip", "q": "quit"}
KEPT = {"w": SESSION, "t": TOOL, "x": EXACT, "p": PATTERN, "l": READS}
"""Keys of answers that are kept, and what each is kept as."""
SAME_KEYS = {"a": "o", "y": "o", "n": "d"}
"""Keys that mean one of the menu's too."""


@dataclass
class ApprovalsWatch:
    """The loop of the command. `look` returns what waits now, of all gateways that are watched."""

    terminal: Terminal
    look: Callable[[], Sequence[Pending]]
    skipped: set[str] = field(default_factory=set)

    def run(self) -> int:
        """Show questions until the human ends it."""
        self.terminal.write("Waiting for questions. Press q to quit.\n")
        while True:
            waiting = (pending for pending in self.look() if pending.approval.id not in self.skipped)
            pending = next(waiting, None)
            if pending is None:
                if self.terminal.key(POLL_S) in ("q", ""):
                    return 0
            elif self._ask(pending) in ("q", ""):
                return 0

    def _ask(self, pending: Pending) -> str:
        """Show one question and act on a key. The bell calls a human back to the terminal."""
        self.terminal.write("\a\n")
        self.terminal.show(shown(pending, self.terminal.width()))
        keys = {key: words for key, words in KEYS.items() if key != "r" or pending.approval.run_id is not None}
        menu = "   ".join(f"[{key}] {words}" for key, words in keys.items())
        kept = _kept(pending)
        lines = [menu, *(f"[{key}] {words}" for key, words in kept.items())]
        while True:
            self.terminal.forget()
            self.terminal.tell("\n" + "\n".join(lines))
            key = self._key(pending, keys | kept)
            rule = pending.approval.rule(KEPT.get(key or "", ""))
            if rule is None or agreed_rule(self.terminal, rule):
                break
        if key is None:
            return "gone"
        if key in ("o", "r", "d", *kept):
            self._decide(pending, key)
        else:
            self.skipped.add(pending.approval.id)
        return key

    def _key(self, pending: Pending, keys: dict[str, str]) -> str | None:
        """Wait for a key of the menu; `None` when the question is answered elsewhere or expires meanwhile."""
        while True:
            pressed = self.terminal.key(POLL_S)
            key = SAME_KEYS.get(pressed, pressed) if pressed is not None else None
            if key is not None and (key in keys or key == ""):
                return key
            now = pending.now()
            if now is None or now.state is not ApprovalState.PENDING:
                self.terminal.tell(f"{pending.approval.id}: {_gone(now.state if now is not None else None)}")
                return None

    def _decide(self, pending: Pending, key: str) -> None:
        try:
            if key == "d":
                reason = self.terminal.line("Reason (the caller reads it; Enter for none): ")
                done = decide(pending, "deny", reason=reason)
            elif pending.approval.approver == "operator" and not confirmed(pending, self.terminal):
                self.skipped.add(pending.approval.id)
                self.terminal.write("not approved\n")
                return
            else:
                done = decide(pending, "approve", for_run=key == "r", keep=KEPT.get(key, ""))
        except LgError as error:
            self.terminal.tell(exit_text(error))
            return
        self.terminal.write(f"{done.id} {done.state} {time.strftime('%H:%M:%S')} local time\n")
        if KEPT.get(key) in ALWAYS:
            self.terminal.tell("The rule is in force. `lg-gateway rules list` shows it, and which others there are.")


def _kept(pending: Pending) -> dict[str, str]:
    """Return the keys of answers that are kept beyond the call, and what each means."""
    approval = pending.approval
    if approval.approver != "user":
        return {}
    words = {kind: f"allow always: {said}" for kind, said in approval.words().items()}
    if approval.session:
        words[SESSION] = "approve this tool until its client ends"
    return {key: visible(words[kind]) for key, kind in KEPT.items() if kind in words}


def _gone(state: ApprovalState | None) -> str:
    if state is ApprovalState.EXPIRED:
        return "this question has expired"
    return f"this question was answered elsewhere ({state or 'it is gone'})"
