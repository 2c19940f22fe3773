"""The settings of the gateway: its servers, its rules, its limits. Part of the tree in `config`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from lg_policy.config.http import HttpSettings, SafeUrl
from lg_policy.config.observing import TracingSettings
from lg_policy.config.section import Duration, PositiveFloat, PositiveInt, Section
from lg_policy.config.usage_limits import LimitSettings, RunBudgetSettings


class UpstreamOAuthSettings(Section):
    """How the gateway logs in at an HTTP server. Callers' tokens are never forwarded.

    A server that tells its callers where to log in needs nothing here: `lg-gateway login SERVER` finds out."""

    auth: Literal["authorization_code", "client_credentials", "token_exchange"] | None = None
    """`authorization_code`: a person logs in with `lg-gateway login`. `client_credentials`: the gateway logs in by
    itself. `token_exchange`: each caller's token is exchanged for one of the caller's own (RFC 8693).

    By default `client_credentials` where `token_url` is set, else `authorization_code`."""
    issuer: SafeUrl | None = None
    """The only authorization server to use, exactly as it names itself; by default the one that the server names."""
    token_url: SafeUrl | None = None
    """Where tokens are fetched without discovery: for `client_credentials` and `token_exchange`."""
    client_id: str | None = None
    """The gateway's name there; `${NAME}` is expanded. By default it registers itself."""
    client_secret: str | None = None
    """Its secret; `${NAME}` is expanded, so the secret need not be in the file. It needs `issuer` or `token_url`: no
    server may say who gets it."""
    client_key: str | None = None
    """Its private key instead of a secret (`private_key_jwt`): a reference such as `${file:/path/key.pem}` or
    `${secret:NAME}` to a PEM or JWK text. It needs `issuer` or `token_url`."""
    client_metadata_url: SafeUrl | None = None
    """Address of a document about the client, used as its id where the authorization server reads such documents."""
    scopes: tuple[str, ...] = ()
    """Scopes to ask for; by default those that the server names."""
    resource: str | None = None
    """What the token is for (RFC 8707); by default the server's `url`."""
    client_auth: Literal["basic", "post"] = "basic"
    """How the secret is sent: HTTP Basic, or in the form."""
    redirect_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Port on 127.0.0.1 that ends a login, for an authorization server that knows one address only; 0: any."""

    @property
    def grant(self) -> Literal["authorization_code", "client_credentials", "token_exchange"]:
        """How the gateway gets its tokens."""
        return self.auth or ("client_credentials" if self.token_url is not None else "authorization_code")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.grant == "authorization_code" and self.token_url is not None:
            raise ValueError("token_url is for client_credentials and token_exchange; set issuer instead")
        if self.client_secret is not None and self.client_key is not None:
            raise ValueError("client_secret and client_key exclude each other")
        if self.grant != "authorization_code" and not (self.client_id and (self.client_secret or self.client_key)):
            raise ValueError(f"{self.grant} needs client_id and client_secret or client_key")
        if self.client_secret is not None and self.token_url is None and self.issuer is None:
            raise ValueError("client_secret needs issuer or token_url: no server may say who gets the secret")
        if self.client_key is not None and not (self.client_key.startswith("${") and self.client_key.endswith("}")):
            raise ValueError("client_key must be a reference, such as ${file:/path/key.pem}: no key stands in settings")
        if self.client_key is not None and self.token_url is None and self.issuer is None:
            raise ValueError("client_key needs issuer or token_url: no server may say who gets what it signs")
        if self.client_id is None and (self.client_secret is not None or self.client_key is not None):
            raise ValueError(f"{'client_key' if self.client_secret is None else 'client_secret'} needs client_id")
        metadata = urlsplit(self.client_metadata_url or "https://host/path")
        if metadata.scheme != "https" or metadata.path in ("", "/") or metadata.fragment:
            raise ValueError("client_metadata_url must be an https address with a path")
        return self


class UpstreamSandboxSettings(Section):
    """What a confined stdio server may see and reach. An empty table, `sandbox = {}`, shows and reaches nothing.

    Linux only. The server starts in the same kind of sandbox as commands of `lg-exec`. It sees the system's programs,
    its own program and a home directory of its own. `docs/confine.md` says what this does not stop."""

    network: tuple[str, ...] = ()
    """Hosts that it may reach: `api.example.com`, `*.example.org`, `HOST:PORT`, an address or `10.0.0.0/8`; `*` is all.

    The ports are 80 and 443 unless one is named. Private and loopback addresses are refused unless they are named."""
    read: tuple[str, ...] = ()
    """Absolute paths that it sees, read-only. `~/` and `${workspaceFolder}` are expanded."""
    write: tuple[str, ...] = ()
    """Absolute paths that it sees and may change."""
    home: Literal["kept", "throw_away"] = "kept"
    """Its home directory: kept for it in the state directory, so that `npx` and `uvx` download once, or in memory."""
    memory_mb: PositiveInt = 2_048
    """Memory of all its processes, in mebibytes."""
    processes: PositiveInt = 256
    """Processes and threads that it may have."""
    disk_mb: PositiveInt = 512
    """Size of each of its temporary directories, which are in memory, in mebibytes."""
    home_mb: PositiveInt = 4_096
    """What its own home directory may take of the disk, in mebibytes. A program that is over it is ended."""


class UpstreamSettings(Section):
    """One MCP server behind the gateway: `builtin`, or `command` (stdio), or `url` (HTTP).

    `${NAME}` in a text is filled in when the server starts: from the environment, with a default as
    `${NAME:-default}`; `${secret:NAME}` with what `lg-gateway secrets set NAME` keeps; `${file:PATH}` with a file's
    content; `${workspaceFolder}` with the gateway's root."""

    builtin: Literal["fs", "exec", "code"] | None = None
    """Start our own server by module, with the gateway's effective configuration."""
    root: str | None = None
    """Directory that a built-in server works on, relative to the settings file; by default the gateway's root.

    So one gateway serves several directories: name a server for each. None may lie in another."""
    command: str | None = None
    """Program of a stdio server."""
    args: tuple[str, ...] = ()
    """Its arguments; `${NAME}` is expanded."""
    env: dict[str, str] = Field(default_factory=dict)
    """Its environment beyond HOME, LOGNAME, PATH, SHELL, TERM, USER; `${NAME}` is expanded."""
    env_file: str | None = None
    """File of `NAME=value` lines for its environment, read at each start; `env` wins."""
    sandbox: UpstreamSandboxSettings | None = None
    """Start it in a sandbox: what it may see and reach. By default it has all rights of your user."""
    cwd: str | None = None
    """Its working directory, relative to the settings file; by default the server's state directory."""
    url: str | None = None
    """Address of an HTTP server; `${NAME}` is expanded."""
    transport: Literal["http", "sse", "auto"] = "http"
    """How the `url` is spoken to: Streamable HTTP, the older SSE, or SSE only where the server refuses the first."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Headers sent to it; `${NAME}` is expanded."""
    oauth: UpstreamOAuthSettings | None = None
    """How to log in, where the server does not say it all; its `url` must then be https, or on this machine."""
    login: Literal["shared", "per_caller"] = "shared"
    """Whose login calls use: `shared`, one for all callers; `per_caller`, each identity its own."""
    trusted: bool = False
    """Whether to trust its annotations and path marks. Built-in servers are always trusted."""
    include_tools: tuple[str, ...] = ()
    """Offer only these of its tools, by the server's own names. By default all."""
    exclude_tools: tuple[str, ...] = ()
    """Never offer these of its tools, by the server's own names."""
    mode: Literal["auto", "legacy", "modern"] = "auto"
    """Protocol era: probe, force the 2025 handshake, or force 2026-07-28."""
    enabled: bool = True
    """Whether the server is started at all."""
    connect_timeout_s: PositiveFloat = 30
    """Seconds until a start or connection counts as failed."""
    call_timeout_s: PositiveFloat = 660
    """Seconds for one call, without waiting for a human."""
    one_at_a_time: bool = False
    """Make its calls one after another: for a stdio server of the 2025 protocol that asks questions while a tool runs.

    Its questions do not say which call asks. Once such a server asks, its calls are made one by one from then on.
    """
    strict_results: bool = False
    """Turn an answer into an error if its structured part does not match the tool's own schema.

    By default the text is passed on with a warning, and the structured part is removed."""
    sampling: Literal["refuse", "client"] = "refuse"
    """Whether the server may ask for a message of the caller's model. `client`: the caller's client answers it.

    What the server sends is then part of a prompt, and it reads what the model answers."""
    roots: Literal["refuse", "client"] = "refuse"
    """Whether the server may ask for the directories that the caller works in. `client`: the caller's client says."""
    naming: Literal["prefix", "none"] = "prefix"
    """`none`: clients see its tools, prompts and URIs under their own names. Rules, limits and records always name
    `SERVER__TOOL` and `SERVER+URI`.

    Of several servers with `none`, only the first by name keeps its URIs. A name that is taken is left out."""
    schemas: Literal["portable", "own"] = "portable"
    """How the arguments of its tools are listed. `portable`: with the keywords that every client and model provider
    takes. `own`: as the server wrote them. Calls are always checked against the whole schema."""

    @model_validator(mode="after")
    def _login_fits(self) -> Self:
        grant = self.oauth.grant if self.oauth is not None else "authorization_code"
        if self.login == "per_caller" and self.url is None:
            raise ValueError('login = "per_caller" needs a url')
        if self.login == "per_caller" and grant == "client_credentials":
            raise ValueError("client_credentials is one login for all callers: it cannot be per_caller")
        if self.login == "shared" and grant == "token_exchange":
            raise ValueError('token_exchange needs login = "per_caller"')
        if self.login == "per_caller" and any(name.lower() == "authorization" for name in self.headers):
            raise ValueError("an Authorization header is one login for all callers: it cannot be per_caller")
        return self


class ConfineSettings(Section):
    """What `lg-gateway confine` lets a client see and reach, besides what a known client needs. Flags add to it."""

    network: tuple[str, ...] = ()
    """Hosts that it may reach, written as in `sandbox.network` of a server."""
    read: tuple[str, ...] = ()
    """Absolute paths that it sees, read-only; `~/` is expanded."""
    write: tuple[str, ...] = ()
    """Absolute paths that it sees and may change."""
    root: Literal["ro", "overlay", "rw"] = "ro"
    """How it sees the root: read-only, as a copy that is thrown away, or writable except for protected names."""
    memory_mb: PositiveInt = 8_192
    """Memory of all its processes, in mebibytes."""
    processes: PositiveInt = 1_024
    """Processes and threads that it may have."""
    disk_mb: PositiveInt = 2_048
    """Size of each of its temporary directories, which are in memory, in mebibytes."""
    home_mb: PositiveInt = 4_096
    """What its own home directory may take of the disk, in mebibytes. A program that is over it is ended."""


class MetricsSettings(Section):
    """Metrics for Prometheus. They name servers and tools, and no caller, run or path."""

    enabled: bool = False
    """Whether there are metrics. They are at `/metrics` of the gateway's own HTTP address, for tokens of operators,
    unless `listen` names another address."""
    listen: str = ""
    """Serve them at this `HOST:PORT` instead, such as `127.0.0.1:9464`, to whoever can reach it: without a login.
    Of several gateways with the same address, one serves it."""


class RuleSettings(Section):
    """One policy rule. deny beats approve beats allow, in any order. It needs `tools`, `resources` or `prompts`."""

    tools: tuple[str, ...] = ()
    """Qualified tool names; `*` matches any run of characters."""
    resources: tuple[str, ...] = ()
    """Addresses of resources, as `SERVER+URI`; `*` matches any run of characters."""
    prompts: tuple[str, ...] = ()
    """Qualified prompt names, as `SERVER__PROMPT`; `*` matches any run of characters."""
    identities: tuple[str, ...] = ("*",)
    """Caller identities; `*` matches any run of characters."""
    when: dict[str, Any] | bool = True
    """JSON Schema over the call's arguments. In allow and approve rules, every named property is required.

    For a resource the arguments are `{uri}`, for a prompt `{name, arguments}`."""
    effect: Literal["allow", "approve", "deny"]
    """What happens to a matching call."""
    approver: Literal["user", "operator"] = "user"
    """Who may approve. Of several matching rules, the strictest applies."""
    reason: str = ""
    """Shown with the decision."""
    name: Annotated[str, Field(pattern=r"^([a-z0-9][a-z0-9._-]{0,63})?$")] = ""
    """What records and commands call the rule, however many stand before it. By default its number."""
    pins: dict[str, str] = Field(default_factory=dict)
    """Only in allow rules: tool or prompt to the digest of its definition. For that one the rule counts only while its
    definition is this one; after a change you are asked again."""
    roots: tuple[str, ...] = ()
    """Only in allow rules: the roots on which it counts for tools of built-in servers. By default every root."""


ToolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class ToolProfileSettings(Section):
    """A named set of tools: what its callers list and call. Rules, pins and records keep to the tools' own names."""

    tools: tuple[str, ...]
    """Tools in the set, by qualified name; `*` matches any run of characters. No other is listed or callable."""
    rename: dict[str, ToolName] = Field(default_factory=dict)
    """Qualified name of a tool to the name that its callers see. They call it by that name only."""
    describe: dict[str, Annotated[str, Field(min_length=1, max_length=10_000)]] = Field(default_factory=dict)
    """Qualified name of a tool to the description that its callers read, instead of the server's."""
    identities: tuple[str, ...] = ()
    """Callers that get this set where `gateway.profile` names none; `*` matches any run of characters."""

    @model_validator(mode="after")
    def _names_are_unlike(self) -> Self:
        if len(set(self.rename.values())) < len(self.rename):
            raise ValueError("two tools of a profile are renamed to the same name")
        if own := sorted({"mcp_discover", "mcp_execute", "mcp_result"} & set(self.rename.values())):
            raise ValueError(f"a tool cannot be renamed to {own[0]}, which is one of the gateway's own")
        return self


class GatewaySettings(Section):
    """The gateway: its servers, rules and limits."""

    servers: dict[str, UpstreamSettings] = Field(default_factory=dict)
    """MCP servers by name. By default `lg-fs`, `lg-exec` and `lg-code` on the root."""
    rules: tuple[RuleSettings, ...] = ()
    """Policy rules; every settings file adds its own."""
    profiles: dict[str, ToolProfileSettings] = Field(default_factory=dict)
    """Named sets of tools, for callers that are to see less, or other names."""
    profile: str = ""
    """The set of tools for every caller. By default the first in `profiles` whose `identities` match, or all tools."""
    identity: Annotated[str, Field(pattern=r"^([A-Za-z0-9][A-Za-z0-9._@-]{0,63})?$")] = ""
    """Name of this client on stdio. The caller is `local:<user>/<identity>`, or `local:<user>` without a name."""
    http: HttpSettings = HttpSettings()
    """Who may call over HTTP."""
    metrics: MetricsSettings = MetricsSettings()
    """Metrics for Prometheus."""
    tracing: TracingSettings = TracingSettings()
    """Spans for OpenTelemetry."""
    expose: Literal["all", "search"] = "all"
    """`all`: clients list every permitted tool. `search`: only the meta tools."""
    result_max_bytes: PositiveInt = 1_500_000
    """Bytes of one result. A larger one is cut, with a note."""
    arguments_max_bytes: PositiveInt = 4_000_000
    """Bytes of one call's arguments."""
    restart_backoff_s: PositiveFloat = 0.2
    """Seconds before the first restart of a server that died within 10 seconds. Doubles up to `restart_backoff_max_s`.

    One that had been up for longer is restarted at once."""
    restart_backoff_max_s: PositiveFloat = 30
    """Longest pause between two restarts."""
    reload_poll_s: Annotated[float, Field(ge=0)] = 2
    """Seconds between two checks of the settings files for changes; 0: never. SIGHUP reloads at once."""
    drain_s: PositiveFloat = 30
    """Seconds for running calls to finish on a server that a reload replaces or removes."""
    list_wait_s: Annotated[float, Field(ge=0)] = 3
    """Seconds after the start that the first `tools/list` waits for slow servers; later tools come by `list_changed`.

    Built-in servers are always waited for."""
    name_max: Annotated[int, Field(ge=24, le=64)] = 40
    """Longest name of a tool, in characters. Clients add their own prefix and refuse more than 64 in total."""
    tools_page_size: PositiveInt = 500
    """Tools in one page of `tools/list`."""
    pins: Literal["first_use", "strict", "off"] = "first_use"
    """Tool definitions of servers that are not built in. `first_use` trusts the first and holds changed ones back until
    `pins accept`; `strict` holds back new ones too; `off` accepts all."""
    pins_file: str | None = None
    """File of accepted definitions, as `pins list --json` prints it, relative to the settings file.

    A server named there offers exactly those tools. Its other tools are held back until the file changes."""
    mask_results: Literal["auto", "all", "none"] = "auto"
    """Known secret shapes in results: `auto` masks those of servers that are not trusted and of `exec`."""
    secret_patterns: dict[str, str] = Field(default_factory=dict)
    """Shapes of your own secrets: kind to regular expression (RE2). The whole match is masked, line by line."""
    calls_per_minute: PositiveInt = 6_000
    """Calls of one identity in any minute. More are refused with `limit_exceeded`."""
    calls_at_once: PositiveInt = 128
    """Calls of one identity that run at the same time."""
    bytes_in_per_minute: PositiveInt = 200_000_000
    """Bytes of arguments of one identity in any minute."""
    bytes_out_per_minute: PositiveInt = 1_000_000_000
    """Bytes of results for one identity in any minute."""
    requests_per_minute: PositiveInt = 12_000
    """Requests of one identity in any minute, including those that are refused, replayed or waiting for approval."""
    requests_at_once: PositiveInt = 512
    """Requests of one identity in progress, including those that wait for a human."""
    subscriptions_at_once: PositiveInt = 1_000
    """Resources that one identity is subscribed to at the same time, over all its connections."""
    tasks_at_once: PositiveInt = 50
    """Tasks of one identity that run at the same time. At the limit its calls are made without tasks."""
    task_lifetime: Duration = "1d"
    """Longest time from the start of a task to the last answer about it. One that has not ended by then is given up."""
    limits: tuple[LimitSettings, ...] = ()
    """More limits, for identities, servers or tools."""
    confine: ConfineSettings = ConfineSettings()
    """What a client sees that `lg-gateway confine` starts."""
    run_budget: RunBudgetSettings = RunBudgetSettings()
    """What one run may use in total."""

    @model_validator(mode="after")
    def _profile_is_there(self) -> Self:
        if self.profile and self.profile not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise ValueError(f"gateway.profile is {self.profile!r}, and gateway.profiles has {known}")
        return self
