"""What is imported quickly works as what is imported as usual."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHIN_S = 60


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=WITHIN_S)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_server_is_imported_without_client_and_web_framework_of_the_sdk() -> None:
    loaded = run(
        "import sys\nfrom lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import lg_policy.wire.serving, lg_policy.wire.tool_server\n"
        "print(*sorted(sys.modules))"
    ).split()
    assert "mcp.server.lowlevel.server" in loaded
    assert not {"mcp.client.client", "mcp.server.mcpserver", "mcp.client.session"} & set(loaded)


def test_afterwards_the_cycle_collector_is_on_and_looks_less_often() -> None:
    found = run(
        "import gc\nfrom lg_policy.quick_imports import quick_imports\nbefore = gc.get_threshold()\n"
        "with quick_imports():\n    import lg_policy.wire.serving\n"
        "print(gc.isenabled(), gc.get_threshold()[0] > before[0], gc.get_threshold()[1:] == before[1:])"
    )
    assert found.split() == ["True", "True", "True"]


@pytest.mark.parametrize("package", ["mcp", "mcp.server", "mcp.client"])
def test_a_package_whose_body_was_put_off_has_all_its_names(package: str) -> None:
    run(
        "from importlib import import_module\nfrom lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import lg_policy.wire.serving, mcp.client.session\n"
        f"package = import_module({package!r})\n"
        "missing = [name for name in package.__all__ if not hasattr(package, name)]\n"
        "assert package.__all__ and not missing, missing\n"
        "import mcp, mcp.server.lowlevel.server, mcp.client.session\n"
        "assert mcp.ClientSession is mcp.client.session.ClientSession\n"
        "assert mcp.server.Server is mcp.server.lowlevel.server.Server\n"
        "from mcp.server import *\nassert MCPServer and Server"
    )


def test_finding_secrets_needs_no_http_client_and_no_processes_and_both_can_be_had_later() -> None:
    loaded, found = run(
        "import sys\nfrom lg_policy.secrets.shapes import library_shapes\nassert library_shapes()\n"
        "print(*sorted(sys.modules))\nimport multiprocessing.pool, requests\n"
        "print(multiprocessing.Pool.__name__, requests.get.__name__)"
    ).splitlines()
    assert not {"multiprocessing", "multiprocessing.context", "requests", "requests.sessions"} & set(loaded.split())
    assert found == "Pool get"


def test_a_name_that_a_package_lacks_is_an_import_error() -> None:
    run(
        "from lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import lg_policy.wire.serving\n"
        "try:\n    from mcp import no_such_name\n"
        "except ImportError as error:\n    assert 'no_such_name' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "import mcp\nassert not hasattr(mcp, 'nothing')"
    )


def test_a_module_of_a_package_is_imported_without_the_body() -> None:
    run(
        "import sys\nfrom lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import lg_policy.wire.serving\n"
        "from mcp import types\nassert types.Tool\nassert 'mcp.client.client' not in sys.modules"
    )


def test_models_defined_meanwhile_are_built_at_their_first_use_by_many_threads() -> None:
    run(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import mcp_types as t\n"
        "def tool(n):\n    return t.Tool.model_validate({'name': str(n), 'inputSchema': {'type': 'object'}}).name\n"
        "with ThreadPoolExecutor(16) as pool:\n"
        "    assert list(pool.map(tool, range(64))) == [str(n) for n in range(64)]\n"
        "from pydantic import BaseModel\nassert 'defer_build' not in BaseModel.model_config"
    )


def test_the_http_client_of_a_library_is_imported_only_once_it_is_used() -> None:
    run(
        "import sys\nfrom lg_policy.secrets.shapes import library_shapes\n"
        "assert library_shapes()\n"
        "assert not {'requests', 'urllib3'} & set(sys.modules)\n"
        "from detect_secrets.plugins import stripe\n"
        "assert stripe.requests.Session and stripe.requests.Response is not object\n"
        "import requests\nassert stripe.requests.Session is requests.Session"
    )


def test_a_package_that_is_put_off_works_for_who_imports_it_meanwhile() -> None:
    run(
        "import sys\nfrom lg_policy.quick_imports import put_off\n"
        "with put_off('requests', Response=object):\n"
        "    import requests\n    from requests.adapters import HTTPAdapter\n"
        "    assert requests.Session and HTTPAdapter\n"
        "first = requests\nimport requests\n"
        "assert requests is not first and requests.Session is first.Session\n"
        "assert requests.adapters.HTTPAdapter is HTTPAdapter\n"
        "with put_off('requests'):\n    assert sys.modules['requests'] is requests\n"
        "with put_off('no_such_package'):\n    assert 'no_such_package' not in sys.modules"
    )


PUT_OFF = """
import sys
from lg_policy.quick_imports import USED_LATER, quick_imports
with quick_imports(USED_LATER):
    import mcp.client.client, mcp.server.lowlevel.server
    import mcp_types.methods as methods
absent = {"mcp.server.mcpserver", "mcp_types._v2025_11_25", "mcp_types._v2026_07_28", "sse_starlette", "uvicorn"}
assert not absent & set(sys.modules), absent & set(sys.modules)
"""


def test_messages_of_a_revision_are_imported_by_the_first_one_and_only_those() -> None:
    run(
        f"{PUT_OFF}\n"
        "methods.validate_client_request('ping', '2025-11-25', {})\n"
        "assert 'mcp_types._v2025_11_25' in sys.modules and 'mcp_types._v2026_07_28' not in sys.modules\n"
        "from pydantic import ValidationError\n"
        "try:\n    methods.validate_server_result('tools/call', '2026-07-28', {'content': 5})\n"
        "except ValidationError as error:\n    assert 'content' in str(error)\n"
        "else:\n    raise SystemExit('no error')\n"
        "found = {'content': [{'type': 'text', 'text': 'x'}], 'resultType': 'complete'}\n"
        "sent = methods.serialize_server_result('tools/call', '2026-07-28', found)\n"
        "assert sent['content'] == found['content']"
    )


def test_what_is_put_off_is_the_thing_itself_once_it_is_used() -> None:
    run(
        f"{PUT_OFF}\n"
        "from mcp.client.client import MCPServer as standing_in\n"
        "assert not isinstance(5, standing_in) and 'mcp.server.mcpserver' not in sys.modules\n"
        "made = standing_in('it')\n"
        "from mcp.server.mcpserver import MCPServer\n"
        "assert type(made) is MCPServer and isinstance(made, standing_in) and not isinstance(5, standing_in)\n"
        "class Mine(standing_in):\n    pass\n"
        "assert Mine.__mro__[1] is MCPServer\n"
        "import mcp.server.mcpserver.context\n"
        "mcp.server.lowlevel.server.Server('it').streamable_http_app()\n"
        "from starlette.applications import Starlette\n"
        "assert isinstance(mcp.server.lowlevel.server.Server('it').streamable_http_app(), Starlette)"
    )


def test_a_put_off_module_that_many_threads_use_at_once_is_imported_once() -> None:
    run(
        f"{PUT_OFF}\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "table = methods.SERVER_RESULTS['tools/list', '2026-07-28']\n"
        "with ThreadPoolExecutor(8) as pool:\n"
        "    assert len({id(pool.submit(lambda: table.model_fields).result()) for _ in range(8)}) == 1\n"
        "    asked = [pool.submit(lambda: table.model_validate) for _ in range(8)]\n"
        "    assert len({made.result().__self__ for made in asked}) == 1"
    )


def test_serving_on_standard_input_needs_no_web_server() -> None:
    loaded = run(
        "import sys, lg_gateway.commands.serving.serve as serve\n"
        "assert not {'mcp', 'mcp_types', 'starlette'} & set(sys.modules), 'before the servers start'\n"
        "from lg_policy.quick_imports import USED_LATER, quick_imports\n"
        "with quick_imports(USED_LATER):\n    import lg_gateway.serving.gateway, lg_gateway.serving.server\n"
        "print(*sorted(sys.modules))"
    ).split()
    assert "mcp.client.client" in loaded
    assert not {"uvicorn", "click", "sse_starlette", "mcp.server.mcpserver", "starlette.applications"} & set(loaded)


def test_a_put_off_class_may_stand_in_the_types_of_annotations() -> None:
    run(
        "from lg_policy.quick_imports import quick_imports\nwith quick_imports():\n"
        "    from mcp.server.mcpserver import MCPServer as Later, Context\n"
        "    from sse_starlette import ServerSentEvent\n"
        "    def takes(a: int | Later, b: ServerSentEvent | None, c: Context[str]) -> Later | str | None: ...\n"
        "    assert not issubclass(int, Later)\n"
        "from typing import get_args, get_type_hints\nfrom mcp.server.mcpserver import MCPServer\n"
        "assert get_args(get_type_hints(takes)['a']) == (int, MCPServer)"
    )


@pytest.mark.parametrize("library", ["fastmcp.client", "langchain.mcp", "langgraph.graph", "sse_starlette"])
def test_libraries_that_import_the_sdk_are_imported_quickly_too(library: str) -> None:
    run(f"from lg_policy.quick_imports import quick_imports\nwith quick_imports():\n    import {library}")
