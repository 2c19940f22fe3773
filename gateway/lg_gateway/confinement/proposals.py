"""Proposes a sandbox for a server that has all rights of the user: what its command shows that it needs.

Nothing is run and nothing is asked. A proposal is a start: what else the server asks for is refused, logged and shown
with the line that adds it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lg_gateway.confinement.confinement import named_path
from lg_gateway.confinement.package_indexes import downloads, index_hosts
from lg_policy.config.gateway import UpstreamSandboxSettings
from lg_policy.config.settings import UpstreamSettings
from lg_policy.errors import ConfigError

_CONTAINERS = ("docker", "podman", "nerdctl")
_KNOWN_HOSTS = {
    "server-github": ("api.github.com",),
    "server-gitlab": ("gitlab.com",),
    "server-slack": ("slack.com", "*.slack.com"),
    "server-brave-search": ("api.search.brave.com",),
    "server-google-maps": ("maps.googleapis.com",),
    "mcp-server-fetch": ("*",),
    "server-fetch": ("*",),
}
"""Hosts of servers that many use, by how their package's name ends."""
_WRITERS = ("server-filesystem", "mcp-server-git", "mcp-server-sqlite")
"""Servers whose arguments name what they change."""
_VERSION = re.compile(r"(?<=.)(@|==|>=|~=).*$")


@dataclass(frozen=True, kw_only=True)
class SandboxProposal:
    """A `sandbox` table to write, or why there is none."""

    network: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    why_not: str = ""
    add: str = ""
    """What a person has to add, in words."""

    def text(self) -> str:
        """Return the setting to write, with what to add to it as a comment, or why there is none."""
        return self.why_not or f"sandbox = {self.table()}" + (f"  # {self.add}" if self.add else "")

    def table(self) -> str:
        """Return the table as TOML, on one line."""
        parts = {"network": self.network, "read": self.read, "write": self.write}
        shown = ", ".join(
            f"{key} = {json.dumps(list(value))}"
            for key, value in parts.items()
            if value or (key == "network" and "network" in self.add)
        )
        return f"{{ {shown} }}" if shown else "{}"


def propose_sandbox(command: str, args: Sequence[str], environ: Mapping[str, str] = os.environ) -> SandboxProposal:
    """Return a proposal for a command line as the settings have it. `environ` tells where its user's packages are."""
    words = [os.path.basename(command).removesuffix(".exe").removesuffix(".cmd"), *args]
    if words[0] in _CONTAINERS:
        return SandboxProposal(why_not=f"{words[0]} confines it already; what it shows is up to that command line")
    if words[0] in ("sh", "bash", "zsh", "cmd", "powershell", "pwsh"):
        return SandboxProposal(why_not="its command is a shell's line; write down by hand what it needs")
    names = [_VERSION.sub("", word.rpartition("/")[2]) for word in args if not word.startswith("-")]
    indexes = index_hosts(words[0], environ)
    hosts = [*indexes, *(host for name in names for host in _KNOWN_HOSTS.get(name, ()))]
    named = dict.fromkeys(_paths(args))
    paths = tuple(path for path in named if _can_be_shown(path))
    writes = any(name in _WRITERS for name in names)
    add = "" if "*" in hosts or indexes or not downloads(words[0]) else "add the host of your package index to network"
    too_much = [path for path in named if path not in paths]
    if too_much:
        some = f"name the directories that it needs below {too_much[0]}, which would show too much"
        add = f"{add}; {some}" if add else some
    return SandboxProposal(
        add=add,
        network=("*",) if "*" in hosts else tuple(dict.fromkeys(hosts)),
        read=() if writes else paths,
        write=paths if writes else (),
    )


def with_proposed_sandbox(settings: UpstreamSettings) -> UpstreamSettings:
    """Return a server's settings with the sandbox that is proposed, as they are where none is."""
    if settings.command is None or settings.sandbox is not None:
        return settings
    proposal = propose_sandbox(settings.command, settings.args)
    if proposal.why_not:
        return settings
    sandbox = UpstreamSandboxSettings(network=proposal.network, read=proposal.read, write=proposal.write)
    return settings.model_copy(update={"sandbox": sandbox})


def _can_be_shown(path: str) -> bool:
    """Return whether settings may name a path. One with a placeholder is judged when the server starts."""
    try:
        return "$" in path or bool(named_path(path, ""))
    except ConfigError:
        return False


def _paths(args: Sequence[str]) -> Iterator[str]:
    """Yield the paths among arguments, also behind `--option=`."""
    for word in args:
        value = word.partition("=")[2] if word.startswith("-") and "=" in word else word
        if value.startswith(("/", "~/", "${workspaceFolder}")):
            yield value
