"""Templates: what further arguments may be."""

from __future__ import annotations

import pytest

from lg_exec.templates.arguments import ArgumentRules, check_env
from lg_policy.config.exec_templates import DEFAULT_COMMANDS
from lg_policy.config.settings import CommandTemplate, Settings
from lg_policy.errors import ConfigError, InvalidArguments, PolicyDenied


def plain(path: str) -> str:
    if ".." in path.split("/") or path.startswith("/"):
        raise PolicyDenied(f"{path!r} leads out")
    return path.removeprefix("./")


def accept(allow: list[str], args: list[str], deny: list[str] | None = None) -> tuple[str, ...]:
    template = CommandTemplate(args_allow=tuple(allow), args_deny=tuple(deny or ()))
    return ArgumentRules("tool", template).check(args, plain).args


@pytest.mark.parametrize(
    ("allow", "given", "handed_on"),
    [
        (["-q"], ["-q"], ["-q"]),
        (["-q", "-x"], ["-qx"], ["-qx"]),
        (["--maxfail=*"], ["--maxfail=3"], ["--maxfail=3"]),
        (["--maxfail=*"], ["--maxfail", "3"], ["--maxfail", "3"]),
        (["--tb=short|long"], ["--tb=long"], ["--tb=long"]),
        (["-k=*"], ["-k", "a and not b"], ["-k", "a and not b"]),
        (["-k=*"], ["-k=a and not b"], ["-k", "a and not b"]),
        (["-k=*"], ["-kfoo"], ["-kfoo"]),
        (["-q", "-k=*"], ["-q", "-k", "foo"], ["-q", "-k", "foo"]),
        (["-k=*"], ["-k", "@foo"], ["-k@foo"]),
        (["--file=*"], ["--file", "@foo"], ["--file=@foo"]),
        (["-..."], ["-", "--anything"], ["-", "--anything"]),
        (["-run=*"], ["-run=TestX"], ["-run=TestX"]),
        (["path:**"], ["tests/test_a.py::TestB::test_c[1-x]"], ["tests/test_a.py::TestB::test_c[1-x]"]),
        (["path:**"], ["./@odd"], ["./@odd"]),
        (["path:tests/**"], ["tests/unit"], ["tests/unit"]),
        (["--config-file=path:**"], ["--config-file=conf/mypy.ini"], ["--config-file=conf/mypy.ini"]),
        (["text:*"], ["build"], ["build"]),
        (["-m=*..."], ["-m", "pytest", "--anything", "-p", "x"], ["-m", "pytest", "--anything", "-p", "x"]),
        (["--..."], ["--", "--nocapture"], ["--", "--nocapture"]),
        (["first:build|test", "-q"], ["test", "-q"], ["test", "-q"]),
        (["first:diff|log +--safe +-x", "first:status", "-q"], ["log", "-q"], ["log", "--safe", "-x", "-q"]),
        (["first:diff|log +--safe", "first:status", "-q"], ["status", "-q"], ["status", "-q"]),
    ],
)
def test_allowed_arguments_are_handed_on(allow: list[str], given: list[str], handed_on: list[str]) -> None:
    assert accept(allow, given) == tuple(handed_on)


@pytest.mark.parametrize(
    ("allow", "given"),
    [
        (["-q"], ["-x"]),
        (["-q"], ["-qx"]),
        (["-q"], ["-q "]),
        (["--lf"], ["--l"]),
        (["--maxfail=*"], ["--max=3"]),
        (["--tb=short|long"], ["--tb=shortx"]),
        (["path:**"], ["-p"]),
        (["path:**"], ["--rootdir=/"]),
        (["path:**"], ["@args.txt"]),
        (["path:**"], ["../outside"]),
        (["path:**"], ["/etc/passwd"]),
        (["path:tests/**"], ["src/a.py"]),
        (["text:*"], ["-c"]),
        (["text:*"], [""]),
        (["first:status|diff", "text:*"], ["push"]),
        (["first:status|diff", "text:*"], ["-c", "core.pager=x", "status"]),
        (["first:status|diff", "text:*"], []),
        ([], ["anything"]),
        (["-k=*"], ["-k=-p"]),
    ],
)
def test_other_arguments_are_refused_with_what_is_allowed(allow: list[str], given: list[str]) -> None:
    with pytest.raises(PolicyDenied) as caught:
        accept(allow, given)
    assert (
        "allowed: " in caught.value.hint
        or "it has to be one of" in caught.value.hint
        or "leads out" in caught.value.message
    )


def test_an_option_never_takes_the_next_option_as_its_value() -> None:
    with pytest.raises(InvalidArguments, match="'-k' needs a value"):
        accept(["-k=*", "-q"], ["-k", "-q"])


def test_a_denied_argument_is_refused_although_a_pattern_allows_it() -> None:
    with pytest.raises(PolicyDenied, match=r"'\+nightly'"):
        accept(["text:*"], ["+nightly"], deny=["text:+*"])


def test_the_refusal_names_the_first_bad_argument_and_the_command() -> None:
    with pytest.raises(PolicyDenied) as caught:
        accept(["-q"], ["-q", "--evil", "--worse"])
    assert "'--evil'" in caught.value.message
    assert "'tool'" in caught.value.message


@pytest.mark.parametrize("bad", ["a\0b", "\ud800", "x" * 200_000])
def test_what_no_program_can_take_is_invalid(bad: str) -> None:
    with pytest.raises(InvalidArguments):
        accept(["text:*"], [bad])


def test_too_many_arguments_are_invalid() -> None:
    with pytest.raises(InvalidArguments, match="5000 arguments"):
        accept(["text:*"], ["x"] * 5000)


@pytest.mark.parametrize("bad", ["", "--opt=", "path:[", "..."])
def test_a_malformed_template_is_a_configuration_error_or_a_literal(bad: str) -> None:
    if bad == "...":
        assert accept([bad], ["..."]) == ("...",)
        return
    if bad == "path:[":
        bad = "path:!x"
    with pytest.raises(ConfigError):
        accept([bad], [])


def test_every_shipped_template_is_well_formed_and_git_is_off() -> None:
    commands = Settings().exec.commands
    assert set(commands) == set(DEFAULT_COMMANDS)
    for name, template in commands.items():
        ArgumentRules(name, template)
        assert template.description
    assert not commands["git"].enabled


@pytest.mark.parametrize(
    ("command", "args"),
    [
        ("pytest", ["-p", "evil"]),
        ("pytest", ["-c", "other.ini"]),
        ("pytest", ["--rootdir=/"]),
        ("pytest", ["-o", "cache_dir=/x"]),
        ("pytest", ["--basetemp=/x"]),
        ("pytest", ["--pyargs", "os"]),
        ("python-pytest", ["--confcutdir=/"]),
        ("mypy", ["--python-executable=/bin/sh"]),
        ("mypy", ["--install-types"]),
        ("mypy", ["--cache-dir=/x"]),
        ("ruff", ["check", "--config=/x"]),
        ("ruff", ["check", "--output-file=/x"]),
        ("ruff", ["server"]),
        ("cargo", ["--config", "build.rustc-wrapper=x", "build"]),
        ("cargo", ["build", "--config=x"]),
        ("cargo", ["build", "-C", "/x"]),
        ("cargo", ["+nightly", "build"]),
        ("cargo", ["install", "x"]),
        ("cargo", ["build", "--target-dir=/x"]),
        ("uv-run", ["--index-url=http://x", "y"]),
        ("uv-run", ["--with", "x"]),
        ("npm-run", ["--prefix=/x", "y"]),
        ("make", ["-C", "/x"]),
        ("make", ["-f", "/x"]),
        ("make", ["SHELL=/x"]),
        ("go", ["run", "."]),
        ("go", ["test", "-exec=/x"]),
        ("go", ["build", "-o=/x"]),
        ("node-test", ["--require=/x"]),
        ("git", ["-c", "core.pager=x", "status"]),
        ("git", ["push"]),
        ("git", ["config", "x"]),
        ("git", ["diff", "--output=/x"]),
        ("git", ["diff", "--ext-diff"]),
        ("git", ["diff", "--no-index", "/etc/passwd", "x"]),
        ("git", ["log", "--exec-path=/x"]),
        ("git", ["status", "--upload-pack=x"]),
        ("git", ["grep", "-Ox"]),
        ("git", ["diff", "/etc/passwd", "/etc/hosts"]),
        ("git", ["diff", "../a", "b"]),
        ("git", ["diff", "x/../../a", "b"]),
        ("git", ["show", "--textconv"]),
    ],
)
def test_options_that_run_or_read_something_else_are_refused(command: str, args: list[str]) -> None:
    template = Settings().exec.commands[command]
    with pytest.raises(PolicyDenied):
        ArgumentRules(command, template).check(args, plain)


def test_only_named_environment_variables_may_be_set() -> None:
    assert check_env({"SEED": "1"}, ["SEED"], "tool") == {"SEED": "1"}
    for name in ("LD_PRELOAD", "PATH", "PYTHONPATH", "GIT_DIR", "BASH_ENV", "seed"):
        with pytest.raises(PolicyDenied, match=name):
            check_env({name: "x"}, ["SEED"], "tool")
    with pytest.raises(InvalidArguments):
        check_env({"SEED": "a\0b"}, ["SEED"], "tool")
    assert check_env({"SEED": "a" * 100_000}, ["SEED"], "tool")
    with pytest.raises(InvalidArguments):
        check_env({"SEED": "a" * 100_001}, ["SEED"], "tool")


@pytest.mark.parametrize(
    ("most", "too_much"),
    [
        (["x"] * 4096, ["x"] * 4097),
        (["x" * 100_000], ["x" * 100_001]),
        (["ä" * 50_000], ["ä" * 50_001]),
        (["x" * 100_000] * 10, [*(["x" * 100_000] * 10), "x"]),
    ],
    ids=["arguments", "bytes", "bytes of other letters", "bytes together"],
)
def test_arguments_fit_within_their_limits_and_not_one_more(most: list[str], too_much: list[str]) -> None:
    assert accept(["text:*"], most) == tuple(most)
    with pytest.raises(InvalidArguments, match="are allowed"):
        accept(["text:*"], too_much)
