"""Manifests: values with their lines; broken and hostile files are stated problems, never errors."""

from __future__ import annotations

import json
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lg_orch.analyst.sources.evidence import FileText
from lg_orch.analyst.sources.facts import Manifest
from lg_orch.analyst.sources.manifests.json_lines import Json
from lg_orch.analyst.sources.manifests.readers import read_manifest
from lg_orch.analyst.sources.manifests.requirement import requirement
from lg_orch.analyst.sources.manifests.toml_lines import Toml
from lg_orch.analyst.sources.manifests.xml_lines import XmlRefusedError, parse_xml

NAMES = (
    "pyproject.toml", "setup.cfg", "setup.py", "tox.ini", "noxfile.py", "package.json", "pnpm-workspace.yaml",
    "Cargo.toml", "go.mod", "go.work", "pom.xml", "build.gradle", "settings.gradle", "libs.versions.toml",
    "Makefile", "requirements.txt",
)  # fmt: skip


def read(path: str, text: str) -> Manifest:
    found = read_manifest(FileText(path=path, text=text, start_line=1, total_lines=None, truncated=False))
    assert found is not None
    return found


def ranges(manifest: Manifest) -> dict[str, tuple[str, int]]:
    return {item.name: (item.range, item.line) for item in manifest.dependencies}


@pytest.mark.parametrize("name", NAMES)
@given(text=st.text())
def test_no_text_makes_a_reader_fail(name: str, text: str) -> None:
    manifest = read(name, text)
    assert manifest.file == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("text", ["", "\ufeff", "\x00\x01", "[" * 5_000, "{" * 5_000, "<a>" * 5_000, "((((" * 2_000])
def test_junk_and_deep_nesting_are_survived(name: str, text: str) -> None:
    assert read(name, text).dependencies == ()


@pytest.mark.parametrize("name", ["pyproject.toml", "package.json", "Cargo.toml", "pom.xml", "setup.py"])
def test_a_broken_file_is_a_stated_problem(name: str) -> None:
    assert name in read(name, "<<< not valid >>>").problems[0]


def test_a_document_type_is_refused_and_no_entity_is_expanded() -> None:
    bomb = '<!DOCTYPE p [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><project><artifactId>&b;</artifactId></project>'
    outside = '<!DOCTYPE p [<!ENTITY f SYSTEM "file:///etc/passwd">]><project><artifactId>&f;</artifactId></project>'
    for text in (bomb, outside):
        with pytest.raises(XmlRefusedError, match="document type"):
            parse_xml(text)
        manifest = read("pom.xml", text)
        assert manifest.name is None
        assert "document type" in manifest.problems[0]


def test_a_property_that_refers_to_itself_ends() -> None:
    text = "<project><properties><a>${a}</a></properties><artifactId>${a}</artifactId></project>"
    name = read("pom.xml", text).name
    assert name is not None
    assert name.text == "${a}"


def test_toml_lines_survive_multi_line_strings_and_arrays() -> None:
    text = 'a = """\n[fake]\nname = "no"\n"""\n[real]\nlist = [\n  "x",\n  # [c]\n  "xy",\n]\n'
    text += 'name = "yes"\n"quoted.key".sub = 1\n'
    toml = Toml(text)
    assert toml.line("real", "name") == 11
    assert toml.line("real", "list", item="xy") == 9
    assert toml.line("real", "list", item="x") == 7
    assert toml.line("real", "quoted.key", "sub") == 12
    assert toml.line("nowhere") == 1


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), st.integers(), min_size=1))
def test_every_toml_key_is_found_on_its_line(values: dict[str, int]) -> None:
    lines = ["[t]", *(f"{key} = {value}" for key, value in values.items())]
    text = "\n".join(lines)
    tomllib.loads(text)
    toml = Toml(text)
    for number, key in enumerate(values, start=2):
        assert toml.line("t", key) == number


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=12,
    )
)
def test_every_json_key_is_found_on_a_line_that_holds_it(value: object) -> None:
    text = json.dumps({"top": value}, indent=1)
    document = Json(text)
    lines = text.splitlines()
    assert document.line("top") == 2

    def check(inner: object, path: tuple[str, ...]) -> None:
        if isinstance(inner, dict) and len(path) < 8:
            for key, below in inner.items():
                if key:
                    assert json.dumps(key) in lines[document.line(*path, key) - 1]
                    check(below, (*path, key))

    check(value, ("top",))


def test_json_with_the_same_key_on_one_line_and_nested() -> None:
    document = Json('{"a": {"b": 1},\n "b": {"b": ["x",\n "y"]}}')
    assert document.line("a", "b") == 1
    assert document.line("b", "b") == 2
    assert document.line("b", "b", "1") == 3


@pytest.mark.parametrize(
    ("text", "name", "range_"),
    [
        ("click", "click", ""),
        ("click>=8,<9", "click", ">=8,<9"),
        ("uvicorn[standard] ~= 0.30", "uvicorn[standard]", "~= 0.30"),
        ("x (>=1)", "x", ">=1"),
        ("tomli>=2; python_version < '3.11'", "tomli", ">=2 ; python_version < '3.11'"),
        ("pkg @ https://host.example/pkg.whl", "pkg", "@ https://host.example/pkg.whl"),
    ],
)
def test_a_requirement_is_split(text: str, name: str, range_: str) -> None:
    found = requirement(text, group="g", file="f", line=1)
    assert found is not None
    assert (found.name, found.range) == (name, range_)


@pytest.mark.parametrize("text", ["", "-r other.txt", "./local", "https://host.example/x.whl", "==1.0"])
def test_what_is_no_requirement_is_left_out(text: str) -> None:
    assert requirement(text, group="g", file="f", line=1) is None


def test_setup_py_is_read_and_never_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    marker = tmp_path_factory.mktemp("run") / "ran"
    text = (
        f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nVERSION = str(1)\n"
        "setup(name='n', version=VERSION,\n install_requires=['a>1',\n 'b'], extras_require={'x': ['c']},\n"
        " entry_points={'console_scripts': ['go = n.cli:main']})\n"
    )
    manifest = read("setup.py", text)
    assert not marker.exists()
    assert ranges(manifest) == {"a": (">1", 5), "b": ("", 6), "c": ("", 6)}
    assert [(entry.name, entry.target, entry.line) for entry in manifest.entries] == [("go", "n.cli:main", 7)]
    assert manifest.version is None
    assert "computes `version`" in manifest.problems[0]


def test_setup_cfg_gives_metadata_requirements_and_scripts() -> None:
    text = (
        "[metadata]\nname = old\nversion = attr: old.__version__\n[options]\ninstall_requires =\n  a>=1\n  b\n"
        "[options.extras_require]\ndev = c\n[options.entry_points]\nconsole_scripts =\n  old = old.cli:main\n"
        "[tool:pytest]\nx=1\n"
    )
    manifest = read("setup.cfg", text)
    assert manifest.name is not None
    assert (manifest.name.text, manifest.name.line) == ("old", 2)
    assert manifest.version_files[:2] == ("old.py", "old/__init__.py")
    assert ranges(manifest) == {"a": (">=1", 6), "b": ("", 7), "c": ("", 9)}
    assert manifest.entries[0].line == 12
    assert manifest.tests[0].command == "pytest"


def test_poetry_is_understood() -> None:
    text = (
        '[tool.poetry]\nname = "p"\nversion = "1"\n[tool.poetry.dependencies]\npython = "^3.12"\na = "^1"\n'
        'b = { version = "2", optional = true }\n[tool.poetry.group.dev.dependencies]\nc = "*"\n'
        '[tool.poetry.scripts]\np = "p:main"\n'
    )
    manifest = read("pyproject.toml", text)
    assert manifest.requires is not None
    assert manifest.requires.text == "^3.12"
    assert ranges(manifest) == {"a": ("^1", 6), "b": ("2", 7), "c": ("*", 9)}
    assert manifest.entries[0].line == 11


def test_a_version_file_outside_the_repository_is_never_named_for_reading() -> None:
    text = '[project]\nname = "p"\ndynamic = ["version"]\n[tool.hatch.version]\npath = "../../etc/passwd"\n'
    assert all(path.startswith("..") for path in read("pyproject.toml", text).version_files)


def test_cargo_marks_optional_and_targets() -> None:
    text = (
        '[package]\nname = "c"\nversion = "1"\nedition = "2021"\n[dependencies]\n'
        'a = { version = "1", optional = true }\n'
        "[target.'cfg(unix)'.dependencies]\nlibc = \"0.2\"\n"
    )
    groups = {item.name: (item.group, item.line) for item in read("Cargo.toml", text).dependencies}
    assert groups == {"a": ("optional", 6), "libc": ("runtime, target cfg(unix)", 8)}


def test_makefile_targets_for_tests_are_found_and_variables_are_not() -> None:
    manifest = read("Makefile", "TEST := 1\ntest-unit: build\n\ttrue\nbuild:\n\ttrue\ncheck:\n")
    assert [(test.command, test.line) for test in manifest.tests] == [("make test-unit", 2), ("make check", 6)]


def test_nox_sessions_with_tests_are_found() -> None:
    manifest = read(
        "noxfile.py",
        "import nox\n\n@nox.session(python=['3.12'])\ndef tests(session):\n    pass\n\ndef test_x():\n    pass\n",
    )
    assert [(test.command, test.line) for test in manifest.tests] == [("nox -s tests", 4)]


def test_pnpm_members_are_found_and_negations_are_not() -> None:
    manifest = read("pnpm-workspace.yaml", "packages:\n  - 'packages/*'\n  - \"!**/test/**\"\ncatalog:\n  - no\n")
    assert [(member.text, member.line) for member in manifest.members] == [("packages/*", 2)]


@pytest.mark.parametrize(
    ("file", "content", "manifest"),
    [
        ("src/app/setup.py", "def prepare() -> None: ...\n", False),  # a module that has this name
        ("setup.py", "import helpers\nhelpers.main()\n", True),
        ("pkg/setup.py", "import setuptools\nrun()\n", True),
        ("pkg/setup.py", "from skbuild import setup\nsetup(name='x')\n", True),
    ],
)
def test_a_module_that_is_merely_called_setup_is_no_manifest(file: str, content: str, manifest: bool) -> None:
    found = read_manifest(FileText(path=file, text=content, start_line=1, total_lines=2, truncated=False))
    assert (found is not None) is manifest
