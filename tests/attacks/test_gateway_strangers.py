"""What somebody without a token learns from a gateway over HTTP, and how much of its log they can fill."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import anyio
import httpx2
import pytest

from lg_gateway.identity.authentication import Verifier
from lg_gateway.identity.tokens import TokenTable
from tests.gateway.commands.support_commands import run
from tests.gateway.ledger.support_ledger import KEY, open_ledger
from tests.gateway.rig import http_gateway, server, write_config

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


@pytest.mark.attack("Login", "asking for health and readiness of a gateway to learn what it serves")
async def test_health_and_readiness_name_no_server_to_anybody(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("payroll"))
    token = run("tokens", "create", "me", "--config", str(config)).stdout.strip()
    with http_gateway("--config", str(config), login=True) as (url, _process):

        def told(path: str, **headers: str) -> httpx2.Response:
            return httpx2.get(f"{url}{path}", headers=headers, timeout=60)

        pages = [await anyio.to_thread.run_sync(told, path) for path in ("/healthz", "/readyz")]
        as_caller = partial(told, Authorization=f"Bearer {token}")
        caller = [await anyio.to_thread.run_sync(as_caller, path) for path in ("/healthz", "/readyz")]
        elsewhere = await anyio.to_thread.run_sync(lambda: told("/readyz", Host="127.0.0.1.evil.example"))

    assert [page.json().keys() for page in pages] == [{"status"}, {"status", "store", "servers"}]
    assert "payroll" not in "".join(page.text for page in (*pages, *caller, elsewhere))
    assert elsewhere.status_code == 421


@pytest.mark.attack("Login", "a request after the other that makes the gateway write to its log")
async def test_a_flood_of_tokens_that_cannot_be_looked_up_writes_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, ledger = open_ledger(tmp_path)
    verifier = Verifier(store, TokenTable(KEY, ledger), None)
    await store.write(lambda tx: tx.execute("DROP TABLE tokens"))
    with caplog.at_level(logging.INFO):
        for number in range(50):
            assert await verifier.verify_token(f"lgt_{number:012x}_{'x' * 43}") is None
    store.close()

    assert len([record for record in caplog.records if "look up a token" in record.message]) == 1
