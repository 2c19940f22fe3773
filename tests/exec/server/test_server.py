"""The tools as a client sees them."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp import types as t

from lg_exec.process.environment import Programs
from lg_exec.sandbox.interface import NoBackend
from lg_exec.server.executor import Executor
from lg_exec.server.server import make_server
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from tests.exec.helpers import sandboxed, settings, unconfined
from tests.support import growing

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("programs_by_fork")]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    (path / "sub").mkdir(parents=True)
    return path


def text_of(result: t.CallToolResult) -> str:
    content = result.content[0]
    assert isinstance(content, t.TextContent)
    return content.text


async def call(
    executor: Executor, chosen: Settings, root: Path, name: str, arguments: dict[str, object]
) -> t.CallToolResult:
    with Root(root) as opened:
        async with Client(make_server(opened, chosen, executor)) as client:
            with anyio.fail_after(60):
                result = await client.call_tool(name, arguments)
    assert isinstance(result, t.CallToolResult)
    return result


async def test_a_result_says_that_no_sandbox_was_active(root: Path, tmp_path: Path) -> None:
    chosen = settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        result = await call(executor, chosen, root, "exec", {"cmd": "py", "args": ["-c", "print('hi')"]})
    assert result.structured_content is not None
    assert result.structured_content["ok"] is True
    assert result.structured_content["stdout"] == "hi\n"
    assert result.structured_content["sandbox"]["active"] is False
    assert result.structured_content["sandbox"]["backend"] == "off"
    assert "NO SANDBOX" in text_of(result)
    assert not result.is_error


async def test_a_failing_command_is_a_result_and_a_reached_limit_an_error_with_the_output(
    root: Path, tmp_path: Path
) -> None:
    chosen = settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        failed = await call(executor, chosen, root, "exec", {"cmd": "py", "args": ["-c", "raise SystemExit(2)"]})
        slow = "print('seen', flush=True); import time; time.sleep(600)"
        for timeout_s in growing(1):
            arguments = {"cmd": "py", "args": ["-c", slow], "timeout_s": timeout_s}
            late = await call(executor, chosen, root, "exec", arguments)
            assert late.structured_content is not None
            if late.structured_content["stdout"]:
                break
    assert not failed.is_error
    assert failed.structured_content is not None
    assert failed.structured_content["exit_code"] == 2
    assert late.is_error
    assert late.structured_content is not None
    assert late.structured_content["error"]["code"] == "timeout"
    assert late.structured_content["limit_hit"] == "time"
    assert late.structured_content["stdout"] == "seen\n"
    assert f"limit_exceeded: time ({timeout_s:g} s)" in text_of(late)


async def test_without_a_sandbox_every_call_answers_sandbox_unavailable(root: Path, tmp_path: Path) -> None:
    chosen = settings()
    with Root(root) as opened:
        executor = Executor(opened, chosen, NoBackend("none works here"), Programs(opened.path, "auto"))
        result = await call(executor, chosen, root, "exec", {"cmd": "py", "args": ["-c", "open('x', 'w')"]})
        listed = await call(executor, chosen, root, "list_commands", {})
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"]["code"] == "sandbox_unavailable"
    assert "bubblewrap" in result.structured_content["error"]["hint"]
    assert not (root / "x").exists()
    assert listed.structured_content is not None
    assert all(not command["available"] and command["reason"] for command in listed.structured_content["commands"])


async def test_the_tool_lists_its_commands_and_its_containment(root: Path, tmp_path: Path) -> None:
    chosen = Settings()
    with unconfined(root, tmp_path / "s", chosen) as executor, Root(root) as opened:
        async with Client(make_server(opened, chosen, executor)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            root_id = opened.id
    assert set(tools) == {"exec", "list_commands"}
    tool = tools["exec"]
    assert tool.description is not None
    assert "pytest" in tool.description
    assert "- pytest: Run Python tests" in tool.input_schema["properties"]["cmd"]["description"]
    assert "unconfined" in tool.description
    assert tool.meta is not None
    assert tool.meta["lg/root"] == {"id": root_id, "name": "root"}
    assert tool.meta["lg/policy"] == chosen.policy_digest()
    assert tool.meta["lg/sandbox"] == {"active": False, "backend": "off"}
    assert "git" not in tool.input_schema["properties"]["cmd"]["enum"]
    assert tool.input_schema["properties"]["cwd"]["format"] == "lg-path"
    listing = tools["list_commands"].annotations
    assert listing is not None
    assert listing.read_only_hint


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"cmd": "rm"}, "invalid_arguments"),
        ({"cmd": "py", "args": "-c"}, "invalid_arguments"),
        ({"cmd": "py", "shell": True}, "invalid_arguments"),
        ({"cmd": "py", "timeout_s": -1}, "invalid_arguments"),
        ({"cmd": "py", "args": ["--evil"]}, "policy_denied"),
        ({"cmd": "py", "cwd": ".."}, "policy_denied"),
        ({"cmd": "py", "cwd": "/etc"}, "policy_denied"),
        ({"cmd": "py", "cwd": "out"}, "policy_denied"),
        ({"cmd": "py", "cwd": "nowhere"}, "not_found"),
        ({"cmd": "py", "args": ["out/passwd"]}, "policy_denied"),
        ({"cmd": "py", "args": ["../x.py"]}, "policy_denied"),
        ({"cmd": "py", "args": [".env"]}, "policy_denied"),
        ({"cmd": "py", "env": {"LD_PRELOAD": "x"}}, "policy_denied"),
    ],
)
async def test_refusals_name_the_rule_and_run_nothing(
    root: Path, tmp_path: Path, arguments: dict[str, object], code: str
) -> None:
    (root / "out").symlink_to("/etc")
    (root / ".env").write_text("secret")
    chosen = settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        result = await call(executor, chosen, root, "exec", arguments)
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["error"]["code"] == code


async def test_the_working_directory_and_paths_are_relative_to_the_root(root: Path, tmp_path: Path) -> None:
    (root / "sub" / "where.py").write_text("import os; print(os.getcwd())")
    chosen = settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        result = await call(executor, chosen, root, "exec", {"cmd": "py", "args": ["where.py"], "cwd": "sub"})
    assert result.structured_content is not None
    assert result.structured_content["stdout"] == f"{root}/sub\n"


async def test_the_commands_environment_holds_nothing_of_the_servers(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    chosen = settings(commands={"seeded": {"from": "python", "args_allow": ["-c=*..."], "env": ["SEED"]}})
    code = "import os; print(sorted(os.environ)); print(os.environ.get('SEED'), os.environ['HOME'])"
    with unconfined(root, tmp_path / "s", chosen) as executor:
        arguments: dict[str, object] = {"cmd": "seeded", "args": ["-c", code], "env": {"SEED": "7"}}
        result = await call(executor, chosen, root, "exec", arguments)
    assert result.structured_content is not None
    shown = result.structured_content["stdout"]
    assert "AWS_SECRET_ACCESS_KEY" not in shown
    assert f"7 {tmp_path / 's'}" in shown


async def test_progress_reaches_the_client(root: Path, tmp_path: Path) -> None:
    chosen = settings(progress_interval_s=0.05)
    seen: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(message or "")
        (root / "go").touch()

    code = "import os, time\nprint('working', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.01)"
    with unconfined(root, tmp_path / "s", chosen) as executor, Root(root) as opened:
        async with Client(make_server(opened, chosen, executor)) as client:
            with anyio.fail_after(60):
                await client.call_tool("exec", {"cmd": "py", "args": ["-c", code]}, progress_callback=on_progress)
    assert "".join(seen).strip() == "working"  # an unbuffered `print` writes the end of the line apart


async def test_the_installed_program_serves_over_stdio(root: Path) -> None:
    command = StdioServerParameters(
        command=sys.executable, args=["-P", "-m", "lg_exec", "--root", str(root), "--sandbox", "off"], cwd="/"
    )
    with anyio.fail_after(60):
        async with Client(command) as client:
            result = await client.call_tool("exec", {"cmd": "make", "args": ["-n"]})
    assert isinstance(result, t.CallToolResult)
    assert result.structured_content is not None


async def test_habits_are_taken_and_corrections_are_named_over_the_wire(root: Path, tmp_path: Path) -> None:
    chosen = settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        taken = await call(
            executor, chosen, root, "exec",
            {"cmd": "py", "args": '["-c", "print(1)"]', "cwd": "./", "env": None, "timeout_s": "20"},
        )  # fmt: skip
        shell = await call(executor, chosen, root, "exec", {"cmd": "bash", "args": ["-c", "cd sub && py -c 1"]})
        listed = await call(executor, chosen, root, "list_commands", {"filter": None})
    assert taken.structured_content is not None
    assert taken.structured_content["stdout"] == "1\n"
    assert shell.is_error
    assert 'call exec(cmd="py", args=["-c", "1"], cwd="sub")' in text_of(shell)
    assert not listed.is_error


async def test_changes_that_were_not_kept_are_an_error_with_exit_code_and_output(root: Path, tmp_path: Path) -> None:
    rw = {"from": "python", "args_allow": ["-c=*..."], "root": "rw"}
    chosen = settings(commands={"py": rw})
    deep = "import os\nfor _ in range(150): os.mkdir('d'); os.chdir('d')\nprint('said'); raise SystemExit(5)"
    with sandboxed(root, tmp_path / "s", chosen) as executor:
        result = await call(executor, chosen, root, "exec", {"cmd": "py", "args": ["-c", deep]})
        hint = await call(
            executor, chosen, root, "exec", {"cmd": "py", "args": ["-c", "import os; os.rename('sub', 'sub2')"]}
        )
    assert result.is_error
    assert result.structured_content is not None
    assert result.structured_content["exit_code"] == 5
    assert result.structured_content["stdout"] == "said\n"
    assert result.structured_content["error"]["code"] == "limit_exceeded"
    assert "none of its changes were kept" in text_of(result)
    assert list((root / "sub").iterdir()) == []
    assert not hint.is_error
    assert "hint: " in text_of(hint) or not (root / "sub").exists()


@pytest.mark.parametrize("cmd", ["git", "git status"])
async def test_a_command_that_is_switched_off_is_named_as_such(root: Path, tmp_path: Path, cmd: object) -> None:
    chosen = Settings()
    with unconfined(root, tmp_path / "s", chosen) as executor:
        result = await call(executor, chosen, root, "exec", {"cmd": cmd})
    assert result.structured_content is not None
    error = result.structured_content["error"]
    assert (error["code"], error["message"]) == ("policy_denied", "the command 'git' is switched off in the settings")
    assert "[exec.commands.git]" in error["hint"]
