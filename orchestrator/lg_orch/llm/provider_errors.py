"""Translates errors of providers' clients, and tells whether a retry or another model may help.

The clients share no base class. What they have in common is an HTTP status, on the error or on the one that caused it,
and names that say what happened on the way.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from lg_orch.llm.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lg_orch.llm.candidates import Candidate

MAX_ERROR_CHARS = 500
MAX_SHOWN = 100
"""Characters of an answer that cannot be read."""
_TRANSIENT = (408, 409, 425, 429)
_ON_THE_WAY = ("Timeout", "ReadError", "WriteError", "ProtocolError", "ServerDisconnected", "PayloadError")
"""In the names of errors after the request had left: it may have been taken."""
_UNREADABLE = {
    "DecodingError": "the answer is not in the encoding that its header `content-encoding` names",
    "TooManyRedirects": "the address of the provider redirects in a circle",
}
"""In the names of errors about an answer that came, which OpenAI's package calls a connection error."""
_CANNOT_READ = "the answer cannot be read"
_STUMBLES = (TypeError, AttributeError, LookupError, ValidationError)
_GATEWAY_TIMEOUTS = (408, 504, 524)
"""A proxy did not wait for the model, which may have done its work."""
_TRANSIENT_NAMES = (
    *_ON_THE_WAY, "Connect", "RateLimit", "Overloaded", "InternalServer", "ServiceUnavailable",
)  # fmt: skip
# What a stream that had begun, with status 200, said then; anything else that is said there is the server's trouble.
_FINAL_KINDS = ("invalid_request", "authentication", "permission", "not_found", "billing", "too_large", "policy")
# LangChain makes a `ValueError` of what OpenAI's Responses API says in a stream.
_TOLD = ("server_error", "rate_limit_exceeded")
_TOO_LONG_STATUS = (400, 413, 422, 500)
_TOO_LONG = re.compile(
    r"context_length_exceeded|ContextWindowExceeded|prompt_tokens_exceeded"
    r"|tokens_limit_reached|maximum (?:context|prompt|model) length"
    r"|(?:exceed\w*|larger than|longer than)\b.{0,60}\b(?:context|model length|max(?:imum)? (?:input |prompt )?length)"
    r"|(?:prompt|input)s?(?: token count| tokens?)?\b.{0,30}\bexceed"
    r"|exceed\w* (?:the )?(?:model )?token limit|(?:context|inputs? token).{0,60}\bexceed|context length of only"
    r"|reached context length|(?:prompt|input) is too long|range of input length|too many (?:input |prompt )?tokens"
    r"|input token count .{0,20}(?:exceeds|but)|tokens\S* must be <= \d|must have less than \d+ tokens"
    r"|supports at most \d[\d,]* tokens|reduce the length of the (?:messages|prompt|input)"
    r"|total tokens .{0,40}exceed|greater than the context length|max(?:imum)?\S* (?:supported )?seq\w*[ _]len"
    r"|exceed\w* max(?:imum)? (?:allowed )?(?:input|prompt|context) tokens|max(?:imum)? tokens of \d[\d,]* exceeded"
    r"|max length of current question|(?:prompt|input|request)(?: tokens?)?(?: (?:is|was|are))? too long"
    r"|request body too large.{0,80}tokens|longer than max_seq_len|number of tokens .{0,60}\bexceed"
    r"|(?:\u957f\u5ea6|\u4e0a\u4e0b\u6587).{0,12}\u8d85|\u8d85.{0,12}(?:\u957f\u5ea6|\u4e0a\u4e0b\u6587)",
    re.IGNORECASE,
)
_RATE = re.compile(r"rate.?limit|per (?:minute|day|hour)|quota", re.IGNORECASE)
_NUMBERS = (
    (
        re.compile(r"maximum (?:context|prompt|model) length (?:is|of) (\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(r"\d ?> ?(\d[\d,]{0,11})\b(?! ?-)", re.IGNORECASE),
        re.compile(r"(?:n_ctx|max_seq_len|max_(?:context|prompt|model)_length)\W{1,3}(\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(
            r"(?:supports? up to|length is just|limit for this model is|tokens of|current question is"
            r"|exceeds the maximum length|\. max:) (\d[\d,]{0,11})",
            re.IGNORECASE,
        ),
        re.compile(r"> (\d[\d,]{0,11})(?: maximum|, decrease)", re.IGNORECASE),
        re.compile(r"maximum number of tokens allowed \(?(\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(r"(\d[\d,]{0,11}) maximum context length", re.IGNORECASE),
        re.compile(
            r"(?:must be <=|have less than|cannot exceed|token limit:|limit (?:is|of)) (\d[\d,]{0,11})", re.IGNORECASE
        ),
        re.compile(r"(?:max size:|only supports up to|supports at most) (\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(r"range of input length should be \[\d+, ?(\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(r"(?:context (?:size|window|length)|n_ctx)(?! by )\D{0,30}(\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(r"(?:model length|limit)\W{0,3}(?:is|of|:)? ?(\d[\d,]{0,11}) ?tokens", re.IGNORECASE),
    ),
    (
        re.compile(
            r"(?:resulted in|you requested|requested about|too long:|token count(?: is| of)?) \(?(\d[\d,]{0,11})",
            re.IGNORECASE,
        ),
        re.compile(r"(?:request|input|prompt|sequence length) \((\d[\d,]{0,11})(?: tokens)?\)", re.IGNORECASE),
        re.compile(r"(?<!\+ )\b(\d[\d,]{0,11})(?: tokens)? ?> ?\d[\d,]{0,11}\b(?! ?-)", re.IGNORECASE),
        re.compile(r"(?:your request has|a total of|keep the first|n_keep:) (\d[\d,]{0,11})", re.IGNORECASE),
        re.compile(
            r"(?:prompt is|prompt_length:|(?<!context )(?<!model )length of|input length) (\d[\d,]{0,11})",
            re.IGNORECASE,
        ),
        re.compile(
            r"(?:request contains|prompt contains|given:|received|current length is|prompt \(length) (\d[\d,]{0,11})",
            re.IGNORECASE,
        ),
    ),
)
"""What a model takes, and what a request had, in the words of the usual servers."""
_CODE = re.compile(r" ?\((?:20\d\d|status code: -?\d+)\)\s*$")
"""An error code or HTTP status at the end, which is no number of tokens."""
_SECONDS = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)s", re.ASCII)
_PAUSE = re.compile(r"\d{1,12}(?:\.\d{0,12})?", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class TooLong:
    """What a provider says of a request that is too long; 0 where it names no number."""

    limit: int = 0
    """Tokens that the model takes, those of the reply mostly among them."""
    sent: int = 0
    """Tokens that the request had, as the provider counts them."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a request brought nothing."""

    text: str
    transient: bool
    """Whether another try or another model may do better."""
    retry_after_s: float | None = None
    """What the provider asked for."""
    taken: bool = False
    """The provider took the request and may bill it; the amount is not known."""
    too_long: TooLong | None = None
    """The request has more tokens than the model takes."""


def failure_of(error: Exception, candidate: Candidate, *, asked: bool = False) -> Failure:
    """Return what a provider's client raised. Being too busy, gone or broken is transient; being wrong is not.

    `asked`: it was raised by a request, not while the client was made. A client that then stumbles over its own
    assumptions was given an answer that is not as its provider says.
    """
    if isinstance(error, ImportError):
        return Failure(text=f"its package is not installed: {error}"[:MAX_ERROR_CHARS], transient=False)
    chain = list(_causes(error))
    text = " ".join((str(error) or type(error).__name__).split())[:MAX_ERROR_CHARS]
    retry_after = next((found for cause in chain if (found := _retry_after(cause)) is not None), None)
    status = next((found for cause in chain if (found := _status(cause)) is not None), None)
    if status is None or status == 200:
        failure = _without_status(chain, text, retry_after, candidate, begun=status == 200)
        stumbled = asked and isinstance(error, _STUMBLES) and not failure.transient and failure.too_long is None
        return Failure(text=f"{_CANNOT_READ}: {text}", transient=True, taken=True) if stumbled else failure
    known = PROVIDERS.get(candidate.provider)
    if status in (401, 403) and known is not None and known.key_names:
        text = f"{text} (is {known.key_names[0]} right?)"
    too_long = too_long_of(text) if status in _TOO_LONG_STATUS else None
    if too_long is not None:
        return Failure(text=text, transient=False, too_long=too_long)
    transient, taken = status in _TRANSIENT or status >= 500, status in _GATEWAY_TIMEOUTS
    return Failure(text=text, transient=transient, retry_after_s=retry_after, taken=taken)


def too_long_of(text: str) -> TooLong | None:
    """What a message says of a request that is too long; `None` where it is about something else."""
    if _TOO_LONG.search(text) is None or _RATE.search(text) is not None:
        return None
    text = _CODE.sub("", text)
    limit, sent = (
        next((found[1] for pattern in patterns if (found := pattern.search(text))), "0") for patterns in _NUMBERS
    )
    return TooLong(limit=int(limit.replace(",", "")), sent=int(sent.replace(",", "")))


def _without_status(
    chain: list[BaseException], text: str, retry_after: float | None, candidate: Candidate, *, begun: bool
) -> Failure:
    """A failure on the way, or one that a stream told which had begun well."""
    names = [type(cause).__name__ for cause in chain]
    too_long = too_long_of(text)
    if too_long is not None:
        return Failure(text=text, transient=False, taken=True, too_long=too_long)
    if any(part in name for name in names for part in _ON_THE_WAY):
        return Failure(text=text, transient=True, retry_after_s=retry_after, taken=True)
    if any(
        isinstance(cause, json.JSONDecodeError | UnicodeDecodeError) or "UnknownApiResponse" in type(cause).__name__
        for cause in chain
    ):
        told = f"{_CANNOT_READ}, it may have broken off: {text}{_begins(chain)}"
        return Failure(text=told, transient=True, taken=True)
    if isinstance(chain[0], ValueError) and "No generation chunks" in text:
        return Failure(text="the server's answer was empty", transient=True, taken=True)
    for part, told in _UNREADABLE.items():
        if any(part in name for name in names):
            why = " ".join(str(chain[-1]).split())[:MAX_ERROR_CHARS]
            return Failure(text=f"{told}: {why}", transient=part == "DecodingError", taken=True)
    if isinstance(chain[0], ValueError) and any(word in text for word in _TOLD):
        return Failure(text=text, transient=True, taken=True)
    if begun or names[0] in ("APIError", "ResponseError", "AnswerError"):
        final = any(kind in _kind(chain[0]) for kind in _FINAL_KINDS)
        return Failure(text=text, transient=not final, retry_after_s=retry_after, taken=True)
    gone = any(part in name for name in names for part in _TRANSIENT_NAMES) or isinstance(chain[0], OSError)
    if gone:
        text = f"{text} ({_shown(candidate.base_url) or 'the address of the provider'} cannot be reached)"
    return Failure(text=text, transient=gone, retry_after_s=retry_after)


def _begins(chain: list[BaseException]) -> str:
    """What an answer that is no JSON says first."""
    text = next((cause.doc for cause in chain if isinstance(cause, json.JSONDecodeError)), "")
    said = " ".join(str(text)[:MAX_SHOWN].split())
    return f"; it begins with: {said}" if said else ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    for value in (
        getattr(error, "status_code", None),
        getattr(error, "code", None),
        getattr(response, "status_code", None),
    ):
        if isinstance(value, int) and 100 <= value < 600:
            return value
    return None


def _kind(error: BaseException) -> str:
    """The kind that a provider's error names, in its own words."""
    body: Any = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    return str(inner.get("type") or inner.get("code") or "") if isinstance(inner, dict) else ""


def _retry_after(error: BaseException) -> float | None:
    """Seconds that the provider asks to wait: in a header, as seconds or date, or as Google's `RetryInfo`."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None) or {}
    told = str(headers.get("retry-after") or "")
    if _PAUSE.fullmatch(told):
        return float(told)
    try:
        return max(0.0, (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):  # years and zones of any number of digits
        return _retry_info(getattr(error, "details", None))


def _retry_info(body: Any) -> float | None:
    inner = body.get("error", body) if isinstance(body, dict) else None
    details = inner.get("details") if isinstance(inner, dict) else None
    for detail in details if isinstance(details, list) else ():
        found = _SECONDS.fullmatch(str(detail.get("retryDelay", ""))) if isinstance(detail, dict) else None
        if found is not None:
            return float(found[1])
    return None


def _shown(url: str | None) -> str:
    """An address without a name and password in it."""
    if not url or "@" not in url:
        return url or ""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
