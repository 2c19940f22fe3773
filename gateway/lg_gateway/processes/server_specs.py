"""Reads from the settings or an `mcpServers` file which servers to start or connect to, and how."""

from __future__ import annotations

import hashlib
import logging
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from lg_gateway.clients.names import NAME
from lg_gateway.clients.values import PLACEHOLDER, MissingValue, Values
from lg_gateway.processes.builtin_roots import place_of
from lg_gateway.processes.child_process import ServerLaunch
from lg_gateway.processes.gateway_paths import GatewayPaths
from lg_gateway.upstream_login.login_spec import LoginSpec
from lg_policy.builtin_servers import BUILTINS
from lg_policy.config.gateway import UpstreamOAuthSettings
from lg_policy.config.http import safe_url
from lg_policy.config.loading import effective_json, write_effective
from lg_policy.config.settings import GatewaySettings, Settings, UpstreamSettings
from lg_policy.errors import ConfigError
from lg_policy.secrets.configured import secret_parts, secrets_of_arguments

if TYPE_CHECKING:
    from lg_gateway.clients.entry import ClientFile
    from lg_gateway.confinement.confinement import Confinement

log = logging.getLogger(__name__)

_OPERATORS = frozenset(("&&", "||", "|", ";", "&", ">", ">>", "<", "2>&1", "2>"))

BUILTIN_MODULES = {"fs": "lg_fs", "exec": "lg_exec", "code": "lg_code"}
PASSED_TO_BUILTINS = (
    "LG_KEY_DIR", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME",
    # They name the environment of the shell that started the gateway, for `[exec] environment = "auto"`.
    "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """One upstream, everything expanded. Either `launch` (stdio) or `url` (Streamable HTTP) is set."""

    name: str
    builtin: str | None
    trusted: bool
    mode: str
    launch: ServerLaunch | None
    url: str | None
    headers: Mapping[str, str]
    connect_timeout_s: float
    call_timeout_s: float
    transport: str = "http"
    """How the `url` is spoken to: `http`, `sse`, or `auto`."""
    one_at_a_time: bool = False
    strict_results: bool = False
    include_tools: tuple[str, ...] = ()
    exclude_tools: tuple[str, ...] = ()
    sampling: bool = False
    """Whether callers' clients may be asked for a message of their model."""
    roots: bool = False
    """Whether callers' clients may be asked for their roots."""
    own_schemas: bool = False
    """Whether the schemas of arguments are listed as the server wrote them."""
    bare: bool = False
    """Whether clients see its names as they are, without the server's."""
    login: LoginSpec | None = None
    """How the gateway logs in, of an HTTP server that a token may travel to."""
    root: str | None = None
    """The directory that a built-in server works on."""
    gateway_root: str = ""
    """The directory that the gateway itself works on."""

    hidden: tuple[str, ...] = field(default=(), repr=False)
    """What of its settings is secret by name, by `${…}` or by shape."""

    def place(self) -> str:
        """Return where this server works: a yes to a call there is none to the same call elsewhere.

        Gateways of several roots may share one store, so the server's name alone does not tell them apart. A root is
        its path and the directory that stands there now: another may have been moved into its place since the question.
        """
        if self.builtin is not None:
            return _directory_at(self.root) if self.root is not None else ""
        if self.launch is not None:
            return "\0".join((str(self.launch.cwd), *self.launch.argv))
        return self.url or ""

    def offers(self, tool: str) -> bool:
        """Return whether a tool of the server, by its own name, is offered to anybody."""
        return tool not in self.exclude_tools and (not self.include_tools or tool in self.include_tools)

    def secrets(self) -> list[str]:
        """Return the credentials of this server, which must never show up in a record or an answer."""
        return [*self.hidden, *([self.login.credential] if self.login and self.login.credential else [])]


def _directory_at(path: str) -> str:
    """The path, and which directory it leads to; the path alone where nothing is there."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return path
    return f"{path}\0{status.st_dev}:{status.st_ino}"


def needs_root(gateway: GatewaySettings, mcp_json: Path | None) -> bool:
    """Return whether a server of ours works on a root: one that the settings name, or both where they name none."""
    if not gateway.servers:
        return mcp_json is None
    return any(
        server.builtin is not None and server.enabled and server.root is None for server in gateway.servers.values()
    )


def server_settings(
    gateway: GatewaySettings, mcp_json: Path | None, *, root: Path | None
) -> dict[str, UpstreamSettings]:
    """Return the enabled servers: those of the settings and of the file.

    If the settings name none, the gateway serves our own: always without a file, and with the file's servers if a
    root was given. An entry of the file that cannot be used is left out with an error in the log. Raises `ConfigError`
    if nothing is left.
    """
    servers = dict(gateway.servers)
    if not servers and (mcp_json is None or root is not None):
        servers = {name: UpstreamSettings(builtin=name) for name in BUILTINS}
    if mcp_json is not None:
        from lg_gateway.clients.reading import read_client_file

        reserved = [name for name, upstream in servers.items() if upstream.builtin is not None]
        found = read_client_file(mcp_json, root=root, reserved=reserved)
        _tell(found)
        for name, upstream in found.servers.items():
            if name in servers:
                found.unusable[name] = ConfigError("the settings have a server of this name", hint="rename one of them")
            else:
                servers[name] = upstream
        _leave_out({name: found.problem(name) for name in found.unusable}, servers)
    return {name: upstream for name, upstream in servers.items() if upstream.enabled}


def _tell(found: ClientFile) -> None:
    """Say what a client's file has that counts differently here."""
    for note in found.notes:
        log.warning("%s: %s", found.path, note)
    for entry in found.entries.values():
        for note in entry.notes:
            log.warning("%s: %r: %s", found.path, entry.written[:80], note)
        for rule in entry.proposed:
            tools = "every tool" if rule.dangerous else ", ".join(rule.tools)[:200]
            why = f"{rule.key} lets {tools} run without asking; here a rule does that"
            log.warning("%s: %r: %s", found.path, entry.written[:80], why)


def _leave_out(unusable: Mapping[str, ConfigError], left: Mapping[str, object]) -> None:
    """Say which entries cannot be used. Raises the first reason where nothing is left without them."""
    for error in unusable.values():
        if not left:
            raise error
        log.error("left out: %s", error.text())


def build_specs(
    settings: Settings, servers: Mapping[str, UpstreamSettings], place: GatewayPaths
) -> tuple[list[ServerSpec], dict[str, MissingValue]]:
    """Expand every server's settings; return also which servers of the settings lack a value.

    Writes the effective configuration for built-in servers.

    Raises `ConfigError` for a server of the settings; one of an `mcpServers` file is left out, and so is one that needs
    a value which is not there, unless none is left.
    """
    # Named by its content: settings that are being reloaded must not change the file of servers that go on.
    mark = hashlib.sha256(effective_json(settings)).hexdigest()[:12]
    effective = place.state.path / f"effective-{mark}.json"
    if any(upstream.builtin for upstream in servers.values()):
        write_effective(settings, effective)
    logs = place.state.path / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    specs: dict[str, ServerSpec] = {}
    unusable: dict[str, ConfigError] = {}
    missing: dict[str, MissingValue] = {}
    for name, upstream in sorted(servers.items()):
        try:
            specs[name] = server_spec(name, upstream, settings, place, effective, logs)
        except MissingValue as error:
            unusable[name] = error
            if name in settings.gateway.servers:
                missing[name] = error
        except ConfigError as error:
            if upstream.builtin is not None or name in settings.gateway.servers:
                raise
            unusable[name] = error
    _leave_out(unusable, specs)
    return list(specs.values()), missing


def server_spec(
    name: str, upstream: UpstreamSettings, settings: Settings, place: GatewayPaths, effective: Path, logs: Path
) -> ServerSpec:
    """Return how one server is started or reached. Raises `ConfigError`."""
    where = f"[gateway.servers.{name}]"
    _check(name, upstream, where)
    values = place.values()

    def expand(text: str, key: str) -> str:
        return values.expand(text, f"{where} {key}")

    launch: ServerLaunch | None = None
    root: Path | None = None
    log_path = logs / f"{name}.log"
    if upstream.builtin is not None:
        passed = {key: place.environ[key] for key in PASSED_TO_BUILTINS if key in place.environ}
        root, state = place_of(upstream, place)
        argv = _builtin_argv(upstream.builtin, settings, root, state, effective)
        argv = (*argv, "--allow-broad-root") if place.allow_broad_root else argv
        launch = ServerLaunch(name=name, argv=argv, env=passed, cwd=place.state.path, log_path=log_path, ours=True)
    elif upstream.command is not None:
        program, words = _command(expand(upstream.command, "command"), place.environ, where)
        argv = (program, *words, *(expand(arg, "args") for arg in upstream.args))
        env = _environment(upstream, values, where)
        cwd = Path(expand(upstream.cwd, "cwd")) if upstream.cwd else place.state.path
        launch = ServerLaunch(
            name=name,
            argv=argv,
            env=env,
            cwd=cwd,
            log_path=log_path,
            confinement=_confinement(name, upstream, settings, place),
        )
    url = expand(upstream.url, "url") if upstream.url else None
    if url is not None and not url.startswith(("http://", "https://")):
        raise ConfigError(f"{where} url must begin with http:// or https://")
    return ServerSpec(
        name=name,
        builtin=upstream.builtin,
        trusted=upstream.trusted or upstream.builtin is not None,
        mode=_mode(upstream),
        launch=launch,
        url=url,
        transport=upstream.transport,
        headers={key: expand(value, f"headers.{key}") for key, value in upstream.headers.items()},
        connect_timeout_s=upstream.connect_timeout_s,
        call_timeout_s=upstream.call_timeout_s,
        one_at_a_time=upstream.one_at_a_time,
        strict_results=upstream.strict_results,
        include_tools=upstream.include_tools,
        exclude_tools=upstream.exclude_tools,
        sampling=upstream.sampling == "client",
        roots=upstream.roots == "client",
        own_schemas=upstream.schemas == "own",
        bare=upstream.naming == "none",
        login=_login(name, upstream, url, expand),
        root=str(root) if root is not None else None,
        gateway_root=str(place.root) if place.root != place.state.path else "",
        hidden=_hidden(upstream, values, where),
    )


def _confinement(name: str, upstream: UpstreamSettings, settings: Settings, place: GatewayPaths) -> Confinement | None:
    if upstream.sandbox is None:
        return None
    from lg_gateway.processes.server_sandboxes import server_confinement

    return server_confinement(name, upstream.sandbox, settings, place)


def _mode(upstream: UpstreamSettings) -> str:
    """Return the protocol era. The older transport knows the older era only."""
    if upstream.mode == "auto" and upstream.transport == "sse":
        return "legacy"
    return "2026-07-28" if upstream.mode == "modern" else upstream.mode


def _environment(upstream: UpstreamSettings, values: Values, where: str) -> dict[str, str]:
    """Return the variables of a stdio server: those of its file, and its own."""
    found: dict[str, str] = {}
    if upstream.env_file is not None:
        path = values.expand(upstream.env_file, f"{where} env_file")
        found = values.env_file(path, f"{where} env_file")
    return found | {key: values.expand(value, f"{where} env.{key}") for key, value in upstream.env.items()}


def _hidden(upstream: UpstreamSettings, values: Values, where: str) -> tuple[str, ...]:
    """Return the secrets among a server's settings. Paths, zones and plain words are none, and stay readable."""
    named = [*upstream.env.items(), *upstream.headers.items(), ("url", upstream.url or "")]
    found: list[str] = []
    for name, written in [*named, *(("", argument) for argument in upstream.args)]:
        for variable, value in values.parts(written):
            found += secret_parts(variable, value, referenced=True)
        whole = values.expand(written, where)
        found += secret_parts(name, whole, referenced=PLACEHOLDER.fullmatch(written) is not None)
    found += secrets_of_arguments([values.expand(argument, where) for argument in upstream.args])
    if upstream.env_file is not None:
        for name, value in values.env_file(values.expand(upstream.env_file, where), where).items():
            found += secret_parts(name, value, referenced=True)
    return tuple(dict.fromkeys(found))


def _login(
    name: str, upstream: UpstreamSettings, url: str | None, expand: Callable[[str, str], str]
) -> LoginSpec | None:
    """Return how to log in; `None` where the settings have the whole login, or where no token may travel."""
    oauth = upstream.oauth or UpstreamOAuthSettings()
    fixed = "@" in urlsplit(url or "").netloc or any(key.lower() == "authorization" for key in upstream.headers)
    try:
        parts = urlsplit(safe_url(url or ""))
        address = parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment="").geturl()
    except ValueError as error:
        if upstream.oauth is not None or upstream.login == "per_caller":
            raise ConfigError(f"oauth needs a url that a token may travel to: {error}") from error
        return None
    if upstream.oauth is None and fixed:
        return None
    return LoginSpec(
        server=name,
        url=address,
        resource=oauth.resource or address,
        grant=oauth.grant,
        issuer=oauth.issuer,
        token_url=oauth.token_url,
        client_id=expand(oauth.client_id, "oauth.client_id") if oauth.client_id is not None else None,
        client_secret=expand(oauth.client_secret, "oauth.client_secret") if oauth.client_secret is not None else "",
        client_key=expand(oauth.client_key, "oauth.client_key") if oauth.client_key is not None else "",
        client_metadata_url=oauth.client_metadata_url,
        scopes=oauth.scopes,
        in_body=oauth.client_auth == "post",
        per_caller=upstream.login == "per_caller",
        redirect_port=oauth.redirect_port,
    )


def _check(name: str, upstream: UpstreamSettings, where: str) -> None:
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{where}: a server's name is 1 to 32 of A-Z a-z 0-9 - _, without `__`, not beginning or ending with `_`"
        )
    given = [key for key in ("builtin", "command", "url") if getattr(upstream, key) is not None]
    if upstream.sandbox is not None and upstream.command is None:
        raise ConfigError(f"{where} sandbox is for servers with a command", hint="take it out; `lg-exec` has its own")
    if len(given) != 1:
        raise ConfigError(f"{where} needs exactly one of builtin, command, url; it has {', '.join(given) or 'none'}")


def _builtin_argv(builtin: str, settings: Settings, root: Path, state: Path, effective: Path) -> tuple[str, ...]:
    argv = (sys.executable, "-P", "-m", BUILTIN_MODULES[builtin], "--root", str(root))
    return (*argv, "--effective-config", str(effective), "--state-dir", str(state), "--profile", settings.profile)


def _command(command: str, environ: Mapping[str, str], where: str) -> tuple[str, tuple[str, ...]]:
    """Return the program of a command and the arguments in it: some files have both in one text.

    Raises `ConfigError` for a line that only a shell understands.
    """
    program = _program(command, environ)
    if program != command or os.path.exists(program) or not any(space in command for space in " \t"):
        return program, ()
    try:
        first, *rest = shlex.split(command, posix=os.name == "posix")
    except ValueError:
        return program, ()
    operator = next((word for word in rest if word in _OPERATORS), None)
    if operator is not None:
        raise ConfigError(
            f"{where} command needs a shell, because of {operator!r}, and there is none",
            hint='write command = "sh" and args = ["-c", "..."]',
        )
    log.warning("%s: command holds arguments too; it is read as %r with %r", where, first, rest)
    return _program(first, environ), tuple(rest)


def _program(command: str, environ: Mapping[str, str]) -> str:
    """Find the program now, in absolute `PATH` entries only: the directory the gateway was started in may be hostile.

    A program that is not found is left as it is: starting it fails, and only this server is down.
    """
    search = os.pathsep.join(
        entry for entry in environ.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(entry)
    )
    found = shutil.which(os.path.expanduser(command), path=search)
    return os.path.abspath(found) if found else command
