"""Recorded traffic: the same run without the model, and an error for everything that was not recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lg_orch.testing import Cassette, Miss, ScriptedModel, text
from lg_policy.config.settings import Settings
from tests.orchestrator.llm.workshop import DONE, READ, RIGHT, patch, shop

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
SECRET = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


def settings(cassette: Cassette) -> Settings:
    chosen = {"provider": "openai", "model": "scripted", "base_url": cassette.base_url, "retries": 0}
    return Settings.model_validate({"models": {"default": chosen}})


async def test_a_recorded_run_is_replayed_to_the_same_end_without_the_model(tmp_path: Path) -> None:
    tape = tmp_path / "fix.jsonl"
    with ScriptedModel([READ, patch(), text(DONE)]) as model:
        with Cassette(tape, upstream=model.base_url, by="a test") as recording:
            async with shop(tmp_path / "first", settings(recording)) as made:
                first = await made.go()
        asked = len(model.requests)
    assert first.final is not None
    assert (first.final.status, asked) == ("done", 3)
    with Cassette(tape) as replaying:
        async with shop(tmp_path / "second", settings(replaying)) as made:
            second = await made.go()
            assert RIGHT in made.source()
    assert second.final is not None
    assert second.final.status == "done"
    assert second.budgets.tokens == first.budgets.tokens
    head, *lines = tape.read_text().splitlines()
    assert json.loads(head)["by"] == "a test"
    assert [json.loads(line)["model"] for line in lines] == ["scripted"] * 3


async def test_a_request_that_was_not_recorded_ends_the_run_and_the_test(tmp_path: Path) -> None:
    tape = tmp_path / "question.jsonl"
    with ScriptedModel([text("In `calc.py:1`.")]) as model, Cassette(tape, upstream=model.base_url) as recording:
        async with shop(tmp_path / "first", settings(recording)) as made:
            await made.go("where is add defined?")
    with pytest.raises(Miss, match=r"1 requests are not in question\.jsonl"), Cassette(tape) as replaying:
        async with shop(tmp_path / "second", settings(replaying)) as made:
            why = await made.breaks_off("where is sub defined?")
            assert "has no answer to this request" in why.message


async def test_keys_and_secrets_are_not_kept(tmp_path: Path) -> None:
    tape = tmp_path / "secret.jsonl"
    with (
        ScriptedModel([text(f"The token is {SECRET}.")]) as model,
        Cassette(tape, upstream=model.base_url) as recording,
    ):
        async with shop(tmp_path / "first", settings(recording)) as made:
            await made.go("where is add defined?")
        assert model.requests[0]["authorization"] == "Bearer none"
    kept = tape.read_text()
    assert SECRET not in kept
    assert "Bearer" not in kept


async def test_a_lenient_cassette_answers_a_changed_request_with_what_was_said_next_and_counts_it(
    tmp_path: Path,
) -> None:
    tape = tmp_path / "fix.jsonl"
    with ScriptedModel([READ, patch(), text(DONE)]) as model, Cassette(tape, upstream=model.base_url) as recording:
        async with shop(tmp_path / "first", settings(recording)) as made:
            await made.go("fix the failing test")
    with Cassette(tape, lenient=True) as replaying:
        async with shop(tmp_path / "second", settings(replaying)) as made:
            ended = await made.go("please fix the failing test")
            assert RIGHT in made.source()
    assert ended.final is not None
    assert (ended.final.status, len(replaying.changed), replaying.misses) == ("done", 3, [])
