"""Errors as problem documents (RFC 9457): what was wrong, by name, and what would be right."""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import JSONResponse

from lg_orch.contracts.errors import StoreGone
from lg_orch.contracts.text import one_line
from lg_policy.errors import LgError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"
STATUS = {
    "invalid_arguments": 422,
    "policy_denied": 403,
    "not_found": 404,
    "conflict": 409,
    "too_large": 413,
    "limit_exceeded": 429,
    "upstream_unavailable": 503,
    "invalid_config": 422,
}
RETRY_AFTER_S = 5
SHOWN = 500
"""Characters of a caller's words that an error repeats."""


class FieldProblem(BaseModel):
    """One field that does not fit."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    field: str
    """Where: names and positions joined by dots."""
    message: str


class ProblemDocument(BaseModel):
    """What was wrong with a request."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str = "about:blank"
    title: str
    """The name of the HTTP status."""
    status: int
    code: str
    """The name of what was wrong; programs read this."""
    detail: str
    hint: str = ""
    """What would be right, or what to do next."""
    errors: tuple[FieldProblem, ...] = ()
    """The fields that do not fit."""


class ApiError(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self, status: int, code: str, detail: str, *, hint: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.hint = hint
        self.headers = dict(headers or {})


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    errors: tuple[FieldProblem, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return the answer that says what was wrong."""
    title = http.HTTPStatus(status).phrase
    said = one_line(detail, SHOWN)
    body = ProblemDocument(title=title, status=status, code=code, detail=said, hint=hint, errors=errors)
    return JSONResponse(
        body.model_dump(mode="json"), status, headers={"cache-control": "no-store", **(headers or {})},
        media_type=MEDIA_TYPE,
    )  # fmt: skip


async def of_api_error(_request: Request, error: Exception) -> Response:
    """Answer an `ApiError`."""
    if not isinstance(error, ApiError):
        raise error
    return problem(error.status, error.code, error.detail, hint=error.hint, headers=error.headers)


async def of_lg_error(_request: Request, error: Exception) -> Response:
    """Answer what the service refuses or cannot do."""
    if not isinstance(error, LgError):
        raise error
    status = STATUS.get(error.code, 500)
    headers = {"retry-after": str(RETRY_AFTER_S)} if status in (429, 503) else {}
    if isinstance(error, StoreGone):
        # What the database said may name machines and users.
        return problem(status, error.code, "the store of runs cannot be reached", hint="try again", headers=headers)
    return problem(status, error.code, error.message, hint=error.hint, headers=headers)


async def of_http_error(_request: Request, error: Exception) -> Response:
    """Answer an address or a method that there is not."""
    status = int(getattr(error, "status_code", 500))
    codes = {404: "not_found", 405: "method_not_allowed"}
    headers: Any = getattr(error, "headers", None)
    return problem(
        status, codes.get(status, "invalid_request"), str(getattr(error, "detail", "")), headers=headers,
        hint="GET /openapi.json describes every address",
    )  # fmt: skip


async def of_failure(_request: Request, _error: Exception) -> Response:
    """Answer a fault of ours, which the log holds."""
    return problem(500, "internal", "the service failed; its log says why")


def of_fields(error: ValidationError, where: str) -> Response:
    """Answer a body or query whose fields do not fit."""
    found = tuple(
        FieldProblem(
            field=one_line(".".join(map(str, row["loc"])) or where, SHOWN), message=one_line(row["msg"], SHOWN)
        )
        for row in error.errors(include_url=False, include_input=False, include_context=False)[:20]
    )
    return problem(
        422, "invalid_arguments", f"the {where} does not fit: {found[0].field}: {found[0].message}", errors=found,
        hint="GET /openapi.json describes what fits",
    )  # fmt: skip
