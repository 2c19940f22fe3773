"""What providers' clients raise, in words, and whether asking again or asking somebody else may help."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lg_orch.providers import PROVIDERS

if TYPE_CHECKING:
    from lg_orch.thinker.clients import Candidate
    from lg_policy.config import ModelSettings

MAX_ERROR_CHARS = 500
MAX_PAUSE_S = 60.0
"""Of a `Retry-After` too: a longer one is a reason to ask somebody else."""
_TRANSIENT = (408, 409, 425, 429)
_TRANSIENT_NAMES = (
    "Timeout", "Connect", "RateLimit", "Overloaded", "InternalServer", "ServiceUnavailable", "ReadError",
    "ProtocolError",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request brought nothing."""

    text: str
    transient: bool
    """Whether another try or another model may do better."""
    retry_after_s: float | None = None
    """What the provider asked for."""
    taken: bool = False
    """The provider took the request and may bill it; nobody tells how much."""


def failure_of(error: Exception, candidate: Candidate) -> Failure:
    """What a provider's client raised. Being too busy, gone or broken is transient; being wrong is not."""
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    status = status if isinstance(status, int) else None
    if isinstance(error, ImportError):
        return Failure(text=f"its package is not installed: {error}"[:MAX_ERROR_CHARS], transient=False)
    named = any(part in type(error).__name__ for part in _TRANSIENT_NAMES) or isinstance(error, OSError)
    transient = status in _TRANSIENT or status >= 500 if status is not None else named
    text = " ".join((str(error) or type(error).__name__).split())[:MAX_ERROR_CHARS]
    name = type(error).__name__
    taken = "Connect" not in name and any(part in name for part in ("Timeout", "ReadError", "ProtocolError"))
    if status is None and named and not taken:
        text = f"{text} ({candidate.base_url or 'the address of the provider'} cannot be reached)"
    known = PROVIDERS.get(candidate.provider)
    if status in (401, 403) and known is not None and known.key_names:
        text = f"{text} (is {known.key_names[0]} right?)"
    return Failure(text=text, transient=transient, retry_after_s=_retry_after(error), taken=taken)


def pause_s(settings: ModelSettings, attempt: int, failure: Failure) -> float | None:
    """Seconds to wait before repetition number `attempt`, from 1; `None` when there is to be none.

    Exponential with jitter, so that clients who failed together do not come back together; at least what the provider
    asked for.
    """
    if not failure.transient or attempt > settings.retries:
        return None
    asked = failure.retry_after_s or 0.0
    if asked > MAX_PAUSE_S:
        return None
    longest = min(MAX_PAUSE_S, settings.retry_pause_s * 2 ** (attempt - 1))
    return max(asked, random.uniform(longest / 2, longest))  # noqa: S311  # spreads load, hides nothing


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return seconds if seconds >= 0 else None
