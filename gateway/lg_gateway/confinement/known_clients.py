"""What known clients need of the home directory and the network to start and to be logged in."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class KnownClient:
    """One client, by the name of its program. Paths begin with `~/`; those that do not exist are left out."""

    title: str
    write: tuple[str, ...] = ()
    """Directories that it must change: its login, its history."""
    read: tuple[str, ...] = ()
    """What it reads; also what lies below `write` and must not change: it would run at its next start."""
    copied: tuple[str, ...] = ()
    """Files that it replaces as a whole, which a mounted file cannot be: it gets a copy in a home of its own.
    They lie in the home directory itself."""
    network: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    """Variables that it gets if they are set: its login."""


_GIT = ("~/.gitconfig", "~/.config/git/config")
CLIENTS = {
    "claude": KnownClient(
        title="Claude Code",
        write=("~/.claude",),
        read=(
            *("~/.claude/settings.json", "~/.claude/CLAUDE.md", "~/.claude/agents", "~/.claude/commands"),
            *("~/.claude/hooks", "~/.claude/plugins", "~/.claude/skills", *_GIT),
        ),
        copied=("~/.claude.json",),
        network=("api.anthropic.com", "console.anthropic.com", "platform.claude.com", "claude.ai"),
        env=("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL", "CLAUDE_CODE_OAUTH_TOKEN"),
    ),
    "codex": KnownClient(
        title="Codex CLI",
        write=("~/.codex",),
        read=("~/.codex/config.toml", "~/.codex/AGENTS.md", "~/.codex/prompts", "~/.codex/rules", *_GIT),
        network=("api.openai.com", "auth.openai.com", "chatgpt.com"),
        env=("OPENAI_API_KEY", "OPENAI_BASE_URL"),
    ),
    "gemini": KnownClient(
        title="Gemini CLI",
        write=("~/.gemini",),
        read=("~/.gemini/settings.json", "~/.gemini/GEMINI.md", "~/.gemini/commands", "~/.gemini/extensions", *_GIT),
        network=("generativelanguage.googleapis.com", "cloudcode-pa.googleapis.com", "oauth2.googleapis.com"),
        env=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    ),
    "opencode": KnownClient(
        title="OpenCode",
        write=("~/.local/share/opencode", "~/.local/state/opencode", "~/.cache/opencode"),
        read=("~/.config/opencode", *_GIT),
        network=("opencode.ai", "models.dev"),
        env=("ANTHROPIC_API_KEY", "OPENAI_API_KEY"),
    ),
}
UNKNOWN = KnownClient(title="a program that is not known here", read=_GIT)


def known_client(program: str) -> KnownClient:
    """Return what a program needs, by its name."""
    return CLIENTS.get(os.path.basename(program), UNKNOWN)


def existing(paths: tuple[str, ...], home: str) -> tuple[str, ...]:
    """Return those paths of a home directory that exist. A link is left out: what it leads to was not named."""
    found = (f"{home}/{path.removeprefix('~/')}" for path in paths)
    return tuple(path for path in found if os.path.realpath(path) == path and os.path.exists(path))
