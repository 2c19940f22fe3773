"""Corrects arguments that models often send to `exec` in the wrong form, where their meaning is certain.

Otherwise the error suggests the right call. Nothing is permitted here: the template checks the arguments afterwards,
however they were written. Pure, and bounded by `MAX_TEXT`.

`lg-exec` marks its argument `cmd` by a `format`. So a gateway, whose rules must see what is executed, does the same
before it decides, and names the same calls when it refuses.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from lg_policy.errors import InvalidArguments

MAX_TEXT = 20_000
"""Characters of a command line that is taken apart; a longer one has to come as a list."""
COMMAND_FORMAT = "lg-command"
"""JSON Schema `format` of the argument `cmd`, whose `enum` lists the commands."""
_SHELLS = ("sh", "bash", "zsh", "dash", "ksh", "fish", "cmd", "cmd.exe", "powershell", "pwsh")
_OPERATOR = re.compile(r"[|&;<>`$\n]")
_CHANGE_DIRECTORY = re.compile(r"\s*cd\s+([^\s;&|]+)\s*(?:&&|;)\s*(.*)", re.DOTALL)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_OTHER_NAMES: dict[tuple[str, ...], str] = {
    ("npm", "run"): "npm-run",
    ("npm", "test"): "npm-test",
    ("npx", "tsc"): "npx-tsc",
    ("node", "--test"): "node-test",
    ("uv", "run"): "uv-run",
    ("python3",): "python",
    ("python3", "-m", "pytest"): "python-pytest",
    ("py",): "python",
    ("tsc",): "npx-tsc",
    ("py.test",): "pytest",
}
"""Beginnings of command lines that a shipped command replaces, and that command. The longest that fits counts."""
_AROUND = (
    *(("poetry", "run"), ("pipenv", "run"), ("pdm", "run"), ("rye", "run"), ("hatch", "run")),
    *(("npx",), ("uvx",), ("sudo",), ("env",), ("time",), ("nice",)),
)
"""Beginnings of command lines that only run the program named after them."""
_MAX_AROUND = 4


def meant(commands: Collection[str] | None, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments as `exec` with these commands wants them, if their meaning is certain."""
    if commands is None:
        return arguments
    try:
        return fit(arguments, commands)
    except InvalidArguments:
        return arguments


def correction(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> InvalidArguments | None:
    """Return the error that names the right call, if the schema is that of `exec` and there is something to say."""
    commands = commands_of(schema)
    if commands is None:
        return None
    try:
        fit(dict(arguments), commands)
    except InvalidArguments as error:
        return error
    return None


def meant_command(arguments: Mapping[str, Any], commands: Collection[str]) -> str | None:
    """Return which of the commands a call means by its `cmd`, as far as that is certain."""
    given = arguments.get("cmd")
    words = _divided(given.strip()) if isinstance(given, str) else given
    first = words[0] if isinstance(words, list) and words else None
    return first if isinstance(first, str) and first in commands else None


def commands_of(schema: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the commands of `exec`, whose schema lists them; `None` if it is the schema of another tool."""
    properties = schema.get("properties")
    part = properties.get("cmd") if isinstance(properties, Mapping) else None
    if not isinstance(part, Mapping) or part.get("format") != COMMAND_FORMAT:
        return None
    names = part.get("enum")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return frozenset(names)


def fit(arguments: dict[str, Any], commands: Collection[str]) -> dict[str, Any]:
    """Return the arguments as the schema wants them, as far as that is certain.

    Raises `InvalidArguments`, which names the right call, for a command that does not exist.
    """
    fitted = {key: value for key, value in arguments.items() if value is not None}
    _fit_command(fitted, commands)
    if "args" in fitted:
        fitted["args"] = _fit_args(fitted["args"])
    if isinstance(fitted.get("env"), str):
        fitted["env"] = _parsed(fitted["env"], dict)
    if isinstance(fitted.get("env"), dict):
        fitted["env"] = {key: _as_text(value) for key, value in fitted["env"].items()}
    if isinstance(fitted.get("timeout_s"), str) and re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", fitted["timeout_s"]):
        fitted["timeout_s"] = float(fitted["timeout_s"])
    command = fitted.get("cmd")
    if isinstance(command, str) and command not in commands:
        raise no_such_command(command, fitted.get("args"), commands)
    return fitted


def _fit_command(fitted: dict[str, Any], commands: Collection[str]) -> None:
    """Take `"pytest -q"` and `["pytest", "-q"]` apart, where the first word is a command."""
    command = fitted.get("cmd")
    words = command
    if isinstance(command, str):
        command = fitted["cmd"] = command.strip() if len(command) <= MAX_TEXT else command
        if command in commands:
            return
        words = _words(command)
    if not isinstance(words, list) or not words or not isinstance(words[0], str) or words[0] not in commands:
        return
    more = fitted.get("args", [])
    given = _fit_args(more)
    if all(isinstance(word, str) for word in words) and isinstance(given, list):
        fitted["cmd"], fitted["args"] = words[0], [*words[1:], *given]


def _fit_args(args: Any) -> Any:
    """Return a list of strings; leave anything else for the schema to refuse."""
    if isinstance(args, str):
        args = _parsed(args, list) if args.lstrip().startswith("[") else _words_or_refusal(args)
    return [_as_text(value) for value in args] if isinstance(args, list) else args


def _as_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _parsed(text: str, kind: type) -> Any:
    """Return the value of a JSON text, if it has the wanted type; otherwise the text."""
    if len(text) > MAX_TEXT * 5:
        return text
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, kind) else text


def _words(text: str) -> list[str] | None:
    """Split a command line as a shell does; `None` where only a shell could tell."""
    return None if _OPERATOR.search(text) else _divided(text)


def _divided(text: str) -> list[str] | None:
    """Split a command line, operators included; `None` if it cannot be split."""
    if len(text) > MAX_TEXT:
        return None
    try:
        return shlex.split(text)
    except ValueError:  # a quotation that does not end
        return None


def _words_or_refusal(text: str) -> Any:
    words = _words(text)
    if words is None:
        raise InvalidArguments(
            f"args is a single string that cannot be split without a shell: {text[:100]!r}",
            hint='args is a list with one string for each argument, for example ["-k", "parser or lexer"]; there is no '
            "shell, so pipes, redirections and variables do nothing",
        )
    return words


def no_such_command(command: str, args: Any, commands: Collection[str]) -> InvalidArguments:
    """Return the error for a command that does not exist. It names the call that was probably meant."""
    visible = "".join(char for char in command if char.isprintable() or char in "\n\t")
    words = _divided(visible) or [visible]
    words += [word for word in args if isinstance(word, str)] if isinstance(args, list) else []
    shown = command if len(command) <= 80 else f"{command[:80]}…"
    program = words[0].replace("\\", "/").rpartition("/")[2]
    if program in _SHELLS:
        meant = _from_script(words[1:], commands)
        return InvalidArguments(f"there is no shell: {shown!r} cannot be run", hint=meant or _how(commands))
    return InvalidArguments(
        f"there is no command {shown!r}",
        hint=_call(words, commands) or _from_script([command], commands) or _how(commands),
    )


def _command(words: Sequence[str], commands: Collection[str]) -> tuple[str, list[str]] | None:
    """Return the command that a line means, and its arguments."""
    line = tuple(words)
    for _ in range(_MAX_AROUND):
        if not line:
            return None
        program = line[0].replace("\\", "/").rpartition("/")[2]
        line = (program.lower() if program.lower() in commands else program, *line[1:])
        fitting = [start for start, other in _OTHER_NAMES.items() if line[: len(start)] == start and other in commands]
        if fitting:
            start = max(fitting, key=len)
            return _OTHER_NAMES[start], list(line[len(start) :])
        if line[0] in commands:
            return line[0], list(line[1:])
        line = next((line[len(start) :] for start in _AROUND if line[: len(start)] == start), ())
    return None


def _how(commands: Collection[str]) -> str:
    return f"cmd is one of: {', '.join(sorted(commands))}"


def _from_script(rest: Sequence[str], commands: Collection[str]) -> str:
    """Return the call that a shell script stands for, if it is a single command, perhaps in a directory."""
    script = next((word for word in rest if not word.startswith(("-", "/"))), "")
    if len(script) > MAX_TEXT:
        return ""
    moved = _CHANGE_DIRECTORY.fullmatch(script)
    cwd, script = (moved.group(1), moved.group(2)) if moved else ("", script)
    words = _words(script)
    return _call(words, commands, cwd) if words else ""


def _call(words: Sequence[str], commands: Collection[str], cwd: str = "") -> str:
    """Say how to call `exec` for a command line; empty if no command matches it."""
    env = {}
    words = list(words)
    while words and _VARIABLE.match(words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    found = _command(words, commands)
    if found is None:
        return ""
    name, rest = found
    parts = [f"cmd={json.dumps(name)}"]
    parts += [f"args={json.dumps(rest, ensure_ascii=False)}"] if rest else []
    parts += [f"cwd={json.dumps(cwd)}"] if cwd else []
    parts += [f"env={json.dumps(env)}"] if env else []
    call = f"exec({', '.join(parts)})"
    return f"call {call}" if len(call) <= 500 else f"call exec(cmd={json.dumps(name)}, args=[…])"
