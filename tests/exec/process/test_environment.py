"""Where programs are looked up, and what is said when they are missing."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

import pytest

from lg_exec.process.environment import Programs, base_environment
from lg_policy.config.settings import CommandTemplate
from lg_policy.errors import NotFound
from tests.exec.helpers import make_venv

PROJECT = CommandTemplate.model_validate({"from": "project"})
SYSTEM = CommandTemplate()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("files", "wanted", "setting", "hint"),
    [
        ([], "pytest", "auto", "python3 -m venv .venv && .venv/bin/python -m pip install pytest"),
        (["pyproject.toml"], "pytest", "auto", "pip install -e . pytest"),
        (["requirements.txt"], "python", "auto", "pip install -r requirements.txt"),
        (["pyproject.toml", "uv.lock"], "pytest", "auto", "uv sync"),
        (["package.json"], "pytest", "auto", "pip install pytest"),
        (["package.json"], "tsc", "auto", "npm install"),
        (["package.json"], "eslint", "auto", "npm install"),
        ([], "tsc", "auto", "npm install --save-dev typescript"),
        (["pyproject.toml"], "pytest", "/opt/env", "python3 -m venv /opt/env && /opt/env/bin/python -m pip"),
        ([], "pytest", "none", '[exec] environment = "auto"'),
    ],
)
def test_a_missing_environment_names_the_command_that_creates_it(
    root: Path, home: Path, files: list[str], wanted: str, setting: str, hint: str
) -> None:
    for name in files:
        (root / name).touch()
    with pytest.raises(NotFound) as caught:
        Programs(root, setting, home=home).find(wanted, PROJECT)
    assert hint in caught.value.hint
    assert repr(wanted) in caught.value.message


def test_a_program_missing_from_the_environment_names_the_command_that_installs_it(root: Path, home: Path) -> None:
    make_venv(root / ".venv")
    program(root / "node_modules" / ".bin" / "eslint")
    (root / "package.json").touch()
    programs = Programs(root, "auto", home=home)
    with pytest.raises(NotFound, match="pytest") as caught:
        programs.find("pytest", PROJECT)
    assert caught.value.hint.endswith(f"{root}/.venv/bin/python -m pip install pytest")
    with pytest.raises(NotFound, match="node_modules") as caught:
        programs.find("prettier", PROJECT)
    assert caught.value.hint.endswith("npm install --save-dev prettier")
    assert programs.find("eslint", PROJECT).path == f"{root}/node_modules/.bin/eslint"


def test_a_missing_toolchain_is_named_with_where_it_was_looked_for(root: Path, home: Path) -> None:
    with pytest.raises(NotFound, match="'no-such-cargo' is not installed") as caught:
        Programs(root, "auto", home=home).find("no-such-cargo", SYSTEM)
    assert "/usr/bin" in caught.value.hint


def test_a_program_found_once_is_not_shadowed_later(root: Path, home: Path) -> None:
    later = program(home / ".cargo" / "bin" / "lg-tool")
    (home / ".local" / "bin").mkdir(parents=True)
    programs = Programs(root, "auto", home=home)
    assert programs.find("lg-tool", SYSTEM).path == str(later)
    program(home / ".local" / "bin" / "lg-tool")
    assert programs.find("lg-tool", SYSTEM).path == str(later)
    later.unlink()
    assert programs.find("lg-tool", SYSTEM).path == str(home / ".local" / "bin" / "lg-tool")


def test_toolchains_in_the_home_bring_their_own_directories_and_not_the_home(root: Path, home: Path) -> None:
    cargo = program(home / ".cargo" / "bin" / "cargo")
    node = program(home / ".nvm" / "versions" / "node" / "v20.1.0" / "bin" / "lg-node")
    (node.parents[1] / "lib").mkdir()
    for name in (".cargo/registry", ".rustup"):
        (home / name).mkdir()
    programs = Programs(root, "auto", home=home)
    rust = programs.find(str(cargo), SYSTEM)
    assert rust.prefixes == (str(cargo), f"{home}/.cargo/bin", f"{home}/.cargo/registry", f"{home}/.rustup")
    assert rust.env == {"CARGO_HOME": f"{home}/.cargo", "RUSTUP_HOME": f"{home}/.rustup"}
    assert programs.find("lg-node", SYSTEM).prefixes == (str(node.parents[1]),)


def test_a_program_beside_other_peoples_data_in_the_home_is_shown_alone(root: Path, home: Path) -> None:
    tool = program(home / ".local" / "bin" / "lg-tool")
    linked = program(home / ".local" / "share" / "uv" / "tools" / "lg-other" / "bin" / "lg-other")
    (linked.parents[1] / "lib").mkdir()
    (home / ".local" / "bin" / "lg-other").symlink_to(linked)
    for name in ("lib", "share/keyrings"):
        (home / ".local" / name).mkdir(parents=True)
    programs = Programs(root, "auto", home=home)
    assert programs.find("lg-tool", SYSTEM).prefixes == (str(tool),)
    other = programs.find("lg-other", SYSTEM)
    assert other.prefixes == (f"{home}/.local/bin/lg-other", str(linked.parents[1]))


def test_a_link_to_a_program_in_the_root_is_no_system_program(root: Path, home: Path) -> None:
    planted = program(root / "evil")
    (home / ".local" / "bin").mkdir(parents=True)
    os.symlink(planted, home / ".local" / "bin" / "lg-tool")
    with pytest.raises(NotFound, match="inside the root only"):
        Programs(root, "auto", home=home).find("lg-tool", SYSTEM)


def test_package_managers_are_told_to_stay_offline_unless_there_is_a_network() -> None:
    without = base_environment(home="/h", tmp="/t", path="/bin", network=False)
    with_one = base_environment(home="/h", tmp="/t", path="/bin", network=True)
    for name in ("CARGO_NET_OFFLINE", "npm_config_offline", "GOPROXY", "UV_OFFLINE"):
        assert name in without
        assert name not in with_one


@pytest.mark.parametrize("kind", ["package.json", "Cargo.toml", "go.mod", "Makefile"])
def test_a_project_of_another_language_has_the_machines_python(root: Path, home: Path, kind: str) -> None:
    (root / kind).write_text("")
    found = Programs(root, "auto", home=home).find("python", PROJECT)
    assert os.path.basename(found.path) == "python3"
    assert not found.path.startswith(str(root))


@pytest.mark.parametrize("kind", ["pyproject.toml", "setup.py", "requirements.txt", "uv.lock"])
def test_a_python_project_never_runs_with_another_python(root: Path, home: Path, kind: str) -> None:
    (root / kind).write_text("")
    (root / "package.json").write_text("")
    with pytest.raises(NotFound):
        Programs(root, "auto", home=home).find("python", PROJECT)


def test_a_project_of_another_language_with_an_environment_runs_it(root: Path, home: Path) -> None:
    (root / "go.mod").write_text("")
    make_venv(root / ".venv")
    assert Programs(root, "auto", home=home).find("python", PROJECT).path.startswith(str(root))


def test_pytest_is_never_run_by_the_machines_python(root: Path, home: Path) -> None:
    (root / "go.mod").write_text("")
    module = CommandTemplate.model_validate({"from": "project", "executable": "python", "prefix": ["-m", "pytest"]})
    for name, template in (("python-pytest", module), ("pytest", PROJECT)):
        with pytest.raises(NotFound):
            Programs(root, "auto", home=home).find(name, template)


def tool_mark(root: Path) -> str:
    """How poetry and hatch name the directory of a project's environments."""
    return base64.urlsafe_b64encode(hashlib.sha256(os.path.realpath(root).encode()).digest()).decode()[:8]


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("{home}/somewhere", "VIRTUAL_ENV"),
        ("{home}/.cache/pypoetry/virtualenvs/shop-{mark}-py3.11", "poetry"),
        ("{home}/.local/share/pdm/venvs/shop-1234-3.11", "pdm"),
        ("{home}/.local/share/hatch/env/virtual/shop/{mark}/shop", "hatch"),
        ("{home}/.pyenv/versions/shop-env", "pyenv"),
        ("{root}/.tox/py311", "tox"),
        ("{root}/.nox/tests", "nox"),
    ],
)
def test_the_environment_of_the_shell_or_of_a_tool_is_found_without_running_anything(
    root: Path, home: Path, place: str, why: str
) -> None:
    venv = Path(place.format(root=root, home=home, mark=tool_mark(root)))
    venv.parent.mkdir(parents=True, exist_ok=True)
    make_venv(venv)
    pytest_there = program(venv / "bin" / "pytest")
    (root / "pyproject.toml").touch()
    (root / ".pdm-python").write_text(f"{venv}/bin/python\n" if why == "pdm" else "")
    (root / ".python-version").write_text("shop-env\n" if why == "pyenv" else "")
    programs = Programs(root, "auto", home=home, environ={why: str(venv)} if why.isupper() else {})
    assert programs.find("pytest", PROJECT).path == str(pytest_there)
    assert programs.environment_of(str(pytest_there)) == f"{venv} ({why})"
    make_venv(root / ".venv")
    with pytest.raises(NotFound):
        programs.find("pytest", PROJECT)  # the project's own environment comes first, and alone


@pytest.mark.parametrize("what", ["home", "root", "above", "no environment", "a link out", "pdm elsewhere", "a path"])
def test_a_name_that_would_show_a_home_or_lead_out_of_the_root_is_not_believed(
    root: Path, home: Path, what: str
) -> None:
    elsewhere = home.parent / "elsewhere"
    make_venv(elsewhere)
    program(elsewhere / "bin" / "pytest")
    for holder in (home, root, home.parent):
        (holder / "pyvenv.cfg").touch()
        program(holder / "bin" / "python")
        program(holder / "bin" / "pytest")
    plain = program(home / "plain" / "bin" / "python").parents[1]
    (root / ".tox").mkdir()
    if what == "a link out":
        (root / ".tox" / "py").symlink_to(elsewhere)
    (root / ".pdm-python").write_text(f"{elsewhere}/bin/python" if what == "pdm elsewhere" else "")
    (root / ".python-version").write_text("../../../elsewhere" if what == "a path" else "")
    named = {"home": home, "root": root, "above": home.parent, "no environment": plain}.get(what)
    environ = {"VIRTUAL_ENV": str(named)} if named else {}
    assert Programs(root, "auto", home=home, environ=environ).projects() == []


def test_the_node_that_the_project_names_is_found_before_newer_ones(root: Path, home: Path) -> None:
    for version in ("v18.2.0", "v20.1.0", "v22.0.0"):
        program(home / ".nvm" / "versions" / "node" / version / "bin" / "lg-node")
    assert "v22" in Programs(root, "auto", home=home).find("lg-node", SYSTEM).path
    (root / ".nvmrc").write_text("v20\n")
    assert "v20.1.0" in Programs(root, "auto", home=home).find("lg-node", SYSTEM).path


def long_head(interpreter: str) -> str:
    return f"#!/bin/sh\n'''exec' \"{interpreter}\" \"$0\" \"$@\"\n' '''\n"


@pytest.mark.parametrize(
    ("what", "wanted"),
    [("python removed", "python"), ("python removed", "pytest"), ("moved", "pytest"), ("moved, long path", "pytest")],
)
def test_an_environment_that_was_moved_or_lost_its_python_is_named_with_how_to_make_it_anew(
    root: Path, home: Path, what: str, wanted: str
) -> None:
    venv = make_venv(root / ".venv")
    script = program(venv / "bin" / "pytest")
    gone = venv.parent.parent / "before" / ".venv" / "bin" / "python"
    if what == "python removed":
        (venv / "bin" / "python").unlink()
        (venv / "bin" / "python").symlink_to(gone)
        script.write_text(f"#!{venv}/bin/python\n")
    else:
        script.write_text(long_head(str(gone)) if "long" in what else f"#!{gone}\n")
    with pytest.raises(NotFound, match=f"{gone} is not there") as told:
        Programs(root, "auto", home=home).find(wanted, PROJECT)
    assert "python3 -m venv --clear .venv" in told.value.hint


def test_a_pipe_in_place_of_a_program_is_not_waited_for(root: Path, home: Path) -> None:
    os.mkfifo(make_venv(root / ".venv") / "bin" / "pytest")
    with pytest.raises(NotFound):
        Programs(root, "auto", home=home).find("pytest", PROJECT)
