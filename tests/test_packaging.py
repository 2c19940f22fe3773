"""What is tracked and published: pinned requirements that fit the project file, one version, no foreign hosts."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from lg_policy.version import __version__
from tests.support import require

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PIN = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)(?: ; (.+?))?(?: \\)?$")
HASH = re.compile(r"^    --hash=sha256:[0-9a-f]{64}(?: \\)?$")
# Written in halves, so that this file does not name what it forbids.
REGISTRIES = (
    "py" + "pi.org",
    "python" + "hosted.org",
    "npm" + "js.org",
    "npm" + "js.com",
    "crates" + ".io",
    "golang" + ".org/dl",
)


def pins(name: str) -> dict[str, set[Version]]:
    found: dict[str, set[Version]] = {}
    for line in (ROOT / name).read_text("utf-8").splitlines():
        if match := PIN.match(line):
            found.setdefault(canonicalize_name(match[1]), set()).add(Version(match[2]))
    return found


def tracked() -> list[str]:
    git = shutil.which("git")
    require(git is not None and (ROOT / ".git").exists(), "a git clone and git")
    argv = [str(git), "-c", f"safe.directory={ROOT}", "ls-files", "-z"]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")[:-1]


def asked_for(*groups: str) -> list[Requirement]:
    tables = [PROJECT["project"]["dependencies"], PROJECT["project"]["optional-dependencies"]["orch"]]
    tables += [PROJECT["dependency-groups"][group] for group in groups]
    return [Requirement(text) for table in tables for text in table if isinstance(text, str)]


@pytest.mark.parametrize("name", ["requirements.txt", "scripts/bootstrap-requirements.txt"])
def test_pinned_files_hold_exact_versions_and_hashes_and_nothing_else(name: str) -> None:
    lines = (ROOT / name).read_text("utf-8").splitlines()
    odd = [line for line in lines if not (line.startswith("#") or PIN.match(line) or HASH.match(line))]
    assert not odd
    follows = [after for line, after in itertools.pairwise(lines) if PIN.match(line)]
    assert len(follows) > 0
    assert all(HASH.match(after) for after in follows), "a pin without a hash"


def test_the_pinned_versions_are_within_what_the_project_asks_for() -> None:
    pinned = pins("requirements.txt")
    for wanted in asked_for("checks", "build"):
        found = pinned.get(canonicalize_name(wanted.name))
        assert found, f"{wanted} is not pinned: run scripts/lock.sh"
        assert all(wanted.specifier.contains(one) for one in found), f"{wanted}: pinned {found}; run scripts/lock.sh"


def test_the_installer_is_pinned_within_what_the_project_asks_for() -> None:
    (wanted,) = [Requirement(text) for text in PROJECT["dependency-groups"]["bootstrap"]]
    pinned = pins("scripts/bootstrap-requirements.txt")
    assert set(pinned) == {wanted.name}
    assert all(wanted.specifier.contains(one) for one in pinned[wanted.name])


def test_the_tests_run_on_the_pinned_versions() -> None:
    pinned = pins("requirements.txt")
    differing = {
        wanted.name: version(wanted.name)
        for wanted in asked_for("checks")
        if Version(version(wanted.name)) not in pinned[canonicalize_name(wanted.name)]
    }
    assert not differing


def test_the_version_is_the_newest_of_the_changelog() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)\]?", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert released[0] == __version__
    assert [Version(one) for one in released] == sorted((Version(one) for one in released), reverse=True)
    assert version("lg-orchestration-platform") == __version__


def test_no_tracked_file_names_a_package_registry() -> None:
    for name in tracked():
        path = ROOT / name
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes().decode("utf-8", "replace")
            assert not [host for host in REGISTRIES if host in text], name


def test_no_lock_file_and_nothing_made_by_tools_is_tracked() -> None:
    made = re.compile(
        r"(^|/)(uv\.lock|poetry\.lock|Pipfile\.lock|\.venv|__pycache__|node_modules|dist|build)(/|$)|\.pyc$|\.egg-info"
    )
    assert not [name for name in tracked() if made.search(name)]


def test_every_package_is_shipped_with_its_types() -> None:
    for folder in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]:
        assert (ROOT / folder / "py.typed").is_file(), folder
        assert (ROOT / folder / "__init__.py").is_file(), folder


def test_every_program_can_be_started_by_module_and_by_name() -> None:
    for name, target in PROJECT["project"]["scripts"].items():
        module, _, function = target.partition(":")
        package = module.split(".")[0]
        assert package == name.replace("-", "_")
        assert function == "main"
        folder = next(
            one for one in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] if one.endswith(package)
        )
        assert (ROOT / folder / "__main__.py").is_file()


def test_the_shown_profiles_are_the_shipped_ones() -> None:
    for profile in ("dev", "stage", "prod"):
        name = f"runtime.{profile}.toml"
        assert (ROOT / "configs" / name).read_bytes() == (ROOT / "policy/lg_policy/profiles" / name).read_bytes()


# The lowest version without a known advisory, for what we depend on ourselves. Looked up by hand when a bound moves.
SAFE = {
    "h11": ("0.16", "CVE-2025-43859"),
    "pyjwt": ("2.12", "CVE-2026-32597"),
    "starlette": ("1.0.1", "CVE-2026-48710"),
}


@pytest.mark.parametrize("name", SAFE)
def test_a_lower_bound_allows_no_version_with_a_known_advisory(name: str) -> None:
    floor, advisory = SAFE[name]
    bounds = next(each.specifier for each in asked_for() if canonicalize_name(each.name) == name)
    lowest = [Version(bound.version) for bound in bounds if bound.operator == ">="]
    assert lowest, f"{name} needs a lower bound"
    assert lowest[0] >= Version(floor), advisory
