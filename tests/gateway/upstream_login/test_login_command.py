"""`lg-gateway login` and `logout`, as a person types them."""

from __future__ import annotations

import shlex
import subprocess
import sys
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import anyio
import httpx2
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.to_thread import run_sync

from tests.gateway.commands.support_commands import run
from tests.gateway.rig import ALLOW_ALL, program_environment, write_config
from tests.gateway.upstream_login.protected_site import protected_site, query_of, settings
from tests.gateway.upstream_login.support_logins import PER_CALLER

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]
BROWSER = shlex.join([sys.executable, str(Path(__file__).with_name("browser_program.py")), "%s"])


async def typed(*words: str) -> subprocess.CompletedProcess[str]:
    return await run_sync(partial(run, *words, BROWSER=BROWSER))


async def test_a_person_logs_in_calls_a_tool_lists_the_login_and_logs_out(tmp_path: Path) -> None:
    async with protected_site() as site:
        config = ["--config", str(write_config(tmp_path, settings(site), ALLOW_ALL))]
        tools = await typed("tools", *config)
        assert tools.returncode == 1
        assert "HTTP 401 Unauthorized" in tools.stderr
        assert "log in with `lg-gateway login notes`" in tools.stderr
        doctor = await typed("doctor", *config)
        assert "log in with `lg-gateway login notes`" in doctor.stdout
        assert doctor.stdout.splitlines()[-1] == "next: notes: run `lg-gateway login notes`"

        done = await typed("login", "notes", *config)
        assert done.returncode == 0, done.stderr
        shown, made = done.stdout.splitlines()
        assert query_of(shown)["resource"] == site.url
        assert made.startswith("logged in at notes for all callers; the tokens are in ")
        assert f"for server notes, which is {site.url}" in done.stderr

        called = await typed("call", "notes__whoami", *config, "--log-level", "debug")
        assert (called.returncode, called.stdout.strip()) == (0, "ann"), called.stderr
        listed = await typed("login", *config)
        assert listed.stdout.split()[:3] == ["notes", "all", "callers"], listed.stdout
        audit = await typed("audit", "export", *config)
        assert "logged in at a server" in audit.stdout

        secrets = [*site.access, *site.refresh]
        out = await typed("logout", "notes", *config)
        assert out.returncode == 0, out.stderr
        assert (await typed("logout", "notes", *config)).returncode == 1
        assert (await typed("call", "notes__whoami", *config)).returncode == 2
        for text in (done, called, listed, audit, out):
            assert not [secret for secret in secrets if secret in text.stdout + text.stderr]


async def test_without_a_browser_the_address_is_printed_and_the_login_ends_with_its_time(tmp_path: Path) -> None:
    async with protected_site() as site:
        config = ["--config", str(write_config(tmp_path, settings(site), ALLOW_ALL))]
        done = await typed("login", "notes", "--no-browser", "--wait", "0.1", *config)
        assert done.returncode == 1
        assert query_of(done.stdout.strip())["code_challenge_method"] == "S256"
        assert "not logged in at notes: nobody logged in within 0.1 s" in done.stderr
        assert not site.codes


def test_a_login_that_makes_no_sense_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    own = '[gateway.servers.own]\nurl = "https://own.example/mcp"\nheaders = { Authorization = "Bearer x" }\n'
    clear = '[gateway.servers.clear]\nurl = "http://clear.example/mcp"\n'
    shared = '[gateway.servers.shared]\nurl = "https://shared.example/mcp"\n'
    each = f'[gateway.servers.each]\nurl = "https://each.example/mcp"\n{PER_CALLER}\n'
    local = '[gateway.servers.local]\ncommand = "true"\n'
    alone = '[gateway.servers.alone]\nurl = "https://a.example/mcp"\n[gateway.servers.alone.oauth]\nclient_id = "a"\n'
    alone += 'client_secret = "b"\ntoken_url = "https://id.example/token"\n'
    config = ["--config", str(write_config(tmp_path, own, clear, shared, each, local, alone))]
    refused: list[tuple[list[str], Any]] = [
        (["nobody"], "there is no server nobody"),
        (["own"], "its settings hold the whole login"),
        (["clear"], "no token may travel to its url"),
        (["local"], "it is not reached over HTTP"),
        (["alone"], "the gateway gets its tokens by itself"),
        (["shared", "--identity", "token:ann"], "all callers share one login"),
        (["each", "--identity", "ann"], "is no identity"),
        (["shared", "--wait", "0"], "--wait 0 must be more than 0"),
    ]
    for words, why in refused:
        done = run("login", *words, *config)
        assert (done.returncode, why in done.stderr) == (2, True), done.stderr


async def test_the_address_at_which_a_browser_elsewhere_ended_is_pasted(tmp_path: Path) -> None:
    async with protected_site() as site:
        config = ["--config", str(write_config(tmp_path, settings(site), ALLOW_ALL))]
        command = [sys.executable, "-P", "-m", "lg_gateway", "login", "notes", "--paste", *config]
        environ = program_environment({"BROWSER": "false"})
        async with await anyio.open_process(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            stdout, stderr = BufferedByteReceiveStream(process.stdout), BufferedByteReceiveStream(process.stderr)
            with anyio.fail_after(60):
                page = (await stdout.receive_until(b"\n", 10_000)).decode()
                async with httpx2.AsyncClient() as browser:
                    ended = (await browser.get(page)).headers["location"]
                for wrong in (ended.replace("state=", "state=x"), ended.replace("127.0.0.1", "example.com"), "code"):
                    await process.stdin.send(f"{wrong}\n".encode())
                    await stderr.receive_until(b"that address does not belong to this login", 10_000)
                assert not site.access
                await process.stdin.send(f"  {ended}\n".encode())
                assert await process.wait() == 0
                assert b"logged in at notes for all callers" in await stdout.receive_until(b"\n", 10_000)


async def test_without_a_pasted_address_the_login_ends_with_its_input(tmp_path: Path) -> None:
    async with protected_site() as site:
        config = ["--config", str(write_config(tmp_path, settings(site), ALLOW_ALL))]
        command = [sys.executable, "-P", "-m", "lg_gateway", "login", "notes", "--paste", *config]
        done = await anyio.run_process(command, input=b"", check=False, env=program_environment({}))
    assert done.returncode == 1
    assert b"no address of this login was pasted" in done.stderr
