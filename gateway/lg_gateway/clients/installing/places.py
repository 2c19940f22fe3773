"""Where each client keeps its servers, on each system. Pure: nothing is looked up on this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath, PureWindowsPath


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What places depend on. `platform` is `linux`, `darwin` or `win32`, as `sys.platform` has it."""

    platform: str
    environ: Mapping[str, str]
    home: str

    def path(self, text: str) -> PurePath:
        """Return a path of that system."""
        return PureWindowsPath(text) if self.platform == "win32" else PurePosixPath(text)

    def at_home(self, *parts: str) -> str:
        """Return a path below the home directory."""
        return str(self.path(self.home).joinpath(*parts))

    def below(self, variable: str, *parts: str, home: tuple[str, ...]) -> str:
        """Return a path below the directory that a variable names, or below a directory at home."""
        value = self.environ.get(variable)
        return str(self.path(value).joinpath(*parts)) if value else self.at_home(*home, *parts)

    def roaming(self, *parts: str) -> str:
        """Return a path below `%APPDATA%`."""
        return self.below("APPDATA", *parts, home=("AppData", "Roaming"))

    def config(self, *parts: str) -> str:
        """Return a path below the directory of settings of XDG, which some clients use on macOS too."""
        return self.below("XDG_CONFIG_HOME", *parts, home=(".config",))

    def support(self, *parts: str) -> str:
        """Return a path below where applications with windows keep their settings."""
        if self.platform == "win32":
            return self.roaming(*parts)
        if self.platform == "darwin":
            return self.at_home("Library", "Application Support", *parts)
        return self.config(*parts)


@dataclass(frozen=True, kw_only=True)
class Places:
    """The files of a client for one user. Each that exists is written; `first` is made where none does.

    A `*` stands for any characters of a folder's name.
    """

    first: str
    others: tuple[str, ...] = ()
    only_one: bool = False
    """Write only the first that exists: the others are older or other names for the same file."""


def _claude_desktop(machine: Machine) -> Places:
    name = "claude_desktop_config.json"
    if machine.platform != "win32":
        return Places(first=machine.support("Claude", name))
    packaged = machine.below(
        "LOCALAPPDATA", "Packages", "Claude_*", "LocalCache", "Roaming", "Claude", name, home=("AppData", "Local")
    )
    return Places(first=machine.roaming("Claude", name), others=(packaged,))


def _cline(machine: Machine) -> Places:
    end = ("settings", "cline_mcp_settings.json")
    if machine.environ.get("CLINE_DATA_DIR"):
        return Places(first=machine.below("CLINE_DATA_DIR", *end, home=()))
    return Places(first=machine.below("CLINE_DIR", "data", *end, home=(".cline",)))


def _roo(machine: Machine) -> Places:
    folder = ("Code", "User", "globalStorage", "rooveterinaryinc.roo-cline", "settings")
    return Places(first=machine.support(*folder, "mcp_settings.json"))


def _zed(machine: Machine) -> Places:
    if machine.platform == "win32":
        return Places(first=machine.roaming("Zed", "settings.json"))
    return Places(first=machine.config("zed", "settings.json"))


def _goose(machine: Machine) -> Places:
    if machine.platform == "win32":
        return Places(first=machine.roaming("Block", "goose", "config", "config.yaml"))
    return Places(first=machine.config("goose", "config.yaml"))


def _opencode(machine: Machine) -> Places:
    if machine.environ.get("OPENCODE_CONFIG"):
        return Places(first=machine.environ["OPENCODE_CONFIG"])
    first, other = (machine.config("opencode", name) for name in ("opencode.json", "opencode.jsonc"))
    return Places(first=first, others=(other,), only_one=True)


def _home(*parts: str) -> Callable[[Machine], Places]:
    return lambda machine: Places(first=machine.at_home(*parts))


def _variable(variable: str, name: str, folder: str) -> Callable[[Machine], Places]:
    return lambda machine: Places(first=machine.below(variable, name, home=(folder,) if folder else ()))


USER: Mapping[str, Callable[[Machine], Places]] = {
    "claude-desktop": _claude_desktop,
    "claude-code": _variable("CLAUDE_CONFIG_DIR", ".claude.json", ""),
    "cursor": _home(".cursor", "mcp.json"),
    "vscode": lambda machine: Places(first=machine.support("Code", "User", "mcp.json")),
    "cline": _cline,
    "roo": _roo,
    "kiro": _home(".kiro", "settings", "mcp.json"),
    "zed": _zed,
    "windsurf": lambda machine: Places(
        first=machine.at_home(".codeium", "windsurf", "mcp_config.json"),
        others=(machine.at_home(".codeium", "mcp_config.json"),),
    ),
    "continue": _home(".continue", "mcpServers", "lg.json"),
    "gemini-cli": _home(".gemini", "settings.json"),
    "codex": _variable("CODEX_HOME", "config.toml", ".codex"),
    "goose": _goose,
    "opencode": _opencode,
    "amazon-q": _home(".aws", "amazonq", "mcp.json"),
    "copilot-cli": _variable("COPILOT_HOME", "mcp-config.json", ".copilot"),
    "lmstudio": _home(".lmstudio", "mcp.json"),
    "junie": _home(".junie", "mcp", "mcp.json"),
}
"""The files for one user, by client."""

PROJECT: Mapping[str, tuple[str, ...]] = {
    "claude-code": (".mcp.json",),
    "cursor": (".cursor/mcp.json",),
    "vscode": (".vscode/mcp.json",),
    "roo": (".roo/mcp.json",),
    "kiro": (".kiro/settings/mcp.json",),
    "zed": (".zed/settings.json",),
    "continue": (".continue/mcpServers/lg.json",),
    "gemini-cli": (".gemini/settings.json",),
    "codex": (".codex/config.toml",),
    "opencode": ("opencode.json", "opencode.jsonc"),
    "amazon-q": (".amazonq/mcp.json",),
    "copilot-cli": (".github/mcp.json",),
    "junie": (".junie/mcp/mcp.json",),
}
"""The files in a project, by client. The first that exists is written."""
