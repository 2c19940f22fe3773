from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from lg_orch.cli import arguments, main
from lg_policy.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

HEAVY = ("mcp", "langgraph", "langchain", "langchain_core", "fastmcp", "rich", "jsonschema", "pydantic", "anyio")


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=cwd, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("args", [["--help"], ["run", "--help"], ["--version"], ["trust", "--version"]])
def test_help_and_version_import_nothing_heavy(args: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom lg_orch.cli import main\ntry:\n    main({args!r})\nexcept SystemExit as end:\n"
        "    print(end.code, [name for name in {heavy!r} if name in sys.modules])"
    )
    done = python(code.format(args=args, heavy=HEAVY), tmp_path)
    assert done.stdout.endswith("0 []\n"), done.stdout + done.stderr


@pytest.mark.parametrize("module", ["langgraph", "langchain", "fastmcp", "rich"])
@pytest.mark.parametrize("args", [["run", "summarize repo"]])
def test_without_the_extra_it_says_what_to_install_and_ends_with_2(
    module: str, args: list[str], tmp_path: Path
) -> None:
    # None in sys.modules is how Python itself marks a module that is not there.
    code = f"import sys\nsys.modules[{module!r}] = None\nfrom lg_orch.cli import main\nsys.exit(main({args!r}))"
    done = python(code, tmp_path)
    assert done.returncode == 2
    assert f"{sys.executable} -m pip install" in done.stderr
    assert "langgraph>=" in done.stderr
    assert module in done.stderr
    assert "Traceback" not in done.stderr


def test_characters_that_the_encoding_of_stdout_lacks_are_spelled_out(tmp_path: Path) -> None:
    code = (
        "import sys\nsys.stdout.reconfigure(encoding='ascii')\nfrom lg_orch.cli import main\n"
        "main(['runs', 'list', '--repo-root', {!r}])\nprint('Gr\\u00fc\\u00dfe \\u2603')"
    )
    done = python(code.format(str(tmp_path)), tmp_path)
    assert (done.returncode, done.stdout) == (0, "no runs yet\nGr\\xfc\\xdfe \\u2603\n"), done.stderr


def test_export_graph_without_the_extra_says_the_same(tmp_path: Path) -> None:
    code = "import sys\nsys.modules['langgraph'] = None\nfrom lg_orch.cli import main\nsys.exit(main(['export-graph']))"
    done = python(code, tmp_path)
    assert (done.returncode, "pip install" in done.stderr) == (2, True)


def test_export_graph_prints_mermaid_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export-graph"]) == 0
    printed = capsys.readouterr()
    assert "graph TD;" in printed.out
    assert "executor -.-> executor;" in printed.out
    assert printed.err == ""


def test_every_command_takes_the_repository_and_settings_flags() -> None:
    for command in (["run", "x"], ["doctor"], ["trust"], ["runs", "list"], ["export-graph"]):
        args = arguments([*command, "--repo-root", "r", "--profile", "prod", "--state-dir", "s"])
        assert (str(args.root), args.profile) == ("r", "prod")


@pytest.mark.parametrize("request_text", ["", "   ", os.fsdecode(b"\xff\xfe")])
def test_a_request_that_says_nothing_ends_with_2(request_text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", request_text]) == 2
    assert "request" in capsys.readouterr().err


@pytest.mark.parametrize("model", ["gpt", ":x", "openai:", ":"])
def test_a_model_that_is_not_provider_and_name_ends_with_2(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "summarize repo", "--model", model, "--repo-root", str(tmp_path)]) == 2
    assert "PROVIDER:NAME" in capsys.readouterr().err


def test_yes_is_refused_in_profile_prod(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a run leaves the directory it was started in
    assert main(["run", "summarize repo", "--yes", "--profile", "prod", "--repo-root", str(tmp_path)]) == 2
    assert "--yes is refused" in capsys.readouterr().err


def test_a_token_is_not_sent_in_the_clear_to_another_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LG_GATEWAY_TOKEN", "very-secret-token")
    url = "http://gateway.example:8700/mcp"
    assert main(["run", "x", "--gateway", url, "--repo-root", str(tmp_path)]) == 2
    printed = capsys.readouterr().err
    assert "https" in printed
    assert "very-secret-token" not in printed


def test_runs_of_a_fresh_repository_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "list", "--repo-root", str(tmp_path)]) == 0
    assert "no runs yet" in capsys.readouterr().out
    assert main(["runs", "show", "../../x", "--repo-root", str(tmp_path)]) == 2
    assert main(["runs", "show", "--repo-root", str(tmp_path)]) == 2


def test_version_is_the_distributions(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"lg-orch {__version__}\n"
