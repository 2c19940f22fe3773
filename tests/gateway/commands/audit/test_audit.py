"""`lg-gateway audit` as its user meets it: finding records, handing them on, keeping them small, and after a loss."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lg_policy.state import find_states, key_dir, state_home
from tests.gateway.approvals.support_approvals import NO_HOLD, approve
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import ALLOW_ALL, gateway_of, send, server, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


def store_of(config: Path) -> Path:
    """Return the state directory that a configuration's gateway uses."""
    (state_id,) = [name for name, path in find_states().items() if path == str(config)]
    return state_home() / state_id


@pytest.fixture
async def where(tmp_path: Path) -> tuple[str, str]:
    """A ledger with calls of two callers, two tools, one run, and a failure."""
    parts = (server("a"), ALLOW_ALL)
    config = write_config(tmp_path, *parts)
    async with gateway_of(tmp_path, *parts) as gateway:
        await send(gateway, "a__echo", {"text": "one"}, identity="token:ann")
        await send(gateway, "a__echo", {"text": "two"}, identity="token:bob", meta={"lg/run": {"run_id": "r-1"}})
        await send(gateway, "a__fail", {}, identity="token:bob")
        await send(gateway, "a__peek", {"text": "x"}, identity="local:me")
    return "--config", str(config)


FOUND = [
    (["--identity", "token:ann"], ["a__echo"] * 2),
    (["--identity", "token:*"], ["a__echo"] * 4 + ["a__fail"] * 2),
    (["--tool", "*__peek"], ["a__peek"] * 2),
    (["--outcome", "error"], ["a__fail"]),
    (["--run", "r-1"], ["a__echo"] * 2),
    (["--since", "1h", "--tool", "a__fail"], ["a__fail"] * 2),
    (["--until", "1h"], []),
    (["--since", "2000-01-01", "--until", "2000-01-02T10:00+02:00"], []),
    (["--outcome", "ok", "--identity", "token:bob", "--run", "r-1"], ["a__echo"]),
]


async def test_records_are_found_by_caller_tool_outcome_run_and_time(where: tuple[str, str]) -> None:
    for flags, expected in FOUND:
        listed = run("audit", "list", "--json", *flags, *where).stdout.splitlines()
        assert [json.loads(line)["tool"] for line in listed] == expected, flags
    exported = run("audit", "export", "--identity", "token:ann", *where).stdout.splitlines()
    assert [json.loads(line)["phase"] for line in exported] == ["begun", "ended"]


async def test_a_wrong_time_names_its_flag_and_what_would_be_right(where: tuple[str, str]) -> None:
    done = run("audit", "list", "--since", "yesterday", *where)

    assert done.returncode == 2
    assert "--since: 'yesterday' is not a time" in done.stderr
    assert "24h for a day ago" in done.stderr


async def test_a_kept_result_is_shown_with_its_call(where: tuple[str, str]) -> None:
    (record,) = run("audit", "list", "--json", "--run", "r-1", "--outcome", "ok", *where).stdout.splitlines()
    request_id = json.loads(record)["request_id"]
    shown = run("audit", "show", request_id, "--result", *where)
    none = run("audit", "show", "1", "--result", *where)

    assert json.loads(shown.stdout)["content"][0]["text"] == "two"
    assert none.returncode == 1
    assert "no result of call" in none.stderr


async def test_old_records_are_sealed_exported_verified_elsewhere_and_pruned(
    where: tuple[str, str], tmp_path: Path
) -> None:
    assert run("audit", "seal", *where).returncode == 2
    sealed = run("audit", "seal", "--before", "2999-01-01", *where)
    key = json.loads(run("audit", "head", *where).stdout)["public_key"]
    export = tmp_path / "export.jsonl"
    export.write_text(run("audit", "export", *where).stdout)
    elsewhere = run("audit", "verify", "--export", str(export), "--public-key", key)
    pruned = run("audit", "prune", "--before", "2999-01-01", *where)
    verified = run("audit", "verify", *where)

    assert "segment 1: records 1 to 8 are in" in sealed.stdout, sealed.stderr
    assert (elsewhere.returncode, elsewhere.stdout.partition(",")[0]) == (0, "intact: 10 records")
    assert "the file with records 1 to 8 is removed" in pruned.stdout
    assert verified.returncode == 0, verified.stdout
    assert "note: records 1 to 8 are sealed; removed" in verified.stdout
    assert list((store_of(Path(where[1])) / "segments").iterdir()) == []


async def test_what_came_after_a_head_is_checked_alone(where: tuple[str, str]) -> None:
    head = run("audit", "head", *where).stdout.strip()
    assert run("call", "a__echo", '{"text": "x"}', *where).returncode == 0
    since = run("audit", "verify", "--since", head, *where)
    forged = run("audit", "verify", "--since", head.replace('"seq": ', '"seq": 1'), *where)
    a_time = run("audit", "verify", "--since", "24h", *where)
    of_the_store = run("audit", "verify", "--head", head, *where)
    with closing(sqlite3.connect(store_of(Path(where[1])) / "gateway.sqlite")) as store, store:
        store.execute("UPDATE ledger SET record = replace(record, 'a__echo', 'a__peek') WHERE seq = ?", (2,))
    before_it = run("audit", "verify", "--since", head, *where)
    whole = run("audit", "verify", *where)

    after = json.loads(head)["seq"]
    assert since.stdout.startswith(f"intact: 2 records after record {after}, signed up to record {after + 2} ("), since
    assert "its signature is wrong" in forged.stderr
    assert "takes a head, not a time" in a_time.stderr
    assert "give the line as --since" in of_the_store.stderr
    assert [done.returncode for done in (since, forged, a_time, of_the_store)] == [0, 2, 2, 2]
    assert (before_it.returncode, whole.returncode) == (0, 1), "only what came after it was looked at"


async def test_a_removed_store_stops_every_call_until_a_restart_that_is_recorded(where: tuple[str, str]) -> None:
    shutil.rmtree(store_of(Path(where[1])))
    listed = run("audit", "list", *where)
    refused = run("call", "a__echo", '{"text": "x"}', *where)
    unexplained = run("audit", "restart", *where)
    restarted = run("audit", "restart", "--reason", "the disk was\x1b[2J replaced", *where)
    allowed = run("call", "a__echo", '{"text": "x"}', *where)
    verified = run("audit", "verify", *where)
    (note,) = run("audit", "list", "--outcome", "ledger restarted", "--json", *where).stdout.splitlines()
    listed_note = run("audit", "list", "--outcome", "ledger restarted", *where).stdout
    again = run("audit", "restart", "--reason", "for fun", *where)

    assert listed.returncode == 1
    assert "audit restart --reason" in listed.stderr
    assert refused.returncode == 2  # not even the server's definitions can be compared, so it offers nothing
    assert "audit restart" in refused.stderr
    assert unexplained.returncode == 2
    assert restarted.returncode == 0, restarted.stderr
    assert allowed.returncode == 0, allowed.stderr
    assert verified.returncode == 0, verified.stdout
    assert "note: an earlier head was abandoned" in verified.stdout
    assert "record 9 with hash" in json.loads(note)["detail"]
    assert "was\x1b[2J replaced" in json.loads(note)["detail"]
    assert "was\\u{1b}[2J replaced" in listed_note
    assert again.returncode == 1
    assert "nothing is lost" in again.stderr
    assert len(list((key_dir() / "heads").glob("*.lost"))) == 1


async def test_a_damaged_store_is_named_with_what_to_do_and_that_helps(where: tuple[str, str]) -> None:
    store = store_of(Path(where[1])) / "gateway.sqlite"
    for name in ("-wal", "-shm"):
        store.with_name(store.name + name).unlink(missing_ok=True)
    store.write_bytes(b"no database" * 100)
    for command in (["audit", "verify"], ["call", "a__echo", '{"text": "x"}'], ["audit", "restart", "--reason", "x"]):
        said = run(*command, *where)
        assert said.returncode != 0
        assert (
            f"store {store}: file is not a database; put it back from a backup, or move it away and run" in said.stderr
        )
    store.rename(store.with_name("damaged"))
    assert run("audit", "restart", "--reason", "the disk was damaged", *where).returncode == 0
    assert run("call", "a__echo", '{"text": "again"}', *where).stdout.startswith("again")
    assert run("audit", "verify", *where).returncode == 0


def test_a_ledger_in_postgresql_is_audited_by_the_same_commands(tmp_path: Path, postgres_url: str) -> None:
    secret = postgres_url.replace("lg@", "lg:not-shown@")
    config = write_config(tmp_path, server("a"), ALLOW_ALL, '[store]\nurl = "${PG_URL}"\n')
    where = ("--config", str(config))
    unset = run("audit", "list", *where)
    called = run("call", "a__echo", '{"text": "x"}', *where, PG_URL=secret)
    listed = run("audit", "list", "--outcome", "ok", *where, PG_URL=secret)
    verified = run("audit", "verify", *where, PG_URL=secret)

    assert unset.returncode == 2
    assert "store.url needs the environment variable PG_URL" in unset.stderr
    assert called.returncode == 0, called.stderr
    assert '  a__echo  {"text": "x"}  allowed  ok ' in listed.stdout
    assert "intact: 3 records" in verified.stdout
    assert "postgresql://lg@/postgres" in verified.stdout
    assert "not-shown" not in verified.stdout


async def test_the_list_names_who_approved_and_ties_the_records_of_a_call(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        await approve(gateway, asked)
        await send(gateway, "a__echo", {"text": "x"})
    place = ("--config", str(tmp_path / "gateway.toml"))
    lines = run("audit", "list", "--records", *place).stdout.splitlines()
    *_, call_row = run("audit", "list", *place).stdout.splitlines()
    (approved,) = (line for line in lines if f"  approved  {asked} by " in line)
    begun, ended = lines[-2:]
    (call,) = {line.partition("  call ")[2][:8] for line in (begun, ended)}
    shown = run("audit", "show", call, "--json", *place).stdout
    told = run("audit", "show", call, *place).stdout

    assert all(line == line.rstrip() for line in lines)
    assert "  gateway  -  pinned  " in lines[0]
    assert "digest" not in approved
    assert shown.count('"phase"') == 2
    assert "  a__echo  " in call_row
    assert re.search(r"  approved by \S.*  ok \d+ ms$", call_row), call_row
    assert call_row.startswith(call)
    assert f"\n  question             {asked}\n" in told
    assert '\n  | {"text": "x"}\n' in told
