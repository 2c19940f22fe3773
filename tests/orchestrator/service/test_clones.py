"""A run on a repository that its worker clones: the result is a branch, a patch and a bundle."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bench.workers.fleet import decide

from lg_orch.testing import ScriptedModel
from tests.orchestrator.service.serving import serving
from tests.scripted_settings import scripted_settings

pytestmark = pytest.mark.usefixtures("programs_by_fork")

WHO = ["-c", "user.name=ann", "-c", "user.email=ann@example.com"]


def git(at: Path, *words: str) -> str:
    return subprocess.run(["git", *WHO, *words], cwd=at, check=True, capture_output=True, text=True).stdout


def test_a_run_works_on_a_clone_and_its_branch_can_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-scripted-0123456789")
    home, source = tmp_path / "home", tmp_path / "srv" / "api"
    home.mkdir()
    source.mkdir(parents=True)
    (source / "log.txt").write_text("begin\nend\n")
    (source / "Makefile").write_text("test:\n\ttrue\n")
    git(source, "init", "-q", "-b", "trunk")
    git(source, "add", "-A")
    git(source, "commit", "-q", "-m", "one")
    config = tmp_path / "settings.toml"
    with ScriptedModel(decide) as model:
        asks_nobody = "[policy]\nrequire_approval_for_mutations = false\n"
        allowed = f'[service]\nclone_from = ["file://{tmp_path}/srv"]\n'
        config.write_text(scripted_settings(model.base_url, asks_nobody + allowed))
        with serving(home, "--config", str(config)) as api:
            address = f"file://{source}"
            missing = api.create("x", repository=address, ref="nosuch")
            run_id = api.create("insert two lines, token r0001", repository=address, ref="trunk")
            ended = api.until(run_id, "done", "unchecked", "failed", "refused")
            assert ended["state"] in ("done", "unchecked"), ended
            assert (ended["repository"], Path(ended["root"]).name) == (address, "api")
            assert (source / "log.txt").read_text() == "begin\nend\n", "only the clone changed"
            branch = ended["report"]["branch"]
            assert branch["name"] == f"lg/{run_id}"
            names = {found["name"] for found in api("GET", f"/v1/runs/{run_id}/artifacts").json["artifacts"]}
            assert {"report.md", "changes.patch", "branch.patch", "branch.bundle"} <= names
            bundle = api("GET", f"/v1/runs/{run_id}/artifacts/branch.bundle")
            (tmp_path / "run.bundle").write_bytes(bundle.data)
            git(source, "fetch", "-q", str(tmp_path / "run.bundle"), f"{branch['name']}:{branch['name']}")
            assert git(source, "show", f"{branch['name']}:log.txt") == "begin\na-r0001\nb-r0001\nend\n"
            assert b"+a-r0001" in api("GET", f"/v1/runs/{run_id}/artifacts/branch.patch").data
            assert api("POST", f"/v1/runs/{run_id}/undo").status == 202
            undo = api.undone(run_id)
            assert (undo["state"], undo["branch"]) == ("done", None), "an undone run has no branch"
            assert api("GET", f"/v1/runs/{run_id}/artifacts/branch.patch").status == 404
            refused = api.until(missing, "refused", "failed", "done")
            assert "nosuch" in refused["report"]["text"]
