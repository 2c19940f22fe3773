"""Builds one `Settings` from profile, files and flags. Later layers win. Errors name key, file and allowed values.

Order: the shipped profile, `$XDG_CONFIG_HOME/lg/config.toml`, `--config` or `LG_CONFIG`, a repository's `.lg.toml`
(in full once trusted, else only its denials), overrides from flags. Nothing is read from the current directory.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from lg_policy.config.flags import PROFILES
from lg_policy.config.settings import PolicySettings, Settings
from lg_policy.errors import ConfigError
from lg_policy.state import config_home, replace_file

BUILT_IN = "built in"
"""The origin of a value that no source names."""
_POLICY_LISTS = ("read_allow", "read_deny", "write_allow", "write_deny")
_RULE_HEADER = re.compile(r"\s*\[\[\s*gateway\s*\.\s*rules\s*\]\]")
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One source of settings. `base` anchors its relative paths."""

    name: str
    values: Mapping[str, Any]
    base: Path | None = None
    path: Path | None = None
    rule_lines: tuple[int, ...] = ()
    """The line of each rule, where it is known."""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """The settings and where they came from, in the order they were applied."""

    settings: Settings
    sources: tuple[str, ...]
    rule_places: tuple[str, ...] = ()
    """Where each of `gateway.rules` is written: file and line."""
    files: tuple[Path, ...] = ()
    """The files among the sources."""
    origins: Mapping[tuple[str, ...], str] = field(default_factory=dict, compare=False)
    """Which source a key's value is from, for tables and single keys. What is not here is built in."""


def load_settings(
    *,
    profile: str | None = None,
    config: Path | None = None,
    effective: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    extra: Sequence[Layer] = (),
    environ: Mapping[str, str] = os.environ,
) -> Loaded:
    """Build the settings.

    `effective` is a file made by `write_effective`: then it is the only source. `extra` layers (a repository's file)
    come after `config`, `overrides` last. Raises `ConfigError`.
    """
    if effective is not None:
        layer = Layer(name=str(effective), values=_read_json(effective))
        settings, origins = _validate([layer])
        return Loaded(
            settings=settings,
            origins=origins,
            sources=(str(effective),),
            rule_places=tuple(_rule_places(layer)),
            files=(effective.absolute(),),
        )
    layers = [Layer(name="defaults", values={})]
    user_file = config_home(environ) / "config.toml"
    chosen: list[Layer] = []
    if user_file.is_file():
        chosen.append(read_layer(user_file))
    if config is not None:
        chosen.append(read_layer(config))
    named = profile or next(
        (str(layer.values["profile"]) for layer in reversed(chosen) if "profile" in layer.values), "dev"
    )
    layers += [_profile_layer(named), *chosen, *extra]
    layers.append(Layer(name="command line", values={**(overrides or {}), "profile": named}))
    settings, origins = _validate(layers)
    return Loaded(
        settings=settings,
        origins=origins,
        sources=tuple(layer.name for layer in layers if layer.values),
        rule_places=tuple(place for layer in layers for place in _rule_places(layer)),
        files=tuple(layer.path for layer in layers if layer.path is not None),
    )


def closed_to_changes(loaded: Loaded, root: Path, own: Iterable[Path | None]) -> Loaded:
    """Return the settings with those of their own files that lie below the root closed to changes.

    A user may keep a settings file in the repository, but the agent must not edit the rules that bind it.
    """
    base = os.path.join(os.path.realpath(root), "")
    places = [os.path.realpath(file) for file in own if file is not None]
    below = [place[len(base) :].replace(os.sep, "/") for place in places if place.startswith(base)]
    names = [re.sub(r"([\\*?\[\]])", r"\\\1", place) for place in below]
    if not names:
        return loaded
    policy = loaded.settings.policy
    denied = (*policy.write_deny, *(f"/{name}" for name in names))
    closed = policy.model_copy(update={"write_deny": denied})
    return replace(loaded, settings=loaded.settings.model_copy(update={"policy": closed}))


def read_layer(path: Path) -> Layer:
    """Read a TOML settings file. Raises `ConfigError` that names the file, and the line of a syntax error."""
    try:
        text = path.read_text("utf-8")
        values = tomllib.loads(text)
    except FileNotFoundError as error:
        raise ConfigError(f"settings file {path} does not exist", hint="check --config and LG_CONFIG") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read settings file {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}", hint="correct that line") from error
    lines = tuple(number for number, line in enumerate(text.splitlines(), 1) if _RULE_HEADER.match(line))
    return Layer(name=str(path), values=values, base=path.absolute().parent, path=path.absolute(), rule_lines=lines)


def denials_only(layer: Layer) -> Layer:
    """Return only the parts of a layer that forbid more: `[policy] *_deny` lists and deny rules."""
    policy = layer.values.get("policy")
    kept = (
        {key: policy[key] for key in ("read_deny", "write_deny") if key in policy}
        if isinstance(policy, Mapping)
        else {}
    )
    gateway = layer.values.get("gateway")
    rules = gateway.get("rules", []) if isinstance(gateway, Mapping) else []
    denials = [rule for rule in rules if isinstance(rule, Mapping) and rule.get("effect") == "deny"]
    values: dict[str, Any] = {}
    if kept:
        values["policy"] = kept
    if denials:
        values["gateway"] = {"rules": denials}
    return Layer(name=f"{layer.name} (untrusted: denials only)", values=values, base=layer.base)


def write_effective(settings: Settings, path: Path) -> None:
    """Write the settings for a child process, mode 0600, to be read with `load_settings(effective=…)`."""
    replace_file(path, effective_json(settings))


def effective_json(settings: Settings) -> bytes:
    """Return the settings for a built-in server: without the gateway's, which may hold others' secrets."""
    left_out = {"gateway", "models", "approval", "store", "budgets", "log"}
    values = settings.model_dump(mode="json", by_alias=True, exclude=left_out)
    return json.dumps(values, sort_keys=True).encode()


def expand_env(text: str, environ: Mapping[str, str], where: str) -> str:
    """Replace each `${NAME}` by the environment's value. Raises `ConfigError` naming `where` when one is not set."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in environ:
            raise ConfigError(f"{where} needs the environment variable {name}, which is not set", hint=f"set {name}")
        return environ[name]

    return _VARIABLE.sub(value, text)


def _rule_places(layer: Layer) -> list[str]:
    """Name where each rule of a layer is written. Lines are given only if every rule has its own table."""
    gateway = layer.values.get("gateway")
    rules = gateway.get("rules", []) if isinstance(gateway, Mapping) else []
    if not isinstance(rules, list):
        return []
    if len(layer.rule_lines) == len(rules):
        return [f"{layer.name}:{line}" for line in layer.rule_lines]
    return [f"{layer.name}, rule {number}" for number in range(1, len(rules) + 1)]


def _profile_layer(name: str) -> Layer:
    if name not in PROFILES:
        raise ConfigError(f"unknown profile {name!r}", hint=f"choose one of {', '.join(PROFILES)}")
    text = files("lg_policy").joinpath("profiles", f"runtime.{name}.toml").read_text("utf-8")
    return Layer(name=f"profile {name}", values=tomllib.loads(text))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read effective settings {path}: {error}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} does not hold an object")
    # The lists in an effective file are complete: they must not be added to the defaults again.
    policy = values.get("policy", {})
    return {**values, "policy": {**policy, **{f"{key}_replace": True for key in _POLICY_LISTS if key in policy}}}


def _validate(layers: Sequence[Layer]) -> tuple[Settings, dict[tuple[str, ...], str]]:
    merged: dict[str, Any] = {
        "policy": {name: list(PolicySettings.model_fields[name].default) for name in _POLICY_LISTS}
    }
    merged["exec"] = {"commands": _shipped_commands()}
    origin: dict[tuple[str, ...], str] = {}
    for layer in layers:
        _merge(merged, _prepared(layer), layer.name, (), origin)
    try:
        return Settings.model_validate(merged), origin
    except ValidationError as error:
        raise _explain(error, origin) from error


def _shipped_commands() -> dict[str, Any]:
    from lg_policy.config.exec_templates import DEFAULT_COMMANDS

    return {name: dict(template) for name, template in DEFAULT_COMMANDS.items()}


def _merge(
    target: dict[str, Any],
    source: Mapping[str, Any],
    name: str,
    at: tuple[str, ...],
    origin: dict[tuple[str, ...], str],
) -> None:
    if at == ("policy",):
        for key in _POLICY_LISTS:
            if key in source:
                whole = source.get(f"{key}_replace") is True
                origin[*at, key] = name if whole else f"{origin.get((*at, key), BUILT_IN)}; {name}"
        source = _merge_policy_lists(target, source, name)
    for key, value in source.items():
        here = (*at, str(key))
        origin[here] = name
        if here == ("gateway", "rules") and isinstance(value, list) and isinstance(target.get(key), list):
            target[key] = [*target[key], *value]
        elif isinstance(value, Mapping) and isinstance(target.get(key), dict) and "when" not in here:
            _merge(target[key], value, name, here, origin)
        elif isinstance(value, Mapping) and "when" not in here:
            target[key] = {}
            _merge(target[key], value, name, here, origin)
        else:
            target[key] = value


def _merge_policy_lists(target: dict[str, Any], source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    rest = dict(source)
    for key in _POLICY_LISTS:
        replace = rest.pop(f"{key}_replace", False)
        if not isinstance(replace, bool):
            raise ConfigError(f"{name}: [policy] {key}_replace must be true or false, not {replace!r}")
        if key in rest and isinstance(rest[key], list):
            given = rest.pop(key)
            target[key] = (
                given
                if replace
                else [*target.get(key, []), *(item for item in given if item not in target.get(key, []))]
            )
        elif replace and key not in rest:
            raise ConfigError(f"{name}: [policy] {key}_replace is set but {key} is not", hint=f"add {key} = [...]")
    return rest


def _prepared(layer: Layer) -> Mapping[str, Any]:
    """Anchor the relative paths of a file at that file's directory."""
    if layer.base is None:
        return layer.values
    values = dict(layer.values)
    executor = values.get("exec")
    environment = executor.get("environment") if isinstance(executor, Mapping) else None
    if isinstance(executor, Mapping) and isinstance(environment, str) and environment not in ("auto", "none"):
        values["exec"] = {**executor, "environment": _anchor(environment, layer.base)}
    ledger = values.get("ledger")
    if isinstance(ledger, Mapping) and isinstance(ledger.get("segments_dir"), str) and ledger["segments_dir"]:
        values["ledger"] = {**ledger, "segments_dir": _anchor(ledger["segments_dir"], layer.base)}
    gateway = values.get("gateway")
    if isinstance(gateway, Mapping) and isinstance(gateway.get("pins_file"), str):
        gateway = values["gateway"] = {**gateway, "pins_file": _anchor(gateway["pins_file"], layer.base)}
    servers = gateway.get("servers") if isinstance(gateway, Mapping) else None
    if isinstance(gateway, Mapping) and isinstance(servers, Mapping):
        values["gateway"] = {
            **gateway,
            "servers": {name: _anchored_server(server, layer.base) for name, server in servers.items()},
        }
    return values


def _anchored_server(server: Any, base: Path) -> Any:
    if not isinstance(server, Mapping):
        return server
    anchored = dict(server)
    for key in ("cwd", "env_file", "root"):
        if isinstance(server.get(key), str):
            anchored[key] = _anchor(server[key], base)
    command = server.get("command")
    # A bare program name is looked up on PATH; only something that looks like a path is one.
    if isinstance(command, str) and (os.sep in command or "/" in command):
        anchored["command"] = _anchor(command, base)
    return anchored


def _anchor(path: str, base: Path) -> str:
    if path.startswith("${"):  # what it stands for is known when the server starts
        return path
    return os.path.normpath(base / Path(path).expanduser())


def _explain(error: ValidationError, origin: Mapping[tuple[str, ...], str]) -> ConfigError:
    first = error.errors(include_url=False)[0]
    location = tuple(str(part) for part in first["loc"])
    source = next((origin[location[:n]] for n in range(len(location), 0, -1) if location[:n] in origin), "settings")
    table, key = location[:-1], location[-1]
    place = (f"[{'.'.join(table)}] " if table else "") + key
    if first["type"] == "extra_forbidden":
        allowed = _allowed_keys(table)
        near = get_close_matches(key, allowed, n=1)
        hint = (f"did you mean {near[0]!r}? " if near else "") + f"allowed here: {', '.join(allowed)}"
        return ConfigError(f"{source}: {place}: unknown key", hint=hint)
    given = first.get("input")
    shown = "" if isinstance(given, Mapping | list) or _may_be_secret(location, given) else f", not {given!r}"
    said = first["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    return ConfigError(f"{source}: {place}: {said}{shown}")


def _may_be_secret(location: tuple[str, ...], given: Any) -> bool:
    from lg_policy.secrets.configured import is_secret_setting, names_a_secret

    named = names_a_secret(location[-1]) or any(part in ("env", "headers") for part in location[:-1])
    return isinstance(given, str) and (named or is_secret_setting("", given))


def _allowed_keys(table: Sequence[str]) -> list[str]:
    """Return the names that the settings table at `table` accepts; empty if it accepts none."""
    model: type[BaseModel] | None = Settings
    for part in table:
        model = _child_model(model, part) if model is not None else None
    if model is None:
        return []
    names = [field.alias or name for name, field in model.model_fields.items()]
    return names + ([f"{name}_replace" for name in _POLICY_LISTS] if model is PolicySettings else [])


def _child_model(model: type[BaseModel], part: str) -> type[BaseModel] | None:
    """Return the model under key `part`. The key of a dict or the index of a list stays at the value's model."""
    field = next((field for name, field in model.model_fields.items() if part in (name, field.alias)), None)
    return model if field is None else _model_in(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the first settings model inside a type such as `dict[str, Model]` or `Model | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(
        (found for inner in getattr(annotation, "__args__", ()) if (found := _model_in(inner)) is not None), None
    )
