"""Schedules, what is removed after a time, and what is counted. The same on both stores."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from lg_orch.cli import main
from lg_orch.runs.run_directory import fresh_run_id
from lg_orch.service.logs import JsonFormatter, current_run
from lg_orch.service.records.lease_table import LeaseTable
from lg_orch.service.records.postgres import PostgresDatabase
from lg_orch.service.records.retention import Retention
from lg_orch.service.records.rows import NewRun
from lg_orch.service.records.run_counts import run_families
from lg_orch.service.records.schedule_table import Schedule, ScheduleTable, next_slot
from lg_orch.service.records.sqlite import SqliteDatabase
from lg_orch.service.serving import chores_of
from lg_policy.errors import Conflict, InvalidArguments, NotFound, PolicyDenied
from lg_policy.metrics_text import metrics_text
from lg_policy.secrets.masking import Masker
from tests.orchestrator.service.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lg_orch.service.records.interface import Database

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def database(store_url: str | None, tmp_path: Path) -> Iterator[Database]:
    made: Database = PostgresDatabase(store_url) if store_url else SqliteDatabase(tmp_path / "service.db")
    yield made
    made.close()


def alerts() -> list[dict[str, str]]:
    found = yaml.safe_load((ROOT / "deploy/prometheus/service-alerts.yaml").read_text("utf-8"))
    return [rule for group in found["groups"] for rule in group["rules"]]


def new_run(_schedule: Schedule | None = None, *, root: str = "/a") -> NewRun:
    return NewRun(run_id=fresh_run_id(), request="x", repository=root, root=root, root_id=root, created_by="ann")


def overdue(database: Database, name: str) -> None:
    with database.transaction() as tx:
        tx.execute("UPDATE lg_schedules SET next_at = 1000 WHERE name = ?", (name,))


def test_a_slot_that_passed_makes_one_run_however_many_servers_look(database: Database) -> None:
    table, leases = ScheduleTable(database), LeaseTable(database, lease_s=9, max_attempts=2)
    made = table.add("nightly", "0 3 * * *", "UTC", {"request": "x"}, "ann")
    assert made.next_at > made.created
    assert table.begin_due(new_run, max_queued=9) == [], "its time has not come"
    overdue(database, "nightly")
    with ThreadPoolExecutor(4) as pool:
        found = [run for runs in pool.map(lambda _: table.begin_due(new_run, max_queued=9), range(4)) for run in runs]
    assert len(found) == 1, "hundreds of slots passed"
    (schedule,) = table.all()
    assert (schedule.last_run, schedule.next_at >= made.next_at, schedule.error) == (found[0], True, None)
    assert leases.runs.get(found[0]).state == "queued"


def test_a_slot_whose_run_is_refused_says_why_and_the_next_one_comes(database: Database) -> None:
    table = ScheduleTable(database)
    table.add("nightly", "0 3 * * *", "UTC", {}, "ann")

    def refused(_schedule: Schedule) -> NewRun:
        raise PolicyDenied("not allowed any more")

    for made, limit, words in ((refused, 9, "not allowed any more"), (new_run, 0, "max_queued is 0")):
        overdue(database, "nightly")
        assert table.begin_due(made, max_queued=limit) == []
        (schedule,) = table.all()
        assert words in str(schedule.error)
        assert schedule.next_at > 1000
    with pytest.raises(Conflict):
        table.add("nightly", "0 3 * * *", "UTC", {}, "bob")
    table.remove("nightly")
    with pytest.raises(NotFound):
        table.remove("nightly")


def test_a_schedule_whose_zone_this_machine_does_not_know_says_so_and_stops_no_other(database: Database) -> None:
    table = ScheduleTable(database)
    for name in ("broken", "nightly"):
        table.add(name, "0 3 * * *", "UTC", {"request": "x"}, "ann")
        overdue(database, name)
    with database.transaction() as tx:
        tx.execute("UPDATE lg_schedules SET zone = 'Mars/Olympus' WHERE name = ?", ("broken",))
    assert len(table.begin_due(new_run, max_queued=9)) == 1
    assert table.begin_due(new_run, max_queued=9) == []
    broken, nightly = sorted(table.all(), key=lambda schedule: schedule.name)
    assert "Mars/Olympus" in str(broken.error)
    assert broken.next_at > 1000
    assert (broken.last_run, nightly.error) == (None, None)


def test_times_are_those_of_the_zone_also_when_clocks_change() -> None:
    before = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()
    assert datetime.fromtimestamp(next_slot("0 9 * * *", "Europe/Vienna", before), UTC).hour == 7
    for cron, zone in (
        ("* * * * * *", "UTC"), ("x", "UTC"), ("0 0 30 2 *", "UTC"), ("0 3 * * *", "../etc/passwd"),
        ("0 3 * * *", "/etc/passwd"), ("0 3 * * *", "Nowhere/No"), ("* * * * " + "1," * 50_000 + "1", "UTC"),
        ("0 3 * * \0", "UTC"), ("@daily", "UTC"), ("0 3 * * *", "\0"),
    ):  # fmt: skip
        with pytest.raises(InvalidArguments):
            next_slot(cron, zone, before)


def test_what_ended_long_ago_is_removed_and_what_waits_or_is_new_stays(database: Database) -> None:
    leases = LeaseTable(database, lease_s=1_000, max_attempts=2)
    rows = {}
    for state in ("done", "failed", "waiting", "cancelled", "new"):
        rows[state] = leases.runs.create(new_run(root=f"/{state}"), max_queued=99)[0].run_id
        claimed = leases.claim("w", rows[state])
        assert claimed is not None
        leases.report(claimed[0], "done" if state == "new" else state, {"status": state})  # type: ignore[arg-type]  # one of the phases
    with database.transaction() as tx:
        tx.execute("UPDATE lg_runs SET updated = 1 WHERE run_id <> ?", (rows["new"],))
    retention = Retention(database)
    gone = {row.run_id for row in retention.take_old(86_400)}
    assert gone == {rows["done"], rows["failed"], rows["cancelled"]}
    assert leases.runs.get(rows["waiting"]).state == "waiting"
    assert (retention.uses("/new"), retention.uses("/done")) == (True, False)


def test_runs_are_counted_once_also_when_they_went_on_after_a_wait(database: Database) -> None:
    leases = LeaseTable(database, lease_s=1_000, max_attempts=2)
    run_id = leases.runs.create(new_run(), max_queued=9)[0].run_id
    for state, tokens in (("waiting", 100), ("done", 250)):
        claimed = leases.claim("w", run_id)
        assert claimed is not None
        usage = {"tokens": tokens, "cost_usd": 0.5, "wall_s": 42.0}
        leases.report(claimed[0], state, {"status": state, "usage": usage})  # type: ignore[arg-type]  # one of the phases
        if state == "waiting":
            leases.runs.say(run_id, "resume", {}, "ann")
    leases.runs.create(new_run(root='/"b'), max_queued=9)
    text = metrics_text(run_families(database))[1].decode()
    for line in (
        'lg_runs{state="queued"} 1', 'lg_runs{state="waiting"} 0', 'lg_runs_finished_total{outcome="done"} 1',
        'lg_runs_tokens_total{model="default"} 250', 'lg_runs_cost_usd_total{model="default"} 0.5',
        'lg_runs_duration_seconds_bucket{le="60"} 1', 'lg_runs_duration_seconds_bucket{le="30"} 0',
        "lg_runs_duration_seconds_sum 42", 'lg_runs_oldest_seconds{state="waiting"} 0',
    ):  # fmt: skip
        assert line in text.splitlines(), text
    asked = set(re.findall(r"lg_[a-z_]+", " ".join(rule["expr"] for rule in alerts())))
    assert asked <= set(re.findall(r"^lg_[a-z_]+", text, re.MULTILINE)), "alerts ask only for what is there"


def test_a_run_that_is_resumed_after_its_end_counts_once_and_its_tokens_all(database: Database) -> None:
    leases = LeaseTable(database, lease_s=1_000, max_attempts=2)
    run_id = leases.runs.create(new_run(), max_queued=9)[0].run_id
    for state, tokens in (("failed", 100), ("done", 250)):
        claimed = leases.claim("w", run_id)
        assert claimed is not None
        usage = {"tokens": tokens, "wall_s": 42.0}
        leases.report(claimed[0], state, {"status": state, "usage": usage})  # type: ignore[arg-type]  # one of the phases
        if state == "failed":
            leases.runs.say(run_id, "resume", {}, "ann")
    lines = metrics_text(run_families(database))[1].decode().splitlines()
    assert 'lg_runs_finished_total{outcome="failed"} 1' in lines
    assert not [line for line in lines if line.startswith('lg_runs_finished_total{outcome="done"}')]
    assert "lg_runs_duration_seconds_count 1" in lines
    assert 'lg_runs_tokens_total{model="default"} 250' in lines


def test_a_schedule_is_added_over_the_api_and_its_run_begins_and_is_removed_in_time(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    with serving(root, worker=False) as api:
        body = {"name": "nightly", "cron": "0 3 * * 1-5", "run": {"request": "summarize repo"}}
        assert api("POST", "/v1/schedules", body).status == 201
        assert api("POST", "/v1/schedules", {**body, "name": "b", "cron": "0 3 30 2 *"}).status == 422
        elsewhere = {"request": "x", "repository": "/etc"}
        assert api("POST", "/v1/schedules", {**body, "name": "b", "run": elsewhere}).status == 403
        overdue(api.parts.database, "nightly")
        chores = chores_of(api.parts)
        chores.do()
        (shown,) = api("GET", "/v1/schedules").json["schedules"]
        run_id = shown["last_run"]
        assert (api.run(run_id)["request"], shown["run"]["request"]) == ("summarize repo", "summarize repo")
        metrics = api("GET", "/metrics")
        assert (metrics.status, b'lg_runs{state="queued"} 1' in metrics.data) == (200, True)
        assert api("GET", "/metrics", headers={"authorization": ""}).status == 401
        assert api("DELETE", "/v1/schedules/nightly").status == 200
        assert api("DELETE", "/v1/schedules/nightly").status == 404
        assert api("POST", f"/v1/runs/{run_id}/cancel").status == 200
        directory = api.parts.state / "runs" / run_id
        (directory / "results").mkdir(parents=True)
        with api.parts.database.transaction() as tx:
            tx.execute("UPDATE lg_runs SET updated = 1")
        clones = api.parts.repositories.workspaces.folder / "0" / "runs"
        gone, forked = clones / "20200101T000000-000000" / "api", clones / "20200101T000000-000001" / "api"
        for clone in (gone, forked):
            clone.mkdir(parents=True)
            os.utime(clone.parent, (1, 1))
        api.parts.runs.create(new_run(root=str(forked)), max_queued=9)
        replace(chores).do()
        assert (gone.parent.exists(), forked.is_dir()) == (False, True), "a fork still works in the other one"
        assert api("GET", f"/v1/runs/{run_id}").status == 404
        assert not directory.exists()


def test_a_schedule_is_added_listed_and_removed_by_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--repo-root", str(tmp_path)]
    assert main(["schedules", "add", "nightly", "--cron", "0 3 * * 1-5", *at, "summarize", "repo"]) == 0
    assert main(["schedules", "list", "--json", *at]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (shown["name"], shown["cron"], shown["run"]["request"]) == ("nightly", "0 3 * * 1-5", "summarize repo")
    assert main(["schedules", "add", "b", "--cron", "often", *at, "x"]) == 1
    assert main(["schedules", "remove", "nightly", *at]) == 0
    assert main(["schedules", "remove", "nightly", *at]) == 1
    assert "no schedule" in capsys.readouterr().err


def test_a_service_whose_worker_has_ended_is_not_ready(tmp_path: Path) -> None:
    root = tmp_path / "repo"
    root.mkdir()
    with serving(root) as api:
        assert api("GET", "/readyz").status == 200
        api.thread.stop()
        answer = api("GET", "/readyz")
        assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "not_ready", "5")
        assert api("GET", "/healthz").status == 200


def test_a_line_of_the_json_log_names_its_run_and_holds_no_secret() -> None:
    formatter = JsonFormatter(Masker(b"k" * 32, ["hunter2-hunter2"]))
    current_run.set("20260131T093000-1a2b3c")
    try:
        raise ValueError("hunter2-hunter2")
    except ValueError:
        record = logging.LogRecord("a", logging.ERROR, "x", 1, "said\n%s", ("hunter2-hunter2",), sys.exc_info())
    line = formatter.format(record)
    current_run.set(None)
    shown = json.loads(line)
    assert (shown["run_id"], shown["level"], "\n" in line) == ("20260131T093000-1a2b3c", "error", False)
    assert "hunter2-hunter2" not in line
