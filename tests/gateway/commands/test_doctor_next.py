"""What `lg-gateway doctor` names as the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from lg_gateway.commands.serving.doctor_setup import Finding, next_step
from tests.gateway.commands.support_commands import run
from tests.gateway.rig import server, write_config

pytestmark = pytest.mark.usefixtures("programs_by_fork")

BETTER = Finding(what="github", text="runs with all your rights; to confine it: sandbox = {}")
DOWN = Finding(what="time", text="restarting: exited with status 1", bad=True)
HALTED = Finding(what="halted", text="all calls are stopped", bad=True, then="run `lg-gateway continue`")


def test_what_is_wrong_comes_before_what_could_be_better() -> None:
    assert next_step([BETTER, DOWN]).startswith("time: ")
    assert next_step([BETTER, DOWN, HALTED]) == "halted: run `lg-gateway continue`"
    assert next_step([BETTER]) == "github: to confine it: sandbox = {}"


def test_all_that_is_wrong_is_named_when_nothing_says_what_to_do() -> None:
    fetch = Finding(what="fetch", text="down: exited with status 2", bad=True)
    assert next_step([BETTER, DOWN, fetch, DOWN]).startswith("time, fetch: ")


def test_each_server_that_is_down_is_told_once(tmp_path: Path) -> None:
    config = write_config(tmp_path, server("a", "--exit", "3"))
    result = run("doctor", "--config", str(config))
    told = [line for line in (result.stdout + result.stderr).splitlines() if "exited with status 3" in line]
    assert [line.split()[:2] for line in told] == [["!!", "a"]]
