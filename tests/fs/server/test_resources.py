"""Files as resources, and completion of paths."""

from __future__ import annotations

import base64
from pathlib import Path

import anyio
import pytest
from mcp import MCPError
from mcp_types import BlobResourceContents, ReadResourceResult, ResourceTemplateReference, TextResourceContents

from lg_fs.server.resources import TEMPLATE
from tests.fs.helpers import FsClient, fs_client, write_tree

pytestmark = pytest.mark.anyio


async def read(fs: FsClient, uri: str) -> str:
    result = await fs.client.read_resource(uri)
    assert isinstance(result, ReadResourceResult)
    (content,) = result.contents
    assert isinstance(content, TextResourceContents)
    return content.text


async def completed(fs: FsClient, prefix: str) -> list[str]:
    reference = ResourceTemplateReference(type="ref/resource", uri=TEMPLATE)
    result = await fs.client.complete(reference, {"name": "path", "value": prefix})
    return result.completion.values


async def test_any_file_is_a_resource_by_relative_or_absolute_path(tmp_path: Path) -> None:
    write_tree(tmp_path, {"src/ä b.py": "x = 1\n"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            templates = await fs.client.list_resource_templates()
            assert [template.uri_template for template in templates.resource_templates] == [TEMPLATE]
            assert await read(fs, "file:///src/%C3%A4%20b.py") == "x = 1\n"
            assert await read(fs, f"file://{tmp_path}/src/%C3%A4%20b.py") == "x = 1\n"


async def test_an_image_is_attached_as_it_is(tmp_path: Path) -> None:
    write_tree(tmp_path, {"pic.png": b"\x89PNG\0\xff", "odd": b"\0"})
    kinds: dict[str, tuple[str | None, bytes]] = {}
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            for name in ("pic.png", "odd"):
                result = await fs.client.read_resource(f"file:///{name}")
                assert isinstance(result, ReadResourceResult)
                (content,) = result.contents
                assert isinstance(content, BlobResourceContents)
                kinds[name] = content.mime_type, base64.b64decode(content.blob)
    assert kinds == {"pic.png": ("image/png", b"\x89PNG\0\xff"), "odd": ("application/octet-stream", b"\0")}


@pytest.mark.parametrize(
    "uri",
    [
        "file:///../secret",
        "file:///%2e%2e/secret",
        "file:///.env",
        "file:///none",
        "file:///pic.png",
        "file:///etc/passwd",
        "file:///a%00b",
        "file:///%ff",
        "file:///long",
        "http:///a",
        "/a",
        "file://host/a",
        "file:///a?b",
        "file:///a#b",
    ],
)
async def test_a_resource_obeys_the_rules_of_reading(tmp_path: Path, uri: str) -> None:
    long, picture = "x\n" * 300, b"\x89PNG\0" * 100
    write_tree(tmp_path / "root", {".env": "S", "pic.png": picture, "long": long, "a": "there"})
    write_tree(tmp_path, {"secret": "S"})
    with anyio.fail_after(60):
        async with fs_client(tmp_path / "root", settings={"fs": {"read_max_bytes": 300}}) as fs:
            assert await read(fs, "file:///a") == "there"
            with pytest.raises(MCPError) as caught:
                await read(fs, uri)
    assert caught.value.error.code == -32602


async def test_paths_are_completed_from_what_may_be_seen(tmp_path: Path) -> None:
    write_tree(tmp_path, {"src/a.py": "", "src/ab/c.py": "", ".env": "S", "setup.py": ""})
    with anyio.fail_after(60):
        async with fs_client(tmp_path) as fs:
            assert await completed(fs, "s") == ["setup.py", "src/"]
            assert await completed(fs, "src/a") == ["src/a.py", "src/ab/"]
            assert await completed(fs, "") == ["setup.py", "src/"]
            assert await completed(fs, ".e") == []
            assert await completed(fs, "../") == []
            assert await completed(fs, "none/x") == []
