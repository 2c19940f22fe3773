"""Limits by identity, server and tool, on a clock that the test moves; budgets of runs, in the store."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp.client import Client

from lg_gateway.calls.rate_limits import RateLimiter, Subject
from lg_gateway.serving.server import Frontend
from lg_policy.config.settings import GatewaySettings
from lg_policy.errors import LimitExceeded
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, journal, records, send, server, text_of, until

pytestmark = pytest.mark.anyio
ONE = Subject(identity="local:me", server="a", tool="a__echo")
SAME_SERVER = Subject(identity="local:other", server="a", tool="a__peek")
ELSEWHERE = Subject(identity="local:me", server="b", tool="b__echo")


class Clock:
    """A monotonic clock: it stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.25

    def __call__(self) -> float:
        return self.now


def meter(clock: Clock, **settings: Any) -> RateLimiter:
    made = GatewaySettings.model_validate(settings)
    return RateLimiter(lambda: made, clock)


def use(limits: RateLimiter, subject: Subject, *, bytes_in: int = 1, again: bool = False) -> None:
    with limits.admit(subject, bytes_in=bytes_in, again=again):
        pass


def refusal_of(limits: RateLimiter, subject: Subject, **options: Any) -> str:
    with pytest.raises(LimitExceeded) as caught:
        use(limits, subject, **options)
    return caught.value.text()


def test_calls_of_a_minute_are_counted_for_each_identity_alone() -> None:
    clock = Clock()
    limits = meter(clock, calls_per_minute=2)
    use(limits, ONE)
    clock.now += 30
    use(limits, ELSEWHERE)
    assert "2 calls in a minute (gateway.calls_per_minute)" in refusal_of(limits, ONE)
    use(limits, SAME_SERVER)
    clock.now += 31
    use(limits, ONE)
    refusal_of(limits, ONE)


def test_no_minute_ever_holds_more_than_the_limit_and_the_hint_says_how_long() -> None:
    clock = Clock()
    limits = meter(clock, calls_per_minute=1)
    use(limits, ONE)
    clock.now += 59.9
    assert refusal_of(limits, ONE).endswith("(wait 1 s)")
    clock.now += 1.1
    use(limits, ONE)


@pytest.mark.parametrize(
    ("per", "free"),
    [(["tool"], [ELSEWHERE, SAME_SERVER]), (["server"], [ELSEWHERE]), (["identity"], [SAME_SERVER]), ([], [])],
)
def test_a_limit_counts_apart_what_it_says(per: list[str], free: list[Subject]) -> None:
    limits = meter(Clock(), limits=[{"per": per, "calls_per_minute": 1}])
    use(limits, ONE)
    for subject in (ELSEWHERE, SAME_SERVER):
        if subject in free:
            use(limits, subject)
        else:
            assert "gateway.limits[0].calls_per_minute" in refusal_of(limits, subject)


def test_a_limit_covers_only_the_tools_and_callers_that_it_names() -> None:
    limits = meter(Clock(), limits=[{"tools": ["a__*"], "identities": ["local:me"], "calls_per_minute": 1}])
    for subject in (ONE, ELSEWHERE, ELSEWHERE, SAME_SERVER, SAME_SERVER):
        use(limits, subject)
    refusal_of(limits, ONE)


def test_bytes_and_seconds_of_a_minute_are_limited() -> None:
    clock = Clock()
    limits = meter(
        clock,
        limits=[{"bytes_in_per_minute": 100, "bytes_out_per_minute": 1000, "seconds_per_minute": 5}],
    )
    use(limits, ONE, bytes_in=60)
    assert "100 bytes of arguments" in refusal_of(limits, ONE, bytes_in=41)
    assert "send less in one call" in refusal_of(limits, ONE, bytes_in=101)
    limits.took(ONE, bytes_out=1000, seconds=1)
    assert "1000 bytes of results" in refusal_of(limits, ONE)
    clock.now += 62
    limits.took(ONE, bytes_out=1, seconds=5.5)
    assert "took 5.0 s" in refusal_of(limits, ONE)


def test_a_call_that_is_repeated_is_not_counted_again_but_runs_like_any() -> None:
    limits = meter(Clock(), calls_per_minute=1, calls_at_once=1)
    use(limits, ONE)
    for _ in range(3):
        use(limits, ONE, again=True)
    refusal_of(limits, ONE)
    with limits.admit(ONE, bytes_in=1, again=True):
        assert "1 calls are running already" in refusal_of(limits, ONE, again=True)
    use(limits, ONE, again=True)


def test_calls_at_once_are_counted_until_each_ends_however_it_ends() -> None:
    limits = meter(Clock(), calls_at_once=2)
    for _ in range(3):
        with ExitStack() as running, pytest.raises(ZeroDivisionError):
            running.enter_context(limits.admit(ONE, bytes_in=1))
            running.enter_context(limits.admit(ONE, bytes_in=1))
            refusal_of(limits, ONE)
            raise ZeroDivisionError


def test_the_shortest_time_that_covers_a_call_counts() -> None:
    limits = meter(Clock(), limits=[{"tools": ["a__*"], "call_timeout_s": 5}, {"call_timeout_s": 9}])
    assert limits.timeout_s(ONE, 600) == 5
    assert limits.timeout_s(ELSEWHERE, 600) == 9
    assert limits.timeout_s(ELSEWHERE, 2) == 2


def test_a_limit_that_limits_nothing_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one number"):
        meter(Clock(), limits=[{"tools": ["a__*"]}])


def test_callers_that_come_and_go_are_forgotten() -> None:
    clock = Clock()
    limits = meter(clock)
    for n in range(5000):
        clock.now += 1
        use(limits, Subject(identity=f"oauth:{n}", server="a", tool="a__echo"))
    assert len(limits._counts) < 1200


async def test_a_flood_is_refused_without_a_record_for_each(tmp_path: Path) -> None:
    limits = "[gateway]\nrequests_per_minute = 5\n"
    async with gateway_of(tmp_path, limits, server("a")) as gateway:
        built = Frontend(gateway, identify=lambda _ctx: "local:me").build()
        async with Client(built) as client:
            told = [text_of(await client.call_tool("mcp_result", {"result_id": "x"})) for _ in range(40)]
        assert sum(text.startswith("limit_exceeded") for text in told) == 35
        assert "gateway.requests_per_minute" in told[-1]
        notes = [note for note in records(gateway, notes=True) if note["outcome"] == "requests refused"]
        assert len(notes) == 1


async def test_a_question_about_a_call_counts_for_nothing_and_the_call_counts_once(tmp_path: Path) -> None:
    short = "[gateway]\ncalls_per_minute = 1\n[approval]\nhold_s = 0.1\n"
    seen = tmp_path / "journal"
    async with gateway_of(tmp_path, short, server("a", "--journal", str(seen))) as gateway:
        for _ in range(3):
            assert text_of(await call(gateway, "a__echo", text="x")).startswith("approval_required")
        (asked,) = await gateway.store.read(lambda tx: gateway.approvals.pending(tx, 0.0))
        await gateway.store.write(lambda tx: gateway.approvals.move(tx, asked, "approve", by="me"))
        assert not (await call(gateway, "a__echo", text="x")).is_error
        assert len(journal(seen)) == 1


def in_run(run: str, key: str | None = None) -> dict[str, Any]:
    meta: dict[str, Any] = {"lg/run": {"run_id": run, "epoch": 1, "step": "s"}}
    return meta | ({"lg/idempotency-key": key} if key else {})


async def test_a_run_has_a_budget_that_outlives_the_gateway_and_counts_a_repeated_call_once(tmp_path: Path) -> None:
    parts = ("[gateway.run_budget]\ncalls = 3\n", server("a"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as gateway:
        for _ in range(4):
            repeated = await send(gateway, "a__echo", {"text": "same"}, meta=in_run("r", "k1"))
            assert not repeated.is_error
        assert not (await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r"))).is_error
    async with gateway_of(tmp_path, *parts) as gateway:
        assert not (await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r"))).is_error
        over = await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r"))
        assert "this run has used up its calls: 3 (gateway.run_budget.calls)" in text_of(over)
        assert not (await send(gateway, "a__echo", {"text": "x"}, meta=in_run("other"))).is_error
        theirs = await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r"), identity="local:other")
        assert not theirs.is_error


async def test_gateways_on_one_store_do_not_give_out_the_same_last_calls(tmp_path: Path, store_url: str | None) -> None:
    place = f"[store]\nurl = {json.dumps(store_url)}\n" if store_url else ""
    parts = ("[gateway.run_budget]\ncalls = 10\n", place, server("a"), ALLOW_ALL)
    async with gateway_of(tmp_path, *parts) as one, gateway_of(tmp_path, *parts) as two:
        done = 0

        async def work(gateway: Any) -> None:
            nonlocal done
            for _ in range(8):
                answer = await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r"))
                done += not answer.is_error

        async with anyio.create_task_group() as tasks:
            for gateway in (one, two, one, two):
                tasks.start_soon(work, gateway)
        assert done == 10


async def test_what_a_run_receives_and_takes_counts_too(tmp_path: Path) -> None:
    budget = "[gateway.run_budget]\nbytes_in = 60\nbytes_out = 100_000\n"
    async with gateway_of(tmp_path, budget, server("a"), ALLOW_ALL) as gateway:
        assert not (await send(gateway, "a__big", {}, meta=in_run("r"))).is_error
        assert "bytes out: 100000" in text_of(await send(gateway, "a__echo", {"text": "x"}, meta=in_run("r")))
        long = {"text": "x" * 60}
        assert "bytes in: 60" in text_of(await send(gateway, "a__echo", long, meta=in_run("other")))


async def test_a_call_that_takes_longer_than_its_limit_is_stopped(tmp_path: Path) -> None:
    seen = tmp_path / "journal"
    limits = '[[gateway.limits]]\ntools = ["a__slow"]\ncall_timeout_s = 1\n'
    async with gateway_of(tmp_path, limits, server("a", "--journal", str(seen)), ALLOW_ALL) as gateway:
        answer = await call(gateway, "a__slow")
        assert text_of(answer).startswith("timeout: a did not answer within 1 s")
        await until(lambda: {"cancelled": "slow"} in journal(seen))
