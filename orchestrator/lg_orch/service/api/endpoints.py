"""The addresses of the API, as data: routes and the OpenAPI document are both made of these rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from lg_orch.service.api.problems import ProblemDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel
    from starlette.requests import Request

    from lg_orch.service.api.access import Caller, Role
    from lg_orch.service.api.service import RunService


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request, checked: who sends it, what it names, what it says."""

    service: RunService
    request: Request
    caller: Caller
    run_id: str
    body: Any
    """The model of the endpoint's `body`; none where it takes no body."""
    query: Any


SERVER_SENT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "description": "The event's number."},
        "event": {"type": "string", "enum": ["run", "state", "reset", "end"]},
        "data": {"type": "string", "description": "JSON."},
    },
    "required": ["event", "data"],
}
"""One event of a stream."""
Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one address."""

    method: str
    path: str
    name: str
    """`operationId` in the OpenAPI document."""
    summary: str
    role: Role
    handler: Handler
    body: type[BaseModel] | None = None
    """What it takes. `optional` tells whether nothing may be sent."""
    optional: bool = False
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that it reads, with what they mean."""
    answers: Mapping[int, tuple[str, type[BaseModel] | str]] = field(default_factory=dict)
    """What it answers by status: words, and the model or the media type."""


PROBLEMS = {
    400: "The request cannot be read.",
    401: "No valid token.",
    403: "The caller's role or the service's settings do not allow this.",
    404: "There is no such run.",
    405: "There is no such method here.",
    409: "The run's state does not allow this.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    421: "The Host header is not one of this service's.",
    422: "A field does not fit.",
    429: "Too many runs wait.",
    503: "The store cannot be reached, or too many streams are open.",
}
"""What every address may answer instead, as `application/problem+json`."""


def openapi(endpoints: tuple[Endpoint, ...], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of these addresses."""
    schemas: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path.replace(":path}", "}"), {})[endpoint.method.lower()] = _operation(
            endpoint, schemas
        )
    _schema(ProblemDocument, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "lg-orch runs", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(endpoint: Endpoint, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": f"Role: {endpoint.role}.",
        "parameters": [*_in_path(endpoint), *_in_query(endpoint, schemas), *_in_headers(endpoint)],
        "responses": {str(status): _answer(words, what, schemas) for status, (words, what) in endpoint.answers.items()},
    }
    for status, words in PROBLEMS.items():
        content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDocument"}}}
        operation["responses"][str(status)] = {"description": words, "content": content}
    if endpoint.body is not None:
        content = {"application/json": {"schema": _schema(endpoint.body, schemas)}}
        operation["requestBody"] = {"required": not endpoint.optional, "content": content}
    return operation


def _in_path(endpoint: Endpoint) -> list[dict[str, Any]]:
    found = []
    if "{run_id}" in endpoint.path:
        pattern = r"^[0-9]{8}T[0-9]{6}-[0-9a-f]{6}$"
        found.append(
            {"name": "run_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": pattern}}
        )
    if "{name:path}" in endpoint.path or "{name}" in endpoint.path:
        found.append({"name": "name", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}})
    return found


def _in_query(endpoint: Endpoint, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    whole = endpoint.query.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(whole.pop("$defs", {}))
    return [
        {"name": name, "in": "query", "required": name in whole.get("required", ()), "schema": _plain(schema),
         "description": schema.get("description", "")}
        for name, schema in whole["properties"].items()
    ]  # fmt: skip


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """A query has no null: a parameter is left out."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind.get("type") != "null"]
    return kinds[0] if len(kinds) == 1 else {name: value for name, value in schema.items() if name != "default"}


def _in_headers(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "header", "required": False, "schema": {"type": "string", "minLength": 1},
         "description": words}
        for name, words in endpoint.headers.items()
    ]  # fmt: skip


def _answer(words: str, what: type[BaseModel] | str, schemas: dict[str, Any]) -> dict[str, Any]:
    if isinstance(what, str):
        schema = SERVER_SENT if what == "text/event-stream" else {"type": "string"}
        return {"description": words, "content": {what: {"schema": schema}}}
    return {"description": words, "content": {"application/json": {"schema": _schema(what, schemas)}}}


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    whole = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(whole.pop("$defs", {}))
    schemas[model.__name__] = whole
    return {"$ref": f"#/components/schemas/{model.__name__}"}
