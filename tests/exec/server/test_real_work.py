"""Other people's test suites and tools, run by the real server in the real sandbox."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters

from lg_policy.sandbox.bubblewrap import binaries
from tests.exec.server.projects import (
    ASYNC_SOCKETS,
    EXTENSION,
    SUBPROCESSES,
    download,
    environment,
    import_from,
    own_interpreter,
    uv,
)
from tests.support import require

pytestmark = pytest.mark.anyio

BUILD = """
[exec.commands.build-extension]
from = "project"
executable = "python"
prefix = ["setup.py", "-q", "build_ext", "--inplace"]
root = "rw"
"""


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return download(tmp_path_factory.mktemp("sources"), SUBPROCESSES, ASYNC_SOCKETS, EXTENSION)


@asynccontextmanager
async def served(root: Path, config: str = "") -> AsyncIterator[Client]:
    """A client of the real server on a root."""
    require(sys.platform == "linux" and next(binaries(), None) is not None, "bubblewrap")
    file = root.parent / "config.toml"
    file.write_text(config)
    arguments = ["-P", "-m", "lg_exec", "--root", str(root), "--config", str(file)]
    with anyio.fail_after(120):
        async with Client(StdioServerParameters(command=sys.executable, args=arguments, cwd="/")) as client:
            yield client


async def run(client: Client, cmd: str, *args: str) -> dict[str, Any]:
    """Call `exec`; returns the structured result."""
    result = await client.call_tool("exec", {"cmd": cmd, "args": list(args)})
    assert result.structured_content is not None
    return dict(result.structured_content)


def passed(result: dict[str, Any]) -> bool:
    """Whether a test suite ran in the sandbox and passed."""
    assert result["sandbox"]["active"], result
    assert result["ok"], result["stdout"] + result["stderr"]
    return " passed" in result["stdout"].splitlines()[-1]


def project(sources: Path, name: str, place: Path) -> Path:
    root = place / "a root"
    shutil.copytree(sources / name, root)
    return root


async def test_a_suite_that_starts_child_processes_passes(sources: Path, tmp_path: Path) -> None:
    root = project(sources, SUBPROCESSES, tmp_path)
    import_from(environment(root / ".venv", ["pytest", "testpath", "setuptools"]), root / "src")
    async with served(root) as client:
        assert passed(await run(client, "pytest", "-q"))


async def test_a_suite_with_asyncio_and_sockets_passes_with_interpreter_and_environment_outside_the_root(
    sources: Path, tmp_path: Path
) -> None:
    root = project(sources, ASYNC_SOCKETS, tmp_path)
    home = tmp_path / "home"
    (home / "secret").parent.mkdir()
    (home / "secret").write_text("not shown")
    venv = environment(home / "envs" / "dgram", ["pytest", "pytest-asyncio"], interpreter=str(own_interpreter(home)))
    import_from(venv, root)
    async with served(root, f"[exec]\nenvironment = {json.dumps(str(venv))}\n") as client:
        assert passed(await run(client, "python-pytest", "-q"))
        where = await run(client, "python", "-c", "import sys; print(sys.base_prefix)")
        secret = await run(client, "python", "-c", f"open({str(home / 'secret')!r})")
    assert where["stdout"].startswith(str(home))
    assert "FileNotFoundError" in secret["stderr"]


async def test_a_project_with_a_compiled_extension_is_built_and_its_suite_passes(sources: Path, tmp_path: Path) -> None:
    require(shutil.which("cc") is not None, "a C compiler")
    require(Path(sysconfig.get_path("include"), "Python.h").exists(), "Python's headers")
    root = project(sources, EXTENSION, tmp_path)
    import_from(environment(root / ".venv", ["pytest", "setuptools>=77"]), root / "src")
    async with served(root, BUILD) as client:
        built = await run(client, "build-extension")
        assert built["ok"], built
        (library,) = (root / "src" / "markupsafe").glob("_speedups*.so")
        assert f"src/markupsafe/{library.name}" in built["changed_paths"]
        native = await run(client, "python", "-c", "import markupsafe._speedups as s; print(s.__file__)")
        assert native["stdout"] == f"{library}\n"
        assert passed(await run(client, "pytest", "-q"))


async def test_uv_from_a_home_runs_programs_of_the_projects_environment(tmp_path: Path) -> None:
    root, tool = tmp_path / "root", tmp_path / "home" / ".local" / "bin" / "uv"
    tool.parent.mkdir(parents=True)
    shutil.copy2(uv(), tool)
    (root / "sub").mkdir(parents=True)
    (root / "pyproject.toml").write_text('[project]\nname = "p"\nversion = "1"\n')
    environment(root / ".venv", ["iniconfig"])
    async with served(root, f"[exec.commands.uv-run]\nexecutable = {json.dumps(str(tool))}\n") as client:
        result = await run(client, "uv-run", "python", "-c", "import iniconfig, sys; print(sys.prefix)")
    assert result["stdout"] == f"{root}/.venv\n", result


async def test_node_tests_and_npm_scripts_run(tmp_path: Path) -> None:
    require(shutil.which("node") is not None and shutil.which("npm") is not None, "Node.js and npm")
    root = tmp_path / "root"
    root.mkdir()
    scripts = {"test": "node --test", "hello": "echo hello from npm"}
    (root / "package.json").write_text(json.dumps({"name": "p", "version": "1.0.0", "scripts": scripts}))
    (root / "a.test.js").write_text(
        "const test = require('node:test'), assert = require('node:assert'), net = require('node:net');\n"
        "test('loopback', (t, done) => {\n"
        "  const server = net.createServer(c => c.end('hi')).listen(0, '127.0.0.1', () => {\n"
        "    net.connect(server.address().port).on('data', d => { assert.equal(d + '', 'hi'); server.close(done) });\n"
        "  });\n"
        "});\n"
        "test('a child', () => assert.equal(require('node:child_process').execSync('echo 1') + '', '1\\n'));\n"
    )
    async with served(root) as client:
        tested, scripted, said = [
            await run(client, *call) for call in (("node-test",), ("npm-test",), ("npm-run", "hello"))
        ]
    assert tested["ok"], tested
    assert "pass 2" in tested["stdout"]
    assert scripted["ok"], scripted
    assert "hello from npm" in said["stdout"]
    assert not (root / "node_modules").exists()


async def test_cargo_builds_and_tests_or_is_named_as_missing(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "Cargo.toml").write_text('[package]\nname = "demo"\nversion = "0.1.0"\nedition = "2021"\n')
    (root / "src" / "lib.rs").write_text("#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}\n")
    async with served(root) as client:
        listed = await client.call_tool("list_commands", {})
        assert listed.structured_content is not None
        cargo = next(command for command in listed.structured_content["commands"] if command["name"] == "cargo")
        results = [await run(client, "cargo", *args) for args in (["test"], ["fmt", "--check"])]
    for result in results:
        if cargo["available"]:
            assert result["ok"], result
        else:
            assert result["error"]["code"] == "not_found"
            assert "'cargo' is not installed on this machine" in result["error"]["message"]
            assert "/usr/bin" in result["error"]["hint"]
    assert sorted(path.name for path in root.iterdir()) == ["Cargo.toml", "src"]


async def test_make_runs_targets_and_what_it_writes_is_thrown_away(tmp_path: Path) -> None:
    require(shutil.which("make") is not None, "make")
    root = tmp_path / "root"
    root.mkdir()
    (root / "Makefile").write_text("all:\n\t@echo made | tee out\n")
    async with served(root) as client:
        result = await run(client, "make", "all")
    assert result["stdout"] == "made\n"
    assert not (root / "out").exists()


MAKEFILE = """
mv:
	@mv old new && cat new/deep/file
move:
	@python3 -c "import shutil; shutil.move('old', 'new')" && cat new/deep/file
made:
	@mkdir fresh && python3 -c "import os; os.rename('fresh', 'new'); os.rename('new', 'old/inside')" && ls old
files:
	@python3 -c "import os; os.rename('old/deep/file', 'old/deep/other')" && cat old/deep/other
back:
	@mv old new && mv new old && cat old/deep/file
rename:
	@python3 -c "import os; os.rename('old', 'new')"
"""


async def test_tools_that_move_directories_work_and_one_that_cannot_is_told_why(tmp_path: Path) -> None:
    require(shutil.which("make") is not None and shutil.which("python3") is not None, "make and python3")
    root = tmp_path / "root"
    (root / "old" / "deep").mkdir(parents=True)
    (root / "old" / "deep" / "file").write_text("text\n")
    (root / "Makefile").write_text(MAKEFILE)
    async with served(root) as client:
        for target, printed in (
            ("mv", "text"),
            ("move", "text"),
            ("made", "inside"),
            ("files", "text"),
            ("back", "text"),
        ):
            result = await run(client, "make", target)
            assert result["ok"], (target, result["stderr"])
            assert printed in result["stdout"], target
        failed = await client.call_tool("exec", {"cmd": "make", "args": ["rename"]})
        assert "use `mv` or `shutil.move`" in str(failed.content)
    assert (root / "old" / "deep" / "file").read_text() == "text\n"
