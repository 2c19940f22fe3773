"""The errors that cross a wire or end a program.

::

    LgError                     code, message, hint
    ├── PolicyDenied            policy_denied
    ├── ApprovalRequired        approval_required    + approval_id
    ├── ApprovalDenied          approval_denied
    ├── InvalidArguments        invalid_arguments
    ├── NotFound                not_found
    ├── Conflict                conflict
    │   └── StillRunning                             + retry_after_s
    ├── TooLarge                too_large
    ├── CallTimeout             timeout
    ├── LimitExceeded           limit_exceeded
    │   └── TooManyQuestions                         + questions_waiting
    ├── SandboxUnavailable      sandbox_unavailable
    ├── UpstreamUnavailable     upstream_unavailable
    ├── OutcomeUnknown          outcome_unknown      + begun_before
    ├── Halted                  halted
    ├── Internal                internal
    └── ConfigError             invalid_config       ends a program with status 2, never sent as a tool result
        ├── UsageError          invalid_arguments
        └── UnknownName         not_found

A tool result carries `payload()` under `structuredContent.error`. `lg_policy.wire.tool_server` puts it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class LgError(Exception):
    """A refusal or failure that a caller can act on.

    `message` says what was wrong, `hint` what would be right or what to do next ("" when there is nothing to add).
    `details` are the lines of a list below the message, such as files that stand in the way: a program prints each on a
    line of its own, since a line end within a message is never printed as one.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = tuple(details)

    def payload(self) -> dict[str, str]:
        """Return `{code, message, hint}`, the value of `structuredContent.error`."""
        return {"code": self.code, "message": self.message, "hint": self.hint}

    def text(self) -> str:
        """Return the one-line form that a model or a person reads."""
        listed = f": {'; '.join(self.details)}" if self.details else ""
        return f"{self.code}: {self.message}{listed}" + (f" ({self.hint})" if self.hint else "")


class PolicyDenied(LgError):
    """A rule, or the confinement to the root, forbids this."""

    code = "policy_denied"


class ApprovalRequired(LgError):
    """A human must approve this call first; nothing was done."""

    code = "approval_required"

    def __init__(self, message: str, *, hint: str = "", approval_id: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.approval_id = approval_id

    def payload(self) -> dict[str, str]:
        """Return `{code, message, hint}` and, once a question is recorded, its `approval_id`."""
        extra = {"approval_id": self.approval_id} if self.approval_id else {}
        return super().payload() | extra


class ApprovalDenied(LgError):
    """A human said no; the message carries the reason."""

    code = "approval_denied"


class InvalidArguments(LgError):
    """The arguments do not fit; the message names which and what would fit."""

    code = "invalid_arguments"


class NotFound(LgError):
    """What the call names does not exist."""

    code = "not_found"


class Conflict(LgError):
    """The world is not what the caller expected; nothing was changed."""

    code = "conflict"


class StillRunning(Conflict):
    """The call under this key has not ended yet; the same call made again later gets its outcome."""

    def payload(self) -> dict[str, str]:
        """Return `{code, message, hint}` and after how many seconds to ask again."""
        return super().payload() | {"retry_after_s": "1"}


class TooLarge(LgError):
    """An input is over a size limit."""

    code = "too_large"


class CallTimeout(LgError):
    """The call ran out of its time and was ended."""

    code = "timeout"


class LimitExceeded(LgError):
    """A rate, budget or resource limit was reached; the message names it."""

    code = "limit_exceeded"


class TooManyQuestions(LimitExceeded):
    """As many questions of this identity wait for an answer as may; `waiting` is how many."""

    def __init__(self, message: str, *, waiting: int, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.waiting = waiting

    def payload(self) -> dict[str, str]:
        """Return `{code, message, hint}` and how many questions wait."""
        return {**super().payload(), "questions_waiting": str(self.waiting)}


class SandboxUnavailable(LgError):
    """A command needs a sandbox and none works on this machine."""

    code = "sandbox_unavailable"


class UpstreamUnavailable(LgError):
    """The server that owns the tool is not up; the call was not sent."""

    code = "upstream_unavailable"


class OutcomeUnknown(LgError):
    """The call was sent and its outcome was lost; it may or may not have taken effect.

    `begun_before`: by an earlier request under its key, and it was looked whether it can be made again: it cannot.
    """

    code = "outcome_unknown"

    def __init__(self, message: str, *, hint: str = "", begun_before: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.begun_before = begun_before

    def payload(self) -> dict[str, str]:
        """Return `{code, message, hint}` and whether an earlier request began the call."""
        return super().payload() | ({"begun_before": "true"} if self.begun_before else {})


class Halted(LgError):
    """A human has stopped all calls."""

    code = "halted"


class Internal(LgError):
    """A fault of ours; details are in the server's log."""

    code = "internal"


class ConfigError(LgError):
    """The command line, a setting, or the place a program was pointed at is wrong. Programs exit with status 2."""

    code = "invalid_config"


class UsageError(ConfigError):
    """A command was typed wrong: an argument is missing, or does not fit."""

    code = "invalid_arguments"


class UnknownName(ConfigError):
    """A command names something that does not exist: a run, a question, a tool."""

    code = "not_found"


ERROR_CODES: frozenset[str] = frozenset(cls.code for cls in LgError.__subclasses__() if cls is not ConfigError)
