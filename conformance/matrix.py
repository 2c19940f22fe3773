"""Runs the probes through the gateway: two eras and two transports on each side, which makes sixteen combinations.

`python -m conformance.matrix` prints them as one table; `--combination client-http-2025,server-stdio-2026` prints one.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from conformance.probing import asking, calls, offers
from conformance.probing.prober import Probe, Prober, Seen, Verdict
from conformance.programs import behind_stdio, behind_url, fixture_url, gateway, gateway_url

PROBES: tuple[Probe, ...] = (*calls.PROBES, *asking.PROBES, *offers.PROBES, calls.cancellation)
PROBE_S = 30
TRANSPORTS = ("stdio", "http")
ERAS = ("2025", "2026")


@dataclass(frozen=True)
class Combination:
    """The transport and the era of the client's side and of the server's side."""

    client: str
    client_era: str
    server: str
    server_era: str

    def __str__(self) -> str:
        """Return it as the table's head names it."""
        return f"client-{self.client}-{self.client_era},server-{self.server}-{self.server_era}"


COMBINATIONS = tuple(
    Combination(client, client_era, server, server_era)
    for client, client_era, server, server_era in itertools.product(TRANSPORTS, ERAS, TRANSPORTS, ERAS)
)


async def probe(combination: Combination, folder: Path, probes: tuple[Probe, ...] = PROBES) -> dict[str, Verdict]:
    """Run probes through one combination, with a gateway and a fixture of its own."""
    seen, found = Seen(), dict[str, Verdict]()
    async with _client(combination, folder, seen) as client:
        prober = Prober(
            client, seen, modern=combination.client_era == "2026", modern_server=combination.server_era == "2026"
        )
        await prober.learn_names()
        for each in probes:
            found[each.__name__] = await _tried(each, prober)
    return found


async def _tried(each: Probe, prober: Prober) -> Verdict:
    try:
        with anyio.fail_after(PROBE_S):
            return await each(prober)
    except Exception as error:  # noqa: BLE001  a probe that fails in any way has found something
        cause: BaseException = error
        while isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
        return "no", f"{type(cause).__name__}: {cause}"[:220]


@asynccontextmanager
async def _client(combination: Combination, folder: Path, seen: Seen) -> AsyncIterator[Client]:
    mode = "legacy" if combination.server_era == "2025" else "modern"
    async with AsyncExitStack() as programs:
        if combination.server == "http":
            server = behind_url(programs.enter_context(fixture_url(folder)), mode)
        else:
            server = behind_stdio(mode)
        program = gateway(folder / "gateway", server, http=combination.client == "http")
        target: Any
        if combination.client == "http":
            url = programs.enter_context(gateway_url(program))
            http = await programs.enter_async_context(httpx2.AsyncClient(timeout=60))
            target = streamable_http_client(url, http_client=http)
        else:
            target = StdioServerParameters(command=program.argv[0], args=list(program.argv[1:]), env=program.env)
        modern = combination.client_era == "2026"
        async with Client(
            target,
            mode="auto" if modern else "legacy",
            elicitation_callback=seen.on_elicit,
            sampling_callback=seen.on_sample,
            list_roots_callback=seen.on_roots,
            logging_callback=seen.on_log,
            log_level="info" if modern else None,
            message_handler=seen.on_message,
            read_timeout_seconds=PROBE_S,
        ) as client:
            yield client


def table(found: Mapping[Combination, Mapping[str, Verdict]]) -> str:
    """Return the verdicts as a table, one column a combination."""
    lines = [f"| probe | {' | '.join(map(str, found))} |", "|---" * (len(found) + 1) + "|"]
    for each in PROBES:
        cells = [verdicts.get(each.__name__, ("", ""))[0] for verdicts in found.values()]
        lines.append(f"| {each.__name__} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Probe the combinations that are asked for, and print what does not get through."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--combination", action="append", choices=[str(combination) for combination in COMBINATIONS])
    wanted = parser.parse_args().combination
    warnings.simplefilter("ignore")
    found: dict[Combination, dict[str, Verdict]] = {}
    for combination in COMBINATIONS:
        if wanted is None or str(combination) in wanted:
            with tempfile.TemporaryDirectory(prefix="matrix-", ignore_cleanup_errors=True) as folder:
                found[combination] = anyio.run(probe, combination, Path(folder))
            for name, (verdict, seen) in found[combination].items():
                if verdict not in ("yes", "n/a"):
                    print(f"{combination}: {name}: {verdict}: {seen}", flush=True)
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
