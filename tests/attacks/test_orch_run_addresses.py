"""Attacks on the addresses of runs: ids, steps, places and event numbers that nobody gave; roles that may not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from tests.orchestrator.service.serving import Api, serving

CODE = "<img src=x onerror=alert(1)>\"'`;--"
IDS = (
    "..", ".", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%2f..", quote(CODE, safe=""), "%00", "%ff%fe",
    "%0d%0aset-cookie:%20a=b", "last", "*", "20260101T000000-aaaaaa", "a" * 5_000, "%E2%80%AE", "-1", "'%20OR%201=1--",
)  # fmt: skip
READ = (
    "",
    "/events?follow=false",
    "/trace",
    "/artifacts",
    "/artifacts/report.md",
    "/artifacts/..%2f..%2fservice-token",
)
CHANGED: tuple[tuple[str, Any], ...] = (
    ("answer", {"question": "x", "decision": "approve"}), ("say", {"text": "x"}), ("resume", None),
    ("fork", {"step": 1}), ("undo", {}), ("undo", {"preview": True}), ("undo", {"change_sets": ["x"]}),
    ("cancel", None),
)  # fmt: skip
PAGES = ("", "/undo", "/export", "/compare/last", "?at=1", "?at=99999999", "?tab=report")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service without a worker: runs stay queued."""
    tmp = tmp_path_factory.mktemp("addresses")
    (tmp / "repo").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LG_KEY_DIR", "LG_STATE_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
            (tmp / name).mkdir(mode=0o700)
            patch.setenv(name, str(tmp / name))
        with serving(tmp / "repo", worker=False) as made:
            yield made


def state(api: Api) -> list[dict[str, object]]:
    found: list[dict[str, object]] = api("GET", "/v1/runs").json["runs"]
    return found


@pytest.mark.attack(
    "web pages", "an id of a run that nobody gave leads out of its folder, breaks the service or is markup"
)
def test_an_id_that_nobody_gave_names_no_run(api: Api) -> None:
    before = state(api)
    for run_id in IDS:
        asked = [api("GET", f"/v1/runs/{run_id}{path}") for path in READ]
        asked += [api("POST", f"/v1/runs/{run_id}/{action}", body) for action, body in CHANGED]
        asked += [api("GET", f"/runs/{run_id}{path}", headers={"accept": "text/html"}) for path in PAGES]
        for answer in asked:
            assert 400 <= answer.status < 500, (run_id, answer.status, answer.data[:200])
            assert b"<img" not in answer.data or answer.headers["content-type"].startswith("application/"), run_id
            assert "set-cookie" not in answer.headers, run_id
            assert b"root:" not in answer.data, run_id
    assert state(api) == before


@pytest.mark.attack("login", "a viewer or an approver changes runs, at the API or with a session of the console")
def test_a_role_reads_previews_and_changes_no_more_than_it_may(api: Api) -> None:
    run_id = api.create("x")
    before = state(api)
    for role, allowed in (("viewer", set[str]()), ("approver", {"answer", "say"})):
        who = replace(api, token=api.parts.tokens.create(f"a-{role}", role, 60))
        for action, body in CHANGED:
            if action not in allowed:
                assert who("POST", f"/v1/runs/{run_id}/{action}", body).status == 403, (role, action)
        assert who("POST", "/v1/runs", {"request": "x"}).status == 403
    assert state(api) == before


@pytest.mark.attack(
    "web pages", "a step, a place or the number of an event is no number, is negative or has a thousand digits"
)
def test_numbers_that_are_none_are_refused(api: Api) -> None:
    run_id = api.create("x")
    before = state(api)
    for odd in (-1, 10**400, 1.5, "1", True, None, [1], {"a": 1}):
        for action, body in (("fork", {"step": odd}), ("undo", {"to": odd})):
            answer = api("POST", f"/v1/runs/{run_id}/{action}", body)
            assert 400 <= answer.status < 500, (action, odd, answer.data)
    for odd in ("-1", "1e3", "0x10", "9" * 400, "%C2%B2", "1%00", "NaN"):
        assert api("GET", f"/runs/{run_id}?at={odd}", headers={"accept": "text/html"}).status == 400, odd
        assert api("GET", f"/v1/runs/{run_id}/events?after={odd}&follow=false").status == 422, odd
    for odd in ("-1", "+1", "1 2", "0x1", "\u00b2", "9" * 400, "1;2", "null", "1e3"):
        answer = api("GET", f"/v1/runs/{run_id}/events?follow=false", headers={"last-event-id": odd})
        assert answer.status == 422, odd
    for fine in ("0", "000000001", " 7 ", "999999999"):
        answer = api("GET", f"/v1/runs/{run_id}/events?follow=false", headers={"last-event-id": fine})
        assert answer.status == 200, fine
    assert state(api) == before
