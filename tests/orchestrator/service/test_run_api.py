"""The API of runs, with a worker beside it and the built-in analyst."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from lg_orch.cli import main
from tests.orchestrator.service.serving import Api, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("programs_by_fork")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    root = tmp_path / "repo"
    root.mkdir()
    (root / "README.md").write_text("# Thing\n\nIt does a thing.\n")
    return root


@pytest.fixture
def idle(repo: Path) -> Iterator[Api]:
    """A service without a worker: runs stay queued."""
    with serving(repo, worker=False) as api:
        yield api


def test_a_run_is_created_driven_and_followed_to_its_end(repo: Path) -> None:
    with serving(repo) as api:
        run_id = api.create("summarize repo")
        streamed = api.events(run_id)
        ended = api.run(run_id)
        kept = [data for name, _, data in streamed if name == "run"]
        assert (ended["state"], ended["report"]["status"]) == ("done", "done")
        assert "Thing" in ended["report"]["text"]
        assert streamed[-1] == ("end", "", {"state": "done"})
        assert [event["seq"] for event in kept] == list(range(1, ended["last_event"] + 1))
        assert [number for name, number, _ in streamed if name == "run"] == [str(event["seq"]) for event in kept]
        assert api.events(run_id, after=5)[0][1] == "6", "a client that was cut off goes on without a gap"
        assert api.events(run_id, after=9_999)[0] == ("reset", "", {"last": ended["last_event"]})
        trace = api("GET", f"/v1/runs/{run_id}/trace").json
        assert (trace["status"], len(trace["events"])) == ("done", ended["last_event"])
        names = [entry["name"] for entry in api("GET", f"/v1/runs/{run_id}/artifacts").json["artifacts"]]
        assert names[0] == "report.md"
        report = api("GET", f"/v1/runs/{run_id}/artifacts/report.md")
        assert "attachment" in report.headers["content-disposition"]
        assert report.headers["x-content-type-options"] == "nosniff"
        results = [api("GET", f"/v1/runs/{run_id}/artifacts/{name}").json for name in names[1:]]
        assert any(result["ok"] for result in results), results  # one of them looks for a commit, which there is not
        refused = api("POST", f"/v1/runs/{run_id}/cancel")
        assert (refused.status, refused.json["code"]) == (409, "conflict")
        assert api("POST", f"/v1/runs/{run_id}/resume").status == 409


def test_the_same_key_and_body_make_one_run(idle: Api) -> None:
    key = {"idempotency-key": "once"}
    first = idle("POST", "/v1/runs", {"request": "summarize repo"}, headers=key)
    again = idle("POST", "/v1/runs", {"request": "summarize repo"}, headers=key)
    other = idle("POST", "/v1/runs", {"request": "something else"}, headers=key)
    assert (first.status, again.status, other.status) == (201, 200, 409)
    assert first.json == again.json
    assert first.headers["location"] == f"/v1/runs/{first.json['run_id']}"
    assert len(idle("GET", "/v1/runs").json["runs"]) == 1


def test_a_list_has_pages_and_filters(idle: Api, repo: Path) -> None:
    made = [idle.create(f"request {number}_%") for number in range(5)]
    assert idle("POST", f"/v1/runs/{made[0]}/cancel").json["state"] == "cancelled"
    found: list[str] = []
    page = idle("GET", "/v1/runs?limit=2").json
    found += [run["run_id"] for run in page["runs"]]
    while page["next"]:
        page = idle("GET", f"/v1/runs?limit=2&after={page['next']}").json
        found += [run["run_id"] for run in page["runs"]]
    assert found == made[::-1]
    for query, expected in (
        ("state=cancelled", [made[0]]),
        ("text=REQUEST%203_", [made[3]]),
        ("text=_%25", made[::-1]),
        ("text=x%25", []),
        (f"repository={repo}", made[::-1]),
        ("repository=/elsewhere", []),
        (f"text={made[2]}", [made[2]]),
    ):
        assert [run["run_id"] for run in idle("GET", f"/v1/runs?{query}").json["runs"]] == expected, query


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "request"),
        ({"request": "  "}, "request"),
        ({"request": "x", "unknown": 1}, "unknown"),
        ({"request": "x", "priority": 1_000}, "priority"),
        ({"request": "x", "approvals": "yes"}, "approvals"),
    ],
)
def test_a_body_that_does_not_fit_is_told_the_field(idle: Api, body: dict[str, object], field: str) -> None:
    refused = idle("POST", "/v1/runs", body)
    assert refused.status == 422
    assert refused.headers["content-type"] == "application/problem+json"
    assert [entry["field"] for entry in refused.json["errors"]] == [field]


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"repository": "/etc"}, 403, "policy_denied"),
        ({"repository": "relative"}, 422, "invalid_arguments"),
        ({"repository": "https://example.com/x.git"}, 403, "policy_denied"),
        ({"repository": "ext::sh -c id"}, 422, "invalid_arguments"),
        ({"max_tokens": 10**9}, 422, "invalid_arguments"),
        ({"model": "nonsense"}, 422, "invalid_arguments"),
        ({"request": "a\0b"}, 422, "invalid_arguments"),
        ({"request": "a\ud800b"}, 422, "invalid_arguments"),
    ],
)
def test_a_run_that_the_service_does_not_allow_is_refused(
    idle: Api, fields: dict[str, object], status: int, code: str
) -> None:
    refused = idle("POST", "/v1/runs", {"request": "summarize repo", **fields})
    assert (refused.status, refused.json["code"]) == (status, code)
    assert idle("GET", "/v1/runs").json["runs"] == []


@pytest.mark.parametrize(
    ("headers", "data", "status"),
    [
        ({"host": "evil.example"}, None, 421),
        ({"origin": "https://evil.example"}, None, 403),
        ({"content-type": "text/plain"}, b"{}", 415),
        ({"content-type": "application/json"}, b"{", 400),
        ({"content-type": "application/json"}, b"[" * 100_000, 400),
        ({"content-type": "application/json"}, b'{"priority": NaN}', 400),
        ({"content-type": "application/json"}, b" " * 300_000, 413),
        ({"authorization": ""}, b"{}", 401),
        ({"authorization": "Bearer lgr_000000000000_" + "A" * 43}, b"{}", 401),
        ({"idempotency-key": "k" * 201, "content-type": "application/json"}, b'{"request": "x"}', 422),
    ],
)
def test_a_request_of_a_stranger_or_in_the_wrong_form_is_refused(
    idle: Api, headers: dict[str, str], data: bytes | None, status: int
) -> None:
    refused = idle("POST", "/v1/runs", headers=headers, data=data)
    assert (refused.status, refused.json["status"]) == (status, status)
    assert refused.headers["content-type"] == "application/problem+json"


def test_a_role_may_do_what_it_may_and_no_more(idle: Api, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = idle.create("summarize repo")
    as_role = {
        role: replace(idle, token=idle.parts.tokens.create(f"a-{role}", role, 60)) for role in ("viewer", "approver")
    }
    for path, body, needed in (
        ("/say", {"text": "use a dict"}, "approver"),
        ("/cancel", None, "operator"),
        ("/undo", {"preview": True}, "operator"),
        ("/fork", {"step": 1}, "operator"),
    ):
        for role, api in as_role.items():
            allowed = role == needed
            answered = api("POST", f"/v1/runs/{run_id}{path}", body)
            assert (answered.status == 202) if allowed else (answered.status == 403), (path, role, answered.data)
    assert as_role["viewer"].run(run_id)["request"] == "summarize repo"
    idle.parts.tokens.revoke("a-viewer")
    assert as_role["viewer"]("GET", "/v1/runs").status == 401


def test_tokens_are_made_listed_and_revoked(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ["--repo-root", str(repo)]
    assert main(["tokens", "create", "ann", "--role", "approver", *at]) == 0
    made = capsys.readouterr()
    token = made.out.strip()
    assert "for ann (approver), valid for 90 days; it is not shown again" in made.err
    assert "LG_SERVER_TOKEN" in made.err
    with serving(repo, worker=False) as api:
        ann = replace(api, token=token)
        assert ann("GET", "/v1/runs").status == 200
        assert ann("POST", "/v1/runs", {"request": "x"}).status == 403
        assert main(["tokens", "list", "--json", *at]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert {(row["name"], row["role"], row["state"]) for row in rows} == {
            ("ann", "approver", "active"),
            ("local", "operator", "active"),
        }
        assert token not in str(rows)
        assert main(["tokens", "revoke", "ann", *at]) == 0
        assert ann("GET", "/v1/runs").status == 401


def test_the_state_of_the_service_is_told_to_strangers_without_names(idle: Api) -> None:
    stranger = replace(idle, token="")
    for path in ("/healthz", "/readyz"):
        assert (stranger("GET", path).status, stranger("GET", path).json) == (200, {"status": "ok"})
    assert stranger("GET", "/openapi.json").json["paths"].keys() >= {"/v1/runs", "/v1/runs/{run_id}/events"}
    wrong = idle("DELETE", "/v1/runs")
    assert (wrong.status, set(wrong.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "POST"})
    assert idle("GET", "/v1/nothing").status == 404
    assert idle("GET", "/v1/runs/20260101T000000-aaaaaa").status == 404
