"""One project, one real gateway and a model over HTTP, for runs that are begun, stopped and gone on with many times.

The model answers from what it is asked alone: a request that is made again after a crash is answered alike.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from lg_orch.testing import Scripted, ScriptedModel, calls, text
from tests.e2e.programs import Served, served
from tests.orchestrator.forks import Ended, Forker, forker
from tests.orchestrator.stopping import DIED, PIPE
from tests.processes import Shared, Stalled, abort, answers

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-scripted-0123456789"
REQUEST, GUARDED = "insert both letters", "insert a letter that only an operator may allow"
EVERYTHING = "insert both letters, one of them in two files, and run both commands"
ROUTE = '{"intent": "code_change", "lane": "interactive", "rationale": "A change."}'
NOTE = ("exec__exec", {"cmd": "note"})


def insert(letter: str) -> tuple[str, dict[str, Any]]:
    """A patch that shows when it is applied twice."""
    patch = f"log.txt\n<<<<<<< SEARCH\nend\n=======\n{letter}\nend\n>>>>>>> REPLACE\n"
    return "fs__apply_patch", {"patch": patch}


READ = ("fs__read_file", {"path": "log.txt"})
ACTIONS = (READ, insert("x"), NOTE, insert("y"))
BOTH = """*** Begin Patch
*** Update File: log.txt
@@
+x
 end
*** Update File: more.txt
@@
+x
 end
*** End Patch
"""
READ_BOTH = ("fs__read_file", {"paths": ["log.txt", "more.txt"]})
EVERY_ACTION = (READ_BOTH, ("fs__apply_patch", {"patch": BOTH}), NOTE, ("exec__exec", {"cmd": "again"}), insert("y"))
GUARDED_ACTIONS = (READ, ("exec__exec", {"cmd": "guarded"}), insert("x"))
REPLAN = '{"reflection": "It was refused.", "plan": {"steps": []}}'


def decide(request: dict[str, Any]) -> Scripted:
    """The model's answer, from the request alone: a request that is made again after a crash is answered alike."""
    if not request.get("tools"):
        return text(REPLAN if "reflection" in str(request["messages"][0]["content"]) else ROUTE)
    asked = str(request["messages"])
    actions = GUARDED_ACTIONS if GUARDED in asked else EVERY_ACTION if EVERYTHING in asked else ACTIONS
    made = sum(message["role"] == "tool" for message in request["messages"])
    return calls(actions[made]) if made < len(actions) else text("done")


@dataclass(kw_only=True)
class Place:
    folder: Path
    shared_gateway: Shared[Served]
    forker: Forker
    model: ScriptedModel
    ended: Event
    """Set while no program runs."""
    config: str = "settings.toml"
    own: bool = False
    """Whether runs have gateways of their own, which end with them."""

    @property
    def root(self) -> Path:
        return self.folder / "repo"

    @property
    def gateway(self) -> str:
        """The address of the gateway; a new one where the last does not answer."""
        return self.shared_gateway.get().url

    @property
    def noted(self) -> str:
        path = self.folder / "noted"
        return path.read_text() if path.exists() else ""

    @property
    def log(self) -> str:
        """The letters that patches inserted."""
        return "".join((self.root / "log.txt").read_text().split("\n")[1:-2])

    def victim(self, when: str) -> Path:
        """While this is there, `note` runs it before or after it does its work, and then hangs."""
        return self.folder / f"victim.{when}"

    def cut_while(self, *when: str) -> list[str]:
        """Have the power cut while `note` or `again` runs, or the `model` is asked; returns what is then in `at`."""
        for one in when:
            self.victim(one).write_text(f"rm {self.victim(one)}; echo {one} > {self.folder / PIPE}")
        return list(when)

    def reset(self) -> None:
        for name in ("log.txt", "more.txt"):
            (self.root / name).write_text("begin\nend\n")
        for path in (self.folder / "noted", self.folder / "again", self.folder / DIED, *self.folder.glob("victim.*")):
            path.unlink(missing_ok=True)

    def begin(self, *flags: str, request: str = REQUEST, **how: Any) -> Ended:
        return self.driven("run", request, *flags, **how)

    def resume(self, *flags: str, **how: Any) -> Ended:
        return self.driven("resume", "last", *flags, **how)

    def driven(self, command: str, what: str, *flags: str, yes: bool = True, **how: Any) -> Ended:
        answers = ("--yes",) if yes else ()
        connection = ("--json", *(() if self.own else ("--gateway", self.gateway)), *self.flags())
        self.ended.clear()
        try:
            return self.forker.run(command, what, *answers, *connection, *flags, cwd=self.root, own=self.own, **how)
        except Stalled as stalled:
            # Whichever of the two stalled, the next test gets a new gateway too.
            gateway = self.shared_gateway.get()
            stalled.add_note(f"the gateway:\n{abort(gateway.process, gateway.output)}")
            raise
        finally:
            self.ended.set()

    def flags(self) -> tuple[str, ...]:
        return "--config", str(self.folder / self.config), "--repo-root", str(self.root)

    def gateway_flags(self) -> tuple[str, ...]:
        return "--config", str(self.folder / self.config), "--root", str(self.root)

    def told(self) -> str:
        """Everything that the model was asked last."""
        return json.dumps(self.model.requests[-1]["messages"])

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


@contextmanager
def standing(folder: Path) -> Iterator[Place]:
    """Everything up, for the length of the block."""
    (folder / "repo").mkdir()
    (folder / "repo" / "Makefile").write_text("test:\n\ttrue\n")
    environ = {f"XDG_{name}_HOME": str(folder / name.lower()) for name in ("STATE", "CONFIG")}
    ended = Event()

    def answer(request: dict[str, Any]) -> Scripted:
        asked = folder / "victim.model"
        if asked.exists():
            cuts = PIPE in asked.read_text()
            subprocess.run(["/bin/sh", str(asked)], check=True)
            if cuts:
                ended.wait(60)
        return decide(request)

    with pytest.MonkeyPatch.context() as patch, ScriptedModel(answer) as model:
        for name, value in {**environ, "OPENAI_API_KEY": KEY}.items():
            patch.setenv(name, value)
        victim = f"{folder}/victim"
        kill = f"if test -e {victim}.%s; then sh {victim}.%s; exec sleep 60; fi"
        note = f"{kill % ('before', 'before')}; printf x >> {folder}/noted; {kill % ('after', 'after')}"
        (folder / "settings.toml").write_text(f"""
[exec]
sandbox = "off"
[exec.commands.note]
executable = "/bin/sh"
prefix = ["-c", "{note}"]
[exec.commands.again]
executable = "/bin/sh"
prefix = ["-c", "echo once > {folder}/again; if test -e {victim}.again; then sh {victim}.again; exec sleep 60; fi"]
rerun = true
[exec.commands.make]
executable = "/bin/true"
needs_sandbox = false
[exec.commands.guarded]
executable = "/bin/true"
needs_sandbox = false
[[gateway.rules]]
tools = ["exec__exec"]
when = {{ properties = {{ cmd = {{ const = "guarded" }} }} }}
effect = "approve"
approver = "operator"
reason = "only operators may"
[approval]
hold_s = 0.2
max_pending = 1_000
[models.default]
provider = "openai"
model = "scripted"
base_url = "{model.base_url}"
""")
        arguments = ("--config", str(folder / "settings.toml"), "--root", str(folder / "repo"))
        shared = Shared(
            lambda: served("lg-gateway", "serve", "--no-login", *arguments, cwd=folder),
            lambda gateway: answers(gateway.url),
        )
        with closing(shared), forker(folder) as forks:
            yield Place(folder=folder, shared_gateway=shared, forker=forks, model=model, ended=ended)
