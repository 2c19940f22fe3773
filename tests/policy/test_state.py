"""State and keys are private, outside the root, and found again."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from lg_policy.errors import ConfigError
from lg_policy.state import find_states, key_dir, load_key, open_state, replace_file, root_id


def test_state_is_private_and_indexed_by_root(tmp_path: Path) -> None:
    state = open_state(root=tmp_path)
    assert state.id == root_id(tmp_path)
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700
    assert find_states()[state.id] == os.path.realpath(tmp_path)
    assert open_state(root=tmp_path) == state


def test_a_link_to_a_root_has_the_same_state(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert open_state(root=tmp_path / "link") == open_state(root=tmp_path / "real")


def test_state_inside_the_root_is_refused_also_through_a_link(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    for explicit in (root / "state", tmp_path / "link" / "state", root):
        with pytest.raises(ConfigError, match="lies inside"):
            open_state(root=root, explicit=explicit)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("where", ["XDG_CONFIG_HOME", "LG_KEY_DIR"])
def test_a_root_around_settings_or_keys_is_refused_also_through_a_link(tmp_path: Path, where: str) -> None:
    root = tmp_path / "dotfiles"
    (root / "config").mkdir(parents=True)
    (tmp_path / "link").symlink_to(root)
    environ = {"XDG_STATE_HOME": str(tmp_path / "s"), "XDG_CONFIG_HOME": str(tmp_path / "c")}
    open_state(root=root, environ=environ)
    with pytest.raises(ConfigError, match="lies inside"):
        open_state(root=root, environ=environ | {where: str(tmp_path / "link" / "config")})


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    loose = tmp_path / "state"
    loose.mkdir(mode=0o755)
    (tmp_path / "root").mkdir()
    open_state(root=tmp_path / "root", explicit=loose)
    assert stat.S_IMODE(loose.stat().st_mode) == 0o700


def test_what_is_missing_above_is_private_too_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        open_state(root=tmp_path, environ={"XDG_STATE_HOME": str(tmp_path.parent / "new" / "state")})
    finally:
        os.umask(before)
    for made in (tmp_path.parent / "new", tmp_path.parent / "new" / "state" / "lg"):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_damaged_index_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    index = open_state(root=tmp_path).path.parent / "index.json"
    index.write_text("{")
    with pytest.raises(ConfigError, match="not JSON"):
        find_states()


def test_processes_that_race_for_a_key_get_the_same_bytes() -> None:
    keys: list[bytes] = []
    threads = [threading.Thread(target=lambda: keys.append(load_key("ledger"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys) == 8
    assert len(set(keys)) == 1
    assert len(keys[0]) == 32
    files = list(key_dir().iterdir())
    assert [file.name for file in files] == ["ledger.key"]
    assert stat.S_IMODE(files[0].stat().st_mode) == 0o600


def test_a_key_of_the_wrong_length_is_refused() -> None:
    (key_dir() / "ledger.key").write_bytes(b"short")
    with pytest.raises(ConfigError, match="5 bytes, not 32"):
        load_key("ledger")


def test_a_key_that_cannot_be_read_is_an_error_that_names_it() -> None:
    (key_dir() / "ledger.key").mkdir()
    with pytest.raises(ConfigError, match=r"ledger\.key: Is a directory"):
        load_key("ledger")


def test_keys_never_lie_below_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LG_KEY_DIR", str(Path(os.environ["XDG_STATE_HOME"]) / "lg" / "keys"))
    with pytest.raises(ConfigError, match="key directory"):
        key_dir()


def test_replacing_a_file_leaves_no_litter_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "f"
    target.mkdir()
    (target / "child").touch()
    with pytest.raises(OSError, match="directory"):
        replace_file(target, b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["f"]


def test_a_directory_that_all_users_share_is_not_made_private(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (tmp_path / "root").mkdir()
    with pytest.raises(ConfigError, match="shared by all users"):
        open_state(root=tmp_path / "root", explicit=shared)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777
    assert open_state(root=tmp_path / "root", explicit=shared / "mine").path == shared / "mine"
