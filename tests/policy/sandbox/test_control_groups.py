"""Control groups that are still busy, and those of servers that were killed."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from lg_policy.sandbox.cgroups import Group, find_hierarchy
from lg_policy.sandbox.group_sweep import YOUNG_S, sweep
from tests.support import require

ENDED = "lg-exec-4194999"
"""Of a process number that no system gives."""


@dataclass(frozen=True)
class Limits:
    memory_mb: int = 64
    processes: int = 8


def test_only_groups_of_ended_servers_are_swept(tmp_path: Path) -> None:
    own, long_ago, lately = f"lg-exec-{os.getpid()}", time.time() - 10 * 365 * 86_400, time.time() - YOUNG_S / 2
    old = time.time() - YOUNG_S - 1
    swept = {
        f"{ENDED}-0123456789ab": old,
        ENDED: old,
        "lg-exec-probe-0123456789ab": old,
        f"{own}-0123456789ab": long_ago,  # of an earlier process with this number
    }
    kept = {
        f"{ENDED}-abcdefabcdef": lately,
        f"{ENDED}-f0f000000000": old,  # something is in it
        "lg-exec-other": old,
        "lg-exec-1-x": old,
        "system.slice": old,
    }
    for name, made in {**swept, **kept}.items():
        (tmp_path / name).mkdir()
        if name.endswith("f0f000000000"):
            (tmp_path / name / "busy").mkdir()
        os.utime(tmp_path / name, (made, made))
    sweep(str(tmp_path))
    left = {path.name for path in tmp_path.iterdir()}
    assert left.isdisjoint(swept)
    assert left == set(kept)
    sweep(str(tmp_path / "not there"))


def test_a_group_of_a_running_server_is_kept_though_it_is_empty(tmp_path: Path) -> None:
    group = tmp_path / f"lg-exec-{os.getpid()}-0123456789ab"
    group.mkdir()
    sweep(str(tmp_path), young_s=-1)
    assert group.exists()


def test_a_group_that_is_busy_when_its_call_ends_is_removed_when_its_last_process_is_gone() -> None:
    hierarchy = find_hierarchy(divide=False)
    require(hierarchy is not None, "no control groups can be made here")
    assert hierarchy is not None
    group = Group(hierarchy, Limits())
    with subprocess.Popen(["sleep", "600"]) as process:
        group.add(process.pid)
        group.close()
        begun = [Path(prefix) for prefix in set(hierarchy.prefixes.values())]
        made = [path for prefix in begun for path in prefix.parent.glob(f"{prefix.name}*")]
        assert made, "the process is still in it"
        process.kill()
    deadline = time.monotonic() + 60
    while any(path.exists() for path in made) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(path.exists() for path in made)
