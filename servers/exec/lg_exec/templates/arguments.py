"""Turns a command template and a caller's arguments into an argument vector, or refuses. Pure: no disk, no process.

`args_allow` and `args_deny` may hold these entries:

* `-q`, `--lf`, `build`: exactly this argument. One-letter flags may also come together, as `-qx`.
* `--opt=PATTERN`: an option with a value, as `--opt=value` or `--opt value`. `-k=PATTERN`: the same as `-k value`,
  `-kvalue` or `-k=value`. In PATTERN, `*` and `?` are wildcards and `|` separates alternatives. With `path:GLOB` as
  PATTERN the value is a path.
* `path:GLOB`: a path below the root that matches the gitignore-style glob. `tests/test_x.py::test_y` is judged by the
  part before `::`.
* `text:PATTERN`: any other operand.
* `first:A|B`: the first argument must be one of these subcommands; no option may come before it.
  `first:A|B +ARG +ARG`: these arguments are put behind the subcommand.
* `...` at the end of an entry: everything after this argument is passed on unread, because it is for another program.

An operand never begins with `-`, because it would be an option. A path never begins with `@`, because many programs
read arguments from such a file; a value that does is joined with its option into one argument. `args_deny` also judges
a value that stands alone, because the option before it may take none.

Not covered: what an allowed program does with an allowed argument. That is the task of the sandbox.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lg_policy.errors import ConfigError, InvalidArguments, PolicyDenied
from lg_policy.paths.globs import GlobSet

if TYPE_CHECKING:
    from lg_policy.config.settings import CommandTemplate

MAX_ARGS = 4_096
MAX_ARG_BYTES = 100_000  # Linux takes 128 KiB for one argument
MAX_TOTAL_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """Arguments that a template allows. `paths` are those that name files, relative to the root."""

    args: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Match:
    """How one entry reads the arguments at one place."""

    taken: int
    emit: tuple[str, ...]
    path: str | None = None
    rest: bool = False


Resolve = Callable[[str], str]
"""Turns a path as the caller wrote it into a path relative to the root, or raises."""


class _Values:
    """The PATTERN part of an entry."""

    def __init__(self, pattern: str, entry: str) -> None:
        self.glob = GlobSet([pattern.removeprefix("path:")]) if pattern.startswith("path:") else None
        if not pattern:
            raise ConfigError(f"the argument pattern {entry!r} allows no value", hint="use '*' for any value")
        alternatives = [re.escape(part).replace(r"\*", ".*").replace(r"\?", ".") for part in pattern.split("|")]
        self._regex = _linear("|".join(alternatives))

    def accept(self, value: str, resolve: Resolve) -> tuple[bool, str | None]:
        """Return whether the value fits, and the path it names, if it is one."""
        if self.glob is None:
            return self._regex.fullmatch(value) is not None, None
        rel = resolve(value)
        return self.glob.match(rel), rel


def _linear(pattern: str) -> Any:
    """Compile with RE2, which takes time in proportion to the text: `re` tries every way to place several `*`."""
    import re2

    options = re2.Options()
    options.dot_nl = True
    options.never_capture = True
    return re2.compile(pattern, options)


class _ArgumentEntry:
    """One entry of `args_allow` or `args_deny`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.rest = text.endswith("...") and len(text) > len("...")
        body = text.removesuffix("...") if self.rest else text
        if not body:
            raise ConfigError(
                "an argument pattern is empty", hint="write a literal, --opt=PATTERN, path:GLOB or text:PATTERN"
            )
        self.literal = ""
        self.option = ""
        self.values: _Values | None = None
        subcommands, *self.added = body.removeprefix("first:").split(" +") if body.startswith("first:") else [""]
        self.firsts = tuple(subcommands.split("|")) if subcommands else ()
        self.is_path = body.startswith("path:")
        if self.is_path or body.startswith("text:"):
            self.values = _Values(body if self.is_path else body.removeprefix("text:"), text)
        elif body.startswith("-") and "=" in body:
            self.option, _, pattern = body.partition("=")
            self.values = _Values(pattern, text)
        else:
            self.literal = body

    def match(self, args: Sequence[str], at: int, resolve: Resolve) -> _Match | None:
        """Read the arguments at `at`. Returns `None` if this entry does not fit there."""
        if self.firsts:
            fits = at == 0 and args[0] in self.firsts
            return _Match(taken=1, emit=(args[0], *self.added), rest=self.rest) if fits else None
        if self.values is None:
            return _Match(taken=1, emit=(args[at],), rest=self.rest) if args[at] == self.literal else None
        if self.option:
            return self._match_option(args, at, resolve, self.values)
        return self._match_operand(args[at], resolve, self.values)

    def _match_operand(self, arg: str, resolve: Resolve, values: _Values) -> _Match | None:
        if not arg or arg.startswith("-") or (self.is_path and arg.startswith("@")):
            return None
        if self.is_path and "::" in arg:
            resolve(arg)  # where there are directories of such a name, all of it is a path: it must not lead up
        fits, path = values.accept(arg.split("::", 1)[0] if self.is_path else arg, resolve)
        return _Match(taken=1, emit=(arg,), path=path, rest=self.rest) if fits else None

    def _match_option(self, args: Sequence[str], at: int, resolve: Resolve, values: _Values) -> _Match | None:
        arg, short = args[at], len(self.option) == 2
        emit: tuple[str, ...]
        if arg == self.option:
            if at + 1 >= len(args) or args[at + 1].startswith("-"):
                raise InvalidArguments(f"the argument {arg!r} needs a value after it", hint=f"allowed: {self.text}")
            value, taken, emit = args[at + 1], 2, self._separate(args[at + 1])
        elif arg.startswith(f"{self.option}="):
            value, taken, emit = arg[len(self.option) + 1 :], 1, (arg,)
            if short:  # parsers disagree on whether "=" belongs to the value of a one-letter option
                if not value or value.startswith("-"):
                    return None
                emit = self._separate(value)
        elif short and arg.startswith(self.option):
            value, taken, emit = arg[2:], 1, (arg,)
        else:
            return None
        fits, path = values.accept(value, resolve)
        return _Match(taken=taken, emit=emit, path=path, rest=self.rest) if fits else None

    def _separate(self, value: str) -> tuple[str, ...]:
        """Split an option and its value into two arguments, unless the value would be read as a file of arguments."""
        if value.startswith("@"):
            return (f"{self.option}{value}" if len(self.option) == 2 else f"{self.option}={value}",)
        return self.option, value


class ArgumentRules:
    """The argument rules of one template. They are parsed once; a malformed entry raises `ConfigError`."""

    def __init__(self, name: str, template: CommandTemplate) -> None:
        self.name = name
        self._shown = template.args_allow
        self._allow = [_ArgumentEntry(text) for text in template.args_allow]
        self._deny = [_ArgumentEntry(text) for text in template.args_deny]
        self._flags = {
            entry.literal[1] for entry in self._allow if re.fullmatch(r"-[A-Za-z]", entry.literal) and not entry.rest
        }

    def check(self, args: Sequence[str], resolve: Resolve) -> Accepted:
        """Return the arguments to run with.

        Raises `PolicyDenied`, which names the first argument that is not allowed and what would be,
        `InvalidArguments` for what no program could take, and whatever `resolve` raises for a path.
        """
        _check_sizes(args)
        firsts = [first for entry in self._allow for first in entry.firsts]
        if firsts and (not args or args[0] not in firsts):
            shown = repr(args[0]) if args else "nothing"
            raise PolicyDenied(
                f"the first argument of {self.name!r} is {shown}", hint=f"it has to be one of: {', '.join(firsts)}"
            )
        out: list[str] = []
        paths: list[str] = []
        at = 0
        while at < len(args):
            denied = _first(self._deny, args, at, resolve)
            if denied is not None:
                raise self._refusal(args[at])
            found = _first(self._allow, args, at, resolve) or self._flag_group(args[at])
            if found is None:
                raise self._refusal(args[at])
            if len(found.emit) == 2 and _first(self._deny, found.emit, 1, resolve) is not None:
                raise self._refusal(found.emit[1])
            out += found.emit
            at += found.taken
            if found.path is not None:
                paths.append(found.path)
            if found.rest:
                return Accepted(args=(*out, *args[at:]), paths=tuple(paths))
        return Accepted(args=tuple(out), paths=tuple(paths))

    def _flag_group(self, arg: str) -> _Match | None:
        if re.fullmatch(r"-[A-Za-z]{2,8}", arg) and set(arg[1:]) <= self._flags:
            return _Match(taken=1, emit=(arg,))
        return None

    def _refusal(self, arg: str) -> PolicyDenied:
        allowed = ", ".join(self._shown) if self._shown else "no arguments at all"
        shown = arg if len(arg) <= 200 else f"{arg[:200]}…"
        return PolicyDenied(
            f"the command {self.name!r} does not allow the argument {shown!r}", hint=f"allowed: {allowed}"
        )


def check_env(given: dict[str, str], allowed: Iterable[str], name: str) -> dict[str, str]:
    """Return the environment variables of a call. Raises `PolicyDenied`, which names what is allowed."""
    names = tuple(allowed)
    for key, value in given.items():
        if key not in names:
            listed = ", ".join(names) if names else "none"
            raise PolicyDenied(
                f"the command {name!r} does not allow the environment variable {key!r}", hint=f"allowed: {listed}"
            )
        try:
            size = len(value.encode())
        except UnicodeEncodeError as error:
            raise InvalidArguments(f"the value of environment variable {key!r} is not valid Unicode text") from error
        if "\0" in value:
            raise InvalidArguments(f"the value of environment variable {key!r} contains NUL")
        if size > MAX_ARG_BYTES:
            raise InvalidArguments(
                f"the value of environment variable {key!r} is {size} bytes long; at most {MAX_ARG_BYTES} are allowed"
            )
    return dict(given)


def _first(entries: Iterable[_ArgumentEntry], args: Sequence[str], at: int, resolve: Resolve) -> _Match | None:
    # Literals before options before operands, so that `-k` the option never reads what a literal names.
    refusal: PolicyDenied | InvalidArguments | None = None
    for entry in entries:
        try:
            found = entry.match(args, at, resolve)
        except (PolicyDenied, InvalidArguments) as error:
            refusal = error  # another entry may still take the argument, as text
            continue
        if found is not None:
            return found
    if refusal is not None:
        raise refusal
    return None


def _check_sizes(args: Sequence[str]) -> None:
    if len(args) > MAX_ARGS:
        raise InvalidArguments(f"there are {len(args)} arguments; at most {MAX_ARGS} are allowed")
    total = 0
    for arg in args:
        if "\0" in arg:
            raise InvalidArguments(f"the argument {arg[:40]!r} contains NUL")
        try:
            size = len(arg.encode("utf-8"))
        except UnicodeEncodeError as error:
            raise InvalidArguments(f"the argument {arg[:40]!a} is not valid Unicode text") from error
        if size > MAX_ARG_BYTES:
            raise InvalidArguments(
                f"the argument {arg[:40]!r}… is {size} bytes long; at most {MAX_ARG_BYTES} are allowed",
                hint="put long input into a file, or pass it as stdin",
            )
        total += size
    if total > MAX_TOTAL_BYTES:
        raise InvalidArguments(f"the arguments are {total} bytes long together; at most {MAX_TOTAL_BYTES} are allowed")
