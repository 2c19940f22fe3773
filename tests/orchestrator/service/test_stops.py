"""A service that is told to stop lets its run stop between two calls, and goes on with it when it is started again."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from lg_orch.testing import ScriptedModel
from tests.e2e.programs import Served, program, served, served_by
from tests.e2e.team import WAIT_S, Model, Service
from tests.forked_programs import programs_of
from tests.scripted_settings import scripted_settings

if TYPE_CHECKING:
    from tests.fork_server import ForkServer


@pytest.mark.timeout(600)
def test_a_run_that_is_driven_when_the_service_stops_goes_on_once_it_is_started_again(
    tmp_path: Path, fork_server: ForkServer | None
) -> None:
    root, config, model = tmp_path / "repo", tmp_path / "settings.toml", Model()
    root.mkdir()
    (root / "log.txt").write_text("begin\nend\n")
    (root / "Makefile").write_text("test:\n\ttrue\n")
    env = {f"XDG_{name.upper()}_HOME": str(tmp_path / name) for name in ("state", "config", "cache", "data")}
    env["OPENAI_API_KEY"] = "sk-scripted-0123456789"
    silent, goes_on = model.expect("r0001")
    more = "[policy]\nrequire_approval_for_mutations = false\n"
    at = ("--config", str(config), "--root", str(root))
    with programs_of(fork_server), ScriptedModel(model) as scripted:
        config.write_text(scripted_settings(scripted.base_url, more))
        with served("lg-gateway", "serve", "--no-login", *at, cwd=tmp_path, env=env) as gateway:
            command = [program("lg-orch"), "serve", *at, "--gateway", gateway.url]
            with served_by(command, cwd=tmp_path, env=env) as service:
                request = {"request": "insert two lines, token r0001"}
                run_id = client(service, tmp_path)("POST", "/v1/runs", request)["run_id"]
                assert silent.wait(WAIT_S)
                service.process.send_signal(signal.SIGTERM)
                goes_on.set()
                assert service.process.wait(WAIT_S) == 0, service.output.text()
            with served_by(command, cwd=tmp_path, env=env) as service:
                ended = client(service, tmp_path).until(run_id, "done", "unchecked", "failed", "waiting")
    assert ended["state"] in ("done", "unchecked"), ended
    assert (root / "log.txt").read_text() == "begin\na-r0001\nb-r0001\nend\n"


def client(service: Served, folder: Path) -> Service:
    (token,) = (folder / "state").glob("lg/*/service-token")
    return Service(f"http://{urlsplit(service.url).netloc}", token.read_text("ascii").strip())
