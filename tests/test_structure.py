"""The shape of the code: sizes, directions, and habits that the linter cannot express. No rule has an exceptions list
for sizes; what else is excepted is named here with its reason.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVERS = ("servers/fs/lg_fs", "servers/exec/lg_exec", "servers/code/lg_code")
PRODUCT = (*SERVERS, "policy/lg_policy", "gateway/lg_gateway", "orchestrator/lg_orch", "console/lg_console")
PROGRAMS = ("lg_fs", "lg_exec", "lg_code", "lg_gateway", "lg_orch")
HEAVY = {
    "mcp", "mcp_types", "langgraph", "langchain", "langchain_core", "rich", "jsonschema", "re2",
    "pathspec", "pydantic", "psycopg", "tree_sitter",
}  # fmt: skip
MODULE_LINES = 400
FUNCTION_LINES = 60
FOLDER_MODULES = 20

# Where an error of any kind may be stopped, and why: the outermost edges, where what failed is somebody else's.
EDGES = {
    "policy/lg_policy/prefork/becoming.py": "the end of a program: what it raises is printed, as an interpreter does",
    "policy/lg_policy/wire/direct_posts.py": "what the SDK does for a request over HTTP that fails unforeseen",
    "policy/lg_policy/wire/direct_requests.py": "what the SDK's dispatcher does for a request that fails unforeseen",
    "policy/lg_policy/wire/direct_sessions.py": "the same, in a session",
    "policy/lg_policy/wire/tool_server.py": "an unforeseen error: `internal` for the client, a traceback for the log",
    "gateway/lg_gateway/serving/server.py": "an unforeseen error must not reach a client as text",
    "gateway/lg_gateway/serving/subscriptions.py": "one client that went away must not keep others from hearing",
    "gateway/lg_gateway/upstreams/upstream.py": "whatever a foreign server does, only that server is down",
    "orchestrator/lg_orch/llm/requests.py": "clients of model providers share no base class; the run tells",
    "orchestrator/lg_orch/engine/driver.py": "whatever breaks a run, its end is journalled and its trace written",
    "orchestrator/lg_orch/service/work/warm_gateways.py": "whatever ends a gateway that is kept, runs start another",
    "orchestrator/lg_orch/service/work/worker.py": "whatever breaks a run, the other runs of its worker go on",
    "servers/exec/lg_exec/sandbox/escape_attempts.py": "an attempt that fails in an unforeseen way proves nothing",
    "gateway/lg_gateway/store/group_commit.py": "the writer thread hands every error to the callers that wait for it",
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


PRODUCT_SOURCES = sources(*PRODUCT)
TEST_SOURCES = sources("tests")
ALL_SOURCES = PRODUCT_SOURCES + TEST_SOURCES + sources("bench", "conformance", "eval", "scripts")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@cache
def nodes_of(path: Path) -> list[ast.AST]:
    return list(ast.walk(tree_of(path)))


def test_the_sources_are_found() -> None:
    assert len(PRODUCT_SOURCES) > 30
    assert len(TEST_SOURCES) > 20


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    long = {
        name_of(path): lines for path in ALL_SOURCES if (lines := len(path.read_bytes().splitlines())) > MODULE_LINES
    }
    assert not long


def test_no_function_is_longer_than_a_screen() -> None:
    long = {
        f"{name_of(path)}:{node.lineno} {node.name}": length
        for path in ALL_SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES
    }
    assert not long


def test_product_code_checks_nothing_with_assert() -> None:
    found = [
        f"{name_of(path)}:{node.lineno}"
        for path in PRODUCT_SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Assert)
    ]
    assert not found


def is_broad(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or (isinstance(kind, ast.Name) and kind.id in {"Exception", "BaseException"}) for kind in kinds
    )


def passes_on(handler: ast.ExceptHandler) -> bool:
    """Tell whether the handler cleans up and raises again what it caught."""
    raised = [node.exc for node in ast.walk(handler) if isinstance(node, ast.Raise)]
    return any(exc is None or (isinstance(exc, ast.Name) and exc.id == handler.name) for exc in raised)


def test_errors_of_every_kind_are_stopped_at_the_edges_only() -> None:
    stopping = {
        name_of(path)
        for path in PRODUCT_SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and not passes_on(node)
    }
    assert stopping <= EDGES.keys()
    assert EDGES.keys() <= stopping, "an edge that no longer stops anything is to be taken off the list"


def test_no_error_is_swallowed_without_a_word() -> None:
    silent = [
        f"{name_of(path)}:{node.lineno}"
        for path in PRODUCT_SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.ExceptHandler) and is_broad(node) and isinstance(node.body[-1], ast.Pass)
    ]
    assert not silent


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def packages_of(folder: str) -> list[Path]:
    """Return every folder of a package, the package's own first."""
    top = ROOT / folder
    return sorted({path.parent for path in sources(folder)} | {top})


def module_name(path: Path) -> str:
    """Return the dotted name of a product module."""
    base = next(ROOT / folder for folder in PRODUCT if path.is_relative_to(ROOT / folder))
    parts = path.relative_to(base.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_folder_holds_more_modules_than_a_reader_takes_in() -> None:
    full = {
        name_of(folder): count
        for product in PRODUCT
        for folder in packages_of(product)
        if (count := len([path for path in folder.glob("*.py") if path.name != "__init__.py"])) > FOLDER_MODULES
    }
    assert not full


def test_an_init_file_says_what_its_folder_is_for_and_does_nothing() -> None:
    """It may give names of its folder a shorter address, as `lg_orch.testing` does for other projects."""
    for path in (path for path in PRODUCT_SOURCES if path.name == "__init__.py"):
        docstring, *rest = tree_of(path).body
        assert isinstance(docstring, ast.Expr), name_of(path)
        shortens = (
            isinstance(node, ast.ImportFrom)
            or (isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__")
            for node in rest
        )
        assert all(shortens), name_of(path)


def test_no_class_name_stands_twice_in_a_package() -> None:
    for folder in PRODUCT:
        places: dict[str, list[str]] = {}
        for path in sources(folder):
            for node in nodes_of(path):
                if isinstance(node, ast.ClassDef):
                    places.setdefault(node.name, []).append(name_of(path))
        assert not {name: where for name, where in places.items() if len(where) > 1}


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Imports inside functions and those for types alone count too."""
    modules = {module_name(path): path for path in PRODUCT_SOURCES}
    left = {name: imported(path) & (modules.keys() - {name}) for name, path in modules.items()}
    while ready := {name for name, needs in left.items() if not needs}:
        left = {name: needs - ready for name, needs in left.items() if name not in ready}
    assert not left, "these import each other, or something that does"


def test_every_package_has_its_layers() -> None:
    """The contract is exhaustive: a new folder has to be given its floor."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    layered = {contract["containers"][0] for contract in contracts if contract["type"] == "layers"}
    exhaustive = {contract["containers"][0] for contract in contracts if contract.get("exhaustive") is True}
    assert layered == exhaustive == {Path(folder).name for folder in PRODUCT}


TEST_FOLDERS = {
    **{f"tests/{name}": f"servers/{name}/lg_{name}" for name in ("fs", "exec", "code")},
    **{f"tests/{name}": f"{name}/lg_{name}" for name in ("policy", "gateway", "console")},
    "tests/orchestrator": "orchestrator/lg_orch",
}


@pytest.mark.parametrize("folder", TEST_FOLDERS)
def test_tests_lie_in_folders_named_as_those_of_what_they_test(folder: str) -> None:
    rooms = {path.name for path in packages_of(TEST_FOLDERS[folder])}
    own = {path.parent.name for path in sources(folder) if path.parent != ROOT / folder}
    assert own <= rooms


STARTERS = re.compile(
    r"os\.(system|popen|fork|forkpty|exec\w+|spawn\w+|posix_spawn\w*)|\w*\.?create_subprocess_\w+|\w*\.?run_process"
)


def test_the_orchestrator_starts_no_process_and_makes_no_temporary_file() -> None:
    forbidden = {"subprocess", "shutil", "tempfile", "multiprocessing", "pty", "concurrent.futures.ProcessPoolExecutor"}
    for path in sources("orchestrator/lg_orch"):
        assert not imported(path) & forbidden, name_of(path)
        calls = {ast.unparse(node.func) for node in nodes_of(path) if isinstance(node, ast.Call)}
        assert "restore_program.main" not in calls, name_of(path)
        # The text of that module is sent to the sandbox; here nothing calls it.
        if path.name != "restore_program.py":
            assert not [call for call in calls if STARTERS.fullmatch(call)], name_of(path)


def test_no_test_replaces_parts_of_the_product() -> None:
    for path in TEST_SOURCES:
        assert not any(name.startswith("unittest") for name in imported(path)), name_of(path)
        attributes = [node for node in nodes_of(path) if isinstance(node, ast.Attribute)]
        replaced = [
            f"{name_of(path)}:{node.lineno}" for node in attributes if ast.unparse(node) == "monkeypatch.setattr"
        ]
        assert not replaced


def test_only_the_shared_helper_skips_and_it_fails_where_everything_is_required() -> None:
    banned = re.compile(r"pytest\.(skip|xfail|importorskip|mark\.(skip|skipif|xfail))\b")
    skipping = {
        name_of(path)
        for path in TEST_SOURCES
        for node in nodes_of(path)
        if isinstance(node, ast.Attribute) and banned.fullmatch(ast.unparse(node))
    }
    assert skipping == {"tests/support.py"}


def test_tests_wait_for_events_and_never_for_a_time() -> None:
    """A short sleep inside a loop that asks for a condition is such a wait, where another process gives no event."""
    sleeping = [
        f"{name_of(path)}:{line}"
        for path in TEST_SOURCES
        if path.name.startswith(("test_", "conftest"))
        for line in sleeps(tree_of(path)) - polls(tree_of(path))
    ]
    assert not sleeping


def sleeps(node: ast.AST) -> set[int]:
    """Return the lines of a tree where a test sleeps."""
    calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
    return {call.lineno for call in calls if re.fullmatch(r"(time|anyio|asyncio)\.sleep", ast.unparse(call.func))}


def polls(tree: ast.Module) -> set[int]:
    """Return the lines of a tree where a sleep only spaces out looks at a condition."""
    loops = [node for node in ast.walk(tree) if isinstance(node, ast.While) and not isinstance(node.test, ast.Constant)]
    return {line for loop in loops for line in sleeps(loop)}


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for path in TEST_SOURCES if "fixtures" not in path.parts}
    assert not [name_of(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_no_test_module_is_imported_by_another() -> None:
    """What tests share stands in support modules, also for the small programs that tests start."""
    imports = re.compile(r"(from|import)\s+tests\.[\w.]*\btest_|from\s+tests(\.\w+)*\s+import\s[^\n]*\btest_")
    found = [
        f"{name_of(path)}:{number}"
        for path in TEST_SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if imports.search(line)
    ]
    assert not found


def test_every_suppression_says_why_on_its_line() -> None:
    bare = re.compile(r"#\s*(noqa(:\s*[A-Z0-9, ]+)?|type:\s*ignore(\[[\w, -]+\])?)\s*$")
    found = [
        f"{name_of(path)}:{number}"
        for path in ALL_SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if bare.search(line)
    ]
    assert not found


def test_nothing_is_left_for_later() -> None:
    mark = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")))
    found = [
        f"{name_of(path)}:{number}"
        for path in ALL_SOURCES
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if mark.search(line)
    ]
    assert not found


def test_imports_point_one_way() -> None:
    linter = "from importlinter.cli import lint_imports_command as main; main()"
    done = subprocess.run([sys.executable, "-P", "-c", linter], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def run_help(program: str, *commands: list[str]) -> list[tuple[str, set[str]]]:
    """Run commands of a program, each in a fork of a fresh interpreter; returns texts and heavy modules of each."""
    code = (
        "import os, sys\n"
        f"for words in {commands!r}:\n"
        "    if os.fork():\n"
        "        os.wait()\n"
        "        continue\n"
        f"    sys.argv = [{program.replace('_', '-')!r}, *words]\n"
        f"    from {program}.cli import main\n"
        "    try: status = main()\n"
        "    except SystemExit as ended: status = ended.code\n"
        f"    print('\\nloaded', status or 0, *sorted({HEAVY!r} & sys.modules.keys()), end='\\0', flush=True)\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    ended = [shown.rpartition("\nloaded ") for shown in done.stdout.split("\0")[:-1]]
    assert [end.split()[0] for _, _, end in ended] == ["0"] * len(commands), done.stdout
    return [(text, set(end.split()[1:])) for text, _, end in ended]


def commands_of(program: str) -> list[str]:
    """Return the sub-commands that the program's help lists, one a line."""
    ((text, _),) = run_help(program, ["--help"])
    listed = text.partition("commands:")[2].partition("options:")[0]
    return re.findall(r"^ {2}([a-z][a-z-]+)(?: {2,}|$)", listed, flags=re.MULTILINE)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("flag", ["--help", "--version"])
def test_a_program_tells_about_itself_without_loading_what_it_works_with(program: str, flag: str) -> None:
    ((text, heavy),) = run_help(program, [flag])
    assert program.replace("_", "-") in text
    assert heavy == set()


@pytest.mark.parametrize("program", ["lg_gateway", "lg_orch"])
def test_help_of_each_command_loads_nothing_heavy(program: str) -> None:
    commands = commands_of(program)
    assert len(commands) > 3
    helps = run_help(program, *([command, "--help"] for command in commands))
    assert {command: heavy for command, (_, heavy) in zip(commands, helps, strict=True) if heavy} == {}


def test_importing_a_module_changes_nothing_outside_itself(tmp_path: Path) -> None:
    names = [f"{Path(folder).name}.{module}" for folder in PRODUCT for module in modules_below(folder)]
    code = (
        "import importlib, os, sys, threading, warnings\n"
        "warnings.simplefilter('ignore')\n"
        "before = (dict(os.environ), os.getcwd(), os.umask(0o77))\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        "assert (dict(os.environ), os.getcwd(), os.umask(0)) == (before[0], before[1], 0o77)\n"
        "assert threading.active_count() == 1, threading.enumerate()\n"
        "assert os.listdir('.') == [], os.listdir('.')\n"
    )
    argv = [sys.executable, "-P", "-c", code]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")


def modules_below(folder: str) -> list[str]:
    """Return the dotted names, below the package, of its modules that may be imported."""
    return [
        ".".join(path.relative_to(ROOT / folder).with_suffix("").parts)
        for path in sources(folder)
        if path.name not in {"__main__.py", "__init__.py"}
    ]
