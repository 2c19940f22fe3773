"""Servers that print more than anybody reads."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from lg_gateway.processes.child_process import LOG_BURST, Child, LogAllowance, Reaper, ServerLaunch, start

pytestmark = pytest.mark.anyio
LINES = 200_000
FLOOD = f"""import sys
sys.stderr.write('spam AKIAIOSFODNN7EXAMPLE\\n' * {LINES})
sys.stderr.write('the licence has run out\\n')
"""


async def printed(child: Child) -> None:
    with anyio.fail_after(60):
        await child.copy_log()
        await child.process.wait()


async def test_only_the_beginning_and_the_end_of_a_flood_are_searched_for_secrets(tmp_path: Path) -> None:
    searched = []

    def mask(text: str) -> str:
        searched.append(len(text))
        return text.replace("AKIAIOSFODNN7EXAMPLE", "[secret]")

    log = tmp_path / "odd.log"
    reaper = Reaper()
    launch = ServerLaunch(name="odd", argv=(sys.executable, "-c", FLOOD), env={}, cwd=tmp_path, log_path=log)
    child = await start(launch, reaper)
    child.mask = mask
    await printed(child)
    await child.stop()
    reaper.close()
    kept = b"".join(path.read_bytes() for path in (log.with_name("odd.log.1"), log) if path.exists())

    assert sum(searched) < LOG_BURST * 2
    assert b"bytes left out: the server printed too much at once]\n" in kept
    assert b"AKIA" not in kept
    assert child.last_words() == "the licence has run out"


def test_the_log_allows_a_burst_and_then_a_rate() -> None:
    allowance = LogAllowance(burst=100, rate=10)
    assert [allowance.take(60, 0.0), allowance.take(60, 0.0), allowance.take(40, 0.0)] == [True, False, True]
    assert [allowance.take(11, 1.0), allowance.take(10, 1.0)] == [False, True]
    assert [allowance.take(100, 1e6), allowance.take(1, 1e6)] == [True, False]
