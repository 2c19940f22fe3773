"""Build what clients and registries install from: `.mcpb` bundles of our three servers, and `server.json`.

    python scripts/bundles.py DIR                  one bundle for each server, below DIR
    python scripts/bundles.py DIR --owner NAME     also server.json, as io.github.NAME/lg-gateway

A bundle holds our wheel and a project that needs it. The client starts it with uv, which installs the dependencies.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = "0.4"
"""The first version of the format that knows servers started by uv."""
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
SERVERS = {
    "lg-gateway": "Files, commands and other servers behind one policy, with approval and a record of every call",
    "lg-fs": "The files below one directory: read, search and patch, within a policy",
    "lg-exec": "Named commands in one directory, in a sandbox",
    "lg-code": "What the code below one directory defines, who uses it, and what tests it",
}
# The client's root is a directory that the person chooses when the bundle is installed.
CHOSEN = {
    "root": {"type": "directory", "title": "Project", "description": "The directory to work on", "required": True}
}


def manifest(name: str, version: str) -> dict[str, Any]:
    """Return what a bundle says of itself."""
    args = ["run", "--directory", "${__dirname}", name, "--root", "${user_config.root}"]
    return {
        "manifest_version": MANIFEST,
        "name": name,
        "display_name": name,
        "version": version,
        "description": SERVERS[name],
        "author": {"name": "LG Orchestration Platform"},
        "license": "MIT",
        "server": {"type": "uv", "entry_point": "server.py", "mcp_config": {"command": "uv", "args": args}},
        "user_config": CHOSEN,
        "compatibility": {"platforms": ["linux", "darwin"], "runtimes": {"python": ">=3.11"}},
    }


def registry_entry(owner: str, version: str) -> dict[str, Any]:
    """Return the entry of the gateway in the registry of MCP servers."""
    return {
        "$schema": SCHEMA,
        "name": f"io.github.{owner}/lg-gateway",
        "description": SERVERS["lg-gateway"],
        "version": version,
        "packages": [
            {
                "registryType": "pypi",
                "identifier": "lg-orchestration-platform",
                "version": version,
                "runtimeHint": "uvx",
                "transport": {"type": "stdio"},
                "runtimeArguments": [
                    {"type": "named", "name": "--from", "value": f"lg-orchestration-platform=={version}"}
                ],
                "packageArguments": [{"type": "positional", "value": "lg-gateway"}],
            }
        ],
    }


def project(name: str, version: str, wheel: str) -> str:
    """Return the project file of a bundle: it needs our wheel, which lies beside it, and nothing else."""
    return (
        f'[project]\nname = "{name}-bundle"\nversion = "{version}"\nrequires-python = ">=3.11"\n'
        f'dependencies = ["lg-orchestration-platform"]\n\n'
        f'[tool.uv.sources]\nlg-orchestration-platform = {{ path = "{wheel}" }}\n'
    )


def entry_point(name: str) -> str:
    """Return the program of a bundle, for a client that does not start it by name."""
    return f"from {name.replace('-', '_')}.cli import main\n\nraise SystemExit(main())\n"


def build(target: Path, owner: str = "") -> list[Path]:
    """Write the bundles, and server.json for an owner; return their paths."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder]
        subprocess.run(argv, cwd=ROOT, check=True, capture_output=True)
        wheel = next(Path(folder).glob("*.whl"))
        version = wheel.name.split("-")[1]
        made = [_bundle(target, name, version, wheel) for name in SERVERS]
    if owner:
        made.append(target / "server.json")
        made[-1].write_text(json.dumps(registry_entry(owner, version), indent=2) + "\n")
    return made


def _bundle(target: Path, name: str, version: str, wheel: Path) -> Path:
    path = target / f"{name}.mcpb"
    text = project(name, version, wheel.name)
    tomllib.loads(text)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("manifest.json", json.dumps(manifest(name, version), indent=2))
        bundle.writestr("pyproject.toml", text)
        bundle.writestr("server.py", entry_point(name))
        bundle.write(wheel, wheel.name)
    return path


def main() -> int:
    """Build, and say what was built."""
    parser = argparse.ArgumentParser(description="Build .mcpb bundles of our servers, and server.json.")
    parser.add_argument("target", type=Path, metavar="DIR")
    parser.add_argument("--owner", default="", help="the account of the repository, for server.json")
    args = parser.parse_args()
    for path in build(args.target, args.owner):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
