"""Questions answered at a terminal, and by nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import anyio
import pytest

from lg_gateway.serving.logs import start_logging
from lg_policy.state import find_states
from tests.gateway.approvals.support_approvals import NO_HOLD, OPERATOR
from tests.gateway.calls.support_fs import fs_gateway, patch
from tests.gateway.commands.support_commands import run
from tests.gateway.commands.terminals import approvals_on_terminal
from tests.gateway.rig import gateway_of, program_environment, send, server

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


async def test_a_human_approves_at_a_terminal_after_seeing_everything(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "what to see"})
        asked = first.structured_content["error"]["approval_id"]
        # Without a place it is found among all the gateways of this user.
        refused = await anyio.to_thread.run_sync(approvals_on_terminal, "n", "approve", asked)
        no_run = await anyio.to_thread.run_sync(approvals_on_terminal, "r", "approve", asked)
        shown = await anyio.to_thread.run_sync(approvals_on_terminal, "o", "approve", asked)
        second = await send(gateway, "a__echo", {"text": "what to see"})

    assert "not approved" in refused
    assert "not approved" in no_run
    assert "not approved" not in shown
    assert "what to see" in shown
    assert second.content[0].text == "what to see"


async def test_an_operators_question_wants_the_code_that_only_its_terminal_shows(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD, OPERATOR) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        where = ("--config", str(tmp_path / "gateway.toml"))
        wrong = await anyio.to_thread.run_sync(approvals_on_terminal, "yes", "approve", asked, *where)
        right = await anyio.to_thread.run_sync(approvals_on_terminal, "CODE", "approve", asked, *where)
        second = await send(gateway, "a__echo", {"text": "x"})

    assert "not approved" in wrong
    assert "not approved" not in right
    assert second.content[0].text == "x"


async def test_an_operators_token_answers_without_a_terminal_and_no_other_token_does(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD, OPERATOR) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        where = ("--config", str(tmp_path / "gateway.toml"))

        def made(name: str, *role: str) -> str:
            return run("tokens", "create", name, *role, *where).stdout.strip()

        def approve(token: str) -> subprocess.CompletedProcess[str]:
            return run("approvals", "approve", asked, *where, LG_OPERATOR_TOKEN=token)

        client, ended, olga = made("me"), made("old", "--role", "operator"), made("olga", "--role", "operator")
        run("tokens", "revoke", "old", *where)
        for wrong in (client, client.replace("lgt_", "lgo_"), ended, olga[:-1] + ("x" if olga[-1] != "x" else "y")):
            assert approve(wrong).returncode == 2
        assert (await send(gateway, "a__echo", {"text": "x"})).is_error
        assert approve(olga).returncode == 0
        assert not (await send(gateway, "a__echo", {"text": "x"})).is_error
    assert "by operator:olga" in run("approvals", "show", asked, *where).stdout


async def test_grants_of_runs_are_listed_and_revoked_from_any_directory(tmp_path: Path) -> None:
    meta = {"lg/run": {"run_id": "r1"}}
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"}, meta=meta)
        asked = first.structured_content["error"]["approval_id"]
        await anyio.to_thread.run_sync(approvals_on_terminal, "yes", "approve", asked, "--for-run")
        assert not (await send(gateway, "a__echo", {"text": "y"}, meta=meta)).is_error
        listed = run("approvals", "grants").stdout
        granted = listed.partition(" ")[0]
        ended = run("approvals", "revoke", granted)
        again = run("approvals", "revoke", granted)
        unknown = run("approvals", "revoke", "gr-none")
        asked_anew = await send(gateway, "a__echo", {"text": "z"}, meta=meta)

    assert "h left  a__echo  run r1  of local:me  by user" in listed
    assert (ended.returncode, again.returncode, unknown.returncode) == (0, 1, 2)
    assert asked_anew.structured_content["error"]["code"] == "approval_required"
    assert run("approvals", "grants").stdout == ""
    assert "revoked" in run("approvals", "grants", "--all").stdout
    assert json.loads(run("approvals", "grants", "--all", "--json").stdout)["counts"] is False
    assert "grant revoked" in run("audit", "list", "--config", str(tmp_path / "gateway.toml")).stdout


async def test_one_broken_store_does_not_hide_the_questions_of_the_others(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with (
        gateway_of(tmp_path, server("a"), NO_HOLD) as gateway,
        gateway_of(tmp_path / "other", server("a")) as other,
    ):
        first = await send(gateway, "a__echo", {"text": "x"})
        broken = other.setup.store_place.path
    broken.write_bytes(b"no database")
    listed = run("approvals", "list")

    assert first.structured_content["error"]["approval_id"] in listed.stdout
    assert str(tmp_path / "other") in listed.stderr


async def test_an_exported_config_does_not_hide_the_questions_of_other_gateways(tmp_path: Path) -> None:
    exported = tmp_path / "team.toml"
    exported.write_text("")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        listed = run("approvals", "list", cwd=elsewhere, LG_CONFIG=str(exported))
        denied = run("approvals", "deny", asked, cwd=elsewhere, LG_CONFIG=str(exported))

    assert f"{asked}  pending" in listed.stdout
    assert denied.returncode == 0, denied.stderr
    assert str(elsewhere) not in find_states(program_environment()).values()  # a look makes no state directory


async def test_a_command_that_finds_nothing_says_where_it_looked(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
    narrow = run("approvals", "list", "--root", str(other))
    missing = run("approvals", "show", asked, "--root", str(other))
    wide = run("approvals", "show", "ap-none")
    bare = run("approvals", "approve")

    assert f"looked at the gateway of {other} only (without --root" in narrow.stderr
    assert "not_found: there is no question" in missing.stderr
    assert f"looked at the gateway of {other} only" in missing.stderr
    assert "2 gateways of this user, below" in wide.stderr
    assert "invalid_arguments: which question?" in bare.stderr
    assert {found.returncode for found in (missing, wide, bare)} == {2}


async def test_the_list_tells_calls_of_one_tool_apart_and_names_who_must_answer(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), NO_HOLD, OPERATOR) as gateway:
        await send(gateway, "a__echo", {"text": "the first"})
        await send(gateway, "a__echo", {"text": "the second"})
    first, second = run("approvals", "list").stdout.splitlines()

    assert 'a__echo  text: "the first"  asked by local:me with ' in first
    assert "  operator needed  " in first
    assert 'text: "the second"' in second


async def test_who_waits_reads_no_command_and_the_log_tells_people_how_to_answer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    start_logging("warning")
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
    told = first.content[0].text

    assert "a person approves it at the gateway, never the caller" in told
    assert "lg-gateway" not in told + str(first.structured_content)
    assert "`lg-gateway approvals watch`" in capfd.readouterr().err


async def test_settings_with_a_mistake_hide_no_question(tmp_path: Path) -> None:
    exported = tmp_path / "team.toml"
    exported.write_text("[nonsense]\n")
    async with gateway_of(tmp_path, server("a"), NO_HOLD) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
    listed = run("approvals", "list", LG_CONFIG=str(exported))

    assert first.structured_content["error"]["approval_id"] in listed.stdout
    assert "invalid_config" in listed.stderr


async def test_questions_in_postgresql_are_found_without_a_place(tmp_path: Path, postgres_url: str) -> None:
    store = f'[store]\nurl = "{postgres_url}"\n'
    async with gateway_of(tmp_path, server("a"), NO_HOLD, store) as gateway:
        first = await send(gateway, "a__echo", {"text": "x"})
        asked = first.structured_content["error"]["approval_id"]
        listed = run("approvals", "list", cwd=tmp_path, LG_CONFIG=str(tmp_path / "gateway.toml"))

    assert f"{asked}  pending" in listed.stdout, listed.stderr


async def test_a_root_that_is_named_sees_and_answers_its_own_questions_alone_in_a_store_of_several(
    tmp_path: Path,
) -> None:
    asking, other, state = tmp_path / "asking", tmp_path / "other", tmp_path / "state"
    for root in (asking, other):
        root.mkdir()
        (root / "note.txt").write_text("one\n")
    async with fs_gateway(tmp_path, asking, state=state) as gateway:
        await gateway.settled()
        asked = (await patch(gateway)).structured_content["error"]["approval_id"]

    def at(root: Path, *action: str) -> subprocess.CompletedProcess[str]:
        return run("approvals", *action, "--root", str(root), "--state-dir", str(state))

    assert at(other, "list", "--all").stdout == ""
    for action in ("show", "approve", "deny"):
        refused = at(other, action, asked)
        assert refused.returncode == 2, action
        assert str(asking) in refused.stderr
        assert str(other) in refused.stderr
    # The state directory is enough to find it, also from a directory above, which is no root of anything.
    listed = run("approvals", "list", "--state-dir", str(state), cwd=tmp_path)
    assert asked in listed.stdout
    assert str(asking) in listed.stdout
    assert at(asking, "deny", asked).returncode == 0
