"""Built-in servers on several directories, behind one gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lg_policy.errors import ConfigError
from tests.gateway.rig import ALLOW_ALL, call, gateway_of, make_setup, text_of

pytestmark = pytest.mark.anyio


def files(name: str, root: Path) -> str:
    return f'[gateway.servers.{name}]\nbuiltin = "fs"\nroot = {json.dumps(str(root))}\n'


async def test_each_server_works_on_its_own_root_and_takes_back_its_own_changes(tmp_path: Path) -> None:
    for name in ("app", "docs"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "name.txt").write_text(name)
        (tmp_path / name / ".env").write_text("secret")
    parts = files("app", tmp_path / "app"), files("docs", tmp_path / "docs"), ALLOW_ALL
    async with gateway_of(tmp_path, *parts) as gateway:
        for name in ("app", "docs"):
            assert name in text_of(await call(gateway, f"{name}__read_file", path="name.txt"))
            assert (await call(gateway, f"{name}__read_file", path=".env")).is_error
        assert (await call(gateway, "docs__read_file", path="../app/name.txt")).is_error
        patch = "*** Begin Patch\n*** Add File: new.txt\n+new\n*** End Patch\n"
        done = await call(gateway, "docs__apply_patch", patch=patch)
        assert (tmp_path / "docs" / "new.txt").read_text() == "new\n"
        change = done.structured_content["change_id"]
        assert (await call(gateway, "app__revert_patch", change_id=change)).is_error
        assert not (await call(gateway, "docs__revert_patch", change_id=change)).is_error
        assert not (tmp_path / "docs" / "new.txt").exists()


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        (("a", "a/b"), "lie in one another"),
        (("a", "missing"), "is not a directory"),
        (("a", "."), "lie in one another|lies inside"),
    ],
)
def test_roots_that_cannot_be_told_apart_are_refused(tmp_path: Path, roots: tuple[str, str], said: str) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    parts = [files(f"s{number}", tmp_path / root) for number, root in enumerate(roots)]
    with pytest.raises(ConfigError, match=said):
        make_setup(tmp_path, *parts)


def test_settings_below_any_root_are_closed_and_a_root_around_the_state_is_refused(
    tmp_path: Path, clean_environment: Path
) -> None:
    setup = make_setup(tmp_path, files("all", tmp_path))
    assert "/gateway.toml" in setup.settings.policy.write_deny
    with pytest.raises(ConfigError, match="lies inside"):
        make_setup(tmp_path, files("home", clean_environment))


def test_root_is_for_built_in_servers(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="built-in"):
        make_setup(tmp_path, f'[gateway.servers.a]\ncommand = "x"\nroot = {json.dumps(str(tmp_path))}\n')
