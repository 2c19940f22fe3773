"""What a manifest leaves to a program or to another file is named: nobody takes the rest for all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lg_orch.analyst.sources.manifests.readers import reader_of
from tests.orchestrator.analyst.driver import ask

if TYPE_CHECKING:
    from pathlib import Path

    from lg_orch.analyst.sources.facts import Manifest

pytestmark = pytest.mark.anyio


def read(path: str, text: str) -> Manifest:
    reader = reader_of(path)
    assert reader is not None
    found = reader(path, text)
    assert found is not None
    return found


SETUP = "from setuptools import setup\n"
POM = "<project><artifactId>a</artifactId>{}</project>"


@pytest.mark.parametrize(
    ("path", "text", "note", "line"),
    [
        ("setup.py", SETUP + "setup(install_requires=open('r.txt').read())\n", "`install_requires` is computed", 2),
        ("setup.py", SETUP + "setup(install_requires=['a', *more()])\n", "a part of `install_requires` is computed", 2),
        ("setup.py", SETUP + "setup(install_requires=['a', f'b=={v}'])\n", "a part of `install_requires`", 2),
        ("setup.py", SETUP + "R = ['a']\nR.append('b')\nsetup(install_requires=R)\n", "is computed", 4),
        ("setup.py", SETUP + "R = ['a']\nif x:\n    R = []\nsetup(install_requires=R)\n", "is computed", 5),
        ("setup.py", SETUP + "R = ['a']\nR += ['b']\nsetup(install_requires=R)\n", "is computed", 4),
        ("setup.py", SETUP + "setup(extras_require=extras())\n", "`extras_require` is computed", 2),
        ("setup.py", SETUP + "setup(extras_require={'a': load()})\n", "`extras_require['a']` is computed", 2),
        ("setup.py", SETUP + "setup(extras_require={name: ['a']})\n", "a part of `extras_require`", 2),
        ("setup.py", SETUP + "setup(**config)\n", "setup(**…)", 2),
        ("setup.py", SETUP + "setup(name='a')\nsetup(name='b')\n", "called 2 times", 3),
        ("setup.py", SETUP + "setup(entry_points=points())\n", "`entry_points` is computed", 2),
        ("setup.py", SETUP + "setup(install_requires=['./local'])\n", "'./local' is no requirement", 2),
        ("setup.py", SETUP + "R = ['a']\nload(R)\nsetup(install_requires=R)\n", "is computed", 4),
        ("setup.py", SETUP + "R = ['a']\nS = R\nS.append('b')\nsetup(install_requires=R)\n", "is computed", 5),
        ("setup.py", SETUP + "R = ['a']\nfrom more import R\nsetup(install_requires=R)\n", "is computed", 4),
        ("pyproject.toml", "[project]\nname = 'a'\ndynamic = ['dependencies']\n", "`dependencies` is dynamic", 3),
        ("pyproject.toml", "[project]\nname = 'a'\ndynamic = ['entry-points', 'scripts']\n", "`scripts` is", 3),
        ("pyproject.toml", "[project]\nname = 'a'\ndependencies = 'b'\n", "is no list", 3),
        ("pyproject.toml", "[project]\nname = 'a'\ndependencies = [3]\n", "is no text", 3),
        ("pyproject.toml", "[dependency-groups]\na = [{include-group = 'b'}]\n", "the group b, which is not there", 2),
        ("setup.cfg", "[options]\ninstall_requires =\n    ../x\n", "is no requirement", 3),
        ("requirements.txt", "-c limits.txt\na\n", "limits.txt limits the versions", 1),
        ("requirements.txt", "a\n%bad%\n", "'%bad%' is no requirement", 2),
        ("package.json", '{"dependencies": ["a"]}', "another form than npm reads", 1),
        ("package.json", '{"dependencies": {"a": {"version": "1"}}}', "the range of 'a'", 1),
        ("package.json", '{"workspaces": "packages/*"}', "another form", 1),
        ("pnpm-workspace.yaml", "packages: *anchor\n", "`packages` is written in a way", 1),
        ("pnpm-workspace.yaml", "catalogs:\n  old:\n    react: 17\n", "`catalogs` was not read", 1),
        ("Cargo.toml", "[package]\nname = 'a'\n[patch.crates-io]\nb = {path = 'b'}\n", "`[patch]` puts other", 3),
        ("Cargo.toml", "[workspace]\nmembers = 'a'\n", "`members` is no list", 2),
        ("go.mod", "module a\nreplace b => ../b\n", "replaces b => ../b", 2),
        ("build.gradle", "dependencies {\n  implementation(deps.retrofit)\n}\n", "`implementation(deps.retrofit)`", 2),
        ("build.gradle", "dependencies {\n  implementation files('libs/x.jar')\n}\n", "implementation files", 2),
        ("build.gradle.kts", "dependencies {\n  ksp(deps.x)\n}\n", "`ksp(deps.x)` could not", 2),
        ("build.gradle", "dependencies { implementation 'a:b:1' }\n", "could not be read", 1),
        ("build.gradle", "dependencies {\n  implementation(\n    'a:b:1'\n  )\n}\n", "could not be read", 2),
        ("build.gradle", "dependencies {\n  deps.each { implementation it }\n}\n", "could not be read", 2),
        ("build.gradle", "dependencies {\n  if (x) { implementation 'a:b:1' }\n}\n", "could not be read", 2),
        ("build.gradle", "dependencies {\n  deps.each { d -> api d }\n}\n", "could not be read", 2),
        ("build.gradle", "dependencies {\n  add('implementation', 'a:b:1')\n}\n", "could not be read", 2),
        ("build.gradle.kts", 'dependencies {\n  "api"("a:b:1")\n}\n', "could not be read", 2),
        ("build.gradle", "dependencies {\n  api 'a:b:1', 'c:d:2'\n}\n", "could not be read", 2),
        ("build.gradle", "dependencies {\n  shadow 'a:b:1'\n}\n", "could not be read", 2),
        ("build.gradle", "apply from: 'deps.gradle'\n", "applies 'deps.gradle'", 1),
        ("settings.gradle", "include(names.collect { it })\n", "`include` names projects that the script", 1),
        ("settings.gradle", "rootDir.eachDir { include it.name }\n", "included inside of a statement", 1),
        ("pom.xml", POM.format("<parent><groupId>g</groupId><artifactId>p</artifactId></parent>"), "from g:p", 1),
        ("pom.xml", POM.format("<profiles><profile><id>x</id><dependencies/></profile></profiles>"), "profile x", 1),
    ],
)  # fmt: skip
def test_what_could_not_be_read_is_named_with_its_line(path: str, text: str, note: str, line: int) -> None:
    found = read(path, text).unread
    assert [item for item in found if note in item.text and item.line == line], found


@pytest.mark.parametrize(
    ("path", "text", "names"),
    [
        ("setup.py", SETUP + "R = ['a', 'b>=1']\nsetup(name='x', install_requires=R)\n", ["a", "b"]),
        ("setup.py", SETUP + "R = ['a']\nsetup(install_requires=[*R, 'b'], setup_requires='c')\n", ["a", "b", "c"]),
        ("setup.py", SETUP + "setup(install_requires='a\\n# no\\nb')\n", ["a", "b"]),
        ("pyproject.toml", "[tool.uv]\ndev-dependencies = ['a']\n", ["a"]),
        ("pyproject.toml", "[tool.pdm.dev-dependencies]\nx = ['a']\n", ["a"]),
        ("pyproject.toml", "[tool.flit.metadata]\nrequires = ['a']\n", ["a"]),
        ("pyproject.toml", "[tool.hatch.envs.x]\ndependencies = ['a']\n", ["a"]),
        ("requirements.txt", "-e ./libs/a\ngit+https://x/b.git#egg=b\nhttps://x/c.whl\nd @ https://x/d\n--pre\n",
         ["./libs/a", "b", "https://x/c.whl", "d"]),
        ("requirements/base.txt", "a\n", ["a"]),
        ("pnpm-workspace.yaml", "packages: ['a', \"!b\"]\ncatalog:\n  react: ^18\n", ["react"]),
        ("Cargo.toml", "[dev_dependencies]\na = '1'\n", ["a"]),
    ],
)  # fmt: skip
def test_what_is_certain_is_read_and_not_named_as_unread(path: str, text: str, names: list[str]) -> None:
    manifest = read(path, text)
    assert [item.name for item in manifest.dependencies] == names
    assert not manifest.unread


def test_poetrys_ranges_for_several_conditions_are_all_told() -> None:
    text = "[tool.poetry.dependencies]\na = [{version = '1', python = '<3.9'}, {version = '2'}]\n"
    [found] = read("pyproject.toml", text).dependencies
    assert found.range == "1 or 2"


@pytest.mark.parametrize(
    ("path", "text", "named"),
    [
        ("requirements.txt", "-r deps/base.in\n--requirement=more.txt\n", ["deps/base.in", "more.txt"]),
        ("setup.cfg", "[options]\ninstall_requires = file: a.txt, b.txt\n", ["a.txt", "b.txt"]),
        ("pyproject.toml", "[tool.setuptools.dynamic]\ndependencies = {file = ['a.txt']}\n", ["a.txt"]),
    ],
)  # fmt: skip
def test_other_files_that_a_manifest_names_are_known(path: str, text: str, named: list[str]) -> None:
    assert [item.text for item in read(path, text).includes] == named


async def test_the_summary_says_what_it_could_not_read_and_reads_the_files_that_are_named(tmp_path: Path) -> None:
    files = {
        "README.md": "# P\n\nA program.\n", "p.py": "import os\n",
        "setup.py": SETUP + "setup(name='p', install_requires=read())\n",
        "requirements.txt": "-r deps/base.in\n-r gone.txt\n",
        "deps/base.in": "attrs>=23\n",
        "sub/pom.xml": POM.format("<dependencies><dependency><groupId>g</groupId><artifactId>a</artifactId>"
                                  "<version>${v}</version></dependency></dependencies>"),
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    told = (await ask(tmp_path, "summarize repo")).answer.text_markdown
    section = told.partition("## Dependencies")[2].partition("\n## ")[0]
    assert "Not read in `setup.py`" in section
    assert "is computed, so it was not read" in section
    assert "declares no runtime dependencies" not in section
    assert "attrs" in section, "a file that is named is read, whatever its name is"
    assert "`requirements.txt` names `gone.txt`, which is not there" in section
    assert "Variables that were not resolved: `g:a ${v}`" in section


FOREIGN = {
    "x.gemspec": "s.add_dependency 'rack'\n", "mix.exs": "{:rack, '1'}\n", "Package.swift": "let package = Package()\n",
    "App.csproj": "<Project/>\n", "composer.json": "{}\n",
}  # fmt: skip


async def test_manifests_of_ecosystems_that_are_not_read_are_named(tmp_path: Path) -> None:
    for name, text in FOREIGN.items():
        (tmp_path / name).write_text(text)
    told = (await ask(tmp_path, "summarize repo")).answer.text_markdown
    section = told.partition("## Dependencies")[2].partition("\n## ")[0]
    assert [name for name in FOREIGN if f"Not read: `{name}`" not in section] == [], section
    asked = await ask(tmp_path, "who depends on rack?")
    assert asked.says("s.add_dependency 'rack'", at="x.gemspec:1"), asked.text
    assert asked.says("{:rack, '1'}", at="mix.exs:1"), asked.text
