"""Odd and hostile requests to the run service and its console: each is refused in words, none breaks anything."""

from __future__ import annotations

import base64
import time
from dataclasses import replace
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from pydantic import ValidationError
from starlette.requests import Request

from lg_console.live.marks import Marks
from lg_console.live.stream import EventStream, Streams
from lg_console.login.guard import Guard, Visitor
from lg_console.login.memory import MemoryRows
from lg_console.login.sessions import SessionTable
from lg_console.sources.people import LoggedInBy, Person, Role
from lg_orch.cli import main
from lg_orch.service.api.access import Caller
from lg_orch.service.api.acting import create_run
from lg_orch.service.api.bodies import CreateRun
from lg_orch.service.api.endpoints import Call
from lg_orch.service.serving import service_of
from lg_policy.config.service import ServiceSettings
from lg_policy.errors import ConfigError, Conflict
from tests.orchestrator.service.serving import WAIT_S, Api, parsed, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import Message

ADDRESSES = ("https://git.example.com/x.git", "ssh://git@x/y", "file:///etc", "git@example.com:x.git")


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service without a worker: runs stay queued."""
    tmp = tmp_path_factory.mktemp("odd")
    (tmp / "repo").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LG_KEY_DIR", "LG_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            (tmp / name).mkdir(mode=0o700)
            patch.setenv(name, str(tmp / name))
        with serving(tmp / "repo", worker=False, recheck_s=0.05) as api:
            yield api


def test_nothing_is_cloned_unless_settings_allow_its_address(idle: Api, tmp_path: Path) -> None:
    for address in ADDRESSES:
        refused = idle("POST", "/v1/runs", {"request": "x", "repository": address})
        odd = address.startswith("git@")
        assert (refused.status, refused.json["code"]) == ((422, "invalid_arguments") if odd else (403, "policy_denied"))
        assert "service.clone_from" in refused.json["hint"]
        with pytest.raises(ValidationError, match="absolute path"):
            ServiceSettings(repositories=(address,))
    assert idle("POST", "/v1/runs", {"request": "x", "ref": "main"}).status == 422
    with pytest.raises(ConfigError, match="no directory"):
        idle.parts.repositories.setup("", {})
    (tmp_path / "real" / "api").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    allowed = replace(idle.parts.repositories, allowed=(f"{tmp_path}/link/*",))
    assert allowed.resolve(f"{tmp_path}/link/api")[1] == f"{tmp_path}/real/api"


@pytest.mark.parametrize("word", ['[1,"\\ud800"]', '[1,"\\u0000"]', '[NaN,"x"]', '[1e999,"x"]', "[1,{}]"])
def test_a_cursor_that_no_page_gave_is_refused(idle: Api, word: str) -> None:
    cursor = base64.urlsafe_b64encode(word.encode()).decode()
    assert idle("GET", f"/v1/runs?after={cursor}").status == 422
    assert idle("GET", f"/runs?after={cursor}").status == 400


def test_text_that_no_database_takes_and_deep_bodies_are_refused_by_api_and_console(idle: Api) -> None:
    own = {"origin": f"http://127.0.0.1:{idle.port}", "content-type": "application/json", "authorization": ""}
    for said in (b'{"link": "\\ud800"}', b'{"link": "\\u0000"}'):
        assert idle("POST", "/login/link", headers=own, data=said).status == 400
    for path in ("/runs?text=%00", "/runs/%00", "/v1/events?topics=run:%00"):
        assert idle("GET", path).status == 400, path
    for path in ("/v1/runs/%00", "/v1/events?topics=run:nobody"):
        assert idle("GET", path).status == 404, path
    run_id = idle.create("x")
    for depth in (200, 900):
        deep = '{"question": "x", "decision": "edit", "arguments": {"a": ' + "[" * depth + "]" * depth + "}}"
        refused = idle(
            "POST", f"/v1/runs/{run_id}/answer", data=deep.encode(), headers={"content-type": "application/json"}
        )
        assert (refused.status, refused.json["code"]) == (422, "invalid_arguments")


def test_a_stream_ends_for_whoever_may_look_no_more(idle: Api) -> None:
    run_id = idle.create("x")
    viewer = replace(idle, token=idle.parts.tokens.create("gone", "viewer", 60))
    assert viewer.events_so_far(run_id)[-1][0] == "end"
    idle.parts.tokens.revoke("gone")
    assert viewer("GET", f"/v1/runs/{run_id}/events").status == 401

    looks = iter(range(1_000))

    async def busy(_topic: str) -> str:
        return str(next(looks))

    async def follow(role: Role) -> list[Message]:
        guard = Guard(SessionTable(MemoryRows()), idle.people)
        stream = EventStream(
            Streams(Marks({"busy": busy}), guard, recheck_s=0.0),
            ["busy"],
            Visitor(person=Person(name="gone", role=role, by=LoggedInBy.RUN_TOKEN)),
        )
        sent: list[Message] = []

        async def receive() -> Message:
            await anyio.sleep_forever()
            return {}

        async def send(message: Message) -> None:
            sent.append(message)

        with anyio.fail_after(60):
            await stream({"type": "http"}, receive, send)
        return sent

    told = b"".join(message.get("body", b"") for message in anyio.run(follow, Role.VIEWER))
    assert b"event: over" in told
    assert b"event: marks" not in told


def test_a_run_stream_that_is_open_ends_when_its_token_is_revoked(idle: Api) -> None:
    run_id = idle.create("x")
    connection = HTTPConnection("127.0.0.1", idle.port, timeout=WAIT_S)
    token = idle.parts.tokens.create("short", "viewer", 3_600)
    connection.request("GET", f"/v1/runs/{run_id}/events", headers={"authorization": f"Bearer {token}"})
    with connection.getresponse() as answer:
        assert answer.status == 200
        idle.parts.tokens.revoke("short")
        names = [name for name, _, _ in parsed(answer.read().decode())]
    connection.close()
    assert "end" not in names, "the stream ends, and says nothing of an end of the run"


def test_a_key_of_one_service_makes_no_run_of_another_ones_repository(idle: Api, tmp_path: Path) -> None:
    service = service_of(idle.parts, None)
    other = replace(service, repositories=replace(service.repositories, home=tmp_path.resolve()))

    def call(of: Any) -> Call:
        scope = {"type": "http", "path": "/v1/runs", "query_string": b"", "headers": [(b"idempotency-key", b"k")]}
        return Call(
            service=of, request=Request(scope | {"server": ("x", 1), "scheme": "http", "method": "POST"}),
            caller=Caller(name="ann", role="operator"), run_id="", body=CreateRun(request="x"), query=None,
        )  # fmt: skip

    assert anyio.run(create_run, call(service)).status_code == 201
    assert anyio.run(create_run, call(service)).status_code == 200
    with pytest.raises(Conflict, match="another request"):
        anyio.run(create_run, call(other))


def test_what_only_a_local_run_can_do_is_not_left_out_by_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--server", "http://127.0.0.1:9"]
    for typed in (
        ["run", "x", "--plan-only"],
        ["run", "x", "--trace"],
        ["run", "x", "--gateway", "http://127.0.0.1:9"],
        ["run", "x", "--profile", "prod"],
        ["resume", "last", "--plan", "steps"],
        ["resume", "last", "--deny-all"],
        ["runs", "show", "last", "--html"],
    ):
        assert main([*typed, *at]) == 2
        assert "does not go with --server" in capsys.readouterr().err, typed


def test_an_undo_that_breaks_has_failed_and_its_worker_goes_on(tmp_path: Path) -> None:
    (tmp_path / "repo").mkdir()
    with serving(tmp_path / "repo") as api:
        run_id = api.create("summarize repo")
        api.until(run_id, "done")
        api.parts.runs.undo(run_id, {"to": "no number"}, "ann")
        deadline = time.monotonic() + WAIT_S
        while (undo := api.run(run_id)["undo"])["state"] == "queued" and time.monotonic() < deadline:
            time.sleep(0.05)
        assert undo["state"] == "failed"
        api.until(api.create("summarize repo"), "done")
