"""Requests that try to run something else than a listed command, or to make a listed one do something else."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from lg_exec.server.server import make_server
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.settings import Settings
from lg_policy.paths.root import Root
from tests.exec.helpers import sandboxed, settings

pytestmark = pytest.mark.anyio

PLANTED = "#!/bin/sh\necho PLANTED\n"


@asynccontextmanager
async def attacked(root: Path, scratch: Path, chosen: Settings) -> AsyncIterator[Client]:
    """A client of a server whose commands run in the sandbox."""
    with sandboxed(root, scratch, chosen) as executor, Root(root) as opened, anyio.fail_after(60):
        async with Client(make_server(opened, chosen, executor)) as client:
            yield client


async def answer(client: Client, **arguments: object) -> dict[str, Any]:
    result = await client.call_tool("exec", arguments)
    assert result.structured_content is not None
    return dict(result.structured_content)


def shipped(**changes: dict[str, Any]) -> Settings:
    """The shipped templates, and the tests' own."""
    return settings(commands={**DEFAULT_COMMANDS, **changes})


UNLISTED = [
    "bash", "env", "find", "xargs", "busybox", "perl", "ld.so", "/lib64/ld-linux-x86-64.so.2", "/bin/sh", "sudo", "su",
    "ssh", "curl", "wget", "nc", "awk", "docker",
    "./git", "../bin/sh", "git ", "PY", "py\0", "p\u200by", "\u0440y", "", "py;sh", "$(sh)", "`sh`", "./py", "PY -c 1",
    "env py", "A=1 py", "py\n-c 1", "py -c 1; sh", "sh|py", "*", "git",
]  # fmt: skip


@pytest.mark.attack(
    "Programs", "17 unlisted programs, paths, shell syntax, other case, NUL, blanks, invisible and look-alike letters"
)
async def test_only_listed_names_run_and_nothing_is_taken_for_one(root: Path, tmp_path: Path) -> None:
    for name in ("git", "bash", "find", "curl"):
        (root / name).write_text(PLANTED)
        (root / name).chmod(0o755)
    async with attacked(root, tmp_path / "s", shipped()) as client:
        for name in UNLISTED:
            refused = await answer(client, cmd=name)
            switched_off = name.strip() == "git"
            assert refused["error"]["code"] == ("policy_denied" if switched_off else "invalid_arguments"), name
            assert "py" in refused["error"]["hint"], "it says what would be allowed"
        for name in (" py", "py\n"):  # blanks around a listed name are no other name
            refused = await answer(client, cmd=name, args=["--unlisted"])
            assert "the command 'py' does not allow the argument '--unlisted'" in refused["error"]["message"]
        refused = await answer(client, cmd="py --unlisted")
        assert "the command 'py' does not allow the argument '--unlisted'" in refused["error"]["message"]


@pytest.mark.attack("Programs", "separators, substitutions, redirections, globs and line breaks as arguments")
async def test_arguments_reach_the_program_as_they_are(root: Path, tmp_path: Path) -> None:
    hostile = ["; id", "$(id)", "`id`", "| id", "> out", "&& id", "*", "~", "$HOME", "a\nb", "'", '"', "\\", "{a,b}"]
    chosen = settings(commands={"show": {"from": "python", "prefix": ["-c", "import sys; print(sys.argv[1:])"],
                                         "args_allow": ["text:*"]}})  # fmt: skip
    async with attacked(root, tmp_path / "s", chosen) as client:
        shown = await answer(client, cmd="show", args=hostile)
    assert shown["stdout"] == f"{hostile}\n"


OPTIONS: dict[str, list[list[str]]] = {
    "pytest": [["-p", "evil"], ["-c", "other.ini"], ["--rootdir=/"], ["-o", "cache_dir=/x"], ["--basetemp=/x"],
               ["--pyargs", "os"], ["@args.txt"], ["../outside"],
               ["a.py::/../../outside.py"], ["a.py::x", "b::/../../c"]],
    "python": [["../outside.py"], ["/etc/passwd"], ["-"], ["-i"]],
    "mypy": [["--python-executable=/bin/sh"], ["--install-types"], ["--cache-dir=/x"], ["--config-file=/x"]],
    "ruff": [["check", "--config=/x"], ["check", "--output-file=/x"], ["server"], ["clean"]],
    "cargo": [["--config", "build.rustc-wrapper=x", "build"], ["build", "--config=x"], ["build", "-C", "/x"],
              ["+nightly", "build"], ["install", "x"], ["run"], ["build", "--target-dir=/x"], ["build", "-Zx"]],
    "uv-run": [["--index-url=http://x", "y"], ["--with", "x"], ["--directory=/", "x"]],
    "npm-run": [["--prefix=/x", "y"], ["--script-shell=/x", "y"]],
    "npx-tsc": [["--outDir", "/x"], ["--project", "/etc"]],
    "node-test": [
        ["--require=/x"], ["--import=/x"], ["--env-file=/x"], ["--test-reporter=./x.js"], ["--test-reporter=x"],
        ["--test-reporter-destination=x"],
    ],
    "make": [["-C", "/x"], ["-f", "/x"], ["SHELL=/x"], ["--eval=x"], ["-I/x"], ["-j", "SHELL=/x"], ["-j=SHELL=/x"]],
    "go": [["run", "."], ["test", "-exec=/x"], ["build", "-o=/x"], ["build", "-toolexec=/x"], ["vet", "-vettool=/x"],
           ["build", "-pkgdir=/x"], ["build", "-pgo=/x"]],
    "git": [["-c", "core.pager=x", "status"], ["-c", "core.fsmonitor=x", "status"], ["-p", "log"], ["push"],
            ["--config-env=a=B", "log"], ["--exec-path=/x", "log"], ["config", "x"], ["clone", "ext::sh"],
            ["fetch", "--upload-pack=x"], ["grep", "-Ox"], ["rebase", "--exec=x"], ["bisect", "run", "x"],
            ["difftool", "-x", "sh"], ["archive", "--exec=x"], ["commit"], ["diff", "--output=/x"],
            ["diff", "--ext-diff"], ["diff", "--no-index", "/etc/passwd", "x"], ["diff", "/etc/passwd", "/etc/hosts"],
            ["log", "--exec-path=/x"], ["show", "--textconv"], ["diff", "../x", "y"], ["blame", "--contents=/x", "y"],
            ["diff", "--abbrev", "/etc/passwd", "--abbrev", "/etc/hosts"]],
}  # fmt: skip


@pytest.mark.attack(
    "Options", "what makes pytest, mypy, ruff, cargo, uv, npm, tsc, node, make, go and git run or read something else"
)
@pytest.mark.parametrize("command", OPTIONS)
async def test_options_that_make_a_listed_program_do_something_else_are_refused(
    root: Path, tmp_path: Path, command: str
) -> None:
    (tmp_path / "outside.py").write_text("print('RAN')")
    chosen = shipped(git={**DEFAULT_COMMANDS["git"], "enabled": True})
    async with attacked(root, tmp_path / "s", chosen) as client:
        for args in OPTIONS[command]:
            refused = await answer(client, cmd=command, args=args)
            assert refused["error"]["code"] in ("policy_denied", "invalid_arguments"), args


@pytest.mark.attack("Options", "a file of arguments as the value of an option, in each way to give one")
@pytest.mark.parametrize("args", [["-k", "@more"], ["-k=@more"], ["-k@more"], ["--maxfail", "@more"]])
async def test_no_file_of_arguments_is_read_by_way_of_an_options_value(
    root: Path, tmp_path: Path, args: list[str]
) -> None:
    (root / "more").write_text("1\n--junitxml=made.xml\n")  # a value, and behind it what no rule has seen
    template = {**DEFAULT_COMMANDS["pytest"], "from": "python", "prefix": ["-m", "pytest"], "root": "rw"}
    async with attacked(root, tmp_path / "s", settings(commands={"tests": template})) as client:
        ran = await answer(client, cmd="tests", args=[*args])
    assert ran["exit_code"] is not None, ran
    assert not (root / "made.xml").exists()


@pytest.mark.attack("Environment", "LD_PRELOAD, PATH, PYTHONPATH, PYTHONSTARTUP, GIT_*, BASH_ENV and others as `env`")
async def test_no_variable_that_steers_a_program_is_taken_from_a_request(root: Path, tmp_path: Path) -> None:
    names = "LD_PRELOAD LD_LIBRARY_PATH PATH GIT_DIR GIT_SSH_COMMAND GIT_CONFIG_COUNT BASH_ENV ENV HOME seed"
    names += " PYTHONPATH PYTHONSTARTUP PYTHONHOME NODE_OPTIONS RUSTC_WRAPPER"
    chosen = settings(commands={"py": {"from": "python", "args_allow": ["-c=*..."], "env": ["SEED"]}})
    async with attacked(root, tmp_path / "s", chosen) as client:
        for name in names.split():
            refused = await answer(client, cmd="py", args=["-c", "pass"], env={name: "x"})
            assert refused["error"]["code"] == "policy_denied", name
            assert "SEED" in refused["error"]["hint"]
        taken = await answer(client, cmd="py", args=["-c", "import os; print(os.environ['SEED'])"], env={"SEED": "7"})
    assert taken["stdout"] == "7\n"


@pytest.mark.attack("Exhaustion", "time limits of zero, below zero, without end, not a number; megabytes of arguments")
async def test_silly_limits_and_sizes_are_refused_at_once(root: Path, tmp_path: Path) -> None:
    async with attacked(root, tmp_path / "s", settings()) as client:
        for timeout in (0, -1, 1e308, 10**30, "60 s", "1e9", "-1", "0", True):
            refused = await answer(client, cmd="py", args=["-c", "pass"], timeout_s=timeout)
            assert refused["error"]["code"] == "invalid_arguments", timeout
        for args in (["-c", "x" * 200_000], ["x"] * 5_000, ["-c", *(["y" * 90_000] * 12)]):
            refused = await answer(client, cmd="py", args=args)
            assert refused["error"]["code"] == "invalid_arguments"
        refused = await answer(client, cmd="py", args=["-c", "pass"], stdin="x" * 1_100_000)
        assert refused["error"]["code"] == "invalid_arguments"


@pytest.mark.attack(
    "Options",
    "a repository whose settings name programs: fsmonitor, filters, conversion, external diff, pager, hooks, alias",
)
@pytest.mark.parametrize("hidden", [True, False])
async def test_git_runs_nothing_that_the_repository_names_or_only_inside(
    root: Path, tmp_path: Path, hidden: bool
) -> None:
    """By default its settings are not even seen. Where a person opened them, filters can run, inside the sandbox."""
    marker = tmp_path / "pwned"
    hostile_repository(root, marker)
    policy = {} if hidden else {"read_deny": [".env"]}
    template = {**DEFAULT_COMMANDS["git"], "enabled": True}
    chosen = settings(commands={"git": template}, policy=policy)
    shown = ""
    async with attacked(root, tmp_path / "s", chosen) as client:
        for args in (["status"], ["diff"], ["log", "-p"], ["show"], ["blame", "a.txt"]):
            result = await answer(client, cmd="git", args=args)
            assert result["ok"], result
            shown += result["stdout"] + result["stderr"]
    assert not marker.exists()
    assert "changed" in shown
    ran = {line for line in shown.splitlines() if line.startswith("RAN")}
    assert ran == (set() if hidden else {"RAN clean"})


def hostile_repository(root: Path, marker: Path) -> None:
    """One commit, one change, and settings that run a program wherever git lets them."""

    def git(*args: str) -> None:
        identity = ("-c", "user.name=x", "-c", "user.email=x@x")
        subprocess.run(["git", "-C", str(root), *identity, *args], check=True, capture_output=True)

    (root / "a.txt").write_text("one\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    (root / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (root / "a.txt").write_text("one\nchanged\n")

    def program(name: str) -> str:
        return f"sh -c 'echo RAN {name} >&2; touch {marker}; cat'"

    settings_of_git = {
        "core.fsmonitor": program("fsmonitor"), "core.pager": program("pager"), "core.hooksPath": "hooks",
        "diff.external": program("external"), "diff.evil.textconv": program("textconv"),
        "diff.evil.command": program("command"), "filter.evil.clean": program("clean"),
        "alias.status": f"!{program('alias')}", "alias.log": f"!{program('alias')}",
    }  # fmt: skip
    for key, value in settings_of_git.items():
        git("config", key, value)
