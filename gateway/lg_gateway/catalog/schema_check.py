"""Checks arguments and answers against a tool's own schemas, in bounded time.

It checks shape, types and ranges. It does not check `format` (the standard makes it optional) or patterns that RE2
cannot run; the server still checks those itself. Schemas come from upstream servers and are not trusted: nothing that
they refer to is fetched, and their patterns run in linear time. A slow check runs in a worker thread and is stopped
after a few seconds (`lg_policy.rules.bounded_schema`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import anyio.to_thread

from lg_policy.errors import ConfigError, InvalidArguments, TooLarge
from lg_policy.limits import is_small
from lg_policy.rules.bounded_schema import TooMuchWork, at_most, no_fetching, validator_for
from lg_policy.rules.conditions import linear
from lg_policy.rules.predicates import Predicate, compiled
from lg_policy.wire.command_lines import correction

log = logging.getLogger(__name__)

MAX_NAMES = 12
QUICK_STEPS = 5_000
"""Steps on the event loop, some hundredths of a second. A longer check moves to a thread."""
STEPS = 200_000
"""Steps after which a check is stopped, some seconds."""
SMALL_SCHEMA = 20_000
"""Characters of a schema that is compiled on the event loop. A longer one is compiled in a thread."""
QUICK_SCHEMA = 4_000
"""Characters of a schema that is also compiled to plain functions, which count no steps."""
QUICK_VALUE = 2_000
"""Characters of a value that those may judge: even a hostile schema takes only milliseconds for it."""
_PLAIN_DIALECTS = frozenset(
    f"{where}/schema"
    for where in (
        "https://json-schema.org/draft/2020-12",
        "https://json-schema.org/draft/2019-09",
        "http://json-schema.org/draft-07",
        "http://json-schema.org/draft-06",
    )
)
"""Drafts in which the keywords that the plain functions know mean the same."""


class UnusableSchema(Exception):
    """The schema is not valid, or refers to something that is not in it."""


class SchemaCheck:
    """A schema, compiled on first use."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self.schema = schema
        self._validator: Any = None
        self._fits: Predicate | None = None

    async def error(self, value: Any) -> Any:
        """Return the `ValidationError` that best says what is wrong, or `None` if the value fits.

        Raises `TooMuchWork` and `UnusableSchema`.
        """
        if self._fits is not None and is_small(value, QUICK_VALUE) and self._fits(value):
            return None
        if self._validator is not None or len(json.dumps(self.schema)) <= SMALL_SCHEMA:
            try:
                return self.error_now(value, QUICK_STEPS)
            except TooMuchWork:
                pass  # it may still end in a thread
        return await anyio.to_thread.run_sync(partial(self.error_now, value), abandon_on_cancel=True)

    def error_now(self, value: Any, steps: int = STEPS) -> Any:
        """Do what `error` does, in this thread."""
        from jsonschema.exceptions import SchemaError, best_match
        from referencing.exceptions import Unresolvable

        try:
            with at_most(steps):
                validator = self._compiled()
                return None if validator.is_valid(value) else best_match(validator.iter_errors(value))
        except (Unresolvable, SchemaError, RecursionError, ArithmeticError) as error:
            raise UnusableSchema(str(error).splitlines()[0][:200]) from error

    def _compiled(self) -> Any:
        if self._validator is None:
            schema = dict(self.schema)
            kind = validator_for(schema, _pattern)
            kind.check_schema(schema)
            self._validator = kind(schema, registry=no_fetching())
            self._fits = _plain(schema)
        return self._validator


def _plain(schema: dict[str, Any]) -> Predicate | None:
    """Compile a valid schema to plain functions, several times as fast; `None` for one that is large or unusual."""
    if len(json.dumps(schema)) > QUICK_SCHEMA or str(schema.get("$schema", "")).rstrip("#") not in {
        "",
        *_PLAIN_DIALECTS,
    }:
        return None
    try:
        return compiled({name: value for name, value in schema.items() if name != "$schema"}, _pattern)
    except ConfigError:  # a pattern that is left out
        return None


class ArgumentCheck:
    """Checks a tool's arguments. If the schema itself is wrong, it checks nothing, and the log says so once."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._check = SchemaCheck(schema)
        self._usable = True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArgumentCheck) and other._schema == self._schema

    def __hash__(self) -> int:
        return id(self)

    async def checked(self, arguments: Mapping[str, Any]) -> None:
        """Raise `InvalidArguments`, which says what is wrong and what fits, or `TooLarge` if the check is too slow."""
        if self._usable:
            try:
                self._refuse(await self._check.error(arguments), arguments)
            except UnusableSchema as error:
                self._give_up(error)
            except TooMuchWork as error:
                raise _too_long() from error

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Do what `checked` does, in this thread."""
        if self._usable:
            try:
                self._refuse(self._check.error_now(arguments), arguments)
            except UnusableSchema as error:
                self._give_up(error)
            except TooMuchWork as error:
                raise _too_long() from error

    def _refuse(self, error: Any, arguments: Mapping[str, Any]) -> None:
        if error is not None:
            better = correction(self._schema, arguments)
            raise better or InvalidArguments(_sentence(error), hint=self._names())

    def _give_up(self, error: UnusableSchema) -> None:
        self._usable = False
        log.warning("an input schema is invalid, so arguments are not checked against it: %s", error)

    def _names(self) -> str:
        properties = self._schema.get("properties")
        if not isinstance(properties, Mapping):
            return ""
        required = [str(name) for name in self._schema.get("required", ()) if isinstance(name, str)]
        names = [f"{name}{'' if name in required else '?'}" for name in list(properties)[:MAX_NAMES]]
        return "arguments: " + ", ".join(names) if names else "this tool takes no arguments"


def _too_long() -> TooLarge:
    return TooLarge(
        "checking the arguments against the tool's schema takes too long", hint="send fewer or smaller arguments"
    )


def _sentence(error: Any) -> str:
    where = ".".join(str(part) for part in error.absolute_path)
    what = str(error.message)
    if len(what) > 300:
        what = f"{what[:150]} … {what[-120:]}"
    return f"{where}: {what}" if where else what


@cache
def _pattern(pattern: str) -> Any:
    """A pattern on RE2. Raises `ConfigError` for what RE2 leaves out on purpose (look-around, back-references)."""
    try:
        return linear(pattern)
    except ConfigError:
        log.info("a pattern in a tool's schema is not checked here, only by the server: %r", pattern[:100])
        raise
