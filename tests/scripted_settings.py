"""Settings of a run service whose only command does nothing and whose model follows a script."""

from __future__ import annotations

COMMON = """
[exec]
sandbox = "off"
[exec.commands.make]
executable = "/bin/true"
needs_sandbox = false
[[gateway.rules]]
tools = ["exec__exec"]
effect = "allow"
reason = "the only command does nothing"
[models.default]
provider = "openai"
model = "scripted"
base_url = "{model}"
"""


def scripted_settings(model_url: str, more: str = "") -> str:
    """Return the settings with `more` tables. Patches are asked about unless these say otherwise."""
    return COMMON.format(model=model_url) + more
