"""A client of the run API, for the command line: requests, and the events of a run as they come."""

from __future__ import annotations

import json
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx2

from lg_orch.contracts.errors import GatewayGone
from lg_orch.contracts.events import Event
from lg_policy.errors import ConfigError, Conflict, NotFound, PolicyDenied, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT_S = 60.0
RETRIES = 5
"""How often a stream that was cut off is begun again without an event in between."""
PAUSE_S = 2.0
_ERRORS = {401: PolicyDenied, 403: PolicyDenied, 404: NotFound, 409: Conflict, 422: UsageError}


class ServerGone(GatewayGone):
    """The run service cannot be reached."""


class RunClient:
    """Requests to one run service, with a token."""

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        """Raise `ConfigError` for an address that no token may be sent to, or without a token."""
        parts = urlsplit(url)
        local = parts.hostname in ("127.0.0.1", "::1", "localhost")
        if parts.scheme not in ("http", "https") or not parts.hostname or (parts.scheme == "http" and not local):
            raise ConfigError(
                f"--server {url!r} must be an https address, or http on this machine",
                hint="for example http://127.0.0.1:8750",
            )
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._client = httpx2.Client(
            base_url=self._base, timeout=TIMEOUT_S, headers={"authorization": f"Bearer {_token(environ)}"}
        )

    def close(self) -> None:
        """Close its connections."""
        self._client.close()

    def send(self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Any:
        """Return what the service answers. Raises the error that it names, `ServerGone`."""
        try:
            answer = self._client.request(method, path, json=body, params=dict(query or {}))
        except httpx2.HTTPError as error:
            raise self._gone(error) from error
        if answer.status_code >= 400:
            raise _refusal(answer.status_code, answer.content)
        return answer.json() if answer.headers.get("content-type", "").startswith("application/json") else answer.text

    def events(self, run_id: str, after: int = 0) -> Iterator[tuple[str, Any]]:
        """Yield `run` with an event, `state` and `end` with their data; goes on after a cut. Raises `ServerGone`."""
        failed = 0
        while True:
            try:
                for name, data in self._stream(run_id, after):
                    if name == "reset":
                        after = 0
                        break
                    failed = 0
                    after = data.seq if isinstance(data, Event) else after
                    yield name, data
                    if name == "end":
                        return
            except (httpx2.HTTPError, ServerGone) as error:
                failed += 1
                if failed > RETRIES:
                    raise (error if isinstance(error, ServerGone) else self._gone(error)) from error
            time.sleep(PAUSE_S)

    def _stream(self, run_id: str, after: int) -> Iterator[tuple[str, Any]]:
        headers = {"last-event-id": str(after)} if after else {}
        with self._client.stream("GET", f"/v1/runs/{run_id}/events", headers=headers) as answer:
            if answer.status_code >= 400:
                raise _refusal(answer.status_code, answer.read())
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                name, colon, value = line.partition(": ")
                if line and colon and name:
                    fields[name] = value
                elif not line and "event" in fields:
                    name = fields["event"]
                    yield (
                        name,
                        Event.model_validate_json(fields["data"]) if name == "run" else json.loads(fields["data"]),
                    )
                    fields = {}

    def _gone(self, error: Exception) -> ServerGone:
        what = str(error) or type(error).__name__
        return ServerGone(f"the run service {self._base} does not answer: {what}", hint="is `lg-orch serve` running?")


@contextmanager
def connected(url: str) -> Iterator[RunClient]:
    """A client for the length of the block."""
    client = RunClient(url)
    try:
        yield client
    finally:
        client.close()


def _token(environ: Mapping[str, str]) -> str:
    """The caller's token, from the environment or the file that `LG_SERVER_TOKEN_FILE` names."""
    token = environ.get("LG_SERVER_TOKEN", "").strip()
    place = environ.get("LG_SERVER_TOKEN_FILE", "")
    if not token and place:
        try:
            with open(place, encoding="ascii") as file:
                token = file.read(1_000).strip()
        except (OSError, ValueError) as error:
            raise ConfigError(f"LG_SERVER_TOKEN_FILE: {place} cannot be read: {error}") from error
    if not token or not token.isascii():
        raise ConfigError(
            "no token for the run service is known",
            hint="set LG_SERVER_TOKEN, or LG_SERVER_TOKEN_FILE to the file that `lg-orch serve` names",
        )
    return token


def _refusal(status: int, data: bytes) -> Exception:
    try:
        said = json.loads(data)
        detail, hint = str(said["detail"]), str(said.get("hint", ""))
    except (ValueError, KeyError, TypeError):
        detail, hint = f"the run service answered with status {status}", "is this the address of `lg-orch serve`?"
    return _ERRORS.get(status, ServerGone)(detail, hint=hint)
