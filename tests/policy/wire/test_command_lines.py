"""What models send by habit: taken where its meaning is certain, else the right call is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lg_policy.config.settings import Settings
from lg_policy.errors import InvalidArguments
from lg_policy.wire.argument_repair import as_meant
from lg_policy.wire.command_lines import MAX_TEXT, correction, fit, meant_command

COMMANDS = frozenset(Settings().exec.commands)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"cmd": "pytest", "args": "-q tests"}, {"cmd": "pytest", "args": ["-q", "tests"]}),
        ({"cmd": "pytest", "args": '["-q", "tests"]'}, {"cmd": "pytest", "args": ["-q", "tests"]}),
        ({"cmd": "pytest", "args": '-k "a or b"'}, {"cmd": "pytest", "args": ["-k", "a or b"]}),
        ({"cmd": "pytest", "args": ""}, {"cmd": "pytest", "args": []}),
        ({"cmd": "pytest", "args": ["-n", 4]}, {"cmd": "pytest", "args": ["-n", "4"]}),
        ({"cmd": "pytest -q"}, {"cmd": "pytest", "args": ["-q"]}),
        ({"cmd": " pytest "}, {"cmd": "pytest"}),
        ({"cmd": "pytest -q", "args": ["tests"]}, {"cmd": "pytest", "args": ["-q", "tests"]}),
        ({"cmd": "pytest -q", "args": "tests"}, {"cmd": "pytest", "args": ["-q", "tests"]}),
        ({"cmd": ["pytest", "-q"]}, {"cmd": "pytest", "args": ["-q"]}),
        ({"cmd": "python -m pytest -q"}, {"cmd": "python", "args": ["-m", "pytest", "-q"]}),
        (
            {"cmd": "pytest", "args": None, "cwd": None, "timeout_s": None, "stdin": None, "env": None},
            {"cmd": "pytest"},
        ),
        ({"cmd": "pytest", "timeout_s": "90"}, {"cmd": "pytest", "timeout_s": 90.0}),
        ({"cmd": "pytest", "env": '{"A": "b"}'}, {"cmd": "pytest", "env": {"A": "b"}}),
        ({"cmd": "pytest", "env": {"A": 1}}, {"cmd": "pytest", "env": {"A": "1"}}),
    ],
)
def test_what_is_certain_is_taken(sent: dict[str, Any], meant: dict[str, Any]) -> None:
    assert fit(sent, COMMANDS) == meant


@pytest.mark.parametrize(
    ("sent", "call"),
    [
        ({"cmd": "bash", "args": ["-c", "pytest -q tests"]}, 'exec(cmd="pytest", args=["-q", "tests"])'),
        ({"cmd": "bash -lc 'cd sub && pytest -q'"}, 'exec(cmd="pytest", args=["-q"], cwd="sub")'),
        ({"cmd": "/bin/sh", "args": ["-c", "ls | wc"]}, "cmd is one of: "),
        ({"cmd": "python3", "args": ["x.py"]}, 'exec(cmd="python", args=["x.py"])'),
        ({"cmd": "npm", "args": ["run", "build"]}, 'exec(cmd="npm-run", args=["build"])'),
        ({"cmd": "npm run build"}, 'exec(cmd="npm-run", args=["build"])'),
        ({"cmd": "npx tsc -p ."}, 'exec(cmd="npx-tsc", args=["-p", "."])'),
        ({"cmd": "./.venv/bin/pytest"}, 'exec(cmd="pytest")'),
        ({"cmd": "CI=1 pytest -q"}, 'exec(cmd="pytest", args=["-q"], env={"CI": "1"})'),
        ({"cmd": "cd sub && cargo test"}, 'exec(cmd="cargo", args=["test"], cwd="sub")'),
        ({"cmd": "python3 -m pytest -q"}, 'exec(cmd="python-pytest", args=["-q"])'),
        ({"cmd": "python3", "args": ["-m", "pytest"]}, 'exec(cmd="python-pytest")'),
        ({"cmd": "poetry run pytest -q"}, 'exec(cmd="pytest", args=["-q"])'),
        ({"cmd": "sudo env npm test"}, 'exec(cmd="npm-test")'),
        ({"cmd": "npx ruff check"}, 'exec(cmd="ruff", args=["check"])'),
        ({"cmd": "PyTest"}, 'exec(cmd="pytest")'),
        ({"cmd": "pytest\u200b -q"}, 'exec(cmd="pytest", args=["-q"])'),
        ({"cmd": "sudo " * 3_000 + "pytest"}, "cmd is one of: "),
        ({"cmd": "rm", "args": ["-rf", "/"]}, "cmd is one of: "),
        ({"cmd": ""}, "cmd is one of: "),
        ({"cmd": "pytest", "args": "-q | tee out"}, "there is no shell"),
        ({"cmd": "pytest", "args": "-k 'open"}, "one string for each argument"),
    ],
)
def test_what_is_not_certain_names_the_right_call(sent: dict[str, Any], call: str) -> None:
    with pytest.raises(InvalidArguments) as caught:
        fit(sent, COMMANDS)
    assert call in caught.value.text()


@pytest.mark.parametrize(
    "sent",
    [
        {"args": ["-q"]},
        {"cmd": 3},
        {"cmd": [3, "pytest"]},
        {"cmd": {}},
        {"cmd": "pytest", "args": {"a": 1}},
        {"cmd": "pytest", "args": [None, True, []]},
        {"cmd": "pytest", "env": "[]", "timeout_s": "soon"},
        {"cmd": "pytest", "args": "[" * 50_000},
    ],
)
def test_what_makes_no_sense_is_left_for_the_schema_or_refused(sent: dict[str, Any]) -> None:
    try:
        left = fit(sent, COMMANDS)
    except InvalidArguments as error:
        assert len(error.text()) < 2_000  # both endings are right, this one with a short text
    else:
        json.dumps(left)


@pytest.mark.parametrize("text", ["a " * MAX_TEXT, "'" * MAX_TEXT * 2, "$" * MAX_TEXT * 2, "A=1 " * MAX_TEXT])
def test_a_long_command_line_is_not_taken_apart(text: str) -> None:
    for sent in ({"cmd": text}, {"cmd": "bash", "args": ["-c", text]}, {"cmd": "pytest", "args": text}):
        with pytest.raises(InvalidArguments) as caught:
            fit(sent, COMMANDS)
        assert len(caught.value.text()) < 2_000


@pytest.mark.parametrize("cmd", [[["pytest"]], [{}], [5], [None, "pytest"], {"pytest": 1}, 5, True, []])
def test_a_command_of_another_type_is_left_for_the_schema(cmd: object) -> None:
    assert fit({"cmd": cmd}, COMMANDS) == {"cmd": cmd}
    assert meant_command({"cmd": cmd}, COMMANDS) is None


SCHEMA = {
    "type": "object",
    "properties": {
        "cmd": {"type": "string", "format": "lg-command", "enum": sorted(COMMANDS)},
        "args": {"type": "array", "items": {"type": "string"}},
    },
}
PLAIN = {"type": "object", "properties": {"cmd": {"type": "string", "enum": sorted(COMMANDS)}}}


def test_a_gateway_takes_command_lines_apart_by_the_schema_before_it_decides() -> None:
    assert as_meant(SCHEMA, {"cmd": "pytest -q", "args": "tests"}) == {"cmd": "pytest", "args": ["-q", "tests"]}
    assert as_meant(SCHEMA, {"cmd": "rm -rf /"}) == {"cmd": "rm -rf /"}
    assert as_meant(PLAIN, {"cmd": "pytest -q"}) == {"cmd": "pytest -q"}, "another server means what it says"


def test_a_gateway_names_the_right_call_by_the_schema() -> None:
    named = correction(SCHEMA, {"cmd": "python3", "args": ["x.py"]})
    assert named is not None
    assert 'exec(cmd="python", args=["x.py"])' in named.hint
    assert correction(SCHEMA, {"cmd": "pytest", "args": 5}) is None, "the schema says it"
    assert correction(PLAIN, {"cmd": "python3"}) is None


@pytest.mark.parametrize("odd", [None, [], {"cmd": None}, {"cmd": {"format": "lg-command"}}])
def test_an_odd_schema_corrects_nothing(odd: object) -> None:
    assert correction({"properties": odd}, {"cmd": "x"}) is None
