"""`lg-orch run "summarize repo"` as a user runs it, over stdio and over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from tests.e2e.programs import run, serving
from tests.e2e.repository import write_project

SCHEMA = Path(__file__).parents[2] / "schemas" / "run_trace.schema.json"
FACTS = ("Tidal", "`tidal`", "0.3.1", "`attrs`", ">=23.1", "tidal.cli:main", "MIT", "Python")
BY_FORK = pytest.mark.usefixtures("programs_by_fork")


def test_the_main_job_reports_facts_and_writes_a_valid_trace(project: Path) -> None:
    done = run("lg-orch", "run", "summarize repo", "--trace", cwd=project)
    assert done.returncode == 0, done.stderr
    for fact in FACTS:
        assert fact in done.stdout
    assert "no language model" in done.stdout
    assert "never-to-be-shown" not in done.stdout + done.stderr
    (trace_file,) = (project / "artifacts" / "runs").iterdir()
    trace = json.loads(trace_file.read_text())
    Draft202012Validator(json.loads(SCHEMA.read_text())).validate(trace)
    assert trace["status"] == "done"
    assert {call["result"]["tool"] for call in trace["tool_calls"]} >= {"fs__list_files", "fs__read_file"}
    nodes = {event["name"] for event in trace["events"] if event["kind"] == "node"}
    assert nodes >= {
        "ingest",
        "policy_gate",
        "context_builder",
        "router",
        "planner",
        "executor",
        "verifier",
        "reporter",
    }


@BY_FORK
def test_from_a_directory_below_it_works_on_the_whole_repository(project: Path) -> None:
    done = run("lg-orch", "run", "where is Harbour defined?", cwd=project / "src" / "tidal")
    assert done.returncode == 0, done.stderr
    assert "src/tidal/model.py:1" in done.stdout


@BY_FORK
def test_through_a_running_gateway_over_http_with_a_token(project: Path, tmp_path: Path) -> None:
    made = run("lg-gateway", "tokens", "create", "orchestrator", "--root", str(project), cwd=tmp_path)
    token = {"LG_GATEWAY_TOKEN": made.stdout.strip()}
    with serving("lg-gateway", "--root", str(project), cwd=tmp_path) as url:
        to = ("--gateway", url, "--repo-root", str(project))
        done = run("lg-orch", "run", "summarize repo", *to, cwd=tmp_path, env=token)
        refused = run("lg-orch", "run", "summarize repo", *to, cwd=tmp_path)
    assert refused.returncode == 2
    assert "LG_GATEWAY_TOKEN is not set" in refused.stderr + refused.stdout
    assert done.returncode == 0, done.stderr
    for fact in FACTS:
        assert fact in done.stdout


@BY_FORK
def test_a_gateway_for_another_root_is_refused(project: Path, tmp_path: Path) -> None:
    other = write_project(tmp_path / "other")
    with serving("lg-gateway", "--no-login", "--root", str(other), cwd=tmp_path) as url:
        done = run("lg-orch", "run", "summarize repo", "--gateway", url, "--repo-root", str(project), cwd=tmp_path)
    assert done.returncode == 2
    assert "root" in done.stderr


@BY_FORK
def test_no_gateway_at_the_address_is_a_clear_error(project: Path) -> None:
    done = run("lg-orch", "run", "summarize repo", "--gateway", "http://127.0.0.1:9/mcp", cwd=project)
    assert done.returncode == 1
    assert "no answer from the gateway" in done.stderr
    assert "Traceback" not in done.stderr


@BY_FORK
def test_json_gives_one_event_a_line_and_a_json_result(project: Path) -> None:
    done = run("lg-orch", "run", "where is Harbour defined?", "--json", cwd=project)
    result = json.loads(done.stdout)
    events = [json.loads(line) for line in done.stderr.splitlines()]
    assert result["status"] == "done"
    assert {"file": "src/tidal/model.py", "line": 1}.items() <= result["statements"][0].items()
    assert [event["seq"] for event in events] == sorted(event["seq"] for event in events)


@BY_FORK
@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["run", "refactor the model"], "--model"),
        (["run", "summarize repo", "--repo-root", "missing"], "missing"),
        (["run", "summarize repo", "--repo-root", "/"], "too broad"),
        (["run"], "REQUEST"),
        (["run", "summarize repo", "--config", "none.toml"], "none.toml"),
        (["run", "summarize repo", "--profile", "nightly"], "nightly"),
    ],
)
def test_what_cannot_be_done_ends_with_status_2_and_says_why(project: Path, args: list[str], said: str) -> None:
    done = run("lg-orch", *args, cwd=project)
    assert done.returncode == 2
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (project / "artifacts").exists()


@BY_FORK
def test_an_empty_directory_gets_a_sensible_answer(tmp_path: Path) -> None:
    done = run("lg-orch", "run", "summarize repo", "--repo-root", str(tmp_path), cwd=tmp_path)
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    assert done.stdout.strip()
