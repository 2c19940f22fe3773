"""SIGKILL at every boundary of a run and inside its calls: no effect twice, nothing lost, the same end.

Real processes, a real gateway with real servers, a model over HTTP whose answers depend on what it is asked alone.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from lg_orch.graph import NODES
from lg_orch.pglock import PostgresLock
from lg_orch.runs import RunLock, all_runs
from lg_orch.testing_openai import Scripted, ScriptedModel, calls, text
from lg_policy.state import open_state
from tests.e2e.programs import serving
from tests.orchestrator.forks import Boundary, Ended, Forker, forker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_DEATHS = 120
RESULT_OF = {"x": r"=======\nx\nend", "note": '"cmd":"note"', "y": r"=======\ny\nend"}
"""What the kept result of each effect holds."""
ROUTE = '{"intent": "code_change", "lane": "interactive", "rationale": "A change."}'
NOTE = ("exec__exec", {"cmd": "note"})


def insert(letter: str) -> tuple[str, dict[str, Any]]:
    """A patch that shows when it is applied twice."""
    patch = f"log.txt\n<<<<<<< SEARCH\nend\n=======\n{letter}\nend\n>>>>>>> REPLACE\n"
    return "fs__apply_patch", {"patch": patch}


ACTIONS = (("fs__read_file", {"path": "log.txt"}), insert("x"), NOTE, insert("y"))


def decide(request: dict[str, Any]) -> Scripted:
    """The model's answer, from the request alone: a request that is made again after a crash is answered alike."""
    if request.get("tools"):
        made = sum(message["role"] == "tool" for message in request["messages"])
        return calls(ACTIONS[made]) if made < len(ACTIONS) else text("done")
    return text(ROUTE)


@dataclass(kw_only=True)
class Place:
    folder: Path
    gateway: str
    forker: Forker
    config: str = "settings.toml"

    @property
    def root(self) -> Path:
        return self.folder / "repo"

    @property
    def noted(self) -> str:
        path = self.folder / "noted"
        return path.read_text() if path.exists() else ""

    @property
    def log(self) -> str:
        """The letters that patches inserted."""
        return "".join((self.root / "log.txt").read_text().split("\n")[1:-2])

    def victim(self, when: str) -> Path:
        """While this names a process, `note` kills it before or after it does its work, and then hangs."""
        return self.folder / f"victim.{when}"

    def reset(self) -> None:
        (self.root / "log.txt").write_text("begin\nend\n")
        for path in (self.folder / "noted", self.victim("before"), self.victim("after")):
            path.unlink(missing_ok=True)

    def begin(self, *flags: str, **how: Any) -> Ended:
        return self.forker.run("run", "insert both letters", *self.flags(), *flags, cwd=self.root, **how)

    def resume(self, *flags: str, **how: Any) -> Ended:
        return self.forker.run("resume", "last", *self.flags(), *flags, cwd=self.root, **how)

    def flags(self) -> tuple[str, ...]:
        config = str(self.folder / self.config)
        return "--json", "--yes", "--gateway", self.gateway, "--config", config, "--repo-root", str(self.root)

    def to_the_end(self, ended: Ended) -> Ended:
        """Resume until the run has ended; whether the lost call was made is answered as it truly was."""
        for _ in range(5):
            if not ended.killed and ended.status != 3:
                break
            lost = ended.status == 3
            ended = self.resume(*((f"--{'done' if self.noted else 'not-done'}",) if lost else ()))
        return ended

    def replay(self) -> Ended:
        return self.forker.run("replay", "last", "--json", "--repo-root", str(self.root), cwd=self.root)

    def assert_as_if_nothing_had_happened(self, ended: Ended) -> None:
        assert ended.status == 0, ended.out
        assert (self.root / "log.txt").read_text() == "begin\nx\ny\nend\n"
        assert self.noted == "x"
        assert json.loads(ended.out)["status"] == "done"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("kills")
    (folder / "repo").mkdir()
    (folder / "repo" / "Makefile").write_text("test:\n\ttrue\n")
    environ = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CONFIG")}
    with pytest.MonkeyPatch.context() as patch, ScriptedModel(decide) as model:
        for name, value in {**environ, "OPENAI_API_KEY": "sk-scripted-0123456789"}.items():
            patch.setenv(name, value)
        victim = f"{folder}/victim"
        kill = f"if test -e {victim}.%s; then kill -9 $(cat {victim}.%s); exec sleep 60; fi"
        note = f"{kill % ('before', 'before')}; printf x >> {folder}/noted; {kill % ('after', 'after')}"
        (folder / "settings.toml").write_text(f"""
[exec]
sandbox = "off"
[exec.commands.note]
executable = "/bin/sh"
prefix = ["-c", "{note}"]
[exec.commands.make]
executable = "/bin/true"
needs_sandbox = false
[models.default]
provider = "openai"
model = "scripted"
base_url = "{model.base_url}"
""")
        arguments = ("--config", str(folder / "settings.toml"), "--root", str(folder / "repo"))
        with serving("lg-gateway", "serve", "--no-login", *arguments, cwd=folder) as url, forker(folder) as forks:
            yield Place(folder=folder, gateway=url, forker=forks)


@pytest.fixture(autouse=True)
def environment(place: Place, clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(place.folder / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(place.folder / "config"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    place.reset()


@pytest.mark.timeout(600)
def test_a_run_that_is_killed_at_every_boundary_it_comes_to_ends_as_one_that_never_was(place: Place) -> None:
    seen: set[Boundary] = set()
    ended, deaths = place.begin(seen=seen), 0
    while ended.killed:
        deaths += 1
        assert deaths < MAX_DEATHS
        seen |= set(ended.boundaries())
        ended = place.resume(seen=seen)
    # The last death was after the end had been journalled: nothing is left to resume, the report is in the journal.
    assert "has ended (done)" in ended.out
    place.assert_as_if_nothing_had_happened(place.replay())
    visited = {name for kind, name, phase, _ in seen if (kind, phase) == ("node", "end")}
    assert visited >= {name for name, _ in NODES}
    assert deaths > 40


@pytest.mark.parametrize(("effect", "done"), [("x", "x"), ("note", "xx"), ("y", "xxy")])
def test_a_run_killed_between_an_outcome_and_the_first_trace_of_it_makes_no_call_twice(
    place: Place, effect: str, done: str
) -> None:
    """Killed as the effect's result is about to get its place in the result store; the effects are counted."""
    ended = place.begin(rename=("results", RESULT_OF[effect]))
    assert ended.killed
    assert place.log[:1] + place.noted + place.log[1:] == done
    place.assert_as_if_nothing_had_happened(place.to_the_end(ended))


@pytest.mark.parametrize(("when", "noted", "answer"), [("before", "", "--not-done"), ("after", "x", "--done")])
def test_a_run_killed_by_the_very_command_it_runs_asks_what_became_of_it(
    place: Place, when: str, noted: str, answer: str
) -> None:
    assert place.begin(pid_file=place.victim(when)).killed
    place.victim(when).unlink()
    asked = place.resume()
    assert asked.status == 3, asked.out
    assert answer in json.loads(asked.out)["text"]
    assert place.resume().status == 3, "without an answer it goes on asking"
    assert place.noted == noted
    place.assert_as_if_nothing_had_happened(place.resume(answer))


def test_a_lost_call_may_also_end_the_run(place: Place) -> None:
    assert place.begin(pid_file=place.victim("after")).killed
    place.victim("after").unlink()
    assert place.resume().status == 3
    ended = place.resume("--stop")
    assert ended.status == 1
    assert "a human chose to stop" in ended.out
    assert (place.noted, place.log) == ("x", "x")


def test_two_processes_do_not_drive_one_run(place: Place) -> None:
    assert place.begin(seen=set()).killed
    run = next(all_runs(open_state(root=place.root).path))
    lock = RunLock(run)
    refused = place.resume()
    lock.release()
    assert refused.status == 1
    assert "is being driven by another process" in refused.out
    place.assert_as_if_nothing_had_happened(place.resume())


@pytest.fixture
def shared(place: Place, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The same place with checkpoints in PostgreSQL, whose address stands in the environment."""
    monkeypatch.setenv("LG_TEST_STORE", postgres_url)
    settings = (place.folder / "settings.toml").read_text()
    (place.folder / "shared.toml").write_text(f'{settings}\n[store]\nurl = "${{LG_TEST_STORE}}"\n')
    yield replace(place, config="shared.toml")


def test_checkpoints_in_postgresql_bring_a_killed_run_to_the_same_end_and_go_with_it(
    shared: Place, postgres_url: str
) -> None:
    assert shared.begin(rename=("results", RESULT_OF["note"])).killed
    ended = shared.to_the_end(shared.resume(rename=("results", RESULT_OF["y"])))
    shared.assert_as_if_nothing_had_happened(ended)
    run_id = json.loads(ended.out)["run_id"]
    assert threads(postgres_url) == {run_id}
    (journal,) = (open_state(root=shared.root).path / "runs" / run_id).glob("journal.jsonl")
    os.utime(journal, (0, 0))
    pruned = shared.forker.run("runs", "prune", *shared.flags()[4:], cwd=shared.root)
    assert run_id in pruned.out
    assert threads(postgres_url) == set()
    assert not journal.parent.exists()


def threads(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {row[0] for row in connection.execute("SELECT DISTINCT thread_id FROM checkpoints")}


def test_the_lock_in_postgresql_keeps_another_machine_from_a_run_until_its_holder_dies(
    shared: Place, postgres_url: str
) -> None:
    assert shared.begin(seen=set()).killed
    run = next(all_runs(open_state(root=shared.root).path))
    elsewhere = PostgresLock(postgres_url, run.run_id)
    refused = shared.resume()
    assert refused.status == 1
    assert "is being driven by another process" in refused.out
    elsewhere.release()
    shared.assert_as_if_nothing_had_happened(shared.resume())


def test_a_postgresql_that_is_not_there_is_said_before_anything_is_begun(
    shared: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LG_TEST_STORE", "postgresql://lg:very-secret@127.0.0.1:1/lg")
    refused = shared.begin()
    assert refused.status == 2
    assert "store.url: PostgreSQL cannot be used" in refused.out
    assert "very-secret" not in refused.out
    assert not refused.events
    assert all(run.journal.exists() for run in all_runs(open_state(root=shared.root).path)), "nothing half-done remains"
