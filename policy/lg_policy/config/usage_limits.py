"""Settings: how much callers and runs may use. Part of the tree in `config`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from lg_policy.config.section import PositiveFloat, PositiveInt, Section


class LimitSettings(Section):
    """One limit. Every limit that covers a call must have room for it."""

    tools: tuple[str, ...] = ("*",)
    """Tools that it covers, by qualified name. `*` matches any run of characters, so `github__*` is one server."""
    identities: tuple[str, ...] = ("*",)
    """Callers that it covers. `*` matches any run of characters."""
    per: tuple[Literal["identity", "server", "tool"], ...] = ("identity",)
    """Count separately per identity, server or tool. If empty, all calls that it covers are counted together."""
    calls_per_minute: PositiveInt | None = None
    """Calls in any minute."""
    calls_at_once: PositiveInt | None = None
    """Calls that run at the same time."""
    bytes_in_per_minute: PositiveInt | None = None
    """Bytes of arguments in any minute."""
    bytes_out_per_minute: PositiveInt | None = None
    """Bytes of results in any minute. The call that exceeds it is answered; the next is refused."""
    seconds_per_minute: PositiveFloat | None = None
    """Total seconds of calls in any minute. The call that exceeds it is answered; the next is refused."""
    call_timeout_s: PositiveFloat | None = None
    """Seconds for one call, if shorter than the server's own `call_timeout_s`."""

    @model_validator(mode="after")
    def _limits_something(self) -> Self:
        if not any(value for name, value in self if name not in ("tools", "identities", "per")):
            raise ValueError("a limit needs at least one number, such as calls_per_minute")
        return self


class RunBudgetSettings(Section):
    """What one run (`_meta["lg/run"]`) of one caller may use in total, through all gateways."""

    calls: PositiveInt = 5_000
    """Calls. A repeat under the same idempotency key is not counted again, nor a call that resumes after a question."""
    bytes_in: PositiveInt = 200_000_000
    """Bytes of arguments."""
    bytes_out: PositiveInt = 1_000_000_000
    """Bytes of results."""
    seconds: PositiveFloat = 14_400
    """Total seconds of its calls, without waiting for a human."""
