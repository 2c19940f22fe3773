"""The metrics of a gateway: what they count, that Prometheus reads them, who gets them, and what is never in them."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import anyio
import httpx2
import prometheus_client.openmetrics.parser
import prometheus_client.parser
import pytest
from prometheus_client.metrics_core import Metric

from lg_gateway.observability.call_counts import BOUNDS, Histogram, quantile
from lg_gateway.observability.gateway_metrics import families
from lg_gateway.observability.metrics_pages import MetricsPages
from lg_gateway.observability.page_server import Page, PageServer
from lg_gateway.observability.status_socket import FOLDER, SUFFIX
from lg_gateway.serving.gateway import Gateway
from lg_policy.metrics_text import Family, counter, gauge, merged, metrics_text
from tests.gateway.commands.support_commands import run
from tests.gateway.observability.support_observed import eventually, get, logged_gateway, post, tool_call
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, send, server, write_config

DENY = '[[gateway.rules]]\ntools = ["a__echo"]\nwhen = { properties = { text = { const = "no" } } }\neffect = "deny"\n'
ASK = '[[gateway.rules]]\ntools = ["a__progress"]\neffect = "approve"\n[approval]\nhold_s = 0\n'
ON = "[gateway.metrics]\nenabled = true\n"


# The library says no types.
Read = Callable[[str], Iterator[Metric]]
plain: Read = cast(Any, prometheus_client.parser).text_string_to_metric_families
openmetrics: Read = cast(Any, prometheus_client.openmetrics.parser).text_string_to_metric_families


async def text_of_all(gateway: Gateway, accept: str = "application/openmetrics-text") -> str:
    found = await families(gateway.observed(), gateway.ledger, gateway.setup.store_place.path)
    return metrics_text(found, accept)[1].decode()


def numbers(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a name by the values of their labels."""
    samples = [sample for family in openmetrics(text) for sample in family.samples if sample.name == name]
    return {tuple(sample.labels.values()): sample.value for sample in samples}


@pytest.mark.anyio
async def test_calls_are_counted_by_server_tool_outcome_and_decision(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), server("gone", "--exit", "1"), DENY, ASK, ALLOW_ALL) as gateway:
        for _ in range(3):
            await call(gateway, "a__echo", text="hi")
        await call(gateway, "a__fail")
        await call(gateway, "a__echo", text="no")
        await call(gateway, "a__progress")
        with pytest.raises(Exception, match="Unknown tool"):
            await call(gateway, "a__nothing_like_it")
        text = await text_of_all(gateway)

    assert numbers(text, "lg_calls_total") == {
        ("a", "a__echo", "ok", "allow"): 3,
        ("a", "a__fail", "error", "allow"): 1,
        ("a", "a__echo", "refused", "deny"): 1,
        ("a", "a__progress", "refused", "approve"): 1,
        ("other", "other", "refused", "none"): 1,
    }
    assert numbers(text, "lg_refusals_total") == {
        ("a", "policy_denied"): 1,
        ("a", "approval_required"): 1,
        ("other", "not_found"): 1,
    }
    assert numbers(text, "lg_call_duration_seconds_count")["a", "a__echo"] == 3
    assert 0 < numbers(text, "lg_call_duration_seconds_sum")["a", "a__echo"] < 60
    assert numbers(text, "lg_upstream_up") == {("a",): 1, ("gone",): 0}
    assert numbers(text, "lg_upstream_state")["a", "up"] == 1
    assert numbers(text, "lg_approvals_waiting") == {(): 1}
    assert 0 <= numbers(text, "lg_approvals_used_ratio")[()] < 1
    assert numbers(text, "lg_store_up") == {(): 1}
    assert numbers(text, "lg_store_bytes")[()] > 0
    assert numbers(text, "lg_ledger_chain_ok") == {(): 1}
    assert numbers(text, "lg_ledger_last_record")[()] > 10


@pytest.mark.anyio
async def test_both_formats_are_read_by_prometheus_and_say_the_same(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        await call(gateway, "a__echo", text="hi")
        found = await families(gateway.observed(), gateway.ledger, None)
    texts = [metrics_text(found, accept)[1].decode() for accept in ("", "application/openmetrics-text; version=1.0.0")]
    read = [{(each.name, *each.labels.items()): each.value for family in parse(text) for each in family.samples}
            for parse, text in zip((plain, openmetrics), texts, strict=True)]  # fmt: skip

    assert read[0] == read[1]
    assert len(read[0]) > 40
    assert texts[1].endswith("\n# EOF\n")


@pytest.mark.anyio
@pytest.mark.attack("Metrics", "putting a secret, a name or a flood of names into the metrics by calls")
async def test_nothing_that_a_caller_sends_becomes_a_label(tmp_path: Path) -> None:
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway:
        meta = {"lg/run": {"run_id": "hostile-run", "epoch": 1, "step": "hostile-step"}}
        secret = {"text": "hostile-argument"}
        await send(gateway, "a__echo", secret, identity="local:hostile-caller", session="hostile-session", meta=meta)
        for number in range(50):
            with pytest.raises(Exception, match="Unknown tool"):
                await send(gateway, f'hostile_{number}"}} 1\nlg_store_up 0', {})
        text = await text_of_all(gateway)

    assert "hostile" not in text
    assert numbers(text, "lg_calls_total")["other", "other", "refused", "none"] == 50
    assert numbers(text, "lg_store_up") == {(): 1}


@pytest.mark.attack("Metrics", "a server's name or a text that ends its line, or breaks out of its label")
@pytest.mark.parametrize("text", ['"', "\\", "\n", '\\"} 1\nx 2', "é\ud800", "#", "{", "\x00"])
def test_a_label_may_hold_any_text(text: str) -> None:
    made = [counter("x", text, [({"server": text}, 1.5)]), gauge("y", "y", [({}, 2)])]
    for accept, parse in (("", plain), ("application/openmetrics-text", openmetrics)):
        found = {each.name: each for family in parse(metrics_text(made, accept)[1].decode()) for each in family.samples}

        assert set(found) == {"x_total", "y"}
        assert found["x_total"].labels["server"] == text.encode("utf-8", "replace").decode()


def test_families_of_several_processes_become_one() -> None:
    parts = [[counter("x", "x", [({}, number)]).labelled(worker=str(number))] for number in range(3)]
    sent: Any = json.loads(json.dumps([family.as_json() for part in parts for family in part]))
    (family,) = merged([Family.from_json(part)] for part in sent)

    assert [(sample.labels["worker"], sample.value) for sample in family.samples] == [("0", 0), ("1", 1), ("2", 2)]


def test_quantiles_come_from_the_buckets() -> None:
    histogram = Histogram()
    assert histogram.quantile(0.5) is None
    for milliseconds in range(1, 101):
        histogram.add(milliseconds / 1000)

    assert histogram.quantile(0.5) == pytest.approx(0.05)
    assert 0.09 < (histogram.quantile(0.95) or 0) < 0.1
    histogram.add(1e9)
    assert histogram.quantile(1) == BOUNDS[-1]
    assert quantile([0] * len(histogram.counts), 0.5) is None


@pytest.mark.usefixtures("programs_by_fork")
def test_metrics_on_the_gateways_own_address_need_an_operators_token(tmp_path: Path) -> None:
    config = write_config(tmp_path, ON, server("a"), ALLOW_ALL)
    made = [run("tokens", "create", name, "--role", role, "--config", str(config)).stdout.strip()
            for name, role in (("alice", "client"), ("olga", "operator"))]  # fmt: skip
    client, operator = ({"Authorization": f"Bearer {token}"} for token in made)
    with logged_gateway(tmp_path / "log", "--workers", "2", "--config", str(config)) as (url, _):
        refused = [get(url, "/metrics"), get(url, "/metrics", **client), get(url, "/metrics", Authorization="Bearer x")]
        for _ in range(4):
            assert post(url, tool_call("a__echo", {"text": "hi"}), **client).status_code == 200
        assert post(url, tool_call("a__echo", {}), Authorization="Bearer lgt_wrong").status_code == 401
        text = get(url, "/metrics", Accept="application/openmetrics-text", **operator).text
        eventually(lambda: 'worker="1"' in get(url, "/metrics", **operator).text)

    assert [answer.status_code for answer in refused] == [401] * 3
    assert "lg_" not in "".join(answer.text for answer in refused)
    calls = numbers(text, "lg_calls_total")
    assert sum(calls.values()) == 4
    assert {key[:-1] for key in calls} == {("a", "a__echo", "ok", "allow")}
    assert sum(numbers(text, "lg_logins_failed_total").values()) == 3


@pytest.mark.usefixtures("programs_by_fork")
@pytest.mark.attack("Metrics", "a web page that reads the metrics of this machine under a name of its own")
def test_an_address_of_their_own_answers_prometheus_and_no_web_page(tmp_path: Path) -> None:
    config = write_config(tmp_path, ON + 'listen = "127.0.0.1:0"\n', server("a"), ALLOW_ALL)
    log = tmp_path / "log"
    with logged_gateway(log, "--no-login", "--log-level", "info", "--config", str(config)) as (url, _):
        eventually(lambda: "metrics are at" in log.read_text())
        found = re.search(r"metrics are at (http://\S+)/metrics", log.read_text())
        assert found is not None
        there = found[1]
        own = get(url, "/metrics")
        answer = get(there, "/metrics")
        foreign = get(there, "/metrics", Host="evil.example:9464")
        elsewhere, posted = get(there, "/status"), httpx2.post(f"{there}/metrics", timeout=60)
        host, _, port = there.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000)
            endless = connection.recv(100)

    assert own.status_code == 404
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert 'lg_upstream_up{server="a"} ' in answer.text
    assert [each.status_code for each in (foreign, elsewhere, posted)] == [421, 404, 405]
    assert endless.startswith(b"HTTP/1.1 400")


@pytest.mark.anyio
async def test_a_gateway_without_metrics_loads_none_of_it(tmp_path: Path) -> None:
    script = (
        "import anyio, sys; from pathlib import Path; from tests.gateway.rig import gateway_of\n"
        "async def main():\n"
        f"    async with gateway_of(Path({str(tmp_path)!r})):\n"
        "        print([name for name in sys.modules if 'prometheus' in name or name.endswith(('gateway_metrics',"
        " 'metrics_text', 'metrics_pages', 'metrics_route', 'opentelemetry.sdk'))])\n"
        "anyio.run(main)\n"
    )
    done = await anyio.run_process([sys.executable, "-c", script], check=False)
    assert done.stdout.decode().strip() == "[]", done.stderr.decode()


NONSENSE = (b"{", b"[1]", b"{}x", b"[" * 100_000, b"\xff", b'[{"samples": 3}]', b'{"servers": [1]}', b"3", b'"a"')


@pytest.mark.anyio
async def test_a_worker_that_answers_nonsense_costs_its_own_metrics_and_no_status(tmp_path: Path) -> None:
    def page_of(answer: bytes) -> Page:
        async def page(_headers: object) -> tuple[str, bytes]:
            return "application/json", answer

        return page

    folder = tmp_path / "s" / FOLDER
    folder.mkdir(parents=True)
    async with gateway_of(tmp_path, server("a"), ALLOW_ALL) as gateway, AsyncExitStack() as stack:
        place = gateway.setup.store_place.path
        pages = MetricsPages(
            observed=gateway.observed(), ledger=gateway.ledger, store_file=place, folder=folder, worker="g.0"
        )
        for number, answer in enumerate(NONSENSE, 1):
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / f"g.{number}{SUFFIX}"))
            listener.listen()
            page = page_of(answer)
            await stack.enter_async_context(PageServer({"/families": page, "/status": page}).serving(listener))
        found = await pages.everything()
        status = await anyio.to_thread.run_sync(lambda: run("status", "--state-dir", str(folder.parent)))
    assert {sample.labels["worker"] for family in found for sample in family.samples} == {"0"}
    assert status.returncode == 1
    assert status.stderr.count("does not answer") == len(NONSENSE)
