"""The bundles for clients and the entry for the registry: they fit their schemas, and a bundle starts."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import anyio
import bundles
import jsonschema
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

from lg_policy.version import __version__
from tests.support import require
from tests.third_party import npm_script, python_program

TOOLS = "@anthropic-ai/mcpb@2.1.2"
REGISTRY_SCHEMAS = "skillsaw==0.22.0"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("bundles")
    bundles.build(target, owner="someone")
    return target


def manifest_of(bundle: Path) -> dict[str, Any]:
    return dict(json.loads(zipfile.ZipFile(bundle).read("manifest.json")))


def test_each_bundle_fits_the_schema_of_its_format(built: Path, tmp_path: Path) -> None:
    schema = json.loads(Path(npm_script(tmp_path, TOOLS, "schemas/mcpb-manifest-v0.4.schema.json")).read_text())
    for name in bundles.SERVERS:
        manifest = manifest_of(built / f"{name}.mcpb")
        jsonschema.validate(manifest, schema)
        assert (manifest["name"], manifest["version"]) == (name, __version__)


def test_the_entry_for_the_registry_fits_its_schema(built: Path, tmp_path: Path) -> None:
    packages = Path(python_program(tmp_path, REGISTRY_SCHEMAS, "python")).parent.parent
    (path,) = packages.rglob("mcp_registry/v2025_12_11/server.schema.json")
    schema, entry = json.loads(path.read_text()), json.loads((built / "server.json").read_text())
    jsonschema.validate(entry, schema)
    assert entry["$schema"] == schema["$id"] == bundles.SCHEMA
    assert len(entry["description"]) <= 100
    assert entry["packages"][0]["version"] == __version__


@pytest.mark.anyio
async def test_a_bundle_starts_as_its_manifest_says(built: Path, tmp_path: Path, project: Path) -> None:
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    require(uv is not None, "uv")
    with zipfile.ZipFile(built / "lg-fs.mcpb") as bundle:
        bundle.extractall(tmp_path / "bundle")
    config = manifest_of(built / "lg-fs.mcpb")["server"]["mcp_config"]
    places = {"${__dirname}": str(tmp_path / "bundle"), "${user_config.root}": str(project)}
    server = StdioServerParameters(
        command=config["command"],
        args=[places.get(argument, argument) for argument in config["args"]],
        env=dict(os.environ) | {"PATH": f"{Path(str(uv)).parent}:{os.environ['PATH']}"},
    )
    with anyio.fail_after(150):
        async with Client(stdio_client(server)) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
    assert {"read_file", "apply_patch"} <= names
