"""The three programs, each in an environment of its own, on one task with one scripted model."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.orchestrator.actor import DEEP, MINI, OURS, Actor, Speech
from lg_orch.testing import ScriptedModel

if TYPE_CHECKING:
    from bench.orchestrator.tasks import Task

PEERS = {
    "mini-swe-agent": ("mini-swe-agent==2.4.6",),
    "deepagents": ("deepagents==0.7.32", "langchain-openai==1.7.3"),
}
TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one run sent and whether it solved the task."""

    program: str
    requests: list[dict[str, object]]
    solved: bool
    wall_s: float
    cpu_s: float
    """User and system time of the program and all its children, the tests that it ran included."""


def install(place: Path) -> None:
    """Make the environments that are not there yet."""
    uv = str(Path(sys.executable).parent / "uv")
    for name, requirements in PEERS.items():
        home = place / name
        if (home / "ready").exists():
            continue
        subprocess.run([uv, "venv", "--no-config", "-q", "-p", sys.executable, str(home)], check=True)
        python = str(home / "bin" / "python")
        subprocess.run([uv, "pip", "install", "--no-config", "-q", "-p", python, *requirements], check=True)
        (home / "ready").touch()


def run(program: str, task: Task, scratch: Path, peers: Path) -> Outcome:
    """One run in directories of its own."""
    root = scratch / "project"
    root.mkdir(parents=True)
    task.write(root)
    speech: Speech = {"mini-swe-agent": MINI, "deepagents": DEEP}.get(program, OURS)
    with ScriptedModel(Actor(task, speech)) as model:
        argv, env = command(program, task, root, model.base_url, scratch, peers)
        before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(
            argv, cwd=root, env=env, capture_output=True, text=True, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
            check=False,
        )  # fmt: skip
        wall, after = time.monotonic() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    solved = task.solved(root)
    if not solved:
        print(f"{program} did not solve {task.name!r}:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}", file=sys.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Outcome(program=program, requests=model.requests, solved=solved, wall_s=wall, cpu_s=cpu)


def command(
    program: str, task: Task, root: Path, base_url: str, scratch: Path, peers: Path
) -> tuple[list[str], dict[str, str]]:
    """How a program is started, with homes of its own and our `pytest` first on its path."""
    home = scratch / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LG_", "XDG_", "OPENAI_"))}
    env = kept | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home), "OPENAI_API_KEY": "none",
        "MSWEA_CONFIGURED": "true", "MSWEA_COST_TRACKING": "ignore_errors", "MSWEA_GLOBAL_CONFIG_DIR": str(home),
        **{f"XDG_{name}_HOME": str(home / name.lower()) for name in ("STATE", "CONFIG", "DATA", "CACHE")},
    }  # fmt: skip
    if program == "mini-swe-agent":
        argv = [str(peers / program / "bin" / "mini"), "-y", "--exit-immediately", "-t", task.request]
        argv += ["-m", "openai/scripted", "-o", str(scratch / "trajectory.json"), "-c", "mini.yaml"]
        return [*argv, "-c", f"model.model_kwargs.api_base={base_url}"], env
    if program == "deepagents":
        script = str(Path(__file__).with_name("peer_deepagents.py"))
        return [str(peers / program / "bin" / "python"), "-P", script, str(root), base_url, task.request], env
    settings = scratch / "settings.toml"
    settings.write_text(
        f'[exec]\nenvironment = "{sys.prefix}"\n[models.default]\nprovider = "openai"\nmodel = "scripted"\n'
        f'base_url = "{base_url}"\n'
    )
    argv = [sys.executable, "-P", "-m", "lg_orch", "run", task.request, "--yes", "--config", str(settings)]
    return [*argv, "--repo-root", str(root)], env
