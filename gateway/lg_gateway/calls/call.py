"""Holds one call on its way through the gateway: what arrived, and what each step found out about it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol

from lg_gateway.approvals.binding import Binding
from lg_gateway.calls.caller_metadata import NOTHING_SAID, CallMetadata
from lg_gateway.catalog.entry import Entry
from lg_gateway.elicitation.client_abilities import FORM, AskClient, ClientAbilities
from lg_gateway.elicitation.pending_questions import PendingQuestions
from lg_gateway.store.interface import Tx
from lg_gateway.upstreams.client_side.log_messages import OnLog
from lg_gateway.upstreams.progress import Progress
from lg_gateway.upstreams.upstream_call import Copied
from lg_policy.rules.rule_set import Decision, Kind


class AskHuman(Protocol):
    """Asks the human behind the client. Returns the action and the content of the answer."""

    async def __call__(self, message: str, schema: dict[str, Any]) -> tuple[str, Mapping[str, Any] | None]:
        """Show a form and wait for the answer."""
        ...


class TaskUse(StrEnum):
    """What a call's client does with tasks, which go on after their answer."""

    HANDLES = "handles"
    """It asks about them itself, and says so."""
    REFUSED = "refused"
    """It could say so and does not: it gets the refusal of a server that needs it to."""
    WAITED = "waited"
    """It cannot say so: the gateway waits in its place."""


Standing = Callable[[Tx], None]
"""Checks that a caller's credential is still valid. Raises `PolicyDenied` if it is not."""


def no_token() -> str:
    """Return the token of a caller who showed none."""
    return ""


@dataclass(frozen=True, kw_only=True)
class CompletedArgument:
    """An argument that is being typed, and those beside it that are known."""

    name: str
    value: str
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Call(Copied):
    """A `tools/call`, `resources/read` or `prompts/get` as it arrived.

    `identity` comes from the transport, never from an argument.
    """

    identity: str
    client: str
    name: str
    """What the client calls: a tool's or a prompt's name, or a resource's address."""
    arguments: dict[str, Any]
    """Of a prompt its own; a resource has none. The pipeline makes `{name, arguments}` and `{uri}` of them."""
    kind: Kind = Kind.TOOL
    completes: CompletedArgument | None = None
    """The argument to complete. The prompt or the resource itself is then neither got nor read."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    progress: Progress | None = None
    input_responses: dict[str, Any] | None = None
    request_state: str | None = None
    asking: Literal["rounds", "live", "none"] = "none"
    """How to ask the caller: by an answer that asks for input, by a question while the call waits, or not at all."""
    ask: AskHuman | None = None
    abilities: ClientAbilities | None = None
    """What questions of servers this client answers; `None`: forms, as `asking` says."""
    ask_client: AskClient | None = None
    """Puts a server's question to a client that is asked while its call waits."""
    page_done: Callable[[str], Awaitable[None]] | None = None
    """Tells a 2025 client that the page of a question, by the id that it knows, is done with."""
    tasks: TaskUse = TaskUse.WAITED
    logs: OnLog | None = None
    """Gets the log messages of the server that belong to this call."""
    log_level: str = "info"
    """The least level that the caller wants."""
    standing: Standing | None = None
    """Checked again in the transaction that begins the call, which may have waited long. `None` for the local user."""
    subject: Callable[[], str] = no_token
    """Returns the token that the caller showed, "" without one. It is exchanged for others, and never passed on."""
    hold_s: float | None = None
    """Seconds to wait for an answer from another terminal; `None` means `approval.hold_s`."""
    session: str = ""
    """The connection of a client that has one, as the gateway names it; never what the caller says."""
    at_terminal: bool = False
    """Whether `ask` is answered at the terminal where the user of this process typed the command."""

    @property
    def answers(self) -> ClientAbilities:
        """Return what questions of servers this client answers, and how."""
        if self.abilities is not None:
            return self.abilities
        kinds = frozenset() if self.asking == "none" else frozenset((FORM,))
        return ClientAbilities(kinds=kinds, rounds=self.asking == "rounds")


def arguments_of_kind(call: Call, entry: Entry) -> dict[str, Any]:
    """Return the arguments as rules and records see them."""
    if call.kind is Kind.TOOL:
        return call.arguments
    made: dict[str, Any] = {"uri": entry.tool} if call.kind is Kind.RESOURCE else {"name": entry.tool}
    completed = call.completes
    if call.kind is Kind.PROMPT:
        known = {**completed.context, completed.name: completed.value} if completed is not None else call.arguments
        made["arguments"] = known
    if completed is not None:
        made["argument"] = {"name": completed.name, "value": completed.value}
        made["context"] = dict(completed.context)
    return made


def new_request_id() -> str:
    """Return an id for a call: unique, without meaning."""
    return secrets.token_hex(12)


@dataclass(frozen=True, kw_only=True)
class CallContext(Copied):
    """A call whose tool was found. Each step returns a copy with what it found out."""

    call: Call
    entry: Entry
    request_id: str = field(default_factory=new_request_id)
    began: float = field(default_factory=time.monotonic)
    metadata: CallMetadata = NOTHING_SAID
    arguments_digest: str = ""
    arguments_masked: str = ""
    bytes_in: int = 0
    decision: Decision | None = None
    approval_id: str | None = None
    expected: dict[str, str | None] | None = None
    """Hashes of what a preview saw. The call acts on exactly that, or fails with `conflict`."""
    recalled: bool = False
    """Whether the call repeats a known idempotency key or continues after a question. Its approval was used before."""
    recalled_from: str | None = None
    """The id of the earlier call under the same key whose outcome was lost."""
    pending: PendingQuestions | None = None
    """The server's questions that this call waits for."""
    login: str = ""
    """Which of the gateway's logins at the server it is sent with; "" for none."""
    decided_by: object = None
    """The policy that made the decision."""
    sent: float | None = None
    """When it was sent, by the monotonic clock."""

    def took_s(self) -> float:
        """Seconds since the call was sent. The time that a human needed before is not counted."""
        return time.monotonic() - self.sent if self.sent is not None else 0.0

    def binding(self) -> Binding:
        """Return what a yes to this call is bound to, and what finds its questions again."""
        return Binding(
            identity=self.call.identity,
            client=self.call.client,
            run_id=self.metadata.run_id,
            server=self.entry.server.name,
            place=self.entry.server.place(),
            tool=self.entry.name,
            pin=self.entry.definition_digest,
            arguments_digest=self.arguments_digest,
            key=self.metadata.key,
        )

    def is_preview(self) -> bool:
        """Whether the arguments make the call show what it would do, as its trusted server declares."""
        declared, given = self.entry.preview or {}, self.call.arguments
        return bool(declared) and all(name in given and given[name] == value for name, value in declared.items())

    def sent_arguments(self) -> dict[str, Any]:
        """Return the arguments as they leave."""
        if not self.expected:
            return self.call.arguments
        given = self.call.arguments.get("expected_sha256")
        added: dict[str, Any] = {"expected_sha256": self.expected | (given if isinstance(given, dict) else {})}
        if "expected_paths" in self.entry.input_properties:
            added["expected_paths"] = list(self.expected)
        return self.call.arguments | added

    def elapsed_ms(self) -> float:
        """Milliseconds since the call arrived."""
        return round((time.monotonic() - self.began) * 1000, 3)
